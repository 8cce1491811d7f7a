// Statistics of the weights that the fused kernel gathers without making them.
#include <gtest/gtest.h>

#include "error_of.hpp"
#include "functional/attention_cases.hpp"

namespace attention_statistics_test {
using namespace attention_cases;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();

/// One row in plain loops: the keys it sees and their scores, and all that follows from these.
struct Row {
  std::vector<std::pair<double, Index>> weights;  // descending; of equal ones the first key first
  double log_sum_exp = -inf, entropy = 0, mass = 0;
};
template <class Score, class Inside>
Row plain_row(Index keys, const std::function<bool(Index)>& may, const Score& score, const Inside& inside) {
  Row row;
  double top = -inf, sum = 0;
  for (Index j = 0; j < keys; ++j)
    if (may(j)) row.weights.push_back({score(j), j}), top = std::max(top, score(j));
  if (row.weights.empty()) return row;
  for (const auto& [s, j] : row.weights) sum += std::exp(s - top);
  row.log_sum_exp = top + std::log(sum);
  for (auto& [s, j] : row.weights) {
    s = std::exp(s - top) / sum;
    if (s > 0) row.entropy -= s * std::log(s);
    if (inside(j)) row.mass += s;
  }
  std::stable_sort(row.weights.begin(), row.weights.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  return row;
}

/// All statistics against plain loops; tolerance: of a weight, of an entropy and of a score of size one.
template <class S>
void compare(const Sizes& s, const MaskCase& mask, Index top_keys, double tolerance, double spread = 1) {
  SCOPED_TRACE(text(s) + ", " + mask.name + ", top " + std::to_string(top_keys));
  const auto q = random_tensor<S, 4>({s.batch, s.queries, s.heads, s.dim}, 1),
             k = random_tensor<S, 4>({s.batch, s.keys, s.key_heads, s.dim}, 2),
             v = random_tensor<S, 4>({s.batch, s.keys, s.key_heads, s.value_dim}, 3),
             bias = random_tensor<S, 4>({1, s.heads, 1, s.keys}, 4);
  const auto set = random_bools<2>({s.batch, s.keys}, 9, 0.4);
  ScaledDotProductAttentionOptions options = mask.options;
  options.scale = spread / std::sqrt(static_cast<double>(s.dim));
  const auto r = scaled_dot_product_attention_with_statistics({top_keys, KeySet(set)}, q, k, v, bias, options);
  const auto with = scaled_dot_product_attention_with_weights(q, k, v, bias, options);
  EXPECT_TRUE(same_bits(r.output, with.output));
  EXPECT_EQ(shape_of(r.entropy), (Shape<3>{s.batch, s.heads, s.queries}));
  EXPECT_EQ(shape_of(r.top_keys), (Shape<4>{s.batch, s.heads, s.queries, top_keys}));
  for (Index b = 0; b < s.batch; ++b)
    for (Index h = 0; h < s.heads; ++h)
      for (Index i = 0; i < s.queries; ++i) {
        const Row row = plain_row(
            s.keys, [&](Index j) { return mask.may(b, h, i, j); },
            [&](Index j) {
              double score = 0;
              for (Index d = 0; d < s.dim; ++d)
                score += double(q(b, i, h, d)) * double(k(b, j, h / (s.heads / s.key_heads), d));
              return score * options.scale + double(bias(0, h, 0, j));
            },
            [&](Index j) { return set(b, j); });
        if (row.weights.empty())
          ASSERT_EQ(double(r.log_sum_exp(b, h, i)), -inf);
        else
          ASSERT_NEAR(double(r.log_sum_exp(b, h, i)), row.log_sum_exp, 4 * spread * tolerance);
        ASSERT_NEAR(double(r.entropy(b, h, i)), row.entropy, 8 * spread * tolerance);
        ASSERT_NEAR(double(r.mass_inside(b, h, i)), row.mass, 4 * spread * tolerance);
        for (Index n = 0; n < top_keys; ++n) {
          const Index key = r.top_keys(b, h, i, n);
          const auto at = static_cast<std::size_t>(n);
          if (at >= row.weights.size()) {
            ASSERT_EQ(key, -1);
            ASSERT_EQ(r.top_weights(b, h, i, n), S(0));
            continue;
          }
          ASSERT_TRUE(key >= 0 && key < s.keys);
          ASSERT_NEAR(double(r.top_weights(b, h, i, n)), row.weights[at].first, 4 * spread * tolerance);
          ASSERT_EQ(r.top_weights(b, h, i, n), with.weights(b, h, i, key)) << "not the weight of its key";
          if (n > 0) {
            const S before = r.top_weights(b, h, i, n - 1), here = r.top_weights(b, h, i, n);
            ASSERT_TRUE(before > here || (before == here && r.top_keys(b, h, i, n - 1) != key));
          }
        }
      }
}
}  // namespace

// double: sums of up to 300 terms of order one, some tens of roundings of 1e-16.
TEST(AttentionStatistics, AgreeWithPlainLoops) {
  for (const Sizes& s : {Sizes{1, 1, 1, 1, 1, 1, 1}, Sizes{2, 33, 65, 4, 2, 7, 9}, Sizes{1, 65, 129, 2, 2, 33, 31},
                         Sizes{3, 5, 200, 2, 1, 3, 12}, Sizes{1, 130, 130, 2, 1, 4, 4}})
    for (const MaskCase& mask : mask_cases(s, s.queries == 33))
      compare<double>(s, mask, std::min<Index>(3, s.keys), 1e-14);
}
TEST(AttentionStatistics, OfRandomShapesAgreeWithPlainLoops) {
  Rng rng(5);
  const auto below = [&](Index n) { return rng.below(n); };
  for (int n = 0; n < 60; ++n) {
    const Index group = 1 + below(3), key_heads = 1 + below(2);
    const Sizes s{1 + below(3), 1 + below(120), 1 + below(300), group * key_heads,
                  key_heads,    1 + below(40),  1 + below(9)};
    const auto masks = mask_cases(s);
    const MaskCase& mask = masks[static_cast<std::size_t>(below(static_cast<Index>(masks.size())))];
    const Index top = below(std::min<Index>(s.keys, 6) + 1);
    const double spread = n % 3 == 0 ? 20 : 1;  // peaked
    if (n % 2 == 0)
      compare<double>(s, mask, top, 1e-14, spread);
    else
      compare<float>(s, mask, top, 1e-6, spread);
    if (HasFailure()) return;
  }
}

TEST(AttentionStatistics, OfKnownWeights) {
  const Index keys = 200;
  T4 q(1, 2, 1, 1), k(1, keys, 1, 1), v(1, keys, 1, 1);
  q(0, 0, 0, 0) = 0, q(0, 1, 0, 0) = 1;
  for (Index j = 0; j < keys; ++j) k(0, j, 0, 0) = j == 150 ? 1000 : 0, v(0, j, 0, 0) = 1;
  Tensor<bool, 2> half(1, keys);
  for (Index j = 0; j < keys; ++j) half(0, j) = j < keys / 2;
  const auto r = scaled_dot_product_attention_with_statistics({4, KeySet(half)}, q, k, v);
  EXPECT_NEAR(r.entropy(0, 0, 0), std::log(200.0), 1e-13);
  EXPECT_NEAR(r.log_sum_exp(0, 0, 0), std::log(200.0), 1e-13);
  EXPECT_NEAR(r.mass_inside(0, 0, 0), 0.5, 1e-13);
  for (Index n = 0; n < 4; ++n) {
    EXPECT_EQ(r.top_keys(0, 0, 0, n), n) << "of equal weights the first keys come first";
    EXPECT_NEAR(r.top_weights(0, 0, 0, n), 1 / 200.0, 1e-15);
  }
  EXPECT_EQ(r.entropy(0, 0, 1), 0);
  EXPECT_EQ(r.log_sum_exp(0, 0, 1), 1000);
  EXPECT_EQ(r.mass_inside(0, 0, 1), 0);
  EXPECT_EQ(r.top_keys(0, 0, 1, 0), 150);
  EXPECT_EQ(r.top_weights(0, 0, 1, 0), 1);
  EXPECT_EQ(r.top_keys(0, 0, 1, 1), 0);
  EXPECT_EQ(r.top_weights(0, 0, 1, 1), 0);
}

TEST(AttentionStatistics, OneThreadAndManyAndAnyBatchGiveTheSameBits) {
  const Sizes s{5, 70, 130, 4, 2, 8, 8};
  const Inputs in(s);
  const auto set = random_bools<2>({1, s.keys}, 9, 0.4);
  const auto run = [&](const T4& q, const T4& k, const T4& v) {
    return scaled_dot_product_attention_with_statistics({3, KeySet(set)}, q, k, v, {.causal = Causal::top_left});
  };
  const auto part = [](const auto& all, Index b) {
    auto shape = shape_of(all);
    shape[0] = 1;
    std::decay_t<decltype(all)> one(shape);
    std::copy_n(all.data() + b * one.size(), one.size(), one.data());
    return one;
  };
  const int before = num_threads();
  set_num_threads(1);
  const auto one = run(in.q, in.k, in.v);
  const auto same = [&](const auto& a, const auto& x) {
    return same_bits(a.output, x.output) && same_bits(a.log_sum_exp, x.log_sum_exp) &&
           same_bits(a.entropy, x.entropy) && same_bits(a.mass_inside, x.mass_inside) &&
           same_bits(a.top_weights, x.top_weights) && same_bits(a.top_keys, x.top_keys);
  };
  for (const int n : {2, 3, 8}) {
    set_num_threads(n);
    EXPECT_TRUE(same(one, run(in.q, in.k, in.v))) << n;
  }
  set_num_threads(before);
  for (Index b = 0; b < s.batch; ++b) {
    const auto alone = run(part(in.q, b), part(in.k, b), part(in.v, b));
    const decltype(alone) of_batch{part(one.output, b),      part(one.log_sum_exp, b), part(one.entropy, b),
                                   part(one.mass_inside, b), part(one.top_weights, b), part(one.top_keys, b)};
    EXPECT_TRUE(same(of_batch, alone)) << b;
  }
}

// What a mask hides reaches no statistic, even NaN; a NaN that is seen stays in its row.
TEST(AttentionStatistics, FM_2_1_masked_keys_have_no_influence_even_if_they_are_nan) {
  const Sizes s{1, 20, 140, 1, 1, 4, 3};
  Inputs in(s);
  const auto run = [&] {
    return scaled_dot_product_attention_with_statistics({5}, in.q, in.k, in.v, {.causal = Causal::top_left});
  };
  const auto clean = run();
  for (Index j = 10; j < s.keys; ++j)
    for (Index d = 0; d < s.dim; ++d) in.k(0, j, 0, d) = std::numeric_limits<double>::quiet_NaN();
  const auto dirty = run();
  for (Index i = 0; i < s.queries; ++i) {
    EXPECT_EQ(std::isnan(dirty.entropy(0, 0, i)), i >= 10);
    EXPECT_EQ(std::isnan(dirty.log_sum_exp(0, 0, i)), i >= 10);
    EXPECT_EQ(std::isnan(dirty.mass_inside(0, 0, i)), i >= 10);
    if (i >= 10) continue;
    EXPECT_EQ(dirty.entropy(0, 0, i), clean.entropy(0, 0, i));
    for (Index n = 0; n < 5; ++n) EXPECT_EQ(dirty.top_keys(0, 0, i, n), clean.top_keys(0, 0, i, n));
  }
}

// Padding on the left as many write it: a bias of the lowest number there is. The tiles that it fills are seen first, and
// their sums of exponentials times the distance of the scores are beyond all numbers; from the first other key on they
// weigh nothing, so all is as behind a mask, bit for bit.
template <class S>
void compare_lowest_bias_with_mask() {
  const Index queries = 20, keys = 300, hidden = 270;
  const auto q = random_tensor<S, 4>({1, queries, 2, 5}, 1), k = random_tensor<S, 4>({1, keys, 2, 5}, 2),
             v = random_tensor<S, 4>({1, keys, 2, 3}, 3);
  Tensor<S, 4> lowest(1, 1, 1, keys), zero(1, 1, 1, keys);
  Tensor<bool, 4> allowed(1, 1, 1, keys);
  Tensor<bool, 2> odd(1, keys);
  for (Index j = 0; j < keys; ++j) {
    lowest(0, 0, 0, j) = j < hidden ? std::numeric_limits<S>::lowest() : S(0), zero(0, 0, 0, j) = 0;
    allowed(0, 0, 0, j) = j >= hidden, odd(0, j) = j % 2 == 1;
  }
  const AttentionStatisticsRequest request{4, KeySet(odd)};
  const auto biased = scaled_dot_product_attention_with_statistics(request, q, k, v, lowest);
  const auto masked =
      scaled_dot_product_attention_with_statistics(request, q, k, v, zero, {.mask = AttendMask(allowed)});
  EXPECT_TRUE(std::isfinite(biased.entropy(0, 1, 7)));
  EXPECT_TRUE(same_bits(biased.output, masked.output));
  EXPECT_TRUE(same_bits(biased.log_sum_exp, masked.log_sum_exp));
  EXPECT_TRUE(same_bits(biased.entropy, masked.entropy));
  EXPECT_TRUE(same_bits(biased.mass_inside, masked.mass_inside));
  EXPECT_TRUE(same_bits(biased.top_weights, masked.top_weights));
  EXPECT_TRUE(same_bits(biased.top_keys, masked.top_keys));
}
TEST(AttentionStatistics, FM_2_2_the_lowest_number_as_bias_is_a_mask) {
  compare_lowest_bias_with_mask<float>();
  compare_lowest_bias_with_mask<double>();
}

TEST(AttentionStatistics, OnATapeTheyCarryNoGradientsAndAreBeforeDropout) {
  const Sizes s{1, 9, 12, 2, 1, 4, 3};
  const Inputs in(s);
  const auto plain = scaled_dot_product_attention_with_statistics({2}, in.q, in.k, in.v);
  Rng rng(3);
  Tape<double> tape(Mode::training, rng);
  const auto q = tape.want(tape.input(in.q));
  const auto r = scaled_dot_product_attention_with_statistics({2}, q, in.k, in.v, {.dropout = 0.5});
  EXPECT_FALSE(same_bits(plain.output, r.output.tensor()));
  EXPECT_TRUE(same_bits(plain.entropy, r.entropy.tensor()) && same_bits(plain.top_weights, r.top_weights.tensor()));
  EXPECT_FALSE(r.entropy.link());
  const auto g = tape.backward_from(r.output, in.q.data()).of(q);
  EXPECT_TRUE(std::any_of(g.data(), g.data() + g.size(), [](double x) { return x != 0; }));
}

TEST(AttentionStatistics, OfZeroSizes) {
  const auto none = scaled_dot_product_attention_with_statistics({}, T4(2, 3, 1, 4), T4(2, 0, 1, 4), T4(2, 0, 1, 4));
  for (Index i = 0; i < 6; ++i) {
    EXPECT_EQ(none.log_sum_exp.data()[i], -inf);
    EXPECT_EQ(none.entropy.data()[i], 0);
    EXPECT_EQ(none.mass_inside.data()[i], 0);
    EXPECT_EQ(none.top_keys.data()[i], -1);
    EXPECT_EQ(none.top_weights.data()[i], 0);
  }
  EXPECT_EQ(
      scaled_dot_product_attention_with_statistics({}, T4(2, 0, 1, 4), T4(2, 5, 1, 4), T4(2, 5, 1, 4)).entropy.size(),
      0);
}

TEST(BadInput, AttentionStatistics) {
  const Inputs in({2, 3, 5, 1, 1, 4, 4});
  const auto run = [&](const AttentionStatisticsRequest& request) {
    return scaled_dot_product_attention_with_statistics(request, in.q, in.k, in.v);
  };
  EXPECT_THROW(run({.top_keys = -1}), OptionError);
  EXPECT_EQ(error_of([&] { run({.top_keys = 6}); }),
            "[scaled_dot_product_attention] top_keys is 6; it must lie in [0, 5]: there are 5 keys");
  EXPECT_EQ(error_of([&] { run({.inside = KeySet(Tensor<bool, 2>(2, 4))}); }),
            "[scaled_dot_product_attention] inside has shape (2, 4); it must be (2, 5) or (1, 5), one entry per key");
  EXPECT_THROW(run({.inside = KeySet(Tensor<bool, 2>(3, 5))}), ShapeError);
}
}  // namespace attention_statistics_test
