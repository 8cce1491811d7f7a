#include <gtest/gtest.h>

#include "attend/attention/bam.hpp"
#include "attend/attention/channel/context_encoding.hpp"
#include "attend/attention/channel/contrast_aware_attention.hpp"
#include "attend/attention/channel/coordinate_attention.hpp"
#include "attend/attention/channel/danet_channel_attention.hpp"
#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/attention/channel/efficient_local_attention.hpp"
#include "attend/attention/channel/gather_excite.hpp"
#include "attend/attention/channel/global_context.hpp"
#include "attend/attention/channel/global_response_norm.hpp"
#include "attend/attention/channel/residual_encoding.hpp"
#include "attend/attention/channel/selective_kernel.hpp"
#include "attend/attention/channel/simple_coordinate_attention.hpp"
#include "attend/attention/channel/split_attention.hpp"
#include "attend/attention/channel/strip_attention.hpp"
#include "attend/attention/light_cbam.hpp"
#include "attend/attention/scse.hpp"
#include "attend/attention/simam.hpp"
#include "attend/attention/triplet_attention.hpp"
#include "attend/testing/layer_laws.hpp"

namespace channel_attention_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <template <class> class L, class Options>
auto made(const Options& options) {
  return [options](auto scalar, Rng& rng) {
    using Made = L<decltype(scalar)>;
    if constexpr (std::is_constructible_v<Made, const Options&, Rng&>)
      return Made(options, rng);
    else
      return Made(options);
  };
}
/// Of layers with a batch norm, which pools the batch in training.
LawOptions pooling() {
  LawOptions options;
  options.gradient.mode = Mode::evaluation;
  return options;
}
const auto map = random_tensor<double, 4>({3, 4, 5, 6}, 1);
}  // namespace

TEST(Laws, EfficientChannelAttention) {
  EXPECT_EQ(text(broken_laws(made<EfficientChannelAttention>(EfficientChannelAttentionOptions{.channels = 6}), map)),
            "");
}
TEST(Laws, CircularEfficientChannelAttentionWithMlp) {
  EXPECT_EQ(text(broken_laws(made<EfficientChannelAttention>(EfficientChannelAttentionOptions{
                                 .channels = 6, .kernel_size = 5, .circular = true, .mlp = true, .rd_channels = 2}),
                             map)),
            "");
}
TEST(Laws, LightCbam) {
  EXPECT_EQ(
      text(broken_laws(pooling(),
                       made<LightCbam>(LightCbamOptions{
                           .channels = 6, .rd_channels = 3, .spatial_kernel_size = 3, .activation = Activation::silu}),
                       map)),
      "");
}
TEST(Laws, GlobalContext) {
  EXPECT_EQ(text(broken_laws(made<GlobalContext>(GlobalContextOptions{
                                 .channels = 6, .fuse_add = true, .rd_channels = 3, .activation = Activation::silu}),
                             map)),
            "");
}
TEST(Laws, GatherExcite) {
  EXPECT_EQ(
      text(broken_laws(made<GatherExcite>(GatherExciteOptions{.channels = 6, .extent = 2, .rd_channels = 3}), map)),
      "");
}
TEST(Laws, GatherExciteWithParameters) {
  EXPECT_EQ(text(broken_laws(
                pooling(),
                made<GatherExcite>(GatherExciteOptions{
                    .channels = 6, .extent = 4, .extra_params = true, .mlp = false, .activation = Activation::silu}),
                map)),
            "");
}
TEST(Laws, GlobalResponseNorm) {
  EXPECT_EQ(text(broken_laws(made<GlobalResponseNorm>(GlobalResponseNormOptions{.channels = 6}), map)), "");
}
TEST(Laws, SelectiveKernel) {
  EXPECT_EQ(text(broken_laws(
                pooling(),
                made<SelectiveKernel>(SelectiveKernelOptions{
                    .channels = 6, .out_channels = 4, .stride = 2, .rd_channels = 3, .activation = Activation::silu}),
                map)),
            "");
}
TEST(Laws, SplitAttention) {
  EXPECT_EQ(
      text(broken_laws(pooling(),
                       made<SplitAttention>(SplitAttentionOptions{
                           .channels = 6, .radix = 3, .norm = true, .rd_channels = 2, .activation = Activation::silu}),
                       map)),
      "");
}
TEST(Laws, SplitAttentionOfOneBranch) {
  EXPECT_EQ(text(broken_laws(made<SplitAttention>(SplitAttentionOptions{.channels = 6,
                                                                        .out_channels = 4,
                                                                        .groups = 2,
                                                                        .radix = 1,
                                                                        .bias = true,
                                                                        .rd_channels = 4,
                                                                        .activation = Activation::silu}),
                             map)),
            "");
}
TEST(Laws, CoordinateAttention) {
  EXPECT_EQ(text(broken_laws(pooling(),
                             made<CoordinateAttention>(CoordinateAttentionOptions{
                                 .channels = 6, .rd_channels = 3, .activation = Activation::silu, .skip = true}),
                             map)),
            "");
}
TEST(Laws, SimpleCoordinateAttention) {
  EXPECT_EQ(text(broken_laws(made<SimpleCoordinateAttention>(SimpleCoordinateAttentionOptions{.channels = 6}), map)),
            "");
}
TEST(Laws, EfficientLocalAttention) {
  EXPECT_EQ(text(broken_laws(made<EfficientLocalAttention>(EfficientLocalAttentionOptions{.channels = 6}), map)), "");
}
TEST(Laws, StripAttention) {
  EXPECT_EQ(text(broken_laws(made<StripAttention>(StripAttentionOptions{.channels = 6, .bias = true}), map)), "");
}
TEST(Laws, ContrastAwareAttention) {
  EXPECT_EQ(text(broken_laws(made<ContrastAwareAttention>(ContrastAwareAttentionOptions{.channels = 6, .reduction = 2}),
                             map)),
            "");
}
TEST(Laws, DanetChannelAttention) {
  EXPECT_EQ(text(broken_laws(made<DanetChannelAttention>(DanetChannelAttentionOptions{.channels = 6}), map)), "");
}
TEST(Laws, Bam) {  // at an input that no step of a difference takes over a kink of the relus
  EXPECT_EQ(
      text(broken_laws(pooling(),
                       made<Bam>(BamOptions{.channels = 6, .reduction = 2, .dilation = 2, .dilated_convolutions = 1}),
                       random_tensor<double, 4>({3, 4, 5, 6}, 3))),
      "");
}
TEST(Laws, Scse) { EXPECT_EQ(text(broken_laws(made<Scse>(ScseOptions{.channels = 6, .reduction = 2}), map)), ""); }
TEST(Laws, SimAm) {
  EXPECT_EQ(text(broken_laws([](auto, Rng&) { return SimAm(); }, map)), "");
}
TEST(Laws, TripletAttention) {
  EXPECT_EQ(text(broken_laws(pooling(), made<TripletAttention>(TripletAttentionOptions{.kernel_size = 3}), map)), "");
}
TEST(Laws, ResidualEncoding) {
  EXPECT_EQ(text(broken_laws(made<ResidualEncoding>(ResidualEncodingOptions{.channels = 6, .codewords = 4}), map)), "");
}
TEST(Laws, ContextEncoding) {
  EXPECT_EQ(
      text(broken_laws(
          pooling(), made<ContextEncoding>(ContextEncodingOptions{.channels = 6, .classes = 3, .codewords = 4}), map)),
      "");
}
}  // namespace channel_attention_laws_test
