#pragma once
#include "attend/functional/activation.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct ConvMlpOptions {
  Index in_channels = 0;
  Index hidden_channels = 0;  ///< 0: in_channels
  Index out_channels = 0;     ///< 0: in_channels
  Activation activation = Activation::relu;
  bool norm = false;  ///< a layer norm over the hidden channels before the activation
  double eps = 1e-6;  ///< of the norm, as timm's LayerNorm2d
  double drop = 0;    ///< probability of zeroing a number before fc2, in training
};

/// Two 1x1 convolutions with an activation between: fc2 dropout(activation([norm] fc1 x)) (timm's ConvMlp).
///
/// x: (..., in_channels)  ->  (..., out_channels).  fc1.weight (hidden, in, 1, 1)  fc1.bias  [norm.weight  norm.bias]
/// fc2.weight (out, hidden, 1, 1)  fc2.bias. Throws OptionError for sizes that are not positive and a `drop` outside
/// [0, 1].
template <class S>
class ConvMlp : public Layer<ConvMlp<S>> {
 public:
  ConvMlp(const ConvMlpOptions& o, Rng& rng)
      : activation_(o.activation),
        drop_(o.drop),
        fc1_({o.in_channels, hidden(o), true}, rng),
        fc2_({hidden(o), o.out_channels == 0 ? o.in_channels : o.out_channels, true}, rng) {
    detail::check_probability("ConvMlp", o.drop, "drop");
    if (!o.norm) return;
    LayerNormOptions<1> norm;
    norm.normalized_shape = hidden(o), norm.eps = o.eps;
    norm_.emplace(norm);
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    const auto hidden = fc1_(x);
    return fc2_(dropout(activate(norm_ ? (*norm_)(hidden) : hidden, activation_), drop_));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("fc1", self.fc1_);
    if (self.norm_) visit("norm", *self.norm_);
    visit("fc2", self.fc2_);
  }
  /// Write access to the last map for a block that draws its weights in another way.
  PointwiseConv<S>& last() { return fc2_; }

 private:
  static Index hidden(const ConvMlpOptions& o) { return o.hidden_channels == 0 ? o.in_channels : o.hidden_channels; }
  Activation activation_;
  double drop_;
  PointwiseConv<S> fc1_, fc2_;
  std::optional<LayerNorm<S>> norm_;
};

ATTEND_END
