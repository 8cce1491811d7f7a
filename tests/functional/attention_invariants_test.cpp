// What holds for attention whatever the numbers, and each hostile case of masks, ranges and sizes.
#include <gtest/gtest.h>

#include "attend/functional/arithmetic.hpp"
#include "functional/attention_cases.hpp"

namespace attention_invariants_test {
using namespace attention_cases;

namespace {
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

/// Samples [from, from + count).
T4 samples(const T4& t, Index from, Index count) {
  auto shape = shape_of(t);
  shape[0] = count;
  T4 part(shape);
  std::copy_n(t.data() + from * part.size() / std::max<Index>(1, count), part.size(), part.data());
  return part;
}
/// Positions [0, count) of axis 1.
T4 positions(const T4& t, Index count) {
  auto shape = shape_of(t);
  const Index row = shape[2] * shape[3], old = shape[1];
  shape[1] = count;
  T4 part(shape);
  for (Index b = 0; b < shape[0]; ++b)
    std::copy_n(t.data() + b * old * row, count * row, part.data() + b * count * row);
  return part;
}
template <class S>
bool all_finite(const Tensor<S, 4>& t) {
  return std::all_of(t.data(), t.data() + t.size(), [](S x) { return std::isfinite(x); });
}
template <class S>
bool all_zero(const Tensor<S, 4>& t) {
  return std::all_of(t.data(), t.data() + t.size(), [](S x) { return x == S(0); });
}

struct Everything {
  T4 output, weights, query, key, value;  // the last three are gradients
};
/// Outputs and gradients of sum(output^2), through the fused path or, with weights, the stepwise one.
Everything run(const T4& q, const T4& k, const T4& v, const ScaledDotProductAttentionOptions& options, bool weights) {
  Tape<double> tape(Mode::training);
  const auto qv = tape.want(tape.input(q)), kv = tape.want(tape.input(k)), vv = tape.want(tape.input(v));
  Everything r;
  std::optional<Variable<double, 4>> y;
  if (weights) {
    const auto both = scaled_dot_product_attention_with_weights(qv, kv, vv, options);
    y = both.output;
    r.weights = both.weights.tensor();
  } else {
    y = scaled_dot_product_attention(qv, kv, vv, options);
  }
  r.output = y->tensor();
  const auto g = tape.backward(dot(*y, *y));
  r.query = g.of(qv), r.key = g.of(kv), r.value = g.of(vv);
  return r;
}
}  // namespace

TEST(AttentionInvariant, PermutedKeysAndValuesGiveTheSameContext) {
  const Sizes s{2, 5, 90, 2, 1, 4, 3};
  const Inputs in(s);
  Rng rng(4);
  const auto order = rng.permutation(s.keys);
  T4 k(in.k.dimensions()), v(in.v.dimensions());
  for (Index b = 0; b < s.batch; ++b)
    for (Index j = 0; j < s.keys; ++j) {
      const Index from = order[static_cast<std::size_t>(j)];
      for (Index d = 0; d < s.dim; ++d) k(b, j, 0, d) = in.k(b, from, 0, d);
      for (Index d = 0; d < s.value_dim; ++d) v(b, j, 0, d) = in.v(b, from, 0, d);
    }
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v), z = scaled_dot_product_attention(in.q, k, v);
  EXPECT_LE(difference(y, z), 1e-14);  // only the order of 90 additions differs
}

TEST(AttentionInvariant, PermutedQueriesGiveThePermutedOutputBitForBit) {
  const Sizes s{1, 70, 20, 2, 2, 4, 3};
  const Inputs in(s);
  T4 reversed(in.q.dimensions());
  for (Index i = 0; i < s.queries; ++i) std::copy_n(in.q.data() + i * 8, 8, reversed.data() + (s.queries - 1 - i) * 8);
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v), z = scaled_dot_product_attention(reversed, in.k, in.v);
  for (Index i = 0; i < s.queries; ++i)
    EXPECT_EQ(std::memcmp(y.data() + i * 6, z.data() + (s.queries - 1 - i) * 6, 6 * sizeof(double)), 0) << i;
}

