#pragma once
#include "attend/attention/spatial/halo_attention.hpp"
#include "attend/models/byob_net.hpp"

ATTEND_BEGIN

/// HaloNet (Vaswani et al. 2021, "Scaling local self-attention") as timm's halonet26t: halo attention in place of the
/// 3x3 convolutions of the last stage and of every second block before. For images of any size whose height and width
/// 32 block_size divides:
///
///     ByobNet<float> model(halonet26t<float>(), rng);
template <class S>
ByobNetOptions<S> halonet26t(Index block_size = 8, Index halo_size = 2) {
  ByobNetOptions<S> o;
  o.stages = {{256, 1, {false, false}}, {512, 2, {false, false}}, {1024, 2, {false, true}}, {2048, 2, {true, true}}};
  o.self_attention = [=](const SelfAttentionPlace& place, Rng& rng) -> AnyLayer<S, 4> {
    HaloAttentionOptions attention;
    attention.channels = place.channels, attention.stride = place.stride;
    attention.block_size = block_size, attention.halo_size = halo_size;
    return HaloAttention<S>(attention, rng);
  };
  return o;
}
/// HaloNet-H1 (table 3 there; timm's halonet_h1): nothing but halo attention, 8 x 8 blocks with a halo of 3.
template <class S>
ByobNetOptions<S> halonet_h1() {
  ByobNetOptions<S> o = halonet26t<S>(8, 3);
  o.stem = ByobStem::plain;
  o.stages.clear();
  const Index depths[] = {3, 3, 10, 3};
  for (Index stage = 0; stage < 4; ++stage)
    o.stages.push_back(
        {Index(64) << stage, stage == 0 ? 1 : 2, std::vector<bool>(std::size_t(depths[stage]), true), 1.0});
  return o;
}

ATTEND_END
