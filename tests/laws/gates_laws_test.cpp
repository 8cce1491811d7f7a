#include <gtest/gtest.h>

#include "attend/attention/attention_pool.hpp"
#include "attend/attention/cbam.hpp"
#include "attend/attention/channel/effective_squeeze_excite.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/identity_start.hpp"
#include "attend/attention/spatial/bottleneck_attention.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/layers/conv_norm_act.hpp"
#include "attend/layers/pointwise_conv.hpp"
#include "attend/testing/layer_laws.hpp"

namespace gates_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <template <class> class L, class Options>
auto made(const Options& options) {
  return [options](auto scalar, Rng& rng) { return L<decltype(scalar)>(options, rng); };
}
/// Of layers with a batch norm, which pools the batch in training.
LawOptions pooling() {
  LawOptions options;
  options.gradient.mode = Mode::evaluation;
  return options;
}
const auto map = random_tensor<double, 4>({3, 4, 5, 6}, 1);
}  // namespace

TEST(Laws, PointwiseConv) {
  EXPECT_EQ(text(broken_laws(made<PointwiseConv>(PointwiseConvOptions{.in_channels = 6, .out_channels = 4}), map)), "");
}
TEST(Laws, ConvNormAct) {
  EXPECT_EQ(
      text(broken_laws(pooling(),
                       made<ConvNormAct>(ConvNormActOptions{
                           .in_channels = 6, .out_channels = 4, .kernel_size = 3, .activation = Activation::silu}),
                       map)),
      "");
}
TEST(Laws, SqueezeExcite) {
  EXPECT_EQ(text(broken_laws(made<SqueezeExcite>(SqueezeExciteOptions{.channels = 6, .rd_channels = 3}), map)), "");
}
TEST(Laws, IdentityStart) {
  const auto faded_in = [](auto scalar, Rng& rng) {
    using S = decltype(scalar);
    IdentityStart<S> layer(AnyLayer<S, 4>(SqueezeExcite<S>({.channels = 6, .rd_channels = 3}, rng)));
    parameter<S>(layer, "alpha")->edit_flat().setConstant(S(0.7));  // at 0 there is nothing behind it to see
    return layer;
  };
  EXPECT_EQ(text(broken_laws(faded_in, map)), "");
}
TEST(Laws, SqueezeExciteWithNorm) {
  EXPECT_EQ(text(broken_laws(pooling(),
                             made<SqueezeExcite>(SqueezeExciteOptions{
                                 .channels = 6, .rd_channels = 3, .add_maxpool = true, .norm = true}),
                             map)),
            "");
}
TEST(Laws, EffectiveSqueezeExcite) {
  EXPECT_EQ(text(broken_laws(made<EffectiveSqueezeExcite>(EffectiveSqueezeExciteOptions{.channels = 6}), map)), "");
}
TEST(Laws, CbamChannel) {
  EXPECT_EQ(text(broken_laws(made<CbamChannel>(CbamChannelOptions{.channels = 6, .rd_channels = 3}), map)), "");
}
TEST(Laws, CbamSpatial) { EXPECT_EQ(text(broken_laws(pooling(), made<CbamSpatial>(CbamSpatialOptions{}), map)), ""); }
TEST(Laws, Cbam) {
  EXPECT_EQ(text(broken_laws(pooling(), made<Cbam>(CbamOptions{.channels = 6, .rd_channels = 3}), map)), "");
}
TEST(Laws, NonLocal) {
  EXPECT_EQ(text(broken_laws(pooling(), made<NonLocal>(NonLocalOptions{.channels = 6, .rd_channels = 3}), map)), "");
}
TEST(Laws, BottleneckAttention) {
  EXPECT_EQ(text(broken_laws(made<BottleneckAttention>(BottleneckAttentionOptions{
                                 .channels = 6, .height = 4, .width = 5, .stride = 2, .num_heads = 3, .dim_head = 2}),
                             map)),
            "");
}
TEST(Laws, AttentionPool) {
  EXPECT_EQ(
      text(broken_laws(
          made<AttentionPool>(AttentionPoolOptions{.channels = 6, .num_heads = 2, .latents = 2, .norm = true}), map)),
      "");
}
}  // namespace gates_laws_test
