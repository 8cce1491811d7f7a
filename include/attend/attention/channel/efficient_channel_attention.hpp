#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/conv1d.hpp"

ATTEND_BEGIN

struct EfficientChannelAttentionOptions {
  Index channels = 0;
  Index kernel_size = 0;  ///< channels that see each other, odd; 0: efficient_channel_kernel(channels, gamma, beta)
  double gamma = 2;
  double beta = 1;
  bool circular = false;      ///< the last channel is the first one's neighbour; timm's CecaModule
  bool bias = false;          ///< of the convolution; timm has none, other implementations do
  bool mlp = false;           ///< two convolutions with an activation between, both with bias; timm's `ecam`
  double rd_ratio = 1.0 / 8;  ///< mlp: hidden width = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;      ///< ... unless given here
  Index rd_divisor = 8;
  Activation activation = Activation::relu;  ///< mlp: between the convolutions
  Activation gate = Activation::sigmoid;
};

/// How many channels see each other: t = |log2(channels) + beta| / gamma rounded down, the next odd number if even, at
/// least 3 (Wang et al. 2020, eq. 12, as timm rounds it): 16 to 64 -> 3, 128 to 1024 -> 5, 2048 -> 7.
inline Index efficient_channel_kernel(Index channels, double gamma = 2, double beta = 1) {
  require<OptionError>(
      channels > 0 && gamma > 0 && std::isfinite(gamma) && std::isfinite(beta), "efficient_channel_kernel", [&] {
        return message("channels = ", channels, " and gamma = ", gamma, " must be above 0, beta = ", beta, " finite");
      });
  const double t = std::abs(std::log(double(channels)) / std::log(2.0) + beta) / gamma;
  require<OptionError>(t < 0x1p30, "efficient_channel_kernel", [&] {
    return message("gamma = ", gamma, " and beta = ", beta, " give a kernel of 2^30 channels or more");
  });
  return std::max<Index>(Index(t) | 1, 3);
}

/// Efficient channel attention (ECA; Wang et al. 2020, section 3.2; timm's EcaModule, CecaModule): each channel is judged
/// with its neighbours, by one small kernel for all.
///
///   s = mean over positions of x,   g = gate(conv s), a 1-d convolution along the channels, padded with zeros
///   mlp:                            g = gate(conv2 activation(conv s)), conv of width 1 with rd output maps
///
/// x: (batch, height, width, channels)  ->  x(b, i, j, c) g(b, c), the same shape. Offers "gate" (batch, channels).
/// conv.weight (1, 1, kernel)  [conv.bias (1)]; mlp: conv.weight (rd, 1, 1), conv.bias, conv2.weight (1, rd, kernel),
/// conv2.bias. Throws OptionError for an even kernel or one wider than a circle of the channels allows, ShapeError for
/// other channels or no positions.
template <class S>
class EfficientChannelAttention : public Layer<EfficientChannelAttention<S>> {
 public:
  EfficientChannelAttention(const EfficientChannelAttentionOptions& options, Rng& rng)
      : options_(options), conv_(first(options), rng) {
    if (options.mlp) conv2_.emplace(along_channels(options, conv_.options().out_channels, true), rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("EfficientChannelAttention", x.shape(), options_.channels);
    return detail::gate_by<S>(*this, x, [this](const auto& part) { return gate(part); });
  }
  /// forward(x) + shortcut, then max(., 0) if `relu`, as gate_channels_plus.
  Variable<S, 4> plus(const Variable<S, 4>& x, const Variable<S, 4>& shortcut, bool relu) const {
    detail::check_map_channels("EfficientChannelAttention", x.shape(), options_.channels);
    return detail::gate_by<S>(
        *this, x, [this](const auto& part) { return gate(part); }, &shortcut, relu);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv_);
    if (self.conv2_) visit("conv2", *self.conv2_);
  }

 private:
  Variable<S, 2> gate(const Variable<S, 4>& x) const {
    auto scores = conv_(global_average_pool(x).reshape(Shape<3>{x.dim(0), options_.channels, 1}));
    if (conv2_) scores = (*conv2_)(activate(scores, options_.activation));
    return activate(scores.reshape(Shape<2>{x.dim(0), options_.channels}), options_.gate);
  }
  static Conv1dOptions along_channels(const EfficientChannelAttentionOptions& o, Index in, bool bias) {
    Conv1dOptions conv;
    conv.in_channels = in, conv.out_channels = 1, conv.bias = bias;
    conv.kernel_size = o.kernel_size > 0 ? o.kernel_size : efficient_channel_kernel(o.channels, o.gamma, o.beta);
    conv.padding = conv.kernel_size / 2;
    conv.padding_mode = o.circular ? PaddingMode::circular : PaddingMode::zeros;
    return conv;
  }
  static Conv1dOptions first(const EfficientChannelAttentionOptions& o) {
    const Index reduced = detail::reduced_channels("EfficientChannelAttention", o, 0.9);
    require<OptionError>(o.kernel_size == 0 || (o.kernel_size > 0 && o.kernel_size % 2 == 1),
                         "EfficientChannelAttention",
                         [&] { return message("kernel_size = ", o.kernel_size, " must be odd, or 0 to be chosen"); });
    Conv1dOptions conv = along_channels(o, 1, o.bias);
    require<OptionError>(!o.circular || conv.kernel_size / 2 <= o.channels, "EfficientChannelAttention", [&] {
      return message("kernel_size = ", conv.kernel_size, " reaches more than once around the circle of ", o.channels,
                     " channels");
    });
    if (o.mlp) conv.out_channels = reduced, conv.kernel_size = 1, conv.padding = 0, conv.bias = true;
    return conv;
  }
  EfficientChannelAttentionOptions options_;
  Conv1d<S> conv_;
  std::optional<Conv1d<S>> conv2_;
};

ATTEND_END