TEST(AttentionInvariant, OutputIsLinearInTheValues) {
  const Sizes s{2, 5, 9, 2, 1, 4, 3};
  const Inputs in(s);
  const T4 other = random_tensor<double, 4>(shape_of(in.v), 9);
  T4 sum(in.v.dimensions());
  for (Index i = 0; i < sum.size(); ++i) sum.data()[i] = 2 * in.v.data()[i] - 3 * other.data()[i];
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v), z = scaled_dot_product_attention(in.q, in.k, other),
           both = scaled_dot_product_attention(in.q, in.k, sum);
  for (Index i = 0; i < y.size(); ++i) EXPECT_NEAR(both.data()[i], 2 * y.data()[i] - 3 * z.data()[i], 1e-14);
}

TEST(AttentionInvariant, AConstantAddedToALogitRowChangesNothing) {
  const Sizes s{2, 5, 90, 2, 1, 4, 3};
  const Inputs in(s);
  T4 shift(1, 1, s.queries, 1);
  for (Index i = 0; i < s.queries; ++i) shift(0, 0, i, 0) = 64.0 * static_cast<double>(i) - 100;
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v),
           z = scaled_dot_product_attention(in.q, in.k, in.v, shift);
  EXPECT_LE(difference(y, z), 1e-13);  // a score of size 2^8 carries 2^-45 of rounding
}

TEST(AttentionFailure, FM_2_1_rows_of_weights_sum_to_one_or_are_zero) {
  const Sizes s{2, 33, 130, 2, 1, 4, 3};
  const Inputs in(s);
  for (const MaskCase& mask : mask_cases(s, true)) {
    const auto [output, weights] = scaled_dot_product_attention_with_weights(in.q, in.k, in.v, mask.options);
    for (Index b = 0; b < s.batch; ++b)
      for (Index h = 0; h < s.heads; ++h)
        for (Index i = 0; i < s.queries; ++i) {
          double sum = 0;
          bool sees = false;
          for (Index j = 0; j < s.keys; ++j) {
            const double w = weights(b, h, i, j);
            sum += w;
            sees = sees || mask.may(b, h, i, j);
            EXPECT_TRUE(mask.may(b, h, i, j) ? w > 0 : w == 0) << mask.name;
          }
          EXPECT_NEAR(sum, sees ? 1 : 0, 1e-13) << mask.name;
        }
  }
}

// A masked key may hold anything: outputs, weights and gradients are, bit for bit, those of a harmless key.
class FewAndManyQueries : public ::testing::TestWithParam<Index> {};
INSTANTIATE_TEST_SUITE_P(AttentionFailure, FewAndManyQueries, ::testing::Values(1, 3, 41));  // kernels of either
TEST_P(FewAndManyQueries, FM_2_1_a_masked_key_has_no_influence_even_if_it_is_nan) {
  const Sizes s{2, GetParam(), 70, 2, 1, 4, 3};  // 41: some lanes of the last vector hold no query
  const Inputs in(s);
  for (const MaskCase& mask : mask_cases(s, true))
    for (const bool weights : {false, true}) {
      const auto clean = run(in.q, in.k, in.v, mask.options, weights);
      for (const double poison : {not_a_number, inf, -inf}) {
        T4 k = in.k, v = in.v;
        Index poisoned = 0;
        for (Index b = 0; b < s.batch; ++b)
          for (Index j = 0; j < s.keys; ++j) {
            bool seen = false;
            for (Index h = 0; h < s.heads; ++h)
              for (Index i = 0; i < s.queries; ++i) seen = seen || mask.may(b, h, i, j);
            if (seen) continue;
            ++poisoned;
            for (Index d = 0; d < s.dim; ++d) k(b, j, 0, d) = poison;
            for (Index d = 0; d < s.value_dim; ++d) v(b, j, 0, d) = poison;
          }
        const auto dirty = run(in.q, k, v, mask.options, weights);
        EXPECT_TRUE(same_bits(clean.output, dirty.output) && same_bits(clean.query, dirty.query) &&
                    same_bits(clean.key, dirty.key) && same_bits(clean.value, dirty.value))
            << mask.name << ", weights " << weights << ", " << poison << ", keys poisoned " << poisoned;
        if (weights) {
          EXPECT_TRUE(same_bits(clean.weights, dirty.weights)) << mask.name;
        }
      }
    }
}

