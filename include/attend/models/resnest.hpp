#pragma once
#include "attend/blocks/resnest_block.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// ResNeSt (Zhang et al. 2020, "ResNeSt: Split-attention networks"; timm's resnest14d, and 26d with layers {2, 2, 2, 2},
/// 50d with {3, 4, 6, 3}; 50d_4s2x40d with radix 4, `groups` 2 and `base_width` 40): a deep stem, shortcuts that average,
/// bottlenecks with split attention, and a 3x3 average pool in place of each stride.
///
///     ResNet<float> model(resnest<float>({3, 4, 6, 3}), rng);
template <class S>
ResNetOptions<S> resnest(std::array<Index, 4> layers = {1, 1, 1, 1}, const ResNestBlockOptions& split = {}) {
  ResNetOptions<S> o;
  o.bottleneck = true, o.layers = layers, o.stem = ResNetStem::deep, o.stem_width = 32, o.average_shortcut = true;
  o.block = [split](const BottleneckBlockOptions& place, AnyLayer<S, 4> attention, Rng& rng) -> AnyLayer<S, 4> {
    return ResNestBlock<S>(place, split, std::move(attention), rng);
  };
  return o;
}

ATTEND_END
