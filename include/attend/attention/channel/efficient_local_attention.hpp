#pragma once
#include "attend/attention/channel/strip_attention.hpp"
#include "attend/layers/group_norm.hpp"

ATTEND_BEGIN

struct EfficientLocalAttentionOptions {
  Index channels = 0;
  Index kernel_size = 7;  ///< of the convolutions; odd
  bool bias = false;      ///< of the convolutions
  bool norm = true;       ///< a group norm of one group after each convolution
  Activation activation = Activation::silu;
  Activation gate = Activation::sigmoid;
  bool skip = false;  ///< x is added to the result; timm's has_skip
};

/// Efficient local attention (Xu and Wan 2024, section 3.2; timm's EfficientLocalAttn): gates of rows and of columns,
/// each channel by itself and with its neighbours along the strip.
///
///   y(b, i, j, c) = x(b, i, j, c) gate(f_h r)(b, i, c) gate(f_w l)(b, j, c)  [+ x],   r, l: means of rows and columns
///   f = activation(GroupNorm(conv)), the convolution depthwise along the strip
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "row_gate" (batch, height, 1, channels) and
/// "column_gate" (batch, 1, width, channels). conv_h.weight (channels, 1, kernel, 1)  conv_w.weight (channels, 1, 1,
/// kernel)  norm_h.weight  norm_h.bias  norm_w.*. Throws OptionError for an even kernel, ShapeError for other channels or
/// no positions.
template <class S>
class EfficientLocalAttention : public Layer<EfficientLocalAttention<S>> {
 public:
  EfficientLocalAttention(const EfficientLocalAttentionOptions& options, Rng& rng)
      : options_(options), conv_h_(convolution(options, true), rng), conv_w_(convolution(options, false), rng) {
    if (!options.norm) return;
    GroupNormOptions norm;
    norm.channels = options.channels;
    norm_h_.emplace(norm), norm_w_.emplace(norm);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("EfficientLocalAttention", x.shape(), options_.channels);
    const auto means = split(strip_means(x), {x.dim(1), x.dim(2)}, 1);
    const auto rows = gated(conv_h_(detail::of_rows(means[0])), norm_h_);
    const auto columns = gated(conv_w_(detail::of_columns(means[1])), norm_w_);
    offer(*this, "row_gate", rows);
    offer(*this, "column_gate", columns);
    const auto y = gate_strips(x, rows, columns);
    return options_.skip ? y + x : y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv_h", self.conv_h_);
    visit("conv_w", self.conv_w_);
    if (self.norm_h_) visit("norm_h", *self.norm_h_), visit("norm_w", *self.norm_w_);
  }

 private:
  static Conv2dOptions convolution(const EfficientLocalAttentionOptions& o, bool of_rows) {
    return detail::strip_convolution("EfficientLocalAttention", o.channels, o.kernel_size, o.bias, of_rows);
  }
  Variable<S, 4> gated(const Variable<S, 4>& strip, const std::optional<GroupNorm<S>>& norm) const {
    return activate(activate(norm ? (*norm)(strip) : strip, options_.activation), options_.gate);
  }
  EfficientLocalAttentionOptions options_;
  Conv2d<S> conv_h_, conv_w_;
  std::optional<GroupNorm<S>> norm_h_, norm_w_;
};

ATTEND_END