// The same, where one query may see the key and another may not: the one that may not stays clean.
TEST(AttentionInvariant, AKeyHiddenFromSomeQueriesPoisonsOnlyTheOthers) {
  const Sizes s{1, 40, 40, 1, 1, 4, 3};
  const Inputs in(s);
  T4 k = in.k, v = in.v;
  for (Index d = 0; d < 4; ++d) k(0, 30, 0, d) = not_a_number;
  for (Index d = 0; d < 3; ++d) v(0, 30, 0, d) = not_a_number;
  const T4 clean = scaled_dot_product_attention(in.q, in.k, in.v, {.causal = true}),
           dirty = scaled_dot_product_attention(in.q, k, v, {.causal = true});
  EXPECT_EQ(std::memcmp(clean.data(), dirty.data(), 30 * 3 * sizeof(double)), 0);
  EXPECT_TRUE(std::isnan(dirty(0, 30, 0, 0)));
}

// Nor does a query that holds NaN reach the gradients of keys that it may not attend to.
TEST(AttentionInvariant, ANanQueryPoisonsOnlyTheKeysItSees) {
  const Sizes s{1, 40, 40, 1, 1, 4, 3};
  const Inputs in(s);
  T4 q = in.q;
  for (Index d = 0; d < 4; ++d) q(0, 10, 0, d) = not_a_number;
  for (const bool weights : {false, true}) {
    const auto clean = run(in.q, in.k, in.v, {.causal = true}, weights),
               dirty = run(q, in.k, in.v, {.causal = true}, weights);
    for (Index j = 11; j < 40; ++j)
      for (Index d = 0; d < 4; ++d) EXPECT_EQ(clean.key(0, j, 0, d), dirty.key(0, j, 0, d)) << weights;
    EXPECT_TRUE(std::isnan(dirty.key(0, 10, 0, 0)));
  }
}

TEST(AttentionInvariant, MaskingKeysIsTheSameAsDeletingThem) {
  const Sizes s{1, 34, 100, 2, 1, 4, 3};
  const Inputs in(s);
  const auto padding = random_bools<2>({1, s.keys}, 3, 0.4);
  std::vector<Index> kept;
  for (Index j = 0; j < s.keys; ++j)
    if (!padding(0, j)) kept.push_back(j);
  T4 k(1, static_cast<Index>(kept.size()), 1, 4), v(1, static_cast<Index>(kept.size()), 1, 3);
  for (std::size_t n = 0; n < kept.size(); ++n) {
    std::copy_n(in.k.data() + kept[n] * 4, 4, k.data() + n * 4);
    std::copy_n(in.v.data() + kept[n] * 3, 3, v.data() + n * 3);
  }
  EXPECT_LE(difference(scaled_dot_product_attention(in.q, in.k, in.v, {.padding = PaddingMask(padding)}),
                       scaled_dot_product_attention(in.q, k, v)),
            1e-14);
}

// Padded batch = ragged batch, bit for bit, whatever the padding holds.
TEST_P(FewAndManyQueries, PaddedEqualsRagged) {
  const Sizes s{4, GetParam(), 300, 2, 1, 5, 3};
  Inputs in(s);
  const std::vector<Index> lengths{300, 1, 64, 77};
  for (Index b = 0; b < s.batch; ++b)
    for (Index j = lengths[static_cast<std::size_t>(b)]; j < s.keys; ++j) {
      for (Index d = 0; d < s.dim; ++d) in.k(b, j, 0, d) = not_a_number;
      for (Index d = 0; d < s.value_dim; ++d) in.v(b, j, 0, d) = inf;
    }
  const auto padded = run(in.q, in.k, in.v, {.keys = lengths}, false);
  for (Index b = 0; b < s.batch; ++b) {
    const Index n = lengths[static_cast<std::size_t>(b)];
    const auto alone =
        run(samples(in.q, b, 1), positions(samples(in.k, b, 1), n), positions(samples(in.v, b, 1), n), {}, false);
    EXPECT_TRUE(same_bits(samples(padded.output, b, 1), alone.output)) << b;
    EXPECT_TRUE(same_bits(samples(padded.query, b, 1), alone.query)) << b;
    EXPECT_TRUE(same_bits(positions(samples(padded.key, b, 1), n), alone.key)) << b;
    EXPECT_TRUE(same_bits(positions(samples(padded.value, b, 1), n), alone.value)) << b;
    for (Index j = n; j < s.keys; ++j)
      for (Index d = 0; d < s.dim; ++d) EXPECT_EQ(padded.key(b, j, 0, d), 0);
  }
}

