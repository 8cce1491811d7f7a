#pragma once
#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// ResNet-D with efficient channel attention after each block's last norm (Wang et al. 2020; timm's ecaresnet26t; 50t
/// with layers {3, 4, 6, 3}; ecaresnet50d with the deep stem):
///
///     ResNet<float> model(ecaresnet26t<float>(), rng);
template <class S>
ResNetOptions<S> ecaresnet26t(std::array<Index, 4> layers = {2, 2, 2, 2}, ResNetStem stem = ResNetStem::tiered) {
  ResNetOptions<S> o;
  o.bottleneck = true, o.layers = layers, o.stem = stem, o.stem_width = 32, o.average_shortcut = true;
  o.attention = [](Index channels, Rng& rng) -> AnyLayer<S, 4> {
    EfficientChannelAttentionOptions gate;
    gate.channels = channels;
    return EfficientChannelAttention<S>(gate, rng);
  };
  return o;
}

ATTEND_END
