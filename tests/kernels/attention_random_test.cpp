// The fused kernels of every instruction set against plain loops in double, on random problems: sizes, strides, masks,
// biases, rows that see nothing, tiny and huge scores, NaN and infinities where nobody looks.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "attend/kernels/attention.hpp"
#include "attend/kernels/attention_decode.hpp"

namespace attention_random_test {
using namespace attend;

namespace {

/// Values of a stream, one after another.
struct Draws {
  Rng rng;
  Index below(Index n) { return rng.below(n); }
  bool chance(double p) { return rng.uniform() < p; }
  double between(double low, double high) { return low + (high - low) * rng.uniform(); }
  /// 1 .. 200, small ones more often.
  Index size() {
    const double u = rng.uniform();
    return 1 + static_cast<Index>(199 * u * u * u);
  }
};

/// Heads in rows with gaps, somewhere in memory.
template <class S>
struct Rows {
  std::vector<S> memory;
  HeadRows<S> at;
  Rows(Draws& draws, Index batch, Index length, Index heads, Index dim, S fill) {
    const Index head = dim + draws.below(3), position = heads * head + draws.below(5),
                sample = length * position + draws.below(7), offset = draws.below(4);
    memory.assign(static_cast<std::size_t>(batch * sample + offset + 1), fill);
    at = {memory.data() + offset, sample, position, head};
  }
  HeadRows<const S> read() const { return {at.data, at.batch, at.position, at.head}; }
};

template <class S>
struct Problem {
  AttentionProblem<S> p;
  std::vector<S> bias;
  std::vector<Index> lengths;
  std::unique_ptr<bool[]> allowed, ignored;
  Rows<S> query, key, value, output_gradient;

  static AttentionProblem<S> sizes(Draws& draws) {
    AttentionProblem<S> p;
    p.batch = 1 + draws.below(2);
    p.key_heads = 1 + draws.below(2);
    p.heads = p.key_heads * (1 + draws.below(2));
    p.queries = draws.chance(0.2) ? 1 + draws.below(4) : draws.size();
    p.keys = draws.chance(0.02) ? 0 : draws.size();
    if (p.queries <= 4) {
      p.heads = p.key_heads * (1 + draws.below(6));
      if (draws.chance(0.2)) p.keys += 200 + draws.below(200);
    }
    p.dim = 1 + draws.below(draws.chance(0.1) ? 130 : 40), p.value_dim = 1 + draws.below(draws.chance(0.1) ? 130 : 40);
    return p;
  }
  explicit Problem(Draws& draws)
      : p(sizes(draws)),
        query(draws, p.batch, p.queries, p.heads, p.dim, nan),
        key(draws, p.batch, p.keys, p.key_heads, p.dim, nan),
        value(draws, p.batch, p.keys, p.key_heads, p.value_dim, nan),
        output_gradient(draws, p.batch, p.queries, p.heads, p.value_dim, nan) {
    const Index kind = draws.below(4);  // of scores: tiny, ordinary, peaked, huge but exact
    const double spread = kind == 0 ? 1e-4 : kind == 1 ? 1 : 3;
    const auto score_part = [&] {
      return kind == 3 ? static_cast<S>(1024 * (draws.below(7) - 3)) : static_cast<S>(draws.between(-spread, spread));
    };
    fill(query, p.queries, p.heads, p.dim, score_part);
    fill(key, p.keys, p.key_heads, p.dim, score_part);
    const auto ordinary = [&] { return static_cast<S>(draws.between(-1, 1)); };
    fill(value, p.keys, p.key_heads, p.value_dim, ordinary);
    fill(output_gradient, p.queries, p.heads, p.value_dim, ordinary);
    p.query = query.read(), p.key = key.read(), p.value = value.read();
    p.scale = kind == 3 ? S(0.5) : static_cast<S>(draws.between(0.05, 1));
    p.mask.appended = draws.chance(0.1) && p.keys > 0 ? 1 : 0;
    p.mask.keys = p.keys - p.mask.appended;
    if (draws.chance(0.4)) p.mask.highest = draws.below(p.keys + 3) - 2 - p.queries / 2;
    if (draws.chance(0.2)) p.mask.lowest = draws.below(p.queries + 3) - p.queries - 1;
    if (draws.chance(0.3)) {
      for (Index b = 0; b < p.batch; ++b) lengths.push_back(draws.below(p.mask.keys + 1));
      p.mask.lengths = lengths.data();
    }
    if (draws.chance(0.25)) {
      const double share = draws.between(0.05, 0.95);
      const Index count = broadcast(draws, p.mask.allowed_stride);
      allowed.reset(new bool[static_cast<std::size_t>(count)]);
      for (Index i = 0; i < count; ++i) allowed[static_cast<std::size_t>(i)] = draws.chance(share);
      p.mask.allowed = allowed.get();
    }
    if (draws.chance(0.2)) {
      ignored.reset(new bool[static_cast<std::size_t>(p.batch * p.mask.keys + 1)]);
      for (Index i = 0; i < p.batch * p.mask.keys; ++i) ignored[static_cast<std::size_t>(i)] = draws.chance(0.3);
      p.mask.ignored = ignored.get();
      p.mask.ignored_stride = {p.mask.keys, 1};
    }
    if (draws.chance(0.3)) {
      const Index count = broadcast(draws, p.bias_stride);
      for (Index i = 0; i < count; ++i)
        bias.push_back(kind == 3 ? static_cast<S>(1024 * draws.below(5)) : static_cast<S>(draws.between(-2, 2)));
      p.bias = bias.data();
    }
    poison(draws);
  }
  bool sees(Index b, Index h, Index i, Index j) const { return p.mask.may_attend(b, h, i, j); }