// Causal prefix: the future reaches neither results nor, from them, gets any gradient.
TEST(AttentionInvariant, CausalOutputsDoNotDependOnTheFuture) {
  const Sizes s{2, 130, 130, 2, 2, 4, 3};
  const Inputs in(s);
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v, {.causal = true});
  for (const Index n : {1, 31, 32, 33, 64, 65, 129}) {
    T4 q = in.q, k = in.k, v = in.v;
    for (Index b = 0; b < s.batch; ++b)
      for (Index j = n; j < s.keys; ++j)
        for (Index h = 0; h < s.heads; ++h) {
          for (Index d = 0; d < s.dim; ++d) q(b, j, h, d) = k(b, j, h, d) = 50 - k(b, j, h, d);
          for (Index d = 0; d < s.value_dim; ++d) v(b, j, h, d) = -1e3;
        }
    EXPECT_TRUE(same_bits(positions(y, n), positions(scaled_dot_product_attention(q, k, v, {.causal = true}), n))) << n;
    const T4 alone =
        scaled_dot_product_attention(positions(in.q, n), positions(in.k, n), positions(in.v, n), {.causal = true});
    if (n <= 4)  // the kernel of few queries adds in another order
      EXPECT_LE(difference(positions(y, n), alone), 1e-15);
    else
      EXPECT_TRUE(same_bits(positions(y, n), alone)) << n;
    for (const bool weights : {false, true}) {
      Tape<double> tape(Mode::training);
      const auto kv = tape.want(tape.input(in.k)), vv = tape.want(tape.input(in.v));
      const auto out =
          weights ? scaled_dot_product_attention_with_weights(tape.input(in.q), kv, vv, {.causal = true}).output
                  : scaled_dot_product_attention(tape.input(in.q), kv, vv, {.causal = true});
      T4 before = random_tensor<double, 4>(shape_of(y), 3);
      for (Index b = 0; b < s.batch; ++b)
        for (Index i = n; i < s.queries; ++i)
          for (Index h = 0; h < s.heads; ++h)
            for (Index d = 0; d < s.value_dim; ++d) before(b, i, h, d) = 0;
      const auto g = tape.backward(dot(out, tape.input(before)));
      for (Index b = 0; b < s.batch; ++b)
        for (Index j = n; j < s.keys; ++j)
          for (Index h = 0; h < s.heads; ++h) {
            for (Index d = 0; d < s.dim; ++d) EXPECT_EQ(g.of(kv)(b, j, h, d), 0);
            for (Index d = 0; d < s.value_dim; ++d) EXPECT_EQ(g.of(vv)(b, j, h, d), 0);
          }
    }
  }
}

// Decoding: one query at a time against a growing cache is the causal pass, summed in another order.
TEST(AttentionInvariant, BottomRightDecodesWhatTheFullPassComputes) {
  const Sizes s{2, 70, 70, 2, 1, 4, 3};
  const Inputs in(s);
  const T4 full = scaled_dot_product_attention(in.q, in.k, in.v, {.causal = true});
  for (Index n = 1; n <= s.keys; n += 23) {
    T4 last(s.batch, 1, s.heads, s.dim);
    for (Index b = 0; b < s.batch; ++b)
      for (Index h = 0; h < s.heads; ++h)
        for (Index d = 0; d < s.dim; ++d) last(b, 0, h, d) = in.q(b, n - 1, h, d);
    const T4 y =
        scaled_dot_product_attention(last, positions(in.k, n), positions(in.v, n), {.causal = Causal::bottom_right});
    for (Index b = 0; b < s.batch; ++b)
      for (Index h = 0; h < s.heads; ++h)
        for (Index d = 0; d < s.value_dim; ++d) EXPECT_NEAR(y(b, 0, h, d), full(b, n - 1, h, d), 1e-15);
  }
}

