#include <gtest/gtest.h>

#include "attend/attention/spatial/cross_covariance_attention.hpp"
#include "attend/attention/spatial/efficient_attention.hpp"
#include "attend/attention/spatial/external_attention.hpp"
#include "attend/attention/spatial/factorized_attention.hpp"
#include "attend/attention/spatial/multi_scale_linear_attention.hpp"
#include "attend/attention/spatial/separable_attention.hpp"
#include "attend/functional/l2_normalize.hpp"
#include "laws/made.hpp"

namespace linear_attention_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto map = random_tensor<double, 4>({3, 4, 5, 6}, 1);
}  // namespace

TEST(Laws, MultiScaleLinearAttention) {
  const MultiScaleLinearAttentionOptions options{.channels = 6, .out_channels = 4, .dim = 3, .scales = {3}, .eps = 0.1};
  EXPECT_EQ(text(broken_laws(pooling(), made<MultiScaleLinearAttention>(options), map)), "");
}
TEST(Laws, EfficientAttention) {
  const EfficientAttentionOptions options{.channels = 6, .key_channels = 4, .value_channels = 2, .num_heads = 2};
  EXPECT_EQ(text(broken_laws(made<EfficientAttention>(options), map)), "");
}
TEST(Laws, CrossCovarianceAttention) {
  const CrossCovarianceAttentionOptions options{.channels = 6, .num_heads = 2, .qkv_bias = true};
  EXPECT_EQ(text(broken_laws(made<CrossCovarianceAttention>(options), map)), "");
}
TEST(Laws, SeparableAttention) {
  EXPECT_EQ(text(broken_laws(made<SeparableAttention>(SeparableAttentionOptions{.channels = 6}), map)), "");
}
TEST(Laws, ExternalAttention) {
  EXPECT_EQ(text(broken_laws(made<ExternalAttention>(ExternalAttentionOptions{.channels = 6, .memory_size = 5}), map)),
            "");
}
TEST(Laws, FactorizedAttention) {
  const FactorizedAttentionOptions options{.channels = 6, .num_heads = 2, .windows = {{3, 1}, {5, 1}}};
  EXPECT_EQ(text(broken_laws(made<FactorizedAttention>(options), map)), "");
}
}  // namespace linear_attention_laws_test
