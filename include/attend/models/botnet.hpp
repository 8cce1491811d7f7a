#pragma once
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/spatial/bottleneck_attention.hpp"
#include "attend/models/byob_net.hpp"

ATTEND_BEGIN

/// BoTNet (Srinivas et al. 2021, "Bottleneck transformers") as timm's botnet26t_256: self-attention with relative
/// positions in place of the 3x3 convolutions of the last stage and of every second block before. For images of one
/// size, whose height and width 32 divides:
///
///     ByobNet<float> model(botnet26t<float>(256, 256), rng);
template <class S>
ByobNetOptions<S> botnet26t(Index height, Index width) {
  ByobNetOptions<S> o;
  o.height = height, o.width = width;
  o.stages = {{256, 1, {false, false}}, {512, 2, {false, false}}, {1024, 2, {false, true}}, {2048, 2, {true, true}}};
  o.self_attention = [](const SelfAttentionPlace& place, Rng& rng) -> AnyLayer<S, 4> {
    BottleneckAttentionOptions attention;
    attention.channels = place.channels, attention.stride = place.stride;
    attention.height = place.height, attention.width = place.width;
    return BottleneckAttention<S>(attention, rng);
  };
  return o;
}
/// timm's sebotnet33ts_256: squeeze-and-excitation in the blocks with convolutions, SiLU, 1280 channels before the
/// classifier.
template <class S>
ByobNetOptions<S> sebotnet33ts(Index height, Index width) {
  ByobNetOptions<S> o = botnet26t<S>(height, width);
  o.stem_pool = false, o.activation = Activation::silu, o.final_channels = 1280;
  o.stages = {{256, 1, {false, false}},
              {512, 2, {false, false, true}},
              {1024, 2, {false, false, true}},
              {1536, 2, {true, true}, 0.333}};
  o.attention = [](Index channels, Rng& rng) -> AnyLayer<S, 4> {
    SqueezeExciteOptions gate;
    gate.channels = channels;
    return SqueezeExcite<S>(gate, rng);
  };
  return o;
}

ATTEND_END
