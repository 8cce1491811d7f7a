#include "attend/functional/attention.hpp"

#include <gtest/gtest.h>

#include "attend/testing/reference_attention.hpp"
#include "functional/attention_cases.hpp"

namespace attention_test {
using namespace attention_cases;
using attend::testing::check_function_gradients;
using attend::testing::check_gradients;
using attend::testing::GradientCheckOptions;
using attend::testing::NoModel;
using attend::testing::ReferenceAttention;

namespace {
/// Around the blocks of up to 48 queries and 128 keys, around vectors of 2 to 16 numbers, and few queries of many heads and
/// of chunks of 256 keys.
const Sizes around_blocks[] = {{2, 1, 1, 1, 1, 1, 1},      {1, 3, 5, 2, 1, 4, 3},    {2, 31, 63, 2, 2, 8, 5},
                               {1, 32, 64, 3, 1, 16, 16},  {2, 33, 65, 4, 2, 7, 9},  {1, 64, 64, 1, 1, 17, 2},
                               {1, 65, 129, 2, 2, 33, 31}, {1, 49, 128, 2, 1, 3, 4}, {3, 5, 200, 2, 1, 3, 12},
                               {1, 130, 3, 2, 1, 5, 40},   {2, 1, 257, 6, 6, 7, 9},  {1, 2, 530, 3, 1, 17, 20},
                               {2, 4, 300, 5, 1, 3, 5},    {1, 3, 256, 8, 4, 65, 33}};

/// Sums a gradient by score as the bias was broadcast.
T4 sum_to(const Shape<4>& shape, const T4& full) {
  T4 sum(shape);
  sum.setZero();
  for (Index b = 0; b < full.dimension(0); ++b)
    for (Index h = 0; h < full.dimension(1); ++h)
      for (Index i = 0; i < full.dimension(2); ++i)
        for (Index j = 0; j < full.dimension(3); ++j)
          sum(b % shape[0], h % shape[1], i % shape[2], j % shape[3]) += full(b, h, i, j);
  return sum;
}

/// Output, weights and every gradient against plain loops, with and without asking for weights.
void compare(const Sizes& s, const MaskCase& mask, const Shape<4>& bias_shape) {
  SCOPED_TRACE(text(s) + ", " + mask.name + ", bias " + to_string(bias_shape));
  const Inputs in(s);
  const T4 dy = random_tensor<double, 4>({s.batch, s.queries, s.heads, s.value_dim}, 4);
  const T4 dw = random_tensor<double, 4>({s.batch, s.heads, s.queries, s.keys}, 9);
  const T4 bias = random_tensor<double, 4>(bias_shape, 8);
  ReferenceAttention reference;
  reference.may_attend = mask.may;
  reference.bias = [&](Index b, Index h, Index i, Index j) {
    return bias(b % bias_shape[0], h % bias_shape[1], i % bias_shape[2], j % bias_shape[3]);
  };
  for (const bool weights : {false, true}) {
    const auto expected = reference(in.q, in.k, in.v, dy, weights ? &dw : nullptr);
    Tape<double> tape(Mode::training);
    const auto q = tape.want(tape.input(in.q)), k = tape.want(tape.input(in.k)), v = tape.want(tape.input(in.v)),
               b = tape.want(tape.input(bias));
    std::optional<Variable<double, 0>> loss;
    if (weights) {
      const auto r = scaled_dot_product_attention_with_weights(q, k, v, b, mask.options);
      EXPECT_LE(difference(r.weights.tensor(), expected.weights), 1e-13);
      EXPECT_LE(difference(r.output.tensor(), expected.output), 1e-13);
      loss = dot(r.output, tape.input(dy)) + dot(r.weights, tape.input(dw));
    } else {
      const auto y = scaled_dot_product_attention(q, k, v, b, mask.options);
      EXPECT_LE(difference(y.tensor(), expected.output), 1e-13);
      loss = dot(y, tape.input(dy));
    }
    const auto gradients = tape.backward(*loss);
    EXPECT_LE(difference(gradients.of(q), expected.query_gradient), 1e-12);
    EXPECT_LE(difference(gradients.of(k), expected.key_gradient), 1e-12);
    EXPECT_LE(difference(gradients.of(v), expected.value_gradient), 1e-12);
    EXPECT_LE(difference(gradients.of(b), sum_to(bias_shape, expected.score_gradient)), 1e-12);
  }
}
}  // namespace

// double against long double: sums of up to 200 terms of order one, so 1e-13 is some tens of roundings.
TEST(Attention, AgreesWithPlainLoopsAroundBlockBoundaries) {
  for (const Sizes& s : around_blocks)
    for (const MaskCase& mask : mask_cases(s)) compare(s, mask, {1, s.heads, s.queries, s.keys});
}

TEST(AttentionFailure, FM_2_1_causal_padding_and_user_masks_composed) {
  const Sizes s{2, 35, 70, 2, 1, 3, 4};
  for (const MaskCase& mask : mask_cases(s, true)) compare(s, mask, {1, 1, 1, 1});
}

TEST(Attention, EveryBroadcastOfTheBiasAgreesWithPlainLoops) {
  const Sizes s{2, 33, 66, 4, 2, 3, 4};
  const auto masks = mask_cases(s);
  for (int bits = 0; bits < 16; ++bits)
    compare(s, masks[static_cast<std::size_t>(bits) % masks.size()],
            {bits & 1 ? s.batch : 1, bits & 2 ? s.heads : 1, bits & 4 ? s.queries : 1, bits & 8 ? s.keys : 1});
}

// FlashAttention's rule: at most twice the error of plain loops in float (both are about 1.5e-7 here).
TEST(Attention, FloatErrsAtMostTwiceAsMuchAsPlainLoops) {
  double fused_error = 0, plain_error = 0;
  for (const Sizes& s : around_blocks)
    for (const MaskCase& mask : mask_cases(s)) {
      const Inputs in(s);
      const auto as_float = [](const T4& t) {
        Tensor<float, 4> f(shape_of(t));
        for (Index i = 0; i < t.size(); ++i) f.data()[i] = static_cast<float>(t.data()[i]);
        return f;
      };
      const Tensor<float, 4> q = as_float(in.q), k = as_float(in.k), v = as_float(in.v);
      Tensor<float, 4> plain(s.batch, s.queries, s.heads, s.value_dim);
      plain.setZero();
      for (Index b = 0; b < s.batch; ++b)
        for (Index h = 0; h < s.heads; ++h)
          for (Index i = 0; i < s.queries; ++i) {
            const Index group = h / (s.heads / s.key_heads);
            std::vector<float> weights(static_cast<std::size_t>(s.keys), 0.f);
            float top = -std::numeric_limits<float>::infinity(), sum = 0;
            for (Index j = 0; j < s.keys; ++j) {
              float score = 0;
              for (Index d = 0; d < s.dim; ++d) score += q(b, i, h, d) * k(b, j, group, d);
              weights[static_cast<std::size_t>(j)] = score / std::sqrt(static_cast<float>(s.dim));
              if (mask.may(b, h, i, j)) top = std::max(top, weights[static_cast<std::size_t>(j)]);
            }
            for (Index j = 0; j < s.keys; ++j) {
              float& w = weights[static_cast<std::size_t>(j)];
              sum += w = mask.may(b, h, i, j) ? std::exp(w - top) : 0;
            }
            for (Index j = 0; j < s.keys && sum > 0; ++j)
              for (Index d = 0; d < s.value_dim; ++d)
                plain(b, i, h, d) += weights[static_cast<std::size_t>(j)] / sum * v(b, j, group, d);
          }
      const T4 exact = scaled_dot_product_attention(in.q, in.k, in.v, mask.options);
      fused_error = std::max(fused_error, difference(exact, scaled_dot_product_attention(q, k, v, mask.options)));
      plain_error = std::max(plain_error, difference(exact, plain));
    }
  EXPECT_LE(fused_error, 2 * plain_error);
  EXPECT_GT(plain_error, 1e-8);
}

TEST(Attention, GradientChecksOfMasksWeightsAndDropout) {
  const Sizes s{2, 5, 7, 4, 2, 3, 2};
  const Inputs in(s);
  for (const MaskCase& mask : mask_cases(s)) {
    SCOPED_TRACE(mask.name);
    auto report =
        check_function_gradients([&](const auto& q, const auto& k,
                                     const auto& v) { return scaled_dot_product_attention(q, k, v, mask.options); },
                                 in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_function_gradients(
        [&](const auto& q, const auto& k, const auto& v) {
          return scaled_dot_product_attention_with_weights(q, k, v, mask.options);
        },
        in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
    auto dropped = mask.options;
    dropped.dropout = 0.4;
    report = check_function_gradients(
        [&](const auto& q, const auto& k, const auto& v) { return scaled_dot_product_attention(q, k, v, dropped); },
        in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_function_gradients(
        [&](const auto& q, const auto& k, const auto& v) {
          return scaled_dot_product_attention_with_weights(q, k, v, dropped);
        },
        in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(Attention, GradientChecksOfShapesScaleAndBias) {
  struct Case {
    Sizes sizes;
    double scale;
    Shape<4> bias;
  };
  const Case cases[] = {{{1, 1, 1, 1, 1, 1, 1}, 0, {1, 1, 1, 1}},    {{2, 3, 4, 2, 2, 5, 3}, 0.7, {2, 2, 3, 4}},
                        {{3, 4, 2, 6, 3, 2, 4}, -1.3, {1, 6, 4, 2}}, {{2, 34, 3, 2, 1, 2, 2}, 0, {1, 1, 34, 1}},
                        {{1, 2, 66, 3, 1, 2, 3}, 0, {1, 3, 1, 66}},  {{2, 5, 6, 1, 1, 3, 7}, 2, {2, 1, 1, 6}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(text(c.sizes));
    const Inputs in(c.sizes);
    const auto bias = random_tensor<double, 4>(c.bias, 5);
    const auto report = check_function_gradients(
        [&](const auto& q, const auto& k, const auto& v, const auto& b) {
          return scaled_dot_product_attention(q, k, v, b, {.scale = c.scale});
        },
        in.q, in.k, in.v, bias);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

// A value that enters twice receives both gradients.
TEST(Attention, GradientCheckOfOneTensorAsQueryKeyAndValue) {
  const auto x = random_tensor<double, 4>({2, 6, 2, 4}, 1);
  const auto report = check_function_gradients(
      [](const auto& v) { return scaled_dot_product_attention(v, v, v, {.causal = true}); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Attention, AskingForWeightsDoesNotChangeTheOutputByABit) {
  for (const Sizes& s : around_blocks) {
    const Inputs in(s);
    for (const MaskCase& mask : mask_cases(s)) {
      const T4 y = scaled_dot_product_attention(in.q, in.k, in.v, mask.options);
      const auto [output, weights] = scaled_dot_product_attention_with_weights(in.q, in.k, in.v, mask.options);
      EXPECT_TRUE(same_bits(y, output)) << text(s) << ", " << mask.name;
      EXPECT_EQ(shape_of(weights), (Shape<4>{s.batch, s.heads, s.queries, s.keys}));
    }
  }
}

// On a tape, the gradient of the weights includes what reaches them through the output: dO V^T (Chefer et al. 2021 need
// it).
TEST(Attention, TheGradientOfTheWeightsIsOutputGradientTimesValue) {
  const Sizes s{1, 2, 3, 1, 1, 2, 2};
  const Inputs in(s);
  Tape<double> tape(Mode::training);
  const auto q = tape.want(tape.input(in.q));
  const auto [y, w] = scaled_dot_product_attention_with_weights(q, tape.input(in.k), tape.input(in.v));
  tape.want(w);
  const T4 dy = random_tensor<double, 4>({1, 2, 1, 2}, 4);
  const auto gradients = tape.backward(dot(y, tape.input(dy)));
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 3; ++j)
      EXPECT_NEAR(gradients.of(w)(0, 0, i, j), dy(0, i, 0, 0) * in.v(0, j, 0, 0) + dy(0, i, 0, 1) * in.v(0, j, 0, 1),
                  1e-15);
}

TEST(Attention, TensorsTensorMapsAndVariablesGiveTheSame) {
  const Sizes s{2, 3, 4, 2, 2, 3, 5};
  const Inputs in(s);
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v);
  const Eigen::TensorMap<const T4> map(in.k.data(), 2, 4, 2, 3);
  EXPECT_TRUE(same_bits(y, scaled_dot_product_attention(in.q, map, in.v)));
  const Variable<double, 4> plain = scaled_dot_product_attention(Variable<double, 4>(in.q), map, in.v);
  EXPECT_TRUE(same_bits(y, plain.tensor()));
  Tape<double> tape(Mode::evaluation);
  EXPECT_TRUE(same_bits(y, scaled_dot_product_attention(tape.input(in.q), in.k, in.v).tensor()));
}

// Temporaries as second input, mask, lengths and bias: the tape owns what its backward pass reads.
TEST(Attention, TemporariesMayDieBeforeTheBackwardPass) {
  const Sizes s{2, 3, 70, 2, 1, 3, 5};
  const Inputs in(s);
  const auto run = [&](bool weights) {
    Tape<double> tape(Mode::training);
    const auto q = tape.want(tape.input(in.q));
    std::optional<Variable<double, 4>> y;
    {
      const ScaledDotProductAttentionOptions options{.keys = std::vector<int>{70, 3},
                                                     .mask = AttendMask(random_bools<4>({2, 1, 3, 70}, 3, 0.8)),
                                                     .padding = PaddingMask(random_bools<2>({2, 70}, 4, 0.2))};
      if (weights)
        y = scaled_dot_product_attention_with_weights(q, T4(in.k), T4(in.v), random_tensor<double, 4>({1, 2, 1, 70}, 3),
                                                      options)
                .output;
      else
        y = scaled_dot_product_attention(q, T4(in.k), T4(in.v), random_tensor<double, 4>({1, 2, 1, 70}, 3), options);
    }
    std::vector<T4> filler(20, T4(2, 70, 2, 5));  // would be written over freed memory
    for (T4& t : filler) t.setConstant(std::numeric_limits<double>::quiet_NaN());
    return tape.backward(dot(*y, *y)).of(q);
  };
  EXPECT_LE(difference(run(false), run(true)), 1e-14);
}

TEST(Attention, DropoutZeroesItsShareAndScalesTheRest) {
  const Index n = 200;
  T4 q(1, n, 1, 1), k(1, n, 1, 1), v(1, n, 1, n);
  q.setZero();
  k.setZero();
  v.setZero();
  for (Index j = 0; j < n; ++j) v(0, j, 0, j) = 1;  // the output is the matrix of weights
  Rng rng(3);
  for (const double p : {0.1, 0.5, 1.0}) {
    Tape<double> tape(Mode::training, rng);
    const T4 y = scaled_dot_product_attention(tape.input(q), tape.input(k), tape.input(v), {.dropout = p}).tensor();
    Index zeros = 0;
    for (Index i = 0; i < y.size(); ++i) {
      if (y.data()[i] == 0)
        ++zeros;
      else
        EXPECT_NEAR(y.data()[i], 1 / (1 - p) / static_cast<double>(n), 1e-15);
    }
    const double count = static_cast<double>(y.size()), deviation = std::sqrt(p * (1 - p) / count);
    EXPECT_NEAR(static_cast<double>(zeros) / count, p, 4 * deviation);
  }
}

TEST(Trap, T31_DropoutActsOnTrainingTapesOnly) {
  const Sizes s{2, 3, 4, 2, 2, 3, 5};
  const Inputs in(s);
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v);
  Rng rng(1);
  Tape<double> evaluation(Mode::evaluation, rng), training(Mode::training, rng);
  EXPECT_TRUE(same_bits(y, scaled_dot_product_attention(in.q, in.k, in.v, {.dropout = 0.5})));
  EXPECT_TRUE(
      same_bits(y, scaled_dot_product_attention(evaluation.input(in.q), in.k, in.v, {.dropout = 0.5}).tensor()));
  EXPECT_FALSE(same_bits(y, scaled_dot_product_attention(training.input(in.q), in.k, in.v, {.dropout = 0.5}).tensor()));
}

TEST(AttentionFailure, FM_2_3_zero_sized_axes) {
  const auto run = [](Index batch, Index queries, Index keys) {
    const Inputs in({batch, queries, keys, 2, 1, 3, 4});
    Tape<double> tape(Mode::training);
    const auto q = tape.want(tape.input(in.q)), k = tape.want(tape.input(in.k)), v = tape.want(tape.input(in.v));
    const auto [y, w] = scaled_dot_product_attention_with_weights(q, k, v);
    EXPECT_EQ(y.shape(), (Shape<4>{batch, queries, 2, 4}));
    EXPECT_EQ(w.shape(), (Shape<4>{batch, 2, queries, keys}));
    const auto z = scaled_dot_product_attention(q, k, v);
    for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 0);
    const auto gradients = tape.backward({{dot(y, y), 1}, {dot(z, z), 1}});
    for (const T4& g : {gradients.of(q), gradients.of(k), gradients.of(v)})
      for (Index i = 0; i < g.size(); ++i) EXPECT_EQ(g.data()[i], 0);
  };
  run(0, 2, 3);  // no samples: an empty result
  run(2, 0, 3);  // no queries: an empty result
  run(2, 3, 0);  // no keys: zeros, as if all were masked
  run(0, 0, 0);
}
}  // namespace attention_test
