#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/strips.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct SimpleCoordinateAttentionOptions {
  Index channels = 0;
  double rd_ratio = 0.25;  ///< hidden width = make_divisible(channels rd_ratio se_factor, rd_divisor) ...
  Index rd_channels = 0;   ///< ... unless given here
  Index rd_divisor = 8;
  double se_factor = 2.0 / 3;
  bool bias = true;  ///< of the maps
  Activation activation = Activation::silu;
  Activation gate = Activation::sigmoid;
  bool skip = false;  ///< x is added to the result; timm's has_skip
};

/// Coordinate attention without norm, its rows and columns added before the gate (timm's SimpleCoordAttn, 2025).
///
///   y(b, i, j, c) = x(b, i, j, c) gate(fc_h r(b, i) + fc_w l(b, j))(c)  [+ x]
///   r, l = activation(fc1 m), m the mean of each row and of each column of x
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, height, width, channels).
/// fc1.weight (rd, channels)  fc1.bias  fc_h.weight (channels, rd)  fc_h.bias  fc_w.weight (channels, rd)  fc_w.bias.
/// Throws OptionError for sizes that are not positive, ShapeError for other channels or no positions.
template <class S>
class SimpleCoordinateAttention : public Layer<SimpleCoordinateAttention<S>> {
 public:
  SimpleCoordinateAttention(const SimpleCoordinateAttentionOptions& options, Rng& rng)
      : SimpleCoordinateAttention(options, reduced(options), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("SimpleCoordinateAttention", x.shape(), options_.channels);
    const auto parts = split(activate(fc1_(strip_means(x)), options_.activation), {x.dim(1), x.dim(2)}, 1);
    const auto gate = activate(detail::of_rows(fc_h_(parts[0])) + detail::of_columns(fc_w_(parts[1])), options_.gate);
    offer(*this, "gate", gate);
    return options_.skip ? x * gate + x : x * gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("fc1", self.fc1_);
    visit("fc_h", self.fc_h_);
    visit("fc_w", self.fc_w_);
  }

 private:
  SimpleCoordinateAttention(const SimpleCoordinateAttentionOptions& options, Index reduced, Rng& rng)
      : options_(options),
        fc1_({options.channels, reduced, options.bias}, rng),
        fc_h_({reduced, options.channels, options.bias}, rng),
        fc_w_({reduced, options.channels, options.bias}, rng) {}
  static Index reduced(SimpleCoordinateAttentionOptions o) {
    o.rd_ratio *= o.se_factor;
    return detail::reduced_channels("SimpleCoordinateAttention", o);
  }
  SimpleCoordinateAttentionOptions options_;
  Dense<S> fc1_, fc_h_, fc_w_;
};

ATTEND_END
