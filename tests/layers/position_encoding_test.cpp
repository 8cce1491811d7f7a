#include <gtest/gtest.h>

#include "attend/functional/alibi.hpp"
#include "attend/layers/learned_position.hpp"
#include "attend/layers/relative_position_bias.hpp"
#include "attend/layers/rotary_position.hpp"
#include "attend/layers/sinusoidal_position.hpp"
#include "attend/layers/t5_position_bias.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace position_encoding_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

const auto apply = [](const auto& layer) { return [&](const auto&... x) { return layer(x...); }; };

const Variable<double, 1> nothing(Tensor<double, 1>(1));  // on no tape

TEST(Sinusoidal, FollowsTheFormula) {
  const auto table = sinusoidal_positions<double>(3, 5, 2);
  for (Index p = 0; p < 3; ++p) {
    const double at = double(p + 2);
    // tolerance: one rounding of pow and of sin at angles below 10
    EXPECT_NEAR(table(p, 0), std::sin(at), 1e-14);
    EXPECT_NEAR(table(p, 1), std::cos(at), 1e-14);
    EXPECT_NEAR(table(p, 2), std::sin(at * std::pow(10000.0, -2.0 / 5)), 1e-14);
    EXPECT_NEAR(table(p, 4), std::sin(at * std::pow(10000.0, -4.0 / 5)), 1e-14);
  }
}

TEST(Sinusoidal, RowsBeyondMaxLengthAndOffsetsAreTheSameTable) {
  const SinusoidalPosition<float> few({.embed_dim = 6, .max_length = 2}), many({.embed_dim = 6, .max_length = 64});
  const auto x = random_tensor<float, 3>({2, 9, 6}, 1);
  const auto a = few(x), b = many(x);
  for (Index i = 0; i < a.size(); ++i) EXPECT_EQ(a.data()[i], b.data()[i]);
  Tensor<float, 3> zero(1, 1, 6);
  zero.setZero();
  const auto all = many(Tensor<float, 3>(Tensor<float, 3>(1, 9, 6).setZero()));
  const auto one = few(zero, {.offset = 8});
  for (Index d = 0; d < 6; ++d) EXPECT_EQ(one(0, 0, d), all(0, 8, d));
}

TEST(Sinusoidal, GradientPassesThrough) {
  for (const Index length : {1, 5}) {
    SinusoidalPosition<double> layer({.embed_dim = 7, .max_length = 3});
    const auto report = check_gradients(layer, apply(layer), random_tensor<double, 3>({2, length, 7}, 3));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(LearnedPosition, Gradients) {
  Rng rng(5);
  for (const Index offset : {0, 2}) {
    LearnedPosition<double> rows({.max_length = 6, .embed_dim = 3}, rng);
    const auto report = check_gradients(
        rows, [&](const auto& x) { return rows(x, {.offset = offset}); }, random_tensor<double, 3>({2, 4, 3}, 3));
    EXPECT_TRUE(report.ok()) << report.text();
    PositionEmbedding<double> table({.max_length = 6, .embed_dim = 3}, rng);
    const auto batched = check_gradients(
        table, [&](const auto& x) { return table(x, {.offset = offset}); }, random_tensor<double, 3>({2, 4, 3}, 3));
    EXPECT_TRUE(batched.ok()) << batched.text();
  }
}

TEST(LearnedPosition, NamesAndShapesArePyTorchs) {
  Rng rng(5);
  const LearnedPosition<float> rows({.max_length = 6, .embed_dim = 3}, rng);
  const auto named = parameters<float>(rows);
  ASSERT_EQ(named.size(), 1u);
  EXPECT_EQ(named[0].name, "weight");
  EXPECT_EQ(named[0]->shape(), (std::vector<Index>{6, 3}));
  const PositionEmbedding<float> table({.max_length = 6, .embed_dim = 3}, rng);
  const auto owned = parameters<float>(table);
  ASSERT_EQ(owned.size(), 1u);
  EXPECT_EQ(owned[0].name, "");
  EXPECT_EQ(owned[0]->shape(), (std::vector<Index>{1, 6, 3}));
}

TEST(Alibi, SlopesAreThePapersAndTheInterleavedOnesBetweenPowersOfTwo) {
  const std::vector<double> eight{.5, .25, .125, .0625, .03125, .015625, .0078125, .00390625};
  EXPECT_EQ(alibi_slopes(8), eight);  // powers of two are exact
  const auto twelve = alibi_slopes(12);
  const std::vector<double> more{.707107, .353553, .176777, .088388};  // to six digits
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(twelve[i], eight[i]);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(twelve[8 + i], more[i], 5e-7);
  EXPECT_EQ(alibi_slopes(1), (std::vector<double>{std::exp2(-8)}));
}

TEST(Alibi, BiasIsSymmetricAndDecodesWithAnOffset) {
  const auto bias = alibi_bias<double>(2, 4, 4);
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 4; ++j) {
      EXPECT_EQ(bias(0, 1, i, j), bias(0, 1, j, i));
      EXPECT_EQ(bias(0, 0, i, j), -std::exp2(-4) * double(std::abs(i - j)));
    }
  const auto step = alibi_bias<double>(2, 1, 4, 3);  // the last query alone
  for (Index j = 0; j < 4; ++j) EXPECT_EQ(step(0, 1, 0, j), bias(0, 1, 3, j));
}

// In a causal row slope * (j - i) differs from slope * j by a constant only: the form of the original implementation.
TEST(Alibi, CausalRowsDifferFromTheOriginalsByAConstant) {
  const auto bias = alibi_bias<double>(4, 5, 5);
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j <= i; ++j)
      EXPECT_NEAR(bias(0, 2, i, j) - bias(0, 2, i, 0), alibi_slopes(4)[2] * double(j), 1e-15);
}

