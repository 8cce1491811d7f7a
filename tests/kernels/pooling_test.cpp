#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "attend/testing/reference_convolution.hpp"
#include "attend/testing/reference_pooling.hpp"

namespace pooling_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <class S>
void expect_near(const Variable<S, 4>& found, const Tensor<S, 4>& expected, double tolerance) {
  ASSERT_EQ(to_string(found.shape()), to_string(shape_of(expected)));
  for (Index i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(static_cast<double>(found.data()[i]), static_cast<double>(expected.data()[i]), tolerance)
        << "element " << i;
}
struct Case {
  Shape<4> x;
  Pair kernel, stride = 0, padding = 0, dilation = 1;
  bool ceil = false;
};
/// Channels around the blocks of 64; windows that leave a rest, reach over the end, or start behind it.
const std::vector<Case> cases = {
    {{2, 6, 7, 3}, 2},
    {{2, 6, 7, 63}, 2},
    {{2, 6, 7, 64}, 3, 1},
    {{1, 5, 6, 65}, 3, 2, 1},
    {{3, 1, 1, 1}, 1},
    {{2, 7, 9, 3}, {2, 3}, {1, 2}, {0, 1}},
    {{2, 6, 8, 3}, 3, 2, 0, 1, true},
    {{2, 4, 5, 3}, 3, 2, 1, 1, true},
    {{2, 5, 4, 3}, 2, 3, 1, 1, true},
    {{2, 2, 2, 3}, 3, 2, 0, 1, true},
    {{2, 9, 8, 3}, 3, 1, 1, 2},
    {{2, 9, 10, 3}, {2, 3}, {3, 2}, 0, {3, 2}, true},
    {{2, 40, 33, 2}, 5, 3, 2},
    {{2, 8, 1, 3}, {4, 1}, {2, 1}, {2, 0}},
};
std::string name(const Case& c) {
  return to_string(c.x) + " kernel " + to_string(c.kernel) + " stride " + to_string(c.stride) + " padding " +
         to_string(c.padding) + (c.ceil ? " ceil" : "");
}
}  // namespace

TEST(MaxPool, AgreesWithItsDefinition) {
  for (const Case& c : cases) {
    SCOPED_TRACE(name(c));
    const auto x = random_tensor<float, 4>(c.x, 1);
    const MaxPoolOptions o{c.kernel, c.stride, c.padding, c.dilation, c.ceil};
    const auto expected = reference_max_pool2d(x, o);
    expect_near(max_pool2d(Variable<float, 4>(x), o), expected, 0);  // a maximum is exact
    Tape<float> tape(Mode::training);
    expect_near(max_pool2d(tape.want(tape.input(x)), o), expected, 0);
  }
}

TEST(AveragePool, AgreesWithItsDefinition) {
  for (const Case& c : cases)
    for (const bool count : {true, false})
      for (const Index divisor : {0, 7}) {
        if (c.dilation != Pair(1)) continue;
        SCOPED_TRACE(name(c));
        const auto x = random_tensor<double, 4>(c.x, 1);
        const AvgPoolOptions o{c.kernel, c.stride, c.padding, c.ceil, count, divisor};
        expect_near(avg_pool2d(Variable<double, 4>(x), o), reference_avg_pool2d(x, o), 1e-14);  // 25 terms of at most 1
      }
}

TEST(AdaptivePool, AgreesWithItsDefinition) {
  for (const Pair in : {Pair(6, 8), Pair(5, 7), Pair(3, 2), Pair(1, 1), Pair(40, 33)})
    for (const Pair out : {Pair(1), Pair(3, 4), Pair(5, 7), Pair(7, 1)}) {
      const auto x = random_tensor<double, 4>({2, in.height, in.width, 5}, 1);
      expect_near(adaptive_avg_pool2d(Variable<double, 4>(x), out),
                  reference_adaptive_pool2d(x, out,
                                            [](const std::vector<double>& cells) {
                                              double sum = 0;
                                              for (const double v : cells) sum += v;
                                              return sum / static_cast<double>(cells.size());
                                            }),
                  1e-12);  // at most 1320 terms of at most 1
      expect_near(
          adaptive_max_pool2d(Variable<double, 4>(x), out),
          reference_adaptive_pool2d(
              x, out, [](const std::vector<double>& cells) { return *std::max_element(cells.begin(), cells.end()); }),
          0);
    }
}

TEST(Resize, AgreesWithItsDefinition) {
  for (const Interpolation mode : {Interpolation::nearest, Interpolation::nearest_exact, Interpolation::bilinear})
    for (const bool corners : {false, true})
      for (const Pair in : {Pair(3, 4), Pair(1, 5), Pair(7, 2)})
        for (const Pair out : {Pair(1), Pair(3, 4), Pair(5, 9), Pair(6, 8), Pair(14, 3)}) {
          if (corners && mode != Interpolation::bilinear) continue;
          const auto x = random_tensor<double, 4>({2, in.height, in.width, 3}, 1);
          const InterpolateOptions o{out, 0, mode, corners};
          expect_near(interpolate(Variable<double, 4>(x), o), reference_interpolate(x, o), 1e-14);
        }
  for (const Interpolation mode : {Interpolation::nearest, Interpolation::nearest_exact, Interpolation::bilinear})
    for (const ScaleFactor factor : {ScaleFactor(2), ScaleFactor(0.5), ScaleFactor(1.3, 2.6), ScaleFactor(0.7, 3)}) {
      const auto x = random_tensor<double, 4>({2, 5, 4, 3}, 1);
      const InterpolateOptions o{0, factor, mode};
      expect_near(interpolate(Variable<double, 4>(x), o), reference_interpolate(x, o), 1e-14);
    }
}

TEST(Pad, AgreesWithItsDefinition) {
  const auto x = random_tensor<double, 4>({2, 4, 5, 3}, 1);
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular})
    for (const Pads pads :
         {Pads{1, 2, 3, 0}, Pads{3, 3, 4, 4}, Pads{0, 0, 0, 1}, Pads{-1, 2, 0, -2}, Pads{-3, 0, -2, -2}})
      expect_near(pad2d(Variable<double, 4>(x), pads, mode, 0.5), reference_pad2d(x, pads, mode, 0.5), 0);
}

TEST(GlobalPool, SumsOfAnyLengthStayWithinTheBound) {  // (log2 n + 8) eps of the mean magnitude, against long double
  const auto x = random_tensor<float, 4>({2, 123, 131, 3}, 1, 0, 1);
  const auto y = global_average_pool(Variable<float, 4>(x));
  for (Index b = 0; b < 2; ++b)
    for (Index c = 0; c < 3; ++c) {
      long double sum = 0;
      for (Index i = 0; i < 123; ++i)
        for (Index j = 0; j < 131; ++j) sum += x(b, i, j, c);
      EXPECT_NEAR(y.data()[b * 3 + c], static_cast<double>(sum / (123 * 131)), (14 + 8) * 0x1p-24);
    }
}
}  // namespace pooling_test