 private:
  static constexpr S nan = std::numeric_limits<S>::quiet_NaN(), inf = std::numeric_limits<S>::infinity();
  template <class F>
  void fill(const Rows<S>& rows, Index length, Index heads, Index dim, const F& f) {
    for (Index b = 0; b < p.batch; ++b)
      for (Index i = 0; i < length; ++i)
        for (Index h = 0; h < heads; ++h)
          for (Index d = 0; d < dim; ++d) rows.at.at(b, i, h)[d] = f();
  }
  Index broadcast(Draws& draws, Shape<4>& stride) {
    const Index extents[4] = {p.batch, p.heads, p.queries, p.mask.keys};
    Index count = 1;
    for (std::size_t axis = 4; axis-- > 0;) {
      const bool has = draws.chance(0.7);
      stride[axis] = has ? count : 0;
      if (has) count *= extents[axis];
    }
    return std::max<Index>(count, 1);
  }
  /// Keys that no query sees.
  void poison(Draws& draws) {
    const Index group = p.heads / p.key_heads;
    for (Index b = 0; b < p.batch; ++b)
      for (Index g = 0; g < p.key_heads; ++g)
        for (Index j = 0; j < p.keys; ++j) {
          bool seen = false;
          for (Index h = g * group; h < (g + 1) * group && !seen; ++h)
            for (Index i = 0; i < p.queries && !seen; ++i) seen = sees(b, h, i, j);
          if (seen) continue;
          const S bad[] = {nan, inf, -inf};
          for (Index d = 0; d < p.dim; ++d) key.at.at(b, j, g)[d] = bad[draws.below(3)];
          for (Index d = 0; d < p.value_dim; ++d) value.at.at(b, j, g)[d] = bad[draws.below(3)];
        }
  }
};

/// A number and how far a computation in S may be from it: the sum of its terms' sizes, times the relative error of a
/// term. First-order bounds, not guesses: a sum of n products errs by n eps of its absolute terms, a weight by twice
/// the error of the scores.
struct Bounded {
  double value = 0, error = 0;
};
struct Expected {
  std::vector<Bounded> output, query, key, value, bias;
};

template <class S>
Expected expect(const Problem<S>& problem) {
  const AttentionProblem<S>& p = problem.p;
  const double eps = std::numeric_limits<S>::epsilon();
  Expected e;
  e.output.resize(static_cast<std::size_t>(p.batch * p.queries * p.heads * p.value_dim));
  e.query.resize(static_cast<std::size_t>(p.batch * p.queries * p.heads * p.dim));
  e.key.resize(static_cast<std::size_t>(p.batch * p.keys * p.key_heads * p.dim));
  e.value.resize(static_cast<std::size_t>(p.batch * p.keys * p.key_heads * p.value_dim));
  e.bias.resize(problem.bias.size());
  const auto add = [](Bounded& to, double value, double error) { to.value += value, to.error += error; };
  std::vector<double> score(static_cast<std::size_t>(p.keys)), d_weight(score), size(score);
  std::vector<Index> seen;
  for (Index b = 0; b < p.batch; ++b)
    for (Index h = 0; h < p.heads; ++h)
      for (Index i = 0; i < p.queries; ++i) {
        const Index g = p.key_head(h);
        const S *q = p.query.at(b, i, h), *dy = problem.output_gradient.at.at(b, i, h);
        const auto bias_at = [&](Index j) {
          return static_cast<std::size_t>(b * p.bias_stride[0] + h * p.bias_stride[1] + i * p.bias_stride[2] +
                                          j * p.bias_stride[3]);
        };
        seen.clear();
        double top = -1e300, sum = 0, largest = 0, mean = 0, mean_size = 0;
        for (Index j = 0; j < p.keys; ++j) {
          if (!problem.sees(b, h, i, j)) continue;
          seen.push_back(j);
          double s = 0, absolute = 0;
          for (Index d = 0; d < p.dim; ++d) {
            const double term = double(q[d]) * double(p.scale) * double(p.key.at(b, j, g)[d]);
            s += term, absolute += std::abs(term);
          }
          if (p.bias && j < p.mask.keys) {
            s += double(p.bias[bias_at(j)]);
            absolute += std::abs(double(p.bias[bias_at(j)]));
          }
          score[static_cast<std::size_t>(j)] = s;
          top = std::max(top, s), largest = std::max(largest, absolute);
        }
        // scores of whole numbers are exact
        const double of_scores = largest >= 1e5 ? 0 : double(p.dim + 2) * eps * largest;
        const double of_weights = 2 * of_scores + double(seen.size() + 16) * eps;
        for (const Index j : seen)
          sum += score[static_cast<std::size_t>(j)] = std::exp(score[static_cast<std::size_t>(j)] - top);
        for (const Index j : seen) {
          const auto at = static_cast<std::size_t>(j);
          const double w = score[at] /= sum;
          d_weight[at] = size[at] = 0;
          for (Index d = 0; d < p.value_dim; ++d) {
            const double v = double(p.value.at(b, j, g)[d]), dO = double(dy[d]);
            const auto o = static_cast<std::size_t>(((b * p.queries + i) * p.heads + h) * p.value_dim + d);
            add(e.output[o], w * v, w * std::abs(v) * (of_weights + double(seen.size()) * eps));
            d_weight[at] += dO * v, size[at] += std::abs(dO * v);
            const auto dv = static_cast<std::size_t>(((b * p.keys + j) * p.key_heads + g) * p.value_dim + d);
            add(e.value[dv], w * dO, w * std::abs(dO) * (of_weights + double(2 * p.queries) * eps));
          }
          mean += w * d_weight[at], mean_size += w * size[at];
        }
        for (const Index j : seen) {
          const auto at = static_cast<std::size_t>(j);
          const double w = score[at], ds = w * (d_weight[at] - mean);
          const double error = w * (size[at] + mean_size) *
                               (3 * of_weights + double(2 * p.value_dim + Index(seen.size()) + p.queries + 16) * eps);
          for (Index d = 0; d < p.dim; ++d) {
            const double k = double(p.scale) * double(p.key.at(b, j, g)[d]), x = double(p.scale) * double(q[d]);
            add(e.query[static_cast<std::size_t>(((b * p.queries + i) * p.heads + h) * p.dim + d)], ds * k,
                error * std::abs(k));
            add(e.key[static_cast<std::size_t>(((b * p.keys + j) * p.key_heads + g) * p.dim + d)], ds * x,
                error * std::abs(x));
          }
          if (p.bias && j < p.mask.keys) add(e.bias[bias_at(j)], ds, error * 2);
        }
      }
  return e;
}

template <class S>
struct Found {
  std::vector<S> output, query, key, value, bias, maximum, inverse_sum;
};
/// Forward and backward by the kernels of one namespace.
template <class S, class Forward, class Backward>
Found<S> find(const Problem<S>& problem, const Expected& e, const Forward& forward, const Backward& backward) {
  const AttentionProblem<S>& p = problem.p;
  Found<S> f;
  f.output.assign(e.output.size(), std::numeric_limits<S>::quiet_NaN());
  f.query.resize(e.query.size()), f.key.resize(e.key.size()), f.value.resize(e.value.size()),
      f.bias.resize(e.bias.size());
  f.maximum.resize(static_cast<std::size_t>(p.batch * p.heads * p.queries)), f.inverse_sum = f.maximum;
  forward(p, head_rows(f.output.data(), p.queries, p.heads, p.value_dim), f.maximum.data(), f.inverse_sum.data());
  AttentionGradients<S> g;
  g.output = head_rows<const S>(f.output.data(), p.queries, p.heads, p.value_dim);
  g.output_gradient = problem.output_gradient.read();
  g.maximum = f.maximum.data(), g.inverse_sum = f.inverse_sum.data();
  const auto differentiate = [&](bool empty) {
    g.query = {head_rows(f.query.data(), p.queries, p.heads, p.dim), empty};
    g.key = {head_rows(f.key.data(), p.keys, p.key_heads, p.dim), empty};
    g.value = {head_rows(f.value.data(), p.keys, p.key_heads, p.value_dim), empty};
    g.bias = p.bias ? f.bias.data() : nullptr;
    backward(p, g);
  };
  differentiate(false);
  const Found<S> added = f;
  for (auto* gradient : {&f.query, &f.key, &f.value})
    std::fill(gradient->begin(), gradient->end(), std::numeric_limits<S>::quiet_NaN());
  std::fill(f.bias.begin(), f.bias.end(), S(0));
  differentiate(true);
  EXPECT_TRUE(f.query == added.query && f.key == added.key && f.value == added.value) << "stored is not added to zero";
  return f;
}
template <class S>
void compare(const char* what, const std::vector<S>& found, const std::vector<Bounded>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(double(found[i]) - expected[i].value) <=
          expected[i].error + double(std::numeric_limits<S>::min()) * 1e3)) {
      ADD_FAILURE() << what << "[" << i << "] is " << found[i] << " instead of " << expected[i].value << " +- "
                    << expected[i].error;
      return;
    }
}

