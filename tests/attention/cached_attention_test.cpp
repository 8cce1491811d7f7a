#include "attend/attention/cached_attention.hpp"

#include <gtest/gtest.h>

#include <random>

#include "attend/testing/reference_attention.hpp"
#include "error_of.hpp"
#include "functional/attention_cases.hpp"

namespace cached_attention_test {
namespace {
using namespace attention_cases;
using attend::testing::ReferenceAttention;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class S>
Tensor<S, 4> as(const T4& t) {
  Tensor<S, 4> other(shape_of(t));
  for (Index i = 0; i < t.size(); ++i) other.data()[i] = static_cast<S>(t.data()[i]);
  return other;
}
/// Samples [from, from + count) and positions [first, first + length).
template <class S>
Tensor<S, 4> part(const Tensor<S, 4>& t, Index from, Index count, Index first, Index length) {
  Tensor<S, 4> p(count, length, t.dimension(2), t.dimension(3));
  for (Index b = 0; b < count; ++b)
    for (Index i = 0; i < length; ++i)
      for (Index h = 0; h < t.dimension(2); ++h)
        for (Index d = 0; d < t.dimension(3); ++d) p(b, i, h, d) = t(from + b, first + i, h, d);
  return p;
}

/// A configuration drawn at random: sizes, lengths, masks, and numbers from tame to peaked.
struct Drawn {
  Sizes s{};
  std::vector<Index> lengths;
  CachedAttentionOptions options;
  Shape<4> bias_shape{};  // of extent 0: none
  double deviation = 1;
  std::uint64_t seed = 0;

