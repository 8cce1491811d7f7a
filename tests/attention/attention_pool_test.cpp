#include "attend/attention/attention_pool.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace attention_pool_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

TEST(AttentionPool, Gradients) {
  Rng rng(3);
  const AttentionPoolOptions cases[] = {
      {.channels = 6, .num_heads = 2, .mlp_ratio = 2},
      {.channels = 6, .out_channels = 4, .num_heads = 3, .latents = 3, .norm = true, .pool = LatentPool::mean},
      {.channels = 6, .num_heads = 1, .latents = 2, .qkv_bias = false, .project = false},
      {.channels = 6, .num_heads = 2, .mlp_ratio = 0, .dropout = 0.3},
      {.channels = 6,
       .num_heads = 6,
       .latents = 2,
       .mlp_ratio = 1,
       .norm = true,
       .activation = Activation::silu,
       .dropout = 0.2}};
  attend::testing::GradientCheckOptions few;
  few.entries = 16;
  for (const auto& options : cases) {
    AttentionPool<double> pool(options, rng);
    const auto tokens = check_gradients(
        few, pool, [&](const auto& x) { return pool(x); }, random_tensor<double, 3>({3, 5, 6}, 1));
    EXPECT_TRUE(tokens.ok()) << tokens.text();
    const auto map = check_gradients(
        few, pool,
        [&](const auto& x) {
          return pool(x, {.keys = {2, 6, 5}});
        },
        random_tensor<double, 4>({3, 2, 3, 6}, 1));
    EXPECT_TRUE(map.ok()) << map.text();
  }
}

TEST(AttentionPool, NamesAreTimms) {
  Rng rng(3);
  const AttentionPool<float> pool({.channels = 64, .norm = true}, rng);
  std::string text;
  for (const auto& p : parameters<float>(pool)) {
    text += p.name + "(";
    for (const Index extent : p->shape()) text += std::to_string(extent) + ",";
    text += ") ";
  }
  EXPECT_EQ(text,
            "latent(1,1,64,) q.weight(64,64,) q.bias(64,) kv.weight(128,64,) kv.bias(128,) proj.weight(64,64,) "
            "proj.bias(64,) "
            "norm.weight(64,) norm.bias(64,) mlp.fc1.weight(256,64,) mlp.fc1.bias(256,) mlp.fc2.weight(64,256,) "
            "mlp.fc2.bias(64,) ");
}

TEST(AttentionPool, AMapIsItsPositionsAsTokens) {
  Rng rng(3);
  const AttentionPool<double> pool({.channels = 6, .num_heads = 2}, rng);
  const auto map = random_tensor<double, 4>({2, 3, 4, 6}, 1);
  Tensor<double, 3> tokens(2, 12, 6);
  std::copy_n(map.data(), map.size(), tokens.data());
  const auto a = pool(map), b = pool(tokens);
  for (Index i = 0; i < a.size(); ++i) EXPECT_EQ(a.data()[i], b.data()[i]);
}

// The order of the tokens is invisible to a query that has no position.
TEST(AttentionPool, IsPermutationInvariant) {
  Rng rng(3);
  const AttentionPool<double> pool({.channels = 6, .num_heads = 2, .latents = 2, .pool = LatentPool::mean}, rng);
  const auto x = random_tensor<double, 3>({2, 7, 6}, 1);
  auto moved = x;
  for (Index b = 0; b < 2; ++b)
    for (Index l = 0; l < 7; ++l) std::copy_n(x.data() + (b * 7 + l) * 6, 6, moved.data() + (b * 7 + 3 * l % 7) * 6);
  const auto a = pool(x), b = pool(moved);
  for (Index i = 0; i < a.size(); ++i) EXPECT_NEAR(a.data()[i], b.data()[i], 1e-13);  // sums in another order
}

TEST(AttentionPool, OfferedWeightsSumToOneAndPaddingHasNone) {
  Rng rng(3);
  const AttentionPool<float> pool({.channels = 6, .num_heads = 2, .latents = 3}, rng);
  auto x = random_tensor<float, 3>({2, 5, 6}, 1);
  for (Index c = 0; c < 6; ++c) x(0, 4, c) = std::nanf("");
  const Recording recording(pool);
  const auto y = pool(x, {.keys = {3, 5}});
  for (Index i = 0; i < y.size(); ++i) EXPECT_TRUE(std::isfinite(y.data()[i]));
  const auto weights = recording.all<4>("weights");
  ASSERT_EQ(weights.size(), 1u);
  ASSERT_EQ(weights[0].shape(), (Shape<4>{2, 2, 3, 5}));
  for (Index row = 0; row < 12; ++row) {
    float sum = 0;
    for (Index j = 0; j < 5; ++j) sum += weights[0].data()[row * 5 + j];
    EXPECT_NEAR(sum, 1, 1e-6f);
    if (row < 6) {
      EXPECT_EQ(weights[0].data()[row * 5 + 3], 0);
      EXPECT_EQ(weights[0].data()[row * 5 + 4], 0);
    }
  }
}

TEST(BadInput, AttentionPool) {
  Rng rng(3);
  const AttentionPool<float> pool({.channels = 6, .num_heads = 2}, rng);
  expect_error<ShapeError>([&] { pool(Tensor<float, 3>(2, 5, 7)); }, {"(2, 5, 7)", "channels = 6"});
  expect_error<ShapeError>([&] { pool(Tensor<float, 4>(2, 3, 5, 8)); }, {"(2, 3, 5, 8)", "channels = 6"});
  expect_error<OptionError>([&] { AttentionPool<float>({.channels = 6}, rng); }, {"num_heads = 8", "channels = 6"});
  expect_error<OptionError>([&] { AttentionPool<float>({.channels = 8, .latents = 0}, rng); }, {"latents = 0"});
  expect_error<OptionError>([&] { AttentionPool<float>({.channels = 8, .dropout = 2}, rng); }, {"dropout = 2"});
  expect_error<OptionError>(
      [&] { AttentionPool<float>({.channels = 8, .mlp_ratio = std::numeric_limits<double>::infinity()}, rng); },
      {"mlp_ratio = inf"});
}

}  // namespace
}  // namespace attention_pool_test
