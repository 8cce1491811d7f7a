#include "attend/attention/multi_head_attention.hpp"

#include <gtest/gtest.h>

#include "attend/attention/score/additive.hpp"
#include "attend/functional/arithmetic.hpp"
#include "functional/attention_cases.hpp"

namespace multi_head_attention_test {
using namespace attention_cases;
using attend::testing::check_gradients;

namespace {
using T3 = Tensor<double, 3>;
T3 sequence(Index batch, Index length, Index channels, std::uint64_t seed) {
  return random_tensor<double, 3>({batch, length, channels}, seed);
}

std::string names(const MultiHeadAttentionOptions& options) {
  Rng rng(1);
  const MultiHeadAttention<float> attention(options, rng);
  std::string text;
  for (const auto& p : parameters<float>(attention)) text += p.name + to_string(p->shape()) + " ";
  return text;
}
}  // namespace

TEST(MultiHeadAttention, GradientChecksOfEveryOption) {
  const MultiHeadAttentionOptions cases[] = {
      {.embed_dim = 6, .num_heads = 2},
      {.embed_dim = 6, .num_heads = 3, .bias = false},
      {.embed_dim = 4, .num_heads = 1, .dropout = 0.4},
      {.embed_dim = 6, .num_heads = 2, .add_bias_kv = true},
      {.embed_dim = 6, .num_heads = 2, .dropout = 0.3, .add_zero_attn = true},
      {.embed_dim = 6, .num_heads = 2, .bias = false, .add_bias_kv = true, .add_zero_attn = true},
      {.embed_dim = 8, .num_heads = 4, .num_kv_heads = 2},
      {.embed_dim = 8, .num_heads = 4, .add_bias_kv = true, .num_kv_heads = 1},
      {.embed_dim = 8, .num_heads = 2, .rotary_base = 100},
      {.embed_dim = 8,
       .num_heads = 2,
       .add_bias_kv = true,
       .rotary_base = 10,
       .rotary_layout = RotaryLayout::interleaved,
       .rotary_dim = 2},
  };
  for (const auto& options : cases) {
    SCOPED_TRACE(names(options));
    Rng rng(3);
    MultiHeadAttention<double> attention(options, rng);
    for (const auto& p : parameters<double>(attention))  // zero biases would hide mistakes
      if (p.name.find("bias") != std::string::npos)
        for (Index i = 0; i < p->size(); ++i) p->edit_flat()(i) = rng.normal();
    const Index E = options.embed_dim;
    const T3 x = sequence(2, 3, E, 1), memory = sequence(2, 4, E, 2);
    auto report = check_gradients(
        attention, [&](const auto& a) { return attention(a, {.causal = true}); }, x);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_gradients(
        attention,
        [&](const auto& a, const auto& m) {
          return attention.with_weights(a, m, {.keys = {4, 2}});
        },
        x, memory);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_gradients(
        attention,
        [&](const auto& a, const auto& m, const auto& v, const auto& b) {
          return attention(a, m, v, b, {.causal = Causal::bottom_right});
        },
        x, memory, sequence(2, 4, E, 3), random_tensor<double, 4>({2, 1, 3, 4}, 4));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(MultiHeadAttention, GradientChecksOfOtherWidthsScoresAndCalls) {
  Rng rng(3);
  const T3 x = sequence(2, 3, 6, 1), k = sequence(2, 4, 5, 2), v = sequence(2, 4, 7, 3);
  MultiHeadAttention<double> widths({.embed_dim = 6, .num_heads = 2, .add_bias_kv = true, .kdim = 5, .vdim = 7}, rng);
  auto report = check_gradients(
      widths, [&](const auto& a, const auto& b, const auto& c) { return widths(a, b, c); }, x, k, v);
  EXPECT_TRUE(report.ok()) << report.text();
  report = check_gradients(
      widths, [&](const auto& a, const auto& b, const auto& c) { return widths.with_average_weights(a, b, c); }, x, k,
      v);
  EXPECT_TRUE(report.ok()) << report.text();
  MultiHeadAttention<double, score::Additive> additive(
      {.embed_dim = 6, .num_heads = 2, .dropout = 0.2, .add_zero_attn = true}, rng);
  report = check_gradients(
      additive, [&](const auto& a) { return additive(a, {.causal = true}); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
  MultiHeadAttention<double> plain({.embed_dim = 6, .num_heads = 2, .dropout = 0.3}, rng);
  report = check_gradients(
      plain,
      [&](const auto& a, const auto& b) {
        return plain.with_average_weights(a, b, {.weights = Weights::after_dropout});
      },
      x, random_tensor<double, 4>({1, 2, 3, 3}, 4));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(MultiHeadAttention, ParametersHavePyTorchsNamesAndShapes) {
  EXPECT_EQ(names({.embed_dim = 6, .num_heads = 2}),
            "in_proj_weight(18, 6) in_proj_bias(18) out_proj.weight(6, 6) out_proj.bias(6) ");
  EXPECT_EQ(names({.embed_dim = 6, .num_heads = 2, .bias = false}), "in_proj_weight(18, 6) out_proj.weight(6, 6) ");
  EXPECT_EQ(
      names({.embed_dim = 6, .num_heads = 2, .add_bias_kv = true}),
      "in_proj_weight(18, 6) in_proj_bias(18) bias_k(1, 1, 6) bias_v(1, 1, 6) out_proj.weight(6, 6) out_proj.bias(6) ");
  EXPECT_EQ(names({.embed_dim = 8, .num_heads = 4, .num_kv_heads = 2}),
            "q_proj_weight(8, 8) k_proj_weight(4, 8) v_proj_weight(4, 8) in_proj_bias(16) out_proj.weight(8, 8) "
            "out_proj.bias(8) ");
}

TEST(Trap, T5_BiasStaysPackedWithSeparateWeights) {
  EXPECT_EQ(names({.embed_dim = 6, .num_heads = 2, .kdim = 5, .vdim = 7}),
            "q_proj_weight(6, 6) k_proj_weight(6, 5) v_proj_weight(6, 7) in_proj_bias(18) out_proj.weight(6, 6) "
            "out_proj.bias(6) ");
}

TEST(MultiHeadAttention, InitialDistributionsAreThoseOfPyTorch) {
  Rng rng(9);
  const MultiHeadAttention<double> attention({.embed_dim = 64, .num_heads = 4, .add_bias_kv = true}, rng);
  for (const auto& p : parameters<double>(attention)) {
    double largest = 0, square = 0;
    for (Index i = 0; i < p->size(); ++i)
      largest = std::max(largest, std::abs(p->data()[i])), square += p->data()[i] * p->data()[i];
    const double deviation = std::sqrt(square / static_cast<double>(p->size()));
    if (p.name == "in_proj_weight") {  // xavier_uniform of (192, 64): bound sqrt(6 / 256)
      EXPECT_LE(largest, std::sqrt(6.0 / 256));
      EXPECT_GT(largest, 0.99 * std::sqrt(6.0 / 256));
    } else if (p.name == "out_proj.weight") {  // kaiming_uniform(a = sqrt 5): bound 1 / sqrt(64)
      EXPECT_LE(largest, 0.125);
      EXPECT_GT(largest, 0.99 * 0.125);
    } else if (p.name == "bias_k" || p.name == "bias_v") {  // xavier_normal of (1, 1, 64): deviation 1 / 8, 64 draws
      EXPECT_NEAR(deviation, 0.125, 4 * 0.125 / std::sqrt(128.0));
    } else {
      EXPECT_EQ(largest, 0) << p.name;
    }
  }
}

// Whichever way the same value comes in, and however projections are packed, the bits are the same.
TEST(MultiHeadAttention, OneTwoAndThreeArgumentsAgree) {
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 12, .num_heads = 3}, rng);
  const T3 x = sequence(2, 5, 12, 1), copy = x, other = x;
  const T3 y = attention(x);
  EXPECT_LE(difference(y, attention(x, copy)), 1e-14);
  EXPECT_LE(difference(y, attention(x, copy, other)), 1e-14);
  EXPECT_TRUE(same_bits(y, attention(x, x, x)));
}

TEST(MultiHeadAttention, WeightsOnRequestDoNotChangeTheOutput) {
  Rng rng(2);
  const MultiHeadAttention<double> attention(
      {.embed_dim = 12, .num_heads = 3, .add_bias_kv = true, .add_zero_attn = true}, rng);
  const T3 x = sequence(2, 5, 12, 1);
  const T3 y = attention(x, {.keys = {5, 3}});
  const auto [output, weights] = attention.with_weights(x, {.keys = {5, 3}});
  const auto [same, mean] = attention.with_average_weights(x, {.keys = {5, 3}});
  EXPECT_TRUE(same_bits(y, output) && same_bits(y, same));
  EXPECT_EQ(shape_of(weights), (Shape<4>{2, 3, 5, 7}));  // the learned key and the zero key count
  EXPECT_EQ(shape_of(mean), (Shape<3>{2, 5, 7}));
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 5; ++i) {
      double sum = 0;
      for (Index j = 0; j < 7; ++j) {
        sum += mean(b, i, j);
        EXPECT_NEAR(mean(b, i, j), (weights(b, 0, i, j) + weights(b, 1, i, j) + weights(b, 2, i, j)) / 3, 1e-15);
        EXPECT_EQ(mean(b, i, j) == 0, b == 1 && (j == 3 || j == 4));  // padding; what is appended stays visible
      }
      EXPECT_NEAR(sum, 1, 1e-14);
    }
}

TEST(Trap, T3_WeightsAreBeforeDropoutUnlessAskedOtherwise) {
  Rng rng(2), draws(3);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2, .dropout = 0.5}, rng);
  const T3 x = sequence(2, 40, 8, 1);
  Tape<double> tape(Mode::training, draws);
  const auto rows_sum_to_one = [](const T4& w) {
    for (Index r = 0; r < w.size() / w.dimension(3); ++r) {
      double sum = 0;
      for (Index j = 0; j < w.dimension(3); ++j) sum += w.data()[r * w.dimension(3) + j];
      if (std::abs(sum - 1) > 1e-12) return false;
    }
    return true;
  };
  EXPECT_TRUE(rows_sum_to_one(attention.with_weights(tape.input(x)).weights.tensor()));
  const T4 dropped = attention.with_weights(tape.input(x), {.weights = Weights::after_dropout}).weights.tensor();
  EXPECT_FALSE(rows_sum_to_one(dropped));
  const double zeros = static_cast<double>(std::count(dropped.data(), dropped.data() + dropped.size(), 0.0)) /
                       static_cast<double>(dropped.size());
  EXPECT_NEAR(zeros, 0.5, 4 * 0.5 / std::sqrt(static_cast<double>(dropped.size())));
}

// What with_statistics says of the weights is true of the weights that with_weights makes, appended keys among them.
TEST(MultiHeadAttention, StatisticsAreThoseOfTheWeights) {
  const MultiHeadAttentionOptions cases[] = {
      {.embed_dim = 8, .num_heads = 2},
      {.embed_dim = 8, .num_heads = 2, .add_bias_kv = true, .add_zero_attn = true},
      {.embed_dim = 8, .num_heads = 4, .num_kv_heads = 2, .rotary_base = 100}};
  const T3 x = sequence(2, 5, 8, 1), memory = sequence(2, 6, 8, 2);
  const auto bias = random_tensor<double, 4>({1, 1, 5, 6}, 3);
  Tensor<bool, 2> set(1, 6);
  set.setConstant(true), set(0, 1) = false;
  for (const auto& options : cases) {
    Rng rng(2);
    const MultiHeadAttention<double> attention(options, rng);
    const AttentionStatisticsRequest request{3, KeySet(set)};
    const AttentionCall call{.keys = {4, 6}};
    const auto check = [&](const auto& found, const auto& expected) {
      EXPECT_TRUE(same_bits(found.output, expected.output));
      const T4& w = expected.weights;
      for (Index b = 0; b < 2; ++b)
        for (Index h = 0; h < w.dimension(1); ++h)
          for (Index i = 0; i < 5; ++i) {
            double entropy = 0, mass = 0;
            for (Index j = 0; j < w.dimension(3); ++j) {
              if (w(b, h, i, j) > 0) entropy -= w(b, h, i, j) * std::log(w(b, h, i, j));
              if (j < 6 && set(0, j)) mass += w(b, h, i, j);
            }
            EXPECT_NEAR(found.entropy(b, h, i), entropy, 1e-13);
            EXPECT_NEAR(found.mass_inside(b, h, i), mass, 1e-14);
            for (Index n = 0; n < 3; ++n) {
              const double least = found.top_weights(b, h, i, n);
              EXPECT_EQ(w(b, h, i, found.top_keys(b, h, i, n)), least);
              Index larger = 0;
              for (Index j = 0; j < w.dimension(3); ++j) larger += w(b, h, i, j) > least;
              EXPECT_EQ(larger, n);
            }
          }
    };
    check(attention.with_statistics(request, x, memory, call), attention.with_weights(x, memory, call));
    check(attention.with_statistics(request, x, memory, bias, call), attention.with_weights(x, memory, bias, call));
    check(attention.with_statistics(request, x, memory, memory, call), attention.with_weights(x, memory, memory, call));
    check(attention.with_statistics(request, x, memory, memory, bias, call),
          attention.with_weights(x, memory, memory, bias, call));
    const auto self = attention.with_statistics({}, x), same = attention.with_statistics({}, x, {.causal = true});
    EXPECT_TRUE(same_bits(self.output, attention(x)) && same_bits(same.output, attention(x, {.causal = true})));
    EXPECT_EQ(same.entropy(0, 0, 0) == 0, !options.add_bias_kv) << "the first query sees one key, and what is appended";

    const Recording recording(attention);
    attention.with_statistics({}, x);
    EXPECT_EQ((recording.all<4, double>("weights").size()), 1u);
  }
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  EXPECT_THROW(attention.with_statistics({.top_keys = 7}, x, memory), OptionError);
}

TEST(MultiHeadAttention, FullyMaskedQueryGivesTheBiasOfTheOutput) {
  Rng rng(2);
  MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  for (const auto& p : parameters<double>(attention))
    if (p.name == "out_proj.bias") p->edit_flat().setConstant(0.25);
  const T3 y = attention(sequence(2, 3, 8, 1), {.keys = {3, 0}});
  for (Index i = 0; i < 24; ++i) EXPECT_EQ(y.data()[24 + i], 0.25);
}

// One set of weights serves every length; what a shorter sequence computes is what it computes inside a padded one.
TEST(MultiHeadAttention, OneSetOfWeightsOnManyLengths) {
  Rng rng(2);
  const MultiHeadAttention<float> attention({.embed_dim = 16, .num_heads = 4}, rng);
  for (const Index length : {7, 64, 500}) {
    const auto x = random_tensor<float, 3>({2, length, 16}, static_cast<std::uint64_t>(length));
    Tensor<float, 3> padded(2, 511, 16);
    padded.setConstant(std::numeric_limits<float>::quiet_NaN());
    for (Index b = 0; b < 2; ++b) std::copy_n(x.data() + b * length * 16, length * 16, padded.data() + b * 511 * 16);
    const auto y = attention(x);
    EXPECT_EQ(shape_of(y), shape_of(x));
    const auto z = attention(padded, {.keys = {length, length}});
    for (Index b = 0; b < 2; ++b)
      EXPECT_EQ(std::memcmp(y.data() + b * length * 16, z.data() + b * 511 * 16,
                            static_cast<std::size_t>(length) * 16 * sizeof(float)),
                0)
          << "length " << length << " sample " << b;
  }
}

TEST(MultiHeadAttention, SelfAttentionIsPermutationEquivariant) {
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  const T3 x = sequence(1, 9, 8, 1);
  const auto order = rng.permutation(9);
  T3 shuffled(1, 9, 8);
  for (Index i = 0; i < 9; ++i)
    std::copy_n(x.data() + order[static_cast<std::size_t>(i)] * 8, 8, shuffled.data() + i * 8);
  const T3 y = attention(x), z = attention(shuffled);
  for (Index i = 0; i < 9; ++i)
    for (Index c = 0; c < 8; ++c) EXPECT_NEAR(z(0, i, c), y(0, order[static_cast<std::size_t>(i)], c), 1e-14);
}

// Rotary scores depend on distance alone: moving both sequences by the same number of positions changes nothing, and the last
// query of a decoder stands where the last key stands.
TEST(MultiHeadAttention, RotaryDecodesLikeTheFullPass) {
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2, .rotary_base = 10000}, rng);
  const T3 x = sequence(1, 9, 8, 1);
  const T3 full = attention(x, {.causal = true});
  T3 last(1, 1, 8);
  std::copy_n(x.data() + 64, 8, last.data());
  const T3 y = attention(last, x, {.causal = Causal::bottom_right});
  for (Index c = 0; c < 8; ++c) EXPECT_NEAR(y(0, 0, c), full(0, 8, c), 1e-14);
  EXPECT_GT(difference(attention(last, x, {.causal = Causal::top_left}), y), 1e-3);
}