  explicit Drawn(std::mt19937_64& random) : seed(random()) {
    const auto in = [&](Index low, Index high) {
      return low + static_cast<Index>(random() % static_cast<std::uint64_t>(high - low + 1));
    };
    const auto one_in = [&](Index n) { return in(1, n) == 1; };
    s.batch = in(1, 3), s.key_heads = in(1, 3), s.heads = s.key_heads * in(1, 4), s.queries = in(1, one_in(4) ? 20 : 8);
    s.dim = one_in(3) ? in(1, 3) * 16 : in(1, 70), s.value_dim = one_in(3) ? in(1, 3) * 16 : in(1, 70);
    s.keys = one_in(4) ? in(200, 600) : in(1, 40);
    for (Index b = 0; b < s.batch; ++b) lengths.push_back(one_in(2) ? s.keys : in(0, s.keys));
    lengths[0] = s.keys;
    options.causal = !one_in(4);
    if (one_in(3)) options.window.left = in(0, s.keys);
    if (one_in(3)) options.window.right = in(0, s.keys);
    if (one_in(4)) options.scale = one_in(2) ? 0.3 : -1.5;
    if (one_in(4))
      for (Index b = 0; b < s.batch; ++b) options.first.push_back(in(-3, s.keys));
    if (one_in(3))
      bias_shape = {one_in(2) ? 1 : s.batch, one_in(2) ? 1 : s.heads, one_in(2) ? 1 : s.queries,
                    one_in(4) ? 1 : s.keys};
    if (one_in(4)) deviation = one_in(2) ? 1e-3 : 20;
  }
  Index start(Index b) const {
    return options.first.empty() ? lengths[static_cast<std::size_t>(b)] - s.queries
                                 : options.first[static_cast<std::size_t>(b)];
  }
  bool may(Index b, Index i, Index j) const {
    const Index at = start(b) + i;
    return j < lengths[static_cast<std::size_t>(b)] && (!options.causal || j <= at) &&
           (options.window.left == Window::unlimited || j >= at - options.window.left) &&
           (options.window.right == Window::unlimited || j <= at + options.window.right);
  }
};
struct Numbers {
  T4 q, k, v, bias;
  explicit Numbers(const Drawn& c)
      : q(random_tensor<double, 4>({c.s.batch, c.s.queries, c.s.heads, c.s.dim}, c.seed)),
        k(random_tensor<double, 4>({c.s.batch, c.s.keys, c.s.key_heads, c.s.dim}, c.seed + 1)),
        v(random_tensor<double, 4>({c.s.batch, c.s.keys, c.s.key_heads, c.s.value_dim}, c.seed + 2)),
        bias(c.bias_shape[0] > 0 ? random_tensor<double, 4>(c.bias_shape, c.seed + 3) : T4(0, 0, 0, 0)) {
    for (Index i = 0; i < q.size(); ++i) q.data()[i] *= c.deviation;
    for (T4* t : {&q, &k, &v, &bias})  // numbers that a float holds: both scalars compute from the same
      for (Index i = 0; i < t->size(); ++i) t->data()[i] = static_cast<double>(static_cast<float>(t->data()[i]));
  }
};
/// In one piece, or position by position.
template <class S>
KeyValueCache<S> filled(const Drawn& c, const Numbers& n, bool in_pieces = false) {
  KeyValueCache<S> cache({.batch = c.s.batch,
                          .max_length = c.s.keys + 3,
                          .num_heads = c.s.key_heads,
                          .head_dim = c.s.dim,
                          .value_dim = c.s.value_dim});
  const auto k = as<S>(n.k), v = as<S>(n.v);
  if (!in_pieces) {
    cache.append(k, v, c.lengths);
    return cache;
  }
  for (Index first = 0, count; first < c.s.keys; first += count) {
    count = std::min(c.s.keys - first, 1 + first % 3);
    std::vector<Index> counts;
    for (const Index length : c.lengths) counts.push_back(std::clamp(length - first, Index(0), count));
    cache.append(part(k, 0, c.s.batch, first, count), part(v, 0, c.s.batch, first, count), counts);
  }
  return cache;
}
template <class S>
Tensor<S, 4> attend_to(const Drawn& c, const Numbers& n, const KeyValueCache<S>& cache) {
  const auto q = as<S>(n.q);
  if (c.bias_shape[0] == 0) return scaled_dot_product_attention(q, cache, c.options);
  return scaled_dot_product_attention(q, cache, as<S>(n.bias), c.options);
}

// double against long double: 1e-13 is some tens of roundings, times the scores where these are large, for an exponential
// passes on their absolute error. float likewise.
class CachedAttentionAtRandom : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(CachedAttentionAtRandom, AgreesWithPlainLoops) {
  std::mt19937_64 random(GetParam());
  int zeros = 0;
  for (int round = 0; round < 30; ++round) {
    const Drawn c(random);
    SCOPED_TRACE("round " + std::to_string(round) + ", " + text(c.s));
    const Numbers n(c);
    ReferenceAttention reference;
    reference.scale = c.options.scale;
    reference.may_attend = [&](Index b, Index, Index i, Index j) { return c.may(b, i, j); };
    if (c.bias_shape[0] > 0)
      reference.bias = [&](Index b, Index h, Index i, Index j) {
        return n.bias(b % c.bias_shape[0], h % c.bias_shape[1], i % c.bias_shape[2], j % c.bias_shape[3]);
      };
    T4 dy(c.s.batch, c.s.queries, c.s.heads, c.s.value_dim);
    dy.setZero();
    const T4 expected = reference(n.q, n.k, n.v, dy).output;
    const double growth =
        std::max(1.0, c.deviation) * std::max(1.0, std::abs(c.options.scale)) * static_cast<double>(c.s.dim);
    ASSERT_LE(difference(attend_to(c, n, filled<double>(c, n)), expected), 1e-15 * (100 + 4 * growth));
    ASSERT_LE(difference(attend_to(c, n, filled<float>(c, n)), expected), 1e-7 * (20 + 4 * growth));
    for (Index i = 0; i < expected.size(); ++i) zeros += expected.data()[i] == 0;
  }
  EXPECT_GT(zeros, 0);  // queries that see nothing are among them
}
INSTANTIATE_TEST_SUITE_P(Seeds, CachedAttentionAtRandom, ::testing::Range<std::uint64_t>(0, 20));

TEST(CachedAttention, SameBitsForAnyNumberOfThreadsInPiecesAndAlone) {
  std::mt19937_64 random(2);
  const int before = num_threads();
  for (int round = 0; round < 150; ++round) {
    Drawn c(random);
    c.bias_shape = {};
    SCOPED_TRACE("round " + std::to_string(round) + ", " + text(c.s));
    const Numbers n(c);
    const auto cache = filled<float>(c, n);
    set_num_threads(1);
    const auto y = attend_to(c, n, cache);
    EXPECT_TRUE(same_bits(attend_to(c, n, filled<float>(c, n, true)), y));
    for (const int threads : {2, 3, 4}) {
      set_num_threads(threads);
      for (int again = 0; again < 3; ++again) ASSERT_TRUE(same_bits(attend_to(c, n, cache), y)) << threads;
    }
    for (Index b = 0; b < c.s.batch; ++b) {  // the sample alone, in a cache no longer than it
      const Index length = c.lengths[static_cast<std::size_t>(b)];
      KeyValueCache<float> alone({.batch = 1,
                                  .max_length = length + 1,
                                  .num_heads = c.s.key_heads,
                                  .head_dim = c.s.dim,
                                  .value_dim = c.s.value_dim});
      alone.append(as<float>(part(n.k, b, 1, 0, length)), as<float>(part(n.v, b, 1, 0, length)));
      auto options = c.options;
      options.first = {c.start(b)};
      const auto z = scaled_dot_product_attention(as<float>(part(n.q, b, 1, 0, c.s.queries)), alone, options);
      EXPECT_TRUE(same_bits(z, part(y, b, 1, 0, c.s.queries)));
      if (c.s.queries > 4) continue;  // the other kernel
      const Index last = c.s.queries - 1;
      options.first = {c.start(b) + last};
      const auto one = scaled_dot_product_attention(as<float>(part(n.q, b, 1, last, 1)), alone, options);
      EXPECT_TRUE(same_bits(one, part(y, b, 1, last, 1)));  // a query beside others
    }
  }
  set_num_threads(before);
}

// Few queries take the same kernel, whether keys and values lie in a cache or in tensors.
TEST(CachedAttention, FewQueriesHaveTheBitsOfKeysAndValuesInTensors) {
  for (const Sizes& s : {Sizes{2, 1, 600, 6, 2, 40, 24}, Sizes{1, 3, 70, 5, 5, 7, 9}, Sizes{3, 4, 257, 8, 1, 64, 64}}) {
    const Inputs in(s);
    KeyValueCache<double> cache({.batch = s.batch,
                                 .max_length = s.keys,
                                 .num_heads = s.key_heads,
                                 .head_dim = s.dim,
                                 .value_dim = s.value_dim});
    cache.append(in.k, in.v);
    EXPECT_TRUE(same_bits(
        scaled_dot_product_attention(in.q, cache, {.window = {.left = 300}}),
        scaled_dot_product_attention(in.q, in.k, in.v, {.causal = Causal::bottom_right, .window = {.left = 300}})))
        << text(s);
  }
}

TEST(CachedAttention, WhatIsNotSeenIsNeverRead) {
  const Sizes s{2, 2, 300, 4, 2, 5, 7};
  const Inputs in(s);
  KeyValueCache<double> cache({.batch = 2, .max_length = 400, .num_heads = 2, .head_dim = 5, .value_dim = 7});
  T4 k = in.k, v = in.v;
  cache.append(k, v, {300, 150});
  const CachedAttentionOptions options{.window = {.left = 20}};
  const T4 y = scaled_dot_product_attention(in.q, cache, options);
  const auto hide = [&](T4& t, Index b, Index from, Index to) {
    for (Index i = from; i < to; ++i)
      for (Index h = 0; h < 2; ++h)
        for (Index d = 0; d < t.dimension(3); ++d) t(b, i, h, d) = not_a_number;
  };
  for (T4* t : {&k, &v}) hide(*t, 0, 0, 278), hide(*t, 1, 0, 128), hide(*t, 1, 150, 300);
  KeyValueCache<double> poisoned({.batch = 2, .max_length = 400, .num_heads = 2, .head_dim = 5, .value_dim = 7});
  poisoned.append(k, v, {300, 150});
  EXPECT_TRUE(same_bits(scaled_dot_product_attention(in.q, poisoned, options), y));
  // What one query sees and the other does not: position 278 is the first's alone.
  KeyValueCache<double> between({.batch = 2, .max_length = 400, .num_heads = 2, .head_dim = 5, .value_dim = 7});
  hide(k, 0, 278, 279);
  hide(v, 0, 278, 279);
  between.append(k, v, {300, 150});
  const T4 z = scaled_dot_product_attention(in.q, between, options);
  for (Index h = 0; h < 4; ++h)
    for (Index d = 0; d < 7; ++d) {
      EXPECT_TRUE(std::isnan(z(0, 0, h, d)));
      EXPECT_EQ(z(0, 1, h, d), y(0, 1, h, d));
    }
}

TEST(CachedAttention, InfinitiesAndNothingToSee) {
  KeyValueCache<float> cache({.batch = 1, .max_length = 8, .num_heads = 1, .head_dim = 3});
  Tensor<float, 4> q(1, 2, 1, 3), k(1, 2, 1, 3), v(1, 2, 1, 3);
  q.setConstant(1), k.setConstant(1), v.setConstant(2);
  const Tensor<float, 4> none = scaled_dot_product_attention(q, cache);  // an empty cache
  for (Index i = 0; i < none.size(); ++i) EXPECT_EQ(none.data()[i], 0);
  k(0, 0, 0, 1) = -std::numeric_limits<float>::infinity();  // weighs nothing; its value is not touched
  for (Index d = 0; d < 3; ++d) v(0, 0, 0, d) = std::numeric_limits<float>::quiet_NaN();
  cache.append(k, v);
  const Tensor<float, 4> y = scaled_dot_product_attention(q, cache, {.causal = false});
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], 2);
}