TEST(RelativePositionBias, Gradients) {
  Rng rng(6);
  for (const bool class_token : {false, true}) {
    RelativePositionBias<double> layer({.height = 2, .width = 3, .num_heads = 2, .class_token = class_token}, rng);
    const Index tokens = class_token ? 7 : 6;
    const auto report = check_gradients(layer, apply(layer), random_tensor<double, 4>({3, 2, tokens, tokens}, 1));
    EXPECT_TRUE(report.ok()) << report.text();
  }
  RelativePositionBias<double> single({.height = 1, .width = 1, .num_heads = 1}, rng);
  const auto report = check_gradients(single, apply(single), random_tensor<double, 4>({2, 1, 1, 1}, 1));
  EXPECT_TRUE(report.ok()) << report.text();
}

// Written with PyTorch's index of Swin: row = (dy + h - 1)(2w - 1) + dx + w - 1 with d = query - key, never key -
// query.
TEST(Trap, T35_SwinIndexIsQueryMinusKey) {
  Rng rng(6);
  RelativePositionBias<double> layer({.height = 2, .width = 3, .num_heads = 1}, rng);
  {
    auto table = parameters<double>(layer)[0]->edit_flat();
    for (Index i = 0; i < table.size(); ++i) table(i) = double(i);
  }
  const auto bias = layer.bias(nothing).tensor();
  EXPECT_EQ(bias(0, 0, 0, 0), 1 * 5 + 2);             // no offset: the middle
  EXPECT_EQ(bias(0, 0, 5, 0), (1 + 1) * 5 + 2 + 2);   // query (1,2), key (0,0): +1, +2
  EXPECT_EQ(bias(0, 0, 0, 5), (-1 + 1) * 5 - 2 + 2);  // the other way round: row 0
  EXPECT_EQ(bias(0, 0, 2, 4), (-1 + 1) * 5 + 1 + 2);  // query (0,2), key (1,1)
}

TEST(RelativePositionBias, ClassTokenRowsAreTheLastThree) {
  Rng rng(6);
  RelativePositionBias<double> layer({.height = 2, .width = 2, .num_heads = 1, .class_token = true}, rng);
  {
    auto table = parameters<double>(layer)[0]->edit_flat();
    ASSERT_EQ(table.size(), 9 + 3);
    for (Index i = 0; i < table.size(); ++i) table(i) = double(i);
  }
  const auto bias = layer.bias(nothing).tensor();
  EXPECT_EQ(bias(0, 0, 0, 3), 9);   // class -> token
  EXPECT_EQ(bias(0, 0, 3, 0), 10);  // token -> class
  EXPECT_EQ(bias(0, 0, 0, 0), 11);
  EXPECT_EQ(bias(0, 0, 1, 1), 4);  // a token with itself
}