// The mean over heads divides by all of them, zeros of a masked head included (pytorch #189045).
TEST(MultiHeadAttention, FM_2_1_the_mean_over_heads_counts_masked_ones) {
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  const auto x = random_tensor<double, 3>({2, 3, 8}, 1);
  Tensor<bool, 4> mask(1, 2, 1, 1);
  mask(0, 0, 0, 0) = true, mask(0, 1, 0, 0) = false;
  const auto [y, average] = attention.with_average_weights(x, {.mask = AttendMask(mask)});
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 3; ++i) EXPECT_NEAR(average(b, i, 0) + average(b, i, 1) + average(b, i, 2), 0.5, 1e-15);
}

TEST(MultiHeadAttention, FM_2_3_heads_that_do_not_divide_are_refused_with_both_numbers) {
  Rng rng(2);
  const auto text = [&](const MultiHeadAttentionOptions& o) -> std::string {
    try {
      MultiHeadAttention<float> attention(o, rng);
    } catch (const OptionError& error) {
      return error.what();
    }
    return "nothing was thrown";
  };
  for (const auto& [o, a, b] : {std::tuple(MultiHeadAttentionOptions{.embed_dim = 512, .num_heads = 10}, "10", "512"),
                                {{.embed_dim = 24, .num_heads = 6, .num_kv_heads = 4}, "6", "4"},
                                {{.embed_dim = 24, .num_heads = 0}, "0", "24"}}) {
    EXPECT_NE(text(o).find(a), std::string::npos) << text(o);
    EXPECT_NE(text(o).find(b), std::string::npos) << text(o);
  }
}