TEST_P(FewAndManyQueries, OneThreadAndManyAndAnyBatchGiveTheSameBits) {
  const Sizes s{5, GetParam(), 300, 4, 2, 8, 8};
  const Inputs in(s);
  const auto masks = mask_cases(s);
  const int before = num_threads();
  for (const std::size_t at : {std::size_t(0), std::size_t(1), std::size_t(4)})
    for (const bool weights : {false, true}) {
      set_num_threads(1);
      const auto one = run(in.q, in.k, in.v, masks[at].options, weights);
      for (const int n : {2, 3, 8}) {
        set_num_threads(n);
        const auto many = run(in.q, in.k, in.v, masks[at].options, weights);
        EXPECT_TRUE(same_bits(one.output, many.output) && same_bits(one.query, many.query) &&
                    same_bits(one.key, many.key) && same_bits(one.value, many.value))
            << n << " threads, " << masks[at].name;
      }
      if (at == 4) continue;  // that mask is of the whole batch
      for (Index b = 0; b < s.batch; ++b) {
        const auto alone =
            run(samples(in.q, b, 1), samples(in.k, b, 1), samples(in.v, b, 1), masks[at].options, weights);
        EXPECT_TRUE(same_bits(samples(one.output, b, 1), alone.output) &&
                    same_bits(samples(one.query, b, 1), alone.query) && same_bits(samples(one.key, b, 1), alone.key) &&
                    same_bits(samples(one.value, b, 1), alone.value))
            << "sample " << b << ", " << masks[at].name;
      }
    }
  set_num_threads(before);
}

TEST_P(FewAndManyQueries, GroupedHeadsAreRepeatedHeads) {
  const Sizes s{2, GetParam(), 11, 6, 2, 4, 3};
  const Inputs in(s);
  T4 k(2, 11, 6, 4), v(2, 11, 6, 3);
  for (Index b = 0; b < 2; ++b)
    for (Index j = 0; j < 11; ++j)
      for (Index h = 0; h < 6; ++h) {
        for (Index d = 0; d < 4; ++d) k(b, j, h, d) = in.k(b, j, h / 3, d);
        for (Index d = 0; d < 3; ++d) v(b, j, h, d) = in.v(b, j, h / 3, d);
      }
  EXPECT_TRUE(same_bits(scaled_dot_product_attention(in.q, in.k, in.v), scaled_dot_product_attention(in.q, k, v)));
}

// Why scores are divided by sqrt(D): for unit-variance q and k the product has variance D, the score 1.
TEST(AttentionProperty, VarianceOfScoresBeforeAndAfterScaling) {
  for (const Index dim : {4, 64, 256}) {
    T4 q(1, 400, 1, dim), k(1, 400, 1, dim);
    const Rng rng(7);
    for (Index i = 0; i < q.size(); ++i) {
      q.data()[i] = rng.normal_at(static_cast<std::uint64_t>(2 * i));
      k.data()[i] = rng.normal_at(static_cast<std::uint64_t>(2 * i + 1));
    }
    const auto variance = [&](double scale) {
      const T4 s = dot_scores(Variable<double, 4>(q), Variable<double, 4>(k), scale).tensor();
      double mean = 0, square = 0;
      for (Index i = 0; i < s.size(); ++i) mean += s.data()[i], square += s.data()[i] * s.data()[i];
      const double n = static_cast<double>(s.size());
      return square / n - mean * mean / (n * n);
    };
    // the mean squared length of 400 vectors of 4 numbers is known to 3.5 %, and two such enter: 0.15 is three deviations
    EXPECT_NEAR(variance(1) / static_cast<double>(dim), 1, 0.15);
    EXPECT_NEAR(variance(1 / std::sqrt(static_cast<double>(dim))), 1, 0.15);
  }
}

