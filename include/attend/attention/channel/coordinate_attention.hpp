#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/strips.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct CoordinateAttentionOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 16;  ///< hidden width = make_divisible(channels rd_ratio se_factor, rd_divisor) ...
  Index rd_channels = 0;       ///< ... unless given here
  Index rd_divisor = 8;
  double se_factor = 2.0 / 3;  ///< for about as many parameters as squeeze-and-excitation of that rd_ratio
  bool bias = false;           ///< of the maps
  bool norm = true;            ///< a batch norm before the activation, `bn1`
  Activation activation = Activation::hard_swish;
  Activation gate = Activation::sigmoid;
  bool skip = false;  ///< x is added to the result; timm's has_skip
};

/// Coordinate attention (Hou et al. 2021, section 3.2; timm's CoordAttn): each channel has a gate for every row and one
/// for every column.
///
///   [r, c] = activation(BN(conv1([mean of each row of x, mean of each column])))
///   y(b, i, j, c) = x(b, i, j, c) gate(conv_h r)(b, i, c) gate(conv_w c)(b, j, c)  [+ x]
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "row_gate" (batch, height, 1, channels) and
/// "column_gate" (batch, 1, width, channels). conv1.weight (rd, channels, 1, 1)  bn1.*  conv_h.weight (channels, rd, 1, 1)
/// conv_w.weight (channels, rd, 1, 1), with biases if asked for. Throws OptionError for sizes that are not positive,
/// ShapeError for other channels or no positions.
template <class S>
class CoordinateAttention : public Layer<CoordinateAttention<S>> {
 public:
  CoordinateAttention(const CoordinateAttentionOptions& options, Rng& rng)
      : CoordinateAttention(options, reduced(options), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("CoordinateAttention", x.shape(), options_.channels);
    auto hidden = conv1_(strip_means(x));
    hidden = activate(bn1_ ? (*bn1_)(hidden) : hidden, options_.activation);
    const auto parts = split(hidden, {x.dim(1), x.dim(2)}, 1);
    const auto rows = detail::of_rows(activate(conv_h_(parts[0]), options_.gate));
    const auto columns = detail::of_columns(activate(conv_w_(parts[1]), options_.gate));
    offer(*this, "row_gate", rows);
    offer(*this, "column_gate", columns);
    const auto y = gate_strips(x, rows, columns);
    return options_.skip ? y + x : y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    if (self.bn1_) visit("bn1", *self.bn1_);
    visit("conv_h", self.conv_h_);
    visit("conv_w", self.conv_w_);
  }

 private:
  CoordinateAttention(const CoordinateAttentionOptions& options, Index reduced, Rng& rng)
      : options_(options),
        conv1_({options.channels, reduced, options.bias}, rng),
        conv_h_({reduced, options.channels, options.bias}, rng),
        conv_w_({reduced, options.channels, options.bias}, rng) {
    if (!options.norm) return;
    BatchNormOptions norm;
    norm.channels = reduced;
    bn1_.emplace(norm);
  }
  static Index reduced(CoordinateAttentionOptions o) {
    o.rd_ratio *= o.se_factor;
    return detail::reduced_channels("CoordinateAttention", o);
  }
  CoordinateAttentionOptions options_;
  PointwiseConv<S> conv1_, conv_h_, conv_w_;
  std::optional<BatchNorm<S>> bn1_;
};

ATTEND_END