TEST(MultiHeadAttention, ZeroSizedAxes) {
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  EXPECT_EQ(attention(T3(0, 3, 8)).size(), 0);
  EXPECT_EQ(attention(T3(2, 0, 8)).size(), 0);
  const T3 y = attention(sequence(2, 3, 8, 1), T3(2, 0, 8));
  EXPECT_EQ(shape_of(y), (Shape<3>{2, 3, 8}));
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 0);
}

// Temporaries as memory, bias and masks: nothing borrowed is read after the call.
TEST(MultiHeadAttention, TemporariesMayDieBeforeTheBackwardPass) {
  Rng rng(2);
  const MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
  const T3 x = sequence(2, 3, 8, 1), memory = sequence(2, 4, 8, 2);
  const auto run = [&](const auto& call) {
    Tape<double> tape(Mode::training);
    const auto v = tape.want(tape.input(x));
    const auto y = call(v);
    std::vector<T3> filler(20, T3(2, 4, 8));
    for (T3& t : filler) t.setConstant(std::numeric_limits<double>::quiet_NaN());
    return tape.backward(dot(y, y)).of(v);
  };
  const auto bias = random_tensor<double, 4>({1, 1, 3, 4}, 4);
  const auto expected = run([&](const auto& v) { return attention(v, memory, bias, {.keys = {4, 2}}); });
  const auto found = run([&](const auto& v) {
    return attention(v, sequence(2, 4, 8, 2), random_tensor<double, 4>({1, 1, 3, 4}, 4),
                     {.keys = std::vector<int>{4, 2}});
  });
  EXPECT_TRUE(same_bits(expected, found));
}