TEST(Trap, T1_FM_2_1_AttendMaskMeansAttendAndPaddingMaskMeansIgnore) {
  const Sizes s{1, 1, 2, 1, 1, 1, 1};
  const Inputs in(s);
  Tensor<bool, 4> attend_first(1, 1, 1, 2);
  attend_first.setValues({{{{true, false}}}});
  Tensor<bool, 2> ignore_first(1, 2);
  ignore_first.setValues({{true, false}});
  EXPECT_EQ(scaled_dot_product_attention(in.q, in.k, in.v, {.mask = AttendMask(attend_first)})(0, 0, 0, 0),
            in.v(0, 0, 0, 0));
  EXPECT_EQ(scaled_dot_product_attention(in.q, in.k, in.v, {.padding = PaddingMask(ignore_first)})(0, 0, 0, 0),
            in.v(0, 1, 0, 0));
  static_assert(!std::is_convertible_v<Tensor<bool, 4>, AttendMask> &&
                !std::is_convertible_v<Tensor<bool, 2>, PaddingMask>);
  static_assert(!std::is_constructible_v<PaddingMask, AttendMask> && !std::is_constructible_v<AttendMask, PaddingMask>);
}

TEST(Trap, T2_FullyMaskedRowIsZero) {
  const Sizes s{1, 3, 5, 1, 1, 2, 2};
  const Inputs in(s);
  Tensor<bool, 2> allowed(3, 5);
  allowed.setConstant(true);
  for (Index j = 0; j < 5; ++j) allowed(1, j) = false;
  const auto [y, w] = scaled_dot_product_attention_with_weights(in.q, in.k, in.v, {.mask = AttendMask(allowed)});
  for (Index d = 0; d < 2; ++d) EXPECT_EQ(y(0, 1, 0, d), 0);
  for (Index j = 0; j < 5; ++j) EXPECT_EQ(w(0, 0, 1, j), 0);
  EXPECT_NE(y(0, 0, 0, 0), 0);
}

TEST(Trap, T4_FM_2_1_CausalWithUnequalLengthsNamesItsCorner) {
  const Sizes s{1, 2, 4, 1, 1, 2, 2};
  const Inputs in(s);
  const auto first = scaled_dot_product_attention_with_weights(in.q, in.k, in.v, {.causal = Causal::top_left}).weights;
  const auto last =
      scaled_dot_product_attention_with_weights(in.q, in.k, in.v, {.causal = Causal::bottom_right}).weights;
  const auto seen = [](const T4& w, Index i) {
    std::string text;
    for (Index j = 0; j < w.dimension(3); ++j) text += w(0, 0, i, j) > 0 ? '1' : '0';
    return text;
  };
  EXPECT_EQ(seen(first, 0) + " " + seen(first, 1), "1000 1100");  // PyTorch's tril(diagonal = 0)
  EXPECT_EQ(seen(last, 0) + " " + seen(last, 1), "1110 1111");    // decoding: the last query is the last key
  EXPECT_THROW(scaled_dot_product_attention(in.q, in.k, in.v, {.causal = true}), OptionError);
}

// A first tile without any visible key leaves the running maximum at -inf: exp(-inf - (-inf)) must not come up.
TEST(Trap, T32_RunningMaximumOfMinusInfinity) {
  const Sizes s{1, 2, 140, 1, 1, 2, 2};
  const Inputs in(s);
  Tensor<bool, 4> allowed(1, 1, 2, 140);
  allowed.setConstant(false);
  allowed(0, 0, 0, 139) = true;  // the other query sees nothing at all
  for (const bool weights : {false, true}) {
    const auto r = run(in.q, in.k, in.v, {.mask = AttendMask(allowed)}, weights);
    EXPECT_EQ(r.output(0, 0, 0, 0), in.v(0, 139, 0, 0));
    EXPECT_EQ(r.output(0, 1, 0, 0), 0);
    EXPECT_TRUE(all_finite(r.query) && all_finite(r.key) && all_finite(r.value));
  }
  T4 bias(1, 1, 1, 140);
  bias.setConstant(-inf);
  bias(0, 0, 0, 139) = 0;
  EXPECT_EQ(scaled_dot_product_attention(in.q, in.k, in.v, bias)(0, 1, 0, 0), in.v(0, 139, 0, 0));
  bias(0, 0, 0, 139) = -inf;
  EXPECT_TRUE(all_zero(scaled_dot_product_attention(in.q, in.k, in.v, bias)));
}

