#include <gtest/gtest.h>

#include "attend/attention/class_attention.hpp"
#include "attend/attention/grid_attention_pool.hpp"
#include "attend/attention/lse_pool.hpp"
#include "attend/attention/sim_pool.hpp"
#include "attend/attention/spatial/cooccurrent_attention.hpp"
#include "attend/attention/spatial/neighborhood_attention.hpp"
#include "attend/attention/spatial/outlook_attention.hpp"
#include "laws/made.hpp"

namespace feature_pooling_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto map = random_tensor<double, 4>({3, 4, 5, 8}, 1);
}  // namespace

TEST(Laws, GridAttentionPool) {
  const GridAttentionPoolOptions options{
      .channels = 8, .out_channels = 3, .embed_dim = 6, .num_heads = 2, .height = 4, .width = 5};
  EXPECT_EQ(text(broken_laws(made<GridAttentionPool>(options), map)), "");
}
TEST(Laws, GridAttentionPoolRotary) {
  const GridAttentionPoolOptions options{.channels = 8, .num_heads = 2, .positions = GridPositions::rotary};
  EXPECT_EQ(text(broken_laws(made<GridAttentionPool>(options), map)), "");
}
TEST(Laws, SimPool) {
  EXPECT_EQ(text(broken_laws(made<SimPool>(SimPoolOptions{.channels = 8, .num_heads = 2, .qk_norm = true}), map)), "");
}
TEST(Laws, SimPoolOfPowers) {
  EXPECT_EQ(text(broken_laws(made<SimPool>(SimPoolOptions{.channels = 8, .gamma = 1.25}), map)), "");
}
TEST(Laws, LsePool) { EXPECT_EQ(text(broken_laws(made<LsePool>(LsePoolOptions{.r = 2}), map)), ""); }
TEST(Laws, ClassAttention) {
  EXPECT_EQ(text(broken_laws(made<ClassAttention>(ClassAttentionOptions{.channels = 8, .num_heads = 2}),
                             random_tensor<double, 3>({3, 6, 8}, 1))),
            "");
  EXPECT_EQ(text(broken_laws(made<ClassAttention>(ClassAttentionOptions{.channels = 8, .num_heads = 2}),
                             random_tensor<double, 3>({3, 1, 8}, 1), map)),
            "");
}
TEST(Laws, NeighborhoodAttention) {
  const NeighborhoodAttentionOptions options{.channels = 8, .num_heads = 2, .kernel_size = 3};
  EXPECT_EQ(text(broken_laws(made<NeighborhoodAttention>(options), map)), "");
}
TEST(Laws, OutlookAttention) {
  EXPECT_EQ(text(broken_laws(made<OutlookAttention>(
                                 OutlookAttentionOptions{.channels = 8, .num_heads = 2, .stride = 2, .qkv_bias = true}),
                             map)),
            "");
}
TEST(Laws, CooccurrentAttention) {
  CooccurrentAttentionOptions options{
      .channels = 8, .num_heads = 2, .num_mixtures = 2, .key_channels = 4, .value_channels = 3, .concat = true};
  for (const auto projection : {CooccurrentProjection::conv, CooccurrentProjection::dilated_ffn}) {
    options.projection = projection;
    const auto away_from_kinks = [&](auto scalar, Rng& rng) {  // of the relu, which differences cannot cross
      using S = decltype(scalar);
      CooccurrentAttention<S> layer(options, rng);
      for (const auto& p : parameters<S>(layer))
        if (p.name == "conv_qs.1.bias")
          for (Index c = 0; c < p->size(); ++c) p->edit_flat()(c) = S(c % 4 == 1 ? -4 : 4);
      return layer;
    };
    EXPECT_EQ(text(broken_laws(pooling(), away_from_kinks, map)), "");
  }
}
}  // namespace feature_pooling_laws_test
