#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/convolution.hpp"

ATTEND_BEGIN

struct Conv1dOptions {
  Index in_channels = 0;
  Index out_channels = 0;
  Index kernel_size = 0;
  Index stride = 1;
  Padding padding = 0;  ///< cells at both ends, or Padding::same (stride 1) or Padding::valid
  Index dilation = 1;
  Index groups = 1;
  PaddingMode padding_mode = PaddingMode::zeros;
  bool bias = true;
};

/// One-dimensional convolution over sequences: `conv2d` on a map of height 1.
///
///     x: (batch, length, in_channels)  ->  (batch, out length, out_channels)
///
/// weight: (out_channels, in_channels/groups, kernel_size)  bias: (out_channels), started as torch.nn.Conv1d.
template <class S>
class Conv1d : public Layer<Conv1d<S>> {
 public:
  Conv1d(const Conv1dOptions& options, Rng& rng)
      : options_(checked(options)),
        weight_({options.out_channels, options.in_channels / options.groups, options.kernel_size}, rng,
                bound(options)) {
    if (options.bias) bias_.emplace(Shape<1>{options.out_channels}, rng, bound(options));
  }

  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    const Conv1dOptions& o = options_;
    return conv1d(x, weight_.on(x), on(bias_, x), {o.stride, o.padding, o.dilation, o.groups, o.padding_mode},
                  &weight_);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    if (self.bias_) visit("bias", *self.bias_);
  }
  const Conv1dOptions& options() const { return options_; }
  /// Write access for a block that draws its weights in another way.
  Parameter<S, 3>& weight() { return weight_; }
  std::optional<Parameter<S, 1>>& bias() { return bias_; }

 private:
  static const Conv1dOptions& checked(const Conv1dOptions& o) {
    detail::check_convolution("Conv1d", o.kernel_size, o.stride, o.padding, o.dilation, o.groups);
    detail::check_channels("Conv1d", o.in_channels, o.out_channels, o.groups);
    return o;
  }
  static double bound(const Conv1dOptions& o) {
    return 1 / std::sqrt(static_cast<double>(o.in_channels / o.groups) * static_cast<double>(o.kernel_size));
  }

  Conv1dOptions options_;
  Parameter<S, 3> weight_;
  std::optional<Parameter<S, 1>> bias_;
};

ATTEND_END
