// attn_drop and proj_drop of the layers that have them in timm; tests/layers/dropout_test.cpp looks at the draws.
#include "attend/attention/class_attention.hpp"
#include "attend/attention/grid_attention_pool.hpp"
#include "attend/attention/spatial/cross_covariance_attention.hpp"
#include "attend/attention/spatial/factorized_attention.hpp"
#include "attend/attention/spatial/neighborhood_attention.hpp"
#include "attend/attention/spatial/outlook_attention.hpp"
#include "attend/attention/spatial/relative_attention.hpp"
#include "attend/attention/spatial/separable_attention.hpp"
#include "attend/attention/spatial/window_attention.hpp"
#include "attend/attention/spatial/window_attention_v2.hpp"
#include "attend/layers/conv_mlp.hpp"
#include "attention/spatial_models.hpp"

namespace attention_dropout_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

template <template <class> class L, class Options>
L<double> made(const Options& options) {
  Rng rng(3);
  L<double> layer(options, rng);
  randomize<double>(layer);
  return layer;
}
template <class Y>
std::vector<double> numbers(const Y& y) {
  return {y.data(), y.data() + y.size()};
}
template <class Model, class X>
std::vector<double> called(const Model& model, const X& x, Mode mode, std::uint64_t seed) {
  Rng rng(seed);
  Tape<double> tape(mode, rng);
  return numbers(model(tape.input(x)));
}

/// The probability `which` of L drops in training, by the seed, and leaves the mean as it is (results are linear in what
/// is dropped); elsewhere it does nothing; the gradient is that of the same draws.
template <template <class> class L, class Options, class X>
void expect_drops(const std::string& name, Options options, double Options::*which, const X& x) {
  SCOPED_TRACE(name);
  const auto plain = numbers(made<L>(options)(x));
  options.*which = 0.4;
  auto model = made<L>(options);
  EXPECT_EQ(numbers(model(x)), plain);
  EXPECT_EQ(called(model, x, Mode::evaluation, 1), plain);
  const auto dropped = called(model, x, Mode::training, 1);
  EXPECT_NE(dropped, plain);
  EXPECT_EQ(dropped, called(model, x, Mode::training, 1));
  EXPECT_NE(dropped, called(model, x, Mode::training, 2));

  const int calls = 200;
  std::vector<double> sum(plain.size()), squares(plain.size());
  for (int c = 0; c < calls; ++c) {
    const auto y = called(model, x, Mode::training, 100 + std::uint64_t(c));
    for (std::size_t i = 0; i < y.size(); ++i) sum[i] += y[i], squares[i] += y[i] * y[i];
  }
  for (std::size_t i = 0; i < sum.size(); ++i) {
    const double mean = sum[i] / calls, variance = squares[i] / calls - mean * mean;
    EXPECT_NEAR(mean, plain[i], 5 * std::sqrt(std::max(variance, 0.) / calls) + 1e-9) << i;  // 5 deviations of a mean
  }

  attend::testing::GradientCheckOptions check;
  check.entries = 8;
  const auto report = check_gradients(
      check, model, [&](const auto& v) { return model(v); }, x);
  EXPECT_TRUE(report.ok()) << report.text();

  for (const double p : {-0.5, 1.5}) {
    options.*which = p;
    expect_error<OptionError>([&] { made<L>(options); }, {" is " + std::to_string(p), "[0, 1]"});
  }
}
template <template <class> class L, class Options, class X>
void expect_both(const std::string& name, const Options& options, const X& x) {
  expect_drops<L>(name + " attn_drop", options, &Options::attn_drop, x);
  expect_drops<L>(name + " proj_drop", options, &Options::proj_drop, x);
}

const auto map = random_tensor<double, 4>({2, 3, 4, 4}, 1);

TEST(AttentionDropout, WindowAttention) {
  expect_both<WindowAttention>(
      "WindowAttention", WindowAttentionOptions{.channels = 4, .num_heads = 2, .window_size = {2, 3}, .shift_size = 1},
      map);
  expect_both<WindowAttentionV2>("WindowAttentionV2",
                                 WindowAttentionV2Options{.channels = 4, .num_heads = 2, .window_size = 2}, map);
}
TEST(AttentionDropout, RelativeAttention) {
  expect_both<RelativeAttention>(
      "RelativeAttention",
      RelativeAttentionOptions{.channels = 4, .out_channels = 3, .height = 3, .width = 4, .dim_head = 2}, map);
}
TEST(AttentionDropout, OutlookAttention) {
  expect_both<OutlookAttention>("OutlookAttention",
                                OutlookAttentionOptions{.channels = 4, .num_heads = 2, .qkv_bias = true}, map);
}
TEST(AttentionDropout, NeighborhoodAttention) {
  expect_both<NeighborhoodAttention>(
      "NeighborhoodAttention", NeighborhoodAttentionOptions{.channels = 4, .num_heads = 2, .kernel_size = 3}, map);
}
TEST(AttentionDropout, CrossCovarianceAttention) {
  expect_both<CrossCovarianceAttention>("CrossCovarianceAttention",
                                        CrossCovarianceAttentionOptions{.channels = 4, .num_heads = 2}, map);
}
TEST(AttentionDropout, SeparableAttention) {
  expect_both<SeparableAttention>("SeparableAttention", SeparableAttentionOptions{.channels = 4}, map);
}
TEST(AttentionDropout, ClassAttention) {
  expect_both<ClassAttention>("ClassAttention", ClassAttentionOptions{.channels = 4, .num_heads = 2},
                              random_tensor<double, 3>({2, 5, 4}, 1));
}
TEST(AttentionDropout, ConvMlpBeforeItsLastMap) {
  expect_drops<ConvMlp>("ConvMlp", ConvMlpOptions{.in_channels = 4, .hidden_channels = 6}, &ConvMlpOptions::drop, map);
}
// timm's CoaT has an attn_drop too, which does nothing.
TEST(AttentionDropout, FactorizedAttentionAfterItsProjection) {
  for (const auto& windows : {std::vector<PositionWindow>{{3, 2}}, std::vector<PositionWindow>{}})
    expect_drops<FactorizedAttention>("FactorizedAttention",
                                      FactorizedAttentionOptions{.channels = 4, .num_heads = 2, .windows = windows},
                                      &FactorizedAttentionOptions::proj_drop, map);
}
TEST(AttentionDropout, GridAttentionPoolBeforeItsProjection) {
  expect_drops<GridAttentionPool>("GridAttentionPool",
                                  GridAttentionPoolOptions{.channels = 4, .num_heads = 2, .height = 3, .width = 4},
                                  &GridAttentionPoolOptions::drop_rate, map);
}
}  // namespace
}  // namespace attention_dropout_test
