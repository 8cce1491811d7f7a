#pragma once
#include "attend/attention/channel/strips.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/conv2d.hpp"

ATTEND_BEGIN
namespace detail {
/// A depthwise convolution along the rows (a column of `kernel_size` taps) or along the columns of strip means.
inline Conv2dOptions strip_convolution(const char* layer, Index channels, Index kernel_size, bool bias, bool of_rows) {
  require<OptionError>(channels > 0 && kernel_size > 0 && kernel_size % 2 == 1, layer, [&] {
    return message("channels = ", channels, " must be above 0, kernel_size = ", kernel_size, " odd and above 0");
  });
  Conv2dOptions conv;
  conv.in_channels = conv.out_channels = conv.groups = channels, conv.bias = bias;
  conv.kernel_size = of_rows ? Pair(kernel_size, 1) : Pair(1, kernel_size);
  conv.padding = of_rows ? Padding(kernel_size / 2, 0) : Padding(0, kernel_size / 2);
  return conv;
}
}  // namespace detail

struct StripAttentionOptions {
  Index channels = 0;
  bool conv = true;       ///< a depthwise convolution along each strip; timm's use_conv
  Index kernel_size = 3;  ///< of the convolutions; odd
  bool bias = false;      ///< of the convolutions
  Activation gate = Activation::sigmoid;
  bool skip = false;  ///< x is added to the result; timm's has_skip
};

/// Strip attention (timm's StripAttn, 2025): rows and columns judged by their means.
///
///   y(b, i, j, c) = x(b, i, j, c) gate(conv_h r(b, i, c) + conv_w l(b, j, c))  [+ x],   r, l: means of rows and columns
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, height, width, channels).
/// conv_h.weight (channels, 1, kernel, 1)  conv_w.weight (channels, 1, 1, kernel), with biases if asked for. Throws
/// OptionError for an even kernel, ShapeError for other channels or no positions.
template <class S>
class StripAttention : public Layer<StripAttention<S>> {
 public:
  StripAttention(const StripAttentionOptions& options, Rng& rng) : options_(options) {
    const auto convolution = [&](bool of_rows) {
      return detail::strip_convolution("StripAttention", options.channels, options.kernel_size, options.bias, of_rows);
    };
    const Conv2dOptions rows = convolution(true), columns = convolution(false);
    if (options.conv) conv_h_.emplace(rows, rng), conv_w_.emplace(columns, rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("StripAttention", x.shape(), options_.channels);
    const auto means = split(strip_means(x), {x.dim(1), x.dim(2)}, 1);
    const auto rows = detail::of_rows(means[0]), columns = detail::of_columns(means[1]);
    const auto gate =
        activate((conv_h_ ? (*conv_h_)(rows) : rows) + (conv_w_ ? (*conv_w_)(columns) : columns), options_.gate);
    offer(*this, "gate", gate);
    return options_.skip ? x * gate + x : x * gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.conv_h_) visit("conv_h", *self.conv_h_);
    if (self.conv_w_) visit("conv_w", *self.conv_w_);
  }

 private:
  StripAttentionOptions options_;
  std::optional<Conv2d<S>> conv_h_, conv_w_;
};

ATTEND_END