TEST(AttentionFailure, FM_2_1_fully_masked_row) {
  const Sizes s{2, 3, 5, 2, 1, 2, 2};
  const Inputs in(s);
  Tensor<bool, 2> all(2, 5);
  all.setConstant(false);
  for (Index j = 0; j < 5; ++j) all(1, j) = true;
  for (const auto& options : {ScaledDotProductAttentionOptions{.padding = PaddingMask(all)},
                              ScaledDotProductAttentionOptions{.keys = {5, 0}}})
    for (const bool weights : {false, true}) {
      const auto r = run(in.q, in.k, in.v, options, weights);
      for (const T4* t : {&r.output, &r.query, &r.key, &r.value}) {
        EXPECT_TRUE(all_zero(samples(*t, 1, 1)));
        EXPECT_FALSE(all_zero(samples(*t, 0, 1)));
        EXPECT_TRUE(all_finite(*t));
      }
      if (weights) {
        EXPECT_TRUE(all_zero(samples(r.weights, 1, 1)));
      }
    }
}

TEST(AttentionFailure, FM_2_1_large_negative_logits_are_not_masked) {
  const Sizes s{1, 1, 3, 1, 1, 1, 1};
  const Inputs in(s);
  for (const double low : {-5e4, -1e9, -1e30, -1e300}) {
    T4 bias(1, 1, 1, 3);
    bias.setConstant(low);  // every logit is below any sentinel: the weights are those without the bias
    bias(0, 0, 0, 2) = 2 * low;
    const auto w = scaled_dot_product_attention_with_weights(in.q, in.k, in.v, bias).weights;
    EXPECT_GT(w(0, 0, 0, 0), 0.1);
    EXPECT_GT(w(0, 0, 0, 1), 0.1);
    EXPECT_EQ(w(0, 0, 0, 2), 0);
  }
}

TEST(AttentionFailure, FM_2_1_infinite_or_nan_logits_stay_in_their_row) {
  const Sizes s{1, 40, 70, 1, 1, 2, 2};
  const Inputs in(s);
  for (const double bad : {inf, not_a_number}) {
    T4 bias(1, 1, 40, 70);
    bias.setZero();
    bias(0, 0, 7, 3) = bad;
    const T4 y = scaled_dot_product_attention(in.q, in.k, in.v, bias),
             clean = scaled_dot_product_attention(in.q, in.k, in.v);
    for (Index i = 0; i < 40; ++i) {
      if (i == 7)
        EXPECT_TRUE(std::isnan(y(0, i, 0, 0)));
      else
        EXPECT_EQ(y(0, i, 0, 0), clean(0, i, 0, 0));
    }
  }
}

TEST(AttentionFailure, FM_2_1_masked_weights_are_exact_zeros) {
  Tensor<float, 4> q = random_tensor<float, 4>({1, 8, 1, 8}, 1, -30, 30),
                   k = random_tensor<float, 4>({1, 90, 1, 8}, 2, -30, 30);
  const auto w = scaled_dot_product_attention_with_weights(q, k, random_tensor<float, 4>({1, 90, 1, 4}, 3),
                                                           {.causal = Causal::bottom_right})
                     .weights;
  for (Index i = 0; i < 8; ++i)
    for (Index j = 83 + i; j < 90; ++j) EXPECT_EQ(w(0, 0, i, j), 0.f);
  for (Index i = 0; i < w.size(); ++i)
    EXPECT_TRUE(w.data()[i] == 0.f || w.data()[i] >= std::numeric_limits<float>::min() * 1e-3f);
}

