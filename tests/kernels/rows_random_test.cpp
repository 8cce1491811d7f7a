// Softmax and the norms of rows and channels against their formulas in double, on random problems: row lengths, axes, spreads
// and offsets of the numbers, what a mask leaves.
#include <gtest/gtest.h>

#include "attend/functional/arithmetic.hpp"
#include "attend/functional/norm.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/testing/gradient_check.hpp"

namespace rows_random_test {
using namespace attend;
using namespace attend::testing;

namespace {

constexpr double eps = 0x1p-23, infinity = std::numeric_limits<double>::infinity();

struct Draws {
  Rng rng;
  bool chance(double p) { return rng.uniform() < p; }
  double between(double low, double high) { return low + (high - low) * rng.uniform(); }
  double one_of(std::initializer_list<double> choices) { return choices.begin()[rng.below(Index(choices.size()))]; }
  /// 1 ... most, small ones more often.
  Index size(Index most) {
    const double u = rng.uniform();
    return 1 + static_cast<Index>(static_cast<double>(most) * u * u * u);
  }
};

Variable<float, 3> given(const Tensor<float, 3>& x) { return Variable<float, 3>(x); }
double at(const Tensor<float, 3>& t, Index i) { return static_cast<double>(t.data()[i]); }
void expect_near(const char* what, Index i, float found, double exact, double tolerance) {
  EXPECT_LE(std::abs(static_cast<double>(found) - exact), tolerance)
      << what << " " << i << ": " << found << " for " << exact;
}

/// Numbers of a tensor (outer, n, inner) along its middle axis.
template <class F>
void for_each_line(const Shape<3>& shape, const F& f) {
  for (Index o = 0; o < shape[0]; ++o)
    for (Index c = 0; c < shape[2]; ++c) {
      std::vector<Index> line;
      for (Index j = 0; j < shape[1]; ++j) line.push_back((o * shape[1] + j) * shape[2] + c);
      f(line);
    }
}

void check_softmax(Draws& draws, std::uint64_t seed) {
  const bool last = draws.chance(0.6);
  const Shape<3> shape{draws.size(20), draws.size(199), last ? 1 : draws.size(40)};
  const double spread = draws.one_of({1e-3, 1, 30, 1e4}), masked = draws.one_of({0, 0, 0.3, 0.9});
  auto x = random_tensor<float, 3>(shape, seed, -spread, spread);
  for (Index i = 0; i < x.size(); ++i)
    if (i / shape[2] % shape[1] > 0 && draws.chance(masked)) x.data()[i] = -static_cast<float>(infinity);
  const auto dy = random_tensor<float, 3>(shape, seed + 1);
  SCOPED_TRACE(to_string(shape) + " spread " + to_string(spread));
  Tape<float> tape(Mode::evaluation);
  const auto xs = tape.want(tape.input(x)), xl = tape.want(tape.input(x));
  const auto y = softmax(xs, 1).tensor(), z = log_softmax(xl, 1).tensor();
  const auto dxs = tape.backward(dot(softmax(xs, 1), given(dy)), Keep::tape).of(xs);
  Recycler::poison();
  EXPECT_EQ(std::memcmp(softmax(given(x), 1).data(), y.data(), std::size_t(y.size()) * sizeof(float)), 0);
  for_each_line(shape, [&](const std::vector<Index>& line) {
    double top = -infinity, sum = 0, inner = 0;
    for (const Index i : line) top = std::max(top, at(x, i));
    for (const Index i : line) sum += std::exp(at(x, i) - top);
    for (const Index i : line) inner += std::exp(at(x, i) - top) / sum * at(dy, i);
    for (const Index i : line) {
      const double exact = std::exp(at(x, i) - top) / sum, distance = top - at(x, i);
      // exp of a rounded distance, a few roundings more, and what a float cannot hold
      const double relative = eps * (10 + std::min(distance, 110.0));
      expect_near("softmax", i, y.data()[i], exact, relative * exact + 1e-37);
      EXPECT_TRUE(exact > 0 || y.data()[i] == 0);
      if (distance < infinity)
        expect_near("log_softmax", i, z.data()[i], at(x, i) - top - std::log(sum),
                    eps * (10 + distance + std::abs(top)));
      else
        EXPECT_EQ(z.data()[i], -static_cast<float>(infinity));
      expect_near("gradient", i, dxs.data()[i], exact * (at(dy, i) - inner),
                  4 * relative * exact + eps * exact * 40 + 1e-37);
    }
  });
}

/// y = (x - mean) / sqrt(var + e) w + b of sets of numbers, and its gradient: dx = (g - mean g - n mean(g n)) / sqrt(...),
/// g = dy w, n = (y - b) / w. Without `centre` nothing is subtracted (RMS).
struct Norm {
  bool centre;
  double small;
  std::function<double(Index)> weight, bias;

