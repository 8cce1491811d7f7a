// Convolutions and pools against their definitions in double, on random problems: sizes, windows, strides, groups, and every
// algorithm.
#include <gtest/gtest.h>

#include "attend/functional/arithmetic.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/testing/reference_convolution.hpp"
#include "attend/testing/reference_pooling.hpp"

namespace convolution_random_test {
using namespace attend;
using namespace attend::testing;

namespace {

struct Draws {
  Rng rng;
  Index between(Index low, Index high) { return low + rng.below(high - low + 1); }
  bool chance(double p) { return rng.uniform() < p; }
  /// 1 ... most, small ones more often.
  Index size(Index most) {
    const double u = rng.uniform();
    return 1 + static_cast<Index>(static_cast<double>(most) * u * u * u);
  }
  Pair pair(Index low, Index high) {
    const Index first = between(low, high);
    return chance(0.5) ? Pair(first) : Pair(first, between(low, high));
  }
};

struct Problem {
  Shape<4> x;
  Shape<4> weight;
  ConvolutionOptions options;
  bool biased;

  explicit Problem(Draws& draws) : biased(draws.chance(0.5)) {
    const Index kind = draws.between(0, 4);  // any, any in groups, depthwise, 1x1, 3x3 that may go by Winograd
    const Index groups = kind == 1 ? draws.between(2, 4) : 1;
    const Index in = kind == 4 ? 11 + draws.size(29) : groups * draws.size(kind == 3 ? 199 : 40);
    const Index out = kind == 2 ? in : kind == 4 ? 11 + draws.size(59) : groups * draws.size(kind == 3 ? 199 : 70);
    options.groups = kind == 2 ? in : groups;
    const Pair kernel = kind == 3 ? Pair(1) : kind == 4 ? Pair(3) : draws.pair(1, 5);
    if (kind != 4) options.stride = draws.pair(1, 3);
    if (kind < 3 && draws.chance(0.4)) options.dilation = draws.pair(1, 3);
    options.padding = Padding(draws.between(0, 3), draws.between(0, 3));
    options.algorithm =
        std::array<ConvolutionAlgorithm, 3>{ConvolutionAlgorithm::automatic, ConvolutionAlgorithm::fast,
                                            ConvolutionAlgorithm::exact}[std::size_t(draws.between(0, 2))];
    const auto extent = [&](Index taps, Index dilation) { return dilation * (taps - 1) + draws.size(12); };
    x = {draws.between(1, 2), extent(kernel.height, options.dilation.height),
         extent(kernel.width, options.dilation.width), in};
    weight = {out, in / options.groups, kernel.height, kernel.width};
  }
  std::string text() const {
    return "x " + to_string(x) + " weight " + to_string(weight) + " stride " + to_string(options.stride) + " padding " +
           to_string(options.padding) + " dilation " + to_string(options.dilation) + " groups " +
           to_string(options.groups) + " algorithm " + to_string(static_cast<int>(options.algorithm));
  }
};

template <class T>
Tensor<double, TensorTraits<T>::rank> in_double(const T& t) {
  return t.template cast<double>();
}
template <class A, int R>
double largest_error(const A& found, const Tensor<double, R>& exact) {
  EXPECT_EQ(to_string(shape_of(found)), to_string(shape_of(exact)));
  double largest = 0;
  for (Index i = 0; i < std::min<Index>(found.size(), exact.size()); ++i) {
    const double error = std::abs(static_cast<double>(found.data()[i]) - exact.data()[i]);
    if (!(error <= largest)) largest = error;
  }
  return largest;
}
/// Of sums of `terms` products of numbers up to 1: they err by sqrt(terms) roundings of their largest value, rarely by
/// twice that; Winograd's transforms multiply it by the norms of their matrices, 4 for tiles of 2 and 100 for tiles of 4.
template <class S>
double tolerance(Index terms, double transforms) {
  return transforms * (8 + 2 * std::sqrt(static_cast<double>(terms))) *
         static_cast<double>(std::numeric_limits<S>::epsilon()) * static_cast<double>(terms);
}

template <class S>
void compare(const Problem& p, std::uint64_t seed) {
  SCOPED_TRACE(p.text());
  const ConvolutionOptions& o = p.options;
  const auto x = random_tensor<S, 4>(p.x, seed), w = random_tensor<S, 4>(p.weight, seed + 1);
  const auto b = random_tensor<S, 1>({p.biased ? p.weight[0] : 0}, seed + 2);
  const auto bias = p.biased ? Variable<S, 1>(b) : absent<S, 1>();
  const auto expected = reference_conv2d(in_double(x), in_double(w), in_double(b), o);
  const bool transformed = o.algorithm != ConvolutionAlgorithm::exact && p.weight[2] == 3 && p.weight[3] == 3;
  const double transforms = !transformed ? 1 : o.algorithm == ConvolutionAlgorithm::fast ? 100 : 4;
  const Index terms = element_count(p.weight) / p.weight[0];
  Recycler::poison();
  EXPECT_LE(largest_error(conv2d(Variable<S, 4>(x), Variable<S, 4>(w), bias, o).tensor(), expected),
            tolerance<S>(terms + 1, transforms));

  Tape<S> tape(Mode::evaluation);
  const auto xv = tape.want(tape.input(x)), wv = tape.want(tape.input(w));
  const auto y = conv2d(xv, wv, bias, o);
  EXPECT_LE(largest_error(y.tensor(), expected), tolerance<S>(terms + 1, transforms));
  const auto dy = random_tensor<S, 4>(y.shape(), seed + 3);
  const auto gradients = tape.backward(dot(y, Variable<S, 4>(dy)));
  const auto exact = reference_conv2d_backward(in_double(x), in_double(w), in_double(dy), o);
  EXPECT_LE(largest_error(gradients.of(xv), exact.x),
            tolerance<S>(terms / p.weight[1] * p.weight[0] / o.groups, transforms));
  EXPECT_LE(largest_error(gradients.of(wv), exact.weight), tolerance<S>(dy.size() / p.weight[0], transforms));
}

void compare_pools(Draws& draws, std::uint64_t seed) {
  const Pair kernel = draws.pair(1, 5),
             padding(draws.between(0, kernel.height / 2), draws.between(0, kernel.width / 2));
  MaxPoolOptions max{kernel, draws.pair(1, 4), padding, draws.chance(0.3) ? draws.pair(1, 3) : Pair(1),
                     draws.chance(0.5)};
  const auto extent = [&](Index taps, Index dilation) { return dilation * (taps - 1) + draws.size(12); };
  const auto x = random_tensor<float, 4>({draws.between(1, 2), extent(kernel.height, max.dilation.height),
                                          extent(kernel.width, max.dilation.width), draws.size(199)},
                                         seed);
  SCOPED_TRACE("x " + to_string(shape_of(x)) + " kernel " + to_string(kernel) + " stride " + to_string(max.stride) +
               " padding " + to_string(padding) + " dilation " + to_string(max.dilation) +
               (max.ceil_mode ? " ceil" : ""));
  EXPECT_EQ(largest_error(max_pool2d(Variable<float, 4>(x), max).tensor(), reference_max_pool2d(in_double(x), max)), 0);
  const AvgPoolOptions average{kernel, max.stride, padding, max.ceil_mode, draws.chance(0.5), draws.between(0, 9)};
  EXPECT_LE(
      largest_error(avg_pool2d(Variable<float, 4>(x), average).tensor(), reference_avg_pool2d(in_double(x), average)),
      25 * 25 * 0x1p-23);  // at most 25 terms of at most 1, of sums up to 25
}

}  // namespace

class ConvolutionRandom : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(ConvolutionRandom, FiftyProblems) {
  Draws draws{Rng(GetParam())};
  for (std::uint64_t i = 0; i < 50 && !HasFailure(); ++i) {
    const Problem p(draws);
    if (GetParam() % 4 == 3)
      compare<double>(p, 10 * i);
    else
      compare<float>(p, 10 * i);
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, ConvolutionRandom, ::testing::Range<std::uint64_t>(0, 40));

TEST(PoolRandom, TwoThousandProblems) {
  Draws draws{Rng(9)};
  for (std::uint64_t i = 0; i < 2000 && !HasFailure(); ++i) compare_pools(draws, i);
}

}  // namespace convolution_random_test
