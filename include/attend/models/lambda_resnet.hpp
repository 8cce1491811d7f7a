#pragma once
#include "attend/attention/spatial/lambda_layer.hpp"
#include "attend/models/byob_net.hpp"

ATTEND_BEGIN

/// LambdaResNet (Bello 2021, "LambdaNetworks") as timm's lambda_resnet26t: lambda layers in place of the 3x3
/// convolutions of the last stage and of every second block before. For images of any size whose height and width 32
/// divides:
///
///     ByobNet<float> model(lambda_resnet26t<float>(), rng);
template <class S>
ByobNetOptions<S> lambda_resnet26t() {
  ByobNetOptions<S> o;
  o.stages = {{256, 1, {false, false}}, {512, 2, {false, false}}, {1024, 2, {false, true}}, {2048, 2, {true, true}}};
  o.self_attention = [](const SelfAttentionPlace& place, Rng& rng) -> AnyLayer<S, 4> {
    LambdaLayerOptions lambda;
    lambda.channels = place.channels, lambda.stride = place.stride;
    return LambdaLayer<S>(lambda, rng);
  };
  return o;
}
/// timm's lambda_resnet26rpt_256: relative positions of all pairs instead of a convolution, for images of one size.
template <class S>
ByobNetOptions<S> lambda_resnet26rpt(Index height, Index width) {
  ByobNetOptions<S> o = lambda_resnet26t<S>();
  o.height = height, o.width = width;
  o.self_attention = [](const SelfAttentionPlace& place, Rng& rng) -> AnyLayer<S, 4> {
    LambdaLayerOptions lambda;
    lambda.channels = place.channels, lambda.stride = place.stride;
    lambda.r = 0, lambda.height = place.height, lambda.width = place.width;
    return LambdaLayer<S>(lambda, rng);
  };
  return o;
}

ATTEND_END
