#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

/// What the two maps are called in weight files.
enum class SqueezeNames {
  fc,   ///< fc1, fc2: timm's SEModule, senet, torchvision
  conv  ///< conv_reduce, conv_expand: timm's EfficientNets, MobileNets and GhostNets
};

struct SqueezeExciteOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 16;                ///< reduced channels = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;                     ///< ... unless given here
  Index rd_divisor = 8;                      ///< the reduced channels are a multiple of this, at least this
  bool add_maxpool = false;                  ///< squeeze by half the mean and half the maximum
  bool bias = true;                          ///< of both maps
  Activation activation = Activation::relu;  ///< between the maps
  bool norm = false;                         ///< a batch norm before the activation, `bn`
  Activation gate = Activation::sigmoid;     ///< sigmoid, or hard_sigmoid in MobileNetV3
  SqueezeNames names = SqueezeNames::fc;
};

/// timm's SqueezeExcite of EfficientNet and MobileNet: Python's rounding of channels rd_ratio (2.5 -> 2), names conv_*.
/// Throws OptionError if nothing is left after rounding.
inline SqueezeExciteOptions efficientnet_squeeze_excite(Index channels, double rd_ratio = 0.25) {
  SqueezeExciteOptions options;
  options.channels = channels;
  options.rd_channels = round_half_even(double(channels) * rd_ratio);
  options.names = SqueezeNames::conv;
  require<OptionError>(options.rd_channels > 0, "efficientnet_squeeze_excite", [&] {
    return message("channels = ", channels, " times rd_ratio = ", rd_ratio, " rounds to ", options.rd_channels,
                   "; at least 1 must be left");
  });
  return options;
}
/// senet's SEModule: channels / reduction, rounded down. Throws OptionError if nothing is left.
inline SqueezeExciteOptions senet_squeeze_excite(Index channels, Index reduction = 16) {
  SqueezeExciteOptions options;
  options.channels = channels;
  options.rd_channels = detail::divided_channels("senet_squeeze_excite", channels, reduction);
  return options;
}
/// torchvision.ops.SqueezeExcitation(channels, squeeze_channels).
inline SqueezeExciteOptions torchvision_squeeze_excite(Index channels, Index squeeze_channels) {
  SqueezeExciteOptions options;
  options.channels = channels;
  options.rd_channels = squeeze_channels;
  require<OptionError>(squeeze_channels > 0, "torchvision_squeeze_excite",
                       [&] { return message("squeeze_channels = ", squeeze_channels, " must be above 0"); });
  return options;
}

/// Squeeze-and-excitation (Hu et al. 2018, section 3; timm's SEModule): which channels matter, judged by the whole
/// image.
///
///   s = mean over positions of x,   g = gate(fc2 activation([bn] fc1 s)),   y(b, i, j, c) = x(b, i, j, c) g(b, c)
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, channels).
/// fc1.weight (rd, channels, 1, 1)  fc1.bias (rd)  [bn.*]  fc2.weight (channels, rd, 1, 1)  fc2.bias (channels); or
/// conv_reduce and conv_expand. Saved: x, the gate, the small vectors between. Throws OptionError for non-positive
/// sizes, ShapeError for other channels or no positions.
template <class S>
class SqueezeExcite : public Layer<SqueezeExcite<S>> {
 public:
  SqueezeExcite(const SqueezeExciteOptions& options, Rng& rng)
      : SqueezeExcite(options, detail::reduced_channels("SqueezeExcite", options), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("SqueezeExcite", x.shape(), options_.channels);
    return detail::gate_by<S>(*this, x, [this](const auto& part) { return gate(part); });
  }
  /// forward(x) + shortcut, then max(., 0) if `relu`, as gate_channels_plus.
  Variable<S, 4> plus(const Variable<S, 4>& x, const Variable<S, 4>& shortcut, bool relu) const {
    detail::check_map_channels("SqueezeExcite", x.shape(), options_.channels);
    return detail::gate_by<S>(
        *this, x, [this](const auto& part) { return gate(part); }, &shortcut, relu);
  }
  /// The gate alone, (batch, channels); it is not offered.
  Variable<S, 2> gate(const Variable<S, 4>& x) const {
    auto hidden = reduce_(detail::squeeze(x, options_.add_maxpool));
    if (norm_) hidden = (*norm_)(hidden);
    return activate(expand_(activate(hidden, options_.activation)), options_.gate);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    const bool fc = self.options_.names == SqueezeNames::fc;
    visit(fc ? "fc1" : "conv_reduce", self.reduce_);
    if (self.norm_) visit("bn", *self.norm_);
    visit(fc ? "fc2" : "conv_expand", self.expand_);
  }

 private:
  SqueezeExcite(const SqueezeExciteOptions& options, Index reduced, Rng& rng)
      : options_(options),
        reduce_({options.channels, reduced, options.bias}, rng),
        expand_({reduced, options.channels, options.bias}, rng) {
    if (options.norm) {
      BatchNormOptions norm;
      norm.channels = reduced;
      norm_.emplace(norm);
    }
  }
  SqueezeExciteOptions options_;
  PointwiseConv<S> reduce_, expand_;
  std::optional<BatchNorm<S>> norm_;
};

ATTEND_END