TEST(MultiHeadAttention, RecordingsFindTheWeightsUnderTheLayersName) {
  Rng rng(2);
  const MultiHeadAttention<float> attention({.embed_dim = 8, .num_heads = 2}, rng);
  const auto x = random_tensor<float, 3>({2, 3, 8}, 1);
  const auto quiet = attention(x);
  const Recording recording(attention);
  EXPECT_TRUE(same_bits(quiet, attention(x)));
  ASSERT_EQ(recording.all<4>("weights").size(), 1u);
  EXPECT_TRUE(same_bits(recording.all<4>("weights")[0].tensor(), attention.with_weights(x).weights));
}

// On a tape the recorded weights carry a gradient: dL/dA = dO V^T, what attention relevance (Chefer et al. 2021) multiplies with.
TEST(MultiHeadAttention, RecordedWeightsHaveGradientsEvenIfEverythingIsFrozen) {
  for (const bool frozen : {false, true}) {
    Rng rng(2);
    MultiHeadAttention<double> attention({.embed_dim = 8, .num_heads = 2}, rng);
    if (frozen) set_trainable<double>(attention, false);
    const T3 x = sequence(1, 3, 8, 1);
    const Recording recording(attention);
    Tape<double> tape(Mode::evaluation);
    const auto y = attention(tape.input(x));
    const auto gradients = tape.backward(dot(y, y));
    const auto weights = recording.all<4, double>("weights");
    ASSERT_EQ(weights.size(), 1u);
    const T4 g = gradients.of(weights[0]);
    EXPECT_TRUE(std::any_of(g.data(), g.data() + g.size(), [](double e) { return e != 0; })) << frozen;
  }
}
}  // namespace multi_head_attention_test
