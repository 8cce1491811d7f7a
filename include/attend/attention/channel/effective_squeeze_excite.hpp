#pragma once
#include "attend/attention/channel/squeeze.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct EffectiveSqueezeExciteOptions {
  Index channels = 0;
  bool add_maxpool = false;                    ///< squeeze by half the mean and half the maximum
  Activation gate = Activation::hard_sigmoid;  ///< of the one map
};

/// Effective squeeze-and-excitation, one map without reduction (Lee and Park 2020, section 3.3; timm's
/// EffectiveSEModule): y = x gate(fc mean(x)).
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, channels).
/// fc.weight (channels, channels, 1, 1)  fc.bias (channels).
template <class S>
class EffectiveSqueezeExcite : public Layer<EffectiveSqueezeExcite<S>> {
 public:
  EffectiveSqueezeExcite(const EffectiveSqueezeExciteOptions& options, Rng& rng)
      : options_(options), fc_({options.channels, options.channels, true}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("EffectiveSqueezeExcite", x.shape(), options_.channels);
    return detail::gate_by<S>(*this, x, [this](const auto& part) { return gate(part); });
  }
  /// forward(x) + shortcut, then max(., 0) if `relu`, as gate_channels_plus.
  Variable<S, 4> plus(const Variable<S, 4>& x, const Variable<S, 4>& shortcut, bool relu) const {
    detail::check_map_channels("EffectiveSqueezeExcite", x.shape(), options_.channels);
    return detail::gate_by<S>(
        *this, x, [this](const auto& part) { return gate(part); }, &shortcut, relu);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("fc", self.fc_);
  }

 private:
  Variable<S, 2> gate(const Variable<S, 4>& x) const {
    return activate(fc_(detail::squeeze(x, options_.add_maxpool)), options_.gate);
  }
  EffectiveSqueezeExciteOptions options_;
  PointwiseConv<S> fc_;
};

ATTEND_END
