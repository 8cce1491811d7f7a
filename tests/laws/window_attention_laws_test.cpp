#include <gtest/gtest.h>

#include "attend/attention/spatial/axial_attention.hpp"
#include "attend/attention/spatial/bilinear_attention.hpp"
#include "attend/attention/spatial/criss_cross_attention.hpp"
#include "attend/attention/spatial/enhanced_spatial_attention.hpp"
#include "attend/attention/spatial/halo_attention.hpp"
#include "attend/attention/spatial/lambda_layer.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/attention/spatial/position_attention.hpp"
#include "attend/attention/spatial/window_attention.hpp"
#include "attend/attention/spatial/window_attention_v2.hpp"
#include "laws/made.hpp"

namespace window_attention_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto map = random_tensor<double, 4>({3, 4, 5, 6}, 1);
}  // namespace

TEST(Laws, WindowAttention) {
  const WindowAttentionOptions options{.channels = 6, .num_heads = 2, .window_size = {2, 3}, .shift_size = {1, 1}};
  EXPECT_EQ(text(broken_laws(made<WindowAttention>(options), map)), "");
}
TEST(Laws, WindowAttentionV2) {
  const WindowAttentionV2Options options{
      .channels = 6, .num_heads = 3, .window_size = {2, 3}, .shift_size = {1, 0}, .height = 4, .width = 5};
  EXPECT_EQ(text(broken_laws(made<WindowAttentionV2>(options), map)), "");
}
TEST(Laws, PositionAttention) {
  EXPECT_EQ(
      text(broken_laws(made<PositionAttention>(PositionAttentionOptions{.channels = 6, .reduced_channels = 2}), map)),
      "");
}
TEST(Laws, EnhancedSpatialAttention) {
  const EnhancedSpatialAttentionOptions options{.channels = 3, .reduced_channels = 2};
  EXPECT_EQ(text(broken_laws(made<EnhancedSpatialAttention>(options), random_tensor<double, 4>({2, 16, 18, 3}, 1))),
            "");
}
TEST(Laws, NonLocalByPairs) {
  const NonLocalOptions options{.channels = 6, .rd_channels = 3, .form = NonLocalForm::concatenation};
  EXPECT_EQ(text(broken_laws(pooling(), made<NonLocal>(options), map)), "");
}
TEST(Laws, NonLocalByProducts) {
  const NonLocalOptions options{.channels = 6, .rd_channels = 3, .form = NonLocalForm::dot};
  EXPECT_EQ(text(broken_laws(pooling(), made<NonLocal>(options), map)), "");
}
TEST(Laws, HaloAttention) {
  const HaloAttentionOptions options{
      .channels = 6, .stride = 2, .num_heads = 2, .dim_head = 2, .block_size = 2, .halo_size = 1};
  EXPECT_EQ(text(broken_laws(made<HaloAttention>(options), random_tensor<double, 4>({3, 4, 6, 6}, 1))), "");
}
TEST(Laws, LambdaLayer) {
  EXPECT_EQ(text(broken_laws(pooling(),
                             made<LambdaLayer>(
                                 LambdaLayerOptions{.channels = 6, .stride = 2, .num_heads = 3, .dim_head = 4, .r = 3}),
                             map)),
            "");
}
TEST(Laws, LambdaLayerOfFixedSize) {
  EXPECT_EQ(text(broken_laws(pooling(),
                             made<LambdaLayer>(LambdaLayerOptions{
                                 .channels = 6, .num_heads = 2, .dim_head = 2, .r = 0, .height = 4, .width = 5}),
                             map)),
            "");
}
TEST(Laws, CrissCrossAttention) {
  EXPECT_EQ(text(broken_laws(
                made<CrissCrossAttention>(CrissCrossAttentionOptions{.channels = 6, .reduced_channels = 2}), map)),
            "");
}
TEST(Laws, AxialAttention) {
  EXPECT_EQ(text(broken_laws(made<AxialAttention>(AxialAttentionOptions{.channels = 6, .num_heads = 2}), map)), "");
}
TEST(Laws, BilinearAttention) {
  auto options = pooling();
  options.gradient.step = 1e-5;  // maxima change hands within larger steps
  EXPECT_EQ(text(broken_laws(options,
                             made<BilinearAttention>(BilinearAttentionOptions{
                                 .channels = 6, .block_size = 2, .rd_channels = 4, .dropout = 0}),
                             random_tensor<double, 4>({2, 4, 6, 6}, 1))),
            "");
}
}  // namespace window_attention_laws_test
