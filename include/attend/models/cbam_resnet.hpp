#pragma once
#include "attend/attention/cbam.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// ResNet with CBAM after each block's last norm (Woo et al. 2018; timm's resnet18 with block_args attn_layer='cbam';
/// cbam_resnet50 of timm's older versions: `bottleneck` and layers {3, 4, 6, 3}):
///
///     ResNet<float> model(cbam_resnet18<float>(), rng);
template <class S>
ResNetOptions<S> cbam_resnet18(std::array<Index, 4> layers = {2, 2, 2, 2}) {
  ResNetOptions<S> o;
  o.layers = layers;
  o.attention = [](Index channels, Rng& rng) -> AnyLayer<S, 4> {
    CbamOptions gate;
    gate.channels = channels;
    return Cbam<S>(gate, rng);
  };
  return o;
}

ATTEND_END