template <class S>
void check(int problems, std::uint64_t seed) {
  Draws draws{Rng(seed)};
  for (int n = 0; n < problems && !::testing::Test::HasFailure(); ++n) {
    const Problem<S> problem(draws);
    const AttentionProblem<S>& p = problem.p;
    const Expected expected = expect(problem);
    const auto check_kernels = [&](const char* isa, const auto& forward, const auto& backward) {
      SCOPED_TRACE(::testing::Message() << isa << ", problem " << n << ": B" << p.batch << " H" << p.heads << "/"
                                        << p.key_heads << " L" << p.queries << "x" << p.keys << " D" << p.dim << "/"
                                        << p.value_dim);
      const auto found = find(problem, expected, forward, backward);
      compare("output", found.output, expected.output);
      compare("query gradient", found.query, expected.query);
      compare("key gradient", found.key, expected.key);
      compare("value gradient", found.value, expected.value);
      compare("bias gradient", found.bias, expected.bias);
    };
    const auto check_set = [&](const char* isa, const auto& forward, const auto& backward, const auto& tiles) {
      check_kernels(isa, forward, backward);
      if (!p.few_queries()) return;
      std::vector<S> output(expected.output.size(), std::numeric_limits<S>::quiet_NaN());
      attention_decode(p, head_rows(output.data(), p.queries, p.heads, p.value_dim), nullptr, tiles);
      compare((std::string(isa) + ", output of few queries").c_str(), output, expected.output);
    };
#define CHECK_SET(isa)                                                      \
  check_set(                                                                \
      #isa, [](const auto&... a) { attend::isa::attention_forward(a...); }, \
      [](const auto&... a) { attend::isa::attention_backward(a...); }, attend::isa::decode_tiles<S>())
    CHECK_SET(base);
#if ATTEND_BASE_LEVEL < 2 && ATTEND_TOP_LEVEL >= 2
    if (attend::detail::widest_isa() >= Isa::avx2) CHECK_SET(avx2);
#endif
#if ATTEND_BASE_LEVEL < 3 && ATTEND_TOP_LEVEL >= 3
    if (attend::detail::widest_isa() >= Isa::avx512) CHECK_SET(avx512);
#endif
  }
}
}  // namespace

// Two thousand problems in float, five hundred in double; in parts, of which slow (emulated) processors take some.
class AttentionRandom : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(AttentionRandom, FiftyProblemsInFloat) { check<float>(50, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Seeds, AttentionRandom, ::testing::Range<std::uint64_t>(0, 40));
class AttentionRandomInDouble : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(AttentionRandomInDouble, FiftyProblems) { check<double>(50, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Seeds, AttentionRandomInDouble, ::testing::Range<std::uint64_t>(40, 50));
}  // namespace attention_random_test