TEST(AttentionFailure, FM_2_2_large_logits) {
  for (const float size : {1e2f, 5e3f, 1e15f}) {  // logits of 1e4, 2.5e7, 1e30
    Tensor<float, 4> q(1, 3, 1, 1), k(1, 70, 1, 1), v(1, 70, 1, 1);
    for (Index i = 0; i < 3; ++i) q(0, i, 0, 0) = static_cast<float>(i - 1) * size;
    for (Index j = 0; j < 70; ++j) {
      k(0, j, 0, 0) = j % 2 ? size : -size;
      v(0, j, 0, 0) = static_cast<float>(j);
    }
    Tape<float> tape(Mode::training);
    const auto qv = tape.want(tape.input(q)), kv = tape.want(tape.input(k)), vv = tape.want(tape.input(v));
    const auto y = scaled_dot_product_attention(qv, kv, vv);
    EXPECT_FLOAT_EQ(y.data()[0], 34);     // the 35 even keys win
    EXPECT_FLOAT_EQ(y.data()[1], 34.5f);  // logits are all zero
    EXPECT_FLOAT_EQ(y.data()[2], 35);     // the odd ones
    const auto g = tape.backward(dot(y, y));
    EXPECT_TRUE(all_finite(g.of(kv)) && all_finite(g.of(vv)));
    const auto w = scaled_dot_product_attention_with_weights(q, k, v).weights;
    for (Index i = 0; i < 3; ++i) {
      float sum = 0;
      for (Index j = 0; j < 70; ++j) sum += w(0, 0, i, j);
      EXPECT_NEAR(sum, 1, 70 * 1.2e-7);
    }
  }
  Tensor<float, 4> big(1, 1, 1, 1), keys(1, 2, 1, 1);
  big.setConstant(std::numeric_limits<float>::max());
  keys.setValues({{{{1.f}}, {{-1.f}}}});
  EXPECT_EQ(scaled_dot_product_attention(big, keys, keys)(0, 0, 0, 0), 1.f);
}

// Scores of 1e9 are known to some tens only: the backward pass must not divide by what another kernel, rounding otherwise,
// has summed. In each row one key wins, whose value's gradient is that of the output.
TEST_P(FewAndManyQueries, FM_2_2_gradients_of_huge_logits) {
  const Index queries = GetParam();
  const auto q = random_tensor<float, 4>({2, queries, 8, 64}, 1, -1e5, 1e5),
             k = random_tensor<float, 4>({2, 300, 8, 64}, 2, -1e5, 1e5), v = random_tensor<float, 4>({2, 300, 8, 3}, 3);
  Tape<float> tape(Mode::training);
  const auto qv = tape.want(tape.input(q)), kv = tape.want(tape.input(k)), vv = tape.want(tape.input(v));
  Tensor<float, 4> dy(2, queries, 8, 3);
  dy.setConstant(1);
  const auto g = tape.backward_from(scaled_dot_product_attention(qv, kv, vv), dy.data());
  EXPECT_TRUE(all_finite(g.of(qv)) && all_finite(g.of(kv)));
  double sum = 0;
  for (Index i = 0; i < v.size(); ++i) {
    sum += g.of(vv).data()[i];
    EXPECT_EQ(g.of(vv).data()[i], std::round(g.of(vv).data()[i]));
  }
  EXPECT_EQ(sum, static_cast<double>(dy.size()));
}

TEST(AttentionFailure, FM_2_3_different_lengths_of_key_and_value) {
  const T4 q(1, 2, 1, 3), k(1, 5, 1, 3), v(1, 4, 1, 3);
  EXPECT_THROW(scaled_dot_product_attention(q, k, v), ShapeError);
}

// No score matrix: 2^16 x 2^16 scores would take 32 GiB.
TEST(AttentionFailure, FM_2_3_absurd_but_legal_lengths) {
  Tensor<float, 4> x = random_tensor<float, 4>({1, Index(1) << 16, 1, 4}, 1);
  const auto y = scaled_dot_product_attention(x, x, x, {.causal = true, .window = {.left = 3}});
  EXPECT_TRUE(all_finite(y));
  EXPECT_EQ(y(0, 0, 0, 0), x(0, 0, 0, 0));
}
}  // namespace attention_invariants_test