TEST(CachedAttention, TakesMapsAndVariablesAndGivesTheirKind) {
  const Sizes s{1, 3, 9, 2, 1, 4, 4};
  const Inputs in(s);
  KeyValueCache<double> cache({.batch = 1, .max_length = 9, .num_heads = 1, .head_dim = 4});
  cache.append(in.k, in.v);
  const T4 y = scaled_dot_product_attention(in.q, cache);
  const Eigen::TensorMap<const T4> map(in.q.data(), in.q.dimensions());
  EXPECT_TRUE(same_bits(scaled_dot_product_attention(map, cache), y));
  const Variable<double, 4> v = scaled_dot_product_attention(Variable<double, 4>(in.q), cache);
  EXPECT_TRUE(same_bits(v.tensor(), y));
  EXPECT_LE(difference(y, scaled_dot_product_attention(in.q, in.k, in.v, {.causal = Causal::bottom_right})), 1e-14);
}

TEST(CachedAttention, RefusesBadInput) {
  KeyValueCache<double> cache({.batch = 2, .max_length = 9, .num_heads = 2, .head_dim = 4});
  cache.append(random_tensor<double, 4>({2, 5, 2, 4}, 1), random_tensor<double, 4>({2, 5, 2, 4}, 2));
  const auto query = [](Index b, Index l, Index h, Index d) { return random_tensor<double, 4>({b, l, h, d}, 3); };
  const auto call = [&](const T4& q, const CachedAttentionOptions& o = {}) {
    return [&cache, q, o] { scaled_dot_product_attention(q, cache, o); };
  };
  const char* name = "[scaled_dot_product_attention]";
  expect_error<ShapeError>(call(query(1, 1, 2, 4)), {name, "(2, 5, 2, 4)", "(1, 1, 2, 4)", "batch"});
  expect_error<ShapeError>(call(query(2, 1, 2, 3)), {name, "head_dim", "(2, 1, 2, 3)"});
  expect_error<ShapeError>(call(query(2, 1, 3, 4)), {name, "must divide the 3 heads"});
  expect_error<OptionError>(call(query(2, 1, 2, 4), {.window = {.left = -1}}), {name, "window is {-1"});
  expect_error<OptionError>(call(query(2, 1, 2, 4), {.scale = not_a_number}), {name, "scale is", "finite"});
  expect_error<OptionError>(call(query(2, 1, 2, 4), {.first = {1}}), {name, "first holds 1", "one per sample: 2"});
  expect_error<ShapeError>([&] { scaled_dot_product_attention(query(2, 1, 2, 4), cache, query(1, 1, 1, 6)); },
                           {name, "bias has shape (1, 1, 1, 6)", "(2, 2, 1, 5)"});
  Tape<double> tape(Mode::training);
  expect_error<OptionError>([&] { scaled_dot_product_attention(tape.input(query(2, 1, 2, 4)), cache); },
                            {name, "on a tape", "without gradients"});
}

}  // namespace
}  // namespace cached_attention_test