  void check(const std::vector<Index>& set, const Tensor<float, 3>& x, const Tensor<float, 3>& dy,
             const Tensor<float, 3>& y, const Tensor<float, 3>& dx) const {
    const double n = static_cast<double>(set.size());
    double mean = 0, square = 0, largest = 0, all = 0, along = 0, steepest = 0;
    for (const Index i : set) mean += centre ? at(x, i) / n : 0;
    for (const Index i : set) square += (at(x, i) - mean) * (at(x, i) - mean) / n;
    const double scale = 1 / std::sqrt(square + small);
    const auto normal = [&](Index i) { return (at(x, i) - mean) * scale; };
    for (const Index i : set) {
      const double g = at(dy, i) * weight(i);
      all += centre ? g / n : 0, along += g * normal(i) / n;
      largest = std::max(largest, std::abs(normal(i))), steepest = std::max(steepest, std::abs(g));
    }
    // a number is known to a rounding of itself, which is that of its mean where it lies far from zero
    const double known = eps * (8 + 4 * std::abs(mean) * scale), error = known * (1 + largest);
    for (const Index i : set) {
      expect_near("norm", i, y.data()[i], normal(i) * weight(i) + bias(i), 2 * error * std::abs(weight(i)) + 2 * eps);
      expect_near("gradient", i, dx.data()[i], scale * (at(dy, i) * weight(i) - all - normal(i) * along),
                  scale * steepest * known * (4 + 4 * largest * largest));
    }
  }
};

void check_row_norms(Draws& draws, std::uint64_t seed) {
  const Shape<3> shape{draws.size(8), draws.size(8), 1 + draws.size(199)};
  const double spread = draws.one_of({1e-3, 1, 100}), offset = spread * draws.one_of({0, 0, 1, 30});
  const auto x = random_tensor<float, 3>(shape, seed, offset - spread, offset + spread);
  const auto dy = random_tensor<float, 3>(shape, seed + 1);
  const auto w = random_tensor<float, 1>({shape[2]}, seed + 2, 0.5, 1.5),
             b = random_tensor<float, 1>({shape[2]}, seed + 3);
  SCOPED_TRACE(to_string(shape) + " spread " + to_string(spread) + " offset " + to_string(offset));
  const Variable<float, 1> weight(w), bias(b);
  for (const bool centre : {true, false}) {
    const auto normed = [&](const auto& v) { return centre ? layer_norm(v, weight, bias) : rms_norm(v, weight, 1e-5); };
    Tape<float> tape(Mode::evaluation);
    const auto v = tape.want(tape.input(x));
    const auto y = normed(v);
    const auto dx = tape.backward(dot(y, given(dy))).of(v);
    const Norm norm{centre, 1e-5, [&](Index i) { return static_cast<double>(w(i % shape[2])); },
                    [&](Index i) { return centre ? static_cast<double>(b(i % shape[2])) : 0; }};
    for (Index row = 0; row < shape[0] * shape[1]; ++row) {
      std::vector<Index> set;
      for (Index j = 0; j < shape[2]; ++j) set.push_back(row * shape[2] + j);
      norm.check(set, x, dy, y.tensor(), dx);
    }
    Tensor<float, 3> half = x;
    for (Index i = 0; i < x.size(); ++i) half.data()[i] *= 0.5f;
    Recycler::poison();
    const auto sum = centre ? add_layer_norm(given(half), given(half), weight, bias)
                            : add_rms_norm(given(half), given(half), weight, 1e-5);
    EXPECT_EQ(std::memcmp(sum.normalized.data(), y.data(), std::size_t(x.size()) * sizeof(float)), 0);
  }
}

void check_channel_norms(Draws& draws, std::uint64_t seed) {
  const Index groups = draws.size(8);
  const Shape<3> shape{draws.size(6), 1 + draws.size(60), groups * draws.size(40)};
  const double spread = draws.one_of({1e-3, 1, 100}), offset = spread * draws.one_of({0, 0, 1, 30});
  const auto x = random_tensor<float, 3>(shape, seed, offset - spread, offset + spread);
  const auto dy = random_tensor<float, 3>(shape, seed + 1);
  const auto w = random_tensor<float, 1>({shape[2]}, seed + 2, 0.5, 1.5),
             b = random_tensor<float, 1>({shape[2]}, seed + 3);
  SCOPED_TRACE(to_string(shape) + " groups " + to_string(groups) + " spread " + to_string(spread) + " offset " +
               to_string(offset));
  const Variable<float, 1> weight(w), bias(b);
  const Norm norm{true, 1e-5, [&](Index i) { return static_cast<double>(w(i % shape[2])); },
                  [&](Index i) { return static_cast<double>(b(i % shape[2])); }};
  const auto check = [&](const auto& normed, Index sets, const auto& set_of) {
    Tape<float> tape(Mode::training);
    const auto v = tape.want(tape.input(x));
    const auto y = normed(v);
    const auto dx = tape.backward(dot(y, given(dy))).of(v);
    std::vector<std::vector<Index>> members(static_cast<std::size_t>(sets));
    for (Index i = 0; i < x.size(); ++i) members[static_cast<std::size_t>(set_of(i))].push_back(i);
    for (const auto& set : members) norm.check(set, x, dy, y.tensor(), dx);
  };
  const Index C = shape[2], sample = shape[1] * C, group = C / groups;
  check([&](const auto& v) { return batch_norm(v, weight, bias); }, C, [&](Index i) { return i % C; });
  check([&](const auto& v) { return group_norm(v, groups, weight, bias); }, shape[0] * groups,
        [&](Index i) { return i / sample * groups + i % C / group; });
  check([&](const auto& v) { return instance_norm(v, weight, bias); }, shape[0] * C,
        [&](Index i) { return i / sample * C + i % C; });
}

}  // namespace

TEST(RowsRandom, TwoThousandSoftmaxes) {
  Draws draws{Rng(3)};
  for (std::uint64_t i = 0; i < 2000 && !HasFailure(); ++i) check_softmax(draws, 10 * i);
}
TEST(RowsRandom, TwoThousandNormsOfRows) {
  Draws draws{Rng(4)};
  for (std::uint64_t i = 0; i < 2000 && !HasFailure(); ++i) check_row_norms(draws, 10 * i);
}
TEST(RowsRandom, TwoThousandNormsOfChannels) {
  Draws draws{Rng(5)};
  for (std::uint64_t i = 0; i < 2000 && !HasFailure(); ++i) check_channel_norms(draws, 10 * i);
}

}  // namespace rows_random_test