TEST(Trap, T38_T5BucketsAtTheEdges) {
  const Index relative[] = {-200, -128, -64, -32, -16, -8, -7, -1, 0, 1, 7, 8, 9, 16, 32, 64, 127, 128, 200};
  const Index both[] = {15, 15, 14, 12, 10, 8, 7, 1, 0, 17, 23, 24, 24, 26, 28, 30, 31, 31, 31};
  const Index before[] = {31, 31, 26, 21, 16, 8, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  for (std::size_t i = 0; i < std::size(relative); ++i) {
    EXPECT_EQ(t5_bucket(relative[i]), both[i]) << relative[i];
    EXPECT_EQ(t5_bucket(relative[i], false), before[i]) << relative[i];
  }
}

TEST(Trap, T35_T5BucketIsKeyMinusQuery) {
  Rng rng(6);
  T5PositionBias<double> layer({.num_heads = 1, .num_buckets = 8, .max_distance = 16}, rng);
  {
    auto weight = parameters<double>(layer)[0]->edit_flat();
    for (Index i = 0; i < weight.size(); ++i) weight(i) = double(i);
  }
  const auto bias = layer.bias(3, 3, nothing).tensor();
  EXPECT_EQ(bias(0, 0, 0, 1), 4 + 1);  // the key after the query: upper half
  EXPECT_EQ(bias(0, 0, 1, 0), 1);
}

TEST(T5PositionBias, Gradients) {
  Rng rng(6);
  for (const bool bidirectional : {false, true}) {
    T5PositionBias<double> layer({.num_heads = 2, .num_buckets = 8, .max_distance = 10, .bidirectional = bidirectional},
                                 rng);
    const auto report = check_gradients(layer, apply(layer), random_tensor<double, 4>({2, 2, 5, 7}, 1));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(T5PositionBias, AnOffsetIsTheLastRowsOfTheWhole) {
  Rng rng(6);
  const T5PositionBias<double> layer({.num_heads = 2, .bidirectional = false}, rng);
  const auto all = layer.bias(6, 6, nothing).tensor(), last = layer.bias(1, 6, nothing, 5).tensor();
  for (Index h = 0; h < 2; ++h)
    for (Index j = 0; j < 6; ++j) EXPECT_EQ(last(0, h, 0, j), all(0, h, 5, j));
}

TEST(RotaryPosition, Gradients) {
  for (const auto layout : {RotaryLayout::half_split, RotaryLayout::interleaved})
    for (const Index dim : {0, 4}) {
      RotaryPosition<double> layer({.layout = layout, .dim = dim});
      const auto report = check_gradients(
          layer, [&](const auto& x) { return layer(x, {.offset = 3}); }, random_tensor<double, 4>({2, 5, 3, 6}, 1));
      EXPECT_TRUE(report.ok()) << report.text();
    }
}

// q_i k_j depends on i - j alone: the products of two rows do not change when both move on.
TEST(RotaryPosition, ProductsDependOnDistancesOnly) {
  const RotaryPosition<double> layer({.base = 100});
  const auto q = random_tensor<double, 4>({1, 1, 1, 6}, 1), k = random_tensor<double, 4>({1, 1, 1, 6}, 2);
  const auto product = [&](Index i, Index j) {
    const auto a = layer(q, {.offset = i}), b = layer(k, {.offset = j});
    double sum = 0;
    for (Index d = 0; d < 6; ++d) sum += a.data()[d] * b.data()[d];
    return sum;
  };
  EXPECT_NEAR(product(4, 1), product(14, 11), 1e-14);  // roundings of six products below 1
  EXPECT_GT(std::abs(product(4, 1) - product(1, 4)), 1e-3);
}

TEST(PositionEncoding, EmptyBatchesAndLengthsGiveEmptyResults) {
  Rng rng(5);
  const LearnedPosition<float> rows({.max_length = 6, .embed_dim = 3}, rng);
  EXPECT_EQ(rows(Tensor<float, 3>(0, 4, 3)).size(), 0);
  EXPECT_EQ(rows(Tensor<float, 3>(2, 0, 3)).size(), 0);
  const SinusoidalPosition<float> waves({.embed_dim = 3});
  EXPECT_EQ(waves(Tensor<float, 3>(2, 0, 3)).size(), 0);
}

TEST(BadInput, PositionEncodings) {
  Rng rng(5);
  const LearnedPosition<float> rows({.max_length = 6, .embed_dim = 3}, rng);
  const SinusoidalPosition<float> waves({.embed_dim = 4});
  const RelativePositionBias<float> window({.height = 2, .width = 3, .num_heads = 2}, rng);
  const T5PositionBias<float> t5({.num_heads = 2}, rng);
  const Tensor<float, 3> x(2, 7, 3);
  const Tensor<float, 4> scores(1, 2, 5, 5), heads(1, 3, 6, 6);
  expect_error<ShapeError>([&] { rows(x); }, {"(2, 7, 3)", "6"});
  expect_error<ShapeError>([&] { rows(Tensor<float, 3>(2, 5, 3), {.offset = 2}); }, {"(2, 5, 3)", "offset = 2", "6"});
  expect_error<ShapeError>([&] { rows(Tensor<float, 3>(2, 5, 3), {.offset = -1}); }, {"offset = -1"});
  expect_error<ShapeError>([&] { rows(Tensor<float, 3>(2, 5, 4)); }, {"(2, 5, 4)", "3"});
  expect_error<ShapeError>([&] { waves(x); }, {"(2, 7, 3)", "4"});
  expect_error<OptionError>([&] { waves(Tensor<float, 3>(1, 2, 4), {.offset = -3}); }, {"offset = -3"});
  expect_error<ShapeError>([&] { window(scores); }, {"(1, 2, 5, 5)", "(1, 2, 6, 6)"});
  expect_error<ShapeError>([&] { window(heads); }, {"(1, 3, 6, 6)", "(1, 2, 6, 6)"});
  expect_error<ShapeError>([&] { t5(heads); }, {"(1, 3, 6, 6)", "(1, 2, 6, 6)"});
  expect_error<OptionError>([&] { LearnedPosition<float>({.max_length = 0, .embed_dim = 3}, rng); },
                            {"max_length = 0"});
  expect_error<OptionError>([&] { PositionEmbedding<float>({.max_length = 2, .embed_dim = -1}, rng); },
                            {"embed_dim = -1"});
  expect_error<OptionError>([] { SinusoidalPosition<float>({.embed_dim = 0}); }, {"embed_dim = 0"});
  expect_error<OptionError>([&] { RelativePositionBias<float>({.height = 0, .width = 3}, rng); }, {"height = 0"});
  expect_error<OptionError>([&] { T5PositionBias<float>({.num_buckets = 7}, rng); }, {"num_buckets = 7"});
  expect_error<OptionError>([&] { T5PositionBias<float>({.max_distance = 8}, rng); }, {"max_distance = 8"});
  expect_error<OptionError>([] { (void)t5_bucket(3, true, 3); }, {"num_buckets = 3"});
  expect_error<OptionError>([] { (void)t5_bucket(3, false, 32, 16); }, {"max_distance = 16"});
  EXPECT_EQ(t5_bucket(std::numeric_limits<Index>::min()), 15);
  expect_error<OptionError>(
      [] {
        bias_from_table(Variable<float, 2>({3, 2}, make_buffer<float>(6, 0.f)), std::shared_ptr<const BiasIndex>());
      },
      {"index is null"});
  expect_error<OptionError>([] { RotaryPosition<float>({.base = 0}); }, {"base = 0"});
  expect_error<ShapeError>([] { RotaryPosition<float>()(Tensor<float, 4>(1, 2, 3, 5)); }, {"(1, 2, 3, 5)"});
  expect_error<OptionError>([] { alibi_slopes(0); }, {"num_heads = 0"});
  expect_error<OptionError>([] { alibi_bias<float>(2, -1, 3); }, {"queries = -1"});
  expect_error<OptionError>([] { sinusoidal_positions<float>(-2, 3); }, {"length = -2"});
}

}  // namespace
}  // namespace position_encoding_test
