#pragma once
#include "attend/blocks/downsample.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/any_layer.hpp"

ATTEND_BEGIN
namespace detail {

/// How a residual block ends: activation(drop_path(attention(branch)) + shortcut(x)). The shortcut is x, or a Downsample
/// where stride or channels change. Where nothing is recorded, sum and relu are a part of the convolution's
/// kernel, or of the attention's last pass if it can. Children "se" and "downsample".
template <class S>
class ResidualEnd {
 public:
  ResidualEnd(const char* name, Activation activation, double drop_path, AnyLayer<S, 4> attention, Index in, Index out,
              Index stride, Index dilation, bool average, Rng& rng)
      : name_(name), activation_(activation), drop_path_(drop_path), attention_(std::move(attention)) {
    require<OptionError>(drop_path >= 0 && drop_path <= 1, name,
                         [&] { return message("drop_path = ", drop_path, " must lie in [0, 1]"); });
    if (stride != 1 || in != out) downsample_.emplace(in, out, stride, dilation, average, rng);
  }
  /// ShapeError if the attention changes the shape of the branch.
  Variable<S, 4> operator()(const Variable<S, 4>& x, const Variable<S, 4>& branch) const {
    return join(branch, shortcut(x));
  }
  /// Of a branch that ends in norm(conv(seen)).
  Variable<S, 4> operator()(const Variable<S, 4>& x, const Conv2d<S>& conv, const BatchNorm<S>& norm,
                            const Variable<S, 4>& seen) const {
    const auto added = shortcut(x);
    if (!attention_ && !seen.link()) return conv_norm_act(conv, norm, activation_, seen, added);
    return join(conv_norm_act(conv, norm, Activation::identity, seen), added);
  }
  template <class Self, class Visit>
  static void visit_all(Self& self, Visit&& visit) {
    visit("se", self.attention_);
    if (self.downsample_) visit("downsample", *self.downsample_);
  }

 private:
  Variable<S, 4> shortcut(const Variable<S, 4>& x) const { return downsample_ ? (*downsample_)(x) : x; }
  Variable<S, 4> join(const Variable<S, 4>& branch, const Variable<S, 4>& added) const {
    const bool relu = activation_ == Activation::relu;
    if (const auto sum = attention_.plus(branch, added, relu)) return relu ? *sum : activate(*sum, activation_);
    const auto judged = attention_(branch);
    require(judged.shape() == branch.shape(), name_, [&] {
      return message("the attention's result has shape ", judged.shape(), "; it must keep ", branch.shape());
    });
    return activate(drop_path(judged, drop_path_) + added, activation_);
  }
  const char* name_;
  Activation activation_;
  double drop_path_;
  AnyLayer<S, 4> attention_;
  std::optional<Downsample<S>> downsample_;
};

}  // namespace detail
ATTEND_END
