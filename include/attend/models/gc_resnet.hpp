#pragma once
#include "attend/attention/channel/global_context.hpp"
#include "attend/models/byob_net.hpp"

ATTEND_BEGIN

/// ResNets with global context after each 3x3 convolution (GCNet; Cao et al. 2019; timm's gcresnet50t):
///
///     ByobNet<float> model(gcresnet50t<float>(), rng);
template <class S>
ByobNetOptions<S> gcresnet50t() {
  ByobNetOptions<S> o;
  o.stem_pool = false;
  o.stages = {{256, 1, std::vector<bool>(3)},
              {512, 2, std::vector<bool>(4)},
              {1024, 2, std::vector<bool>(6)},
              {2048, 2, std::vector<bool>(3)}};
  o.attention = [](Index channels, Rng& rng) -> AnyLayer<S, 4> {
    GlobalContextOptions context;
    context.channels = channels, context.fuse_add = true, context.fuse_scale = false;
    return GlobalContext<S>(context, rng);
  };
  return o;
}
/// timm's gcresnext26ts: groups of 32 channels, SiLU, a stem with a max pool.
template <class S>
ByobNetOptions<S> gcresnext26ts() {
  ByobNetOptions<S> o = gcresnet50t<S>();
  o.stem_pool = true, o.activation = Activation::silu;
  for (ByobStage& stage : o.stages) stage.self_attention.assign(2, false), stage.group_size = 32;
  return o;
}
/// timm's gcresnet33ts: 2, 3, 3 and 2 blocks, SiLU, 1280 channels before the classifier.
template <class S>
ByobNetOptions<S> gcresnet33ts() {
  ByobNetOptions<S> o = gcresnet50t<S>();
  o.activation = Activation::silu, o.final_channels = 1280;
  o.stages[0].self_attention.assign(2, false);
  o.stages[1].self_attention.assign(3, false);
  o.stages[2].self_attention.assign(3, false), o.stages[2].channels = 1536;
  o.stages[3].self_attention.assign(2, false), o.stages[3].channels = 1536;
  return o;
}

ATTEND_END
