#pragma once
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// ResNet with squeeze-and-excitation after each block's last norm (Hu et al. 2018; timm's seresnet50; 101: {3, 4, 23,
/// 3}; seresnext50_32x4d: `groups` 32 and `base_width` 4):
///
///     ResNet<float> model(seresnet50<float>(), rng);
template <class S>
ResNetOptions<S> seresnet50(std::array<Index, 4> layers = {3, 4, 6, 3}) {
  ResNetOptions<S> o;
  o.bottleneck = true, o.layers = layers;
  o.attention = [](Index channels, Rng& rng) -> AnyLayer<S, 4> {
    SqueezeExciteOptions gate;
    gate.channels = channels;
    return SqueezeExcite<S>(gate, rng);
  };
  return o;
}

ATTEND_END
