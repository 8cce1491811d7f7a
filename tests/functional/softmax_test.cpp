#include "attend/functional/softmax.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "attend/testing/gradient_check.hpp"

namespace softmax_test {
using namespace attend;
using attend::testing::check_function_gradients;
using attend::testing::random_tensor;

namespace {
template <int R>
void check_axis(const Shape<R>& shape, int axis) {
  SCOPED_TRACE("shape " + to_string(shape) + " axis " + std::to_string(axis));
  const auto x = random_tensor<double, R>(shape, 3, -3, 3);
  auto report = check_function_gradients([&](const auto& v) { return softmax(v, axis); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
  report = check_function_gradients([&](const auto& v) { return log_softmax(v, axis); }, x);
  EXPECT_TRUE(report.ok()) << report.text();

  const auto y = softmax(Variable<double, R>(x), axis).tensor(), z = log_softmax(Variable<double, R>(x), axis).tensor();
  const int at = axis < 0 ? axis + R : axis;
  Index inner = 1;
  for (int i = at + 1; i < R; ++i) inner *= shape[static_cast<std::size_t>(i)];
  const Index n = shape[static_cast<std::size_t>(at)];
  for (Index o = 0; o < x.size() / (n * inner); ++o)
    for (Index c = 0; c < inner; ++c) {
      long double sum = 0, total = 0;
      for (Index j = 0; j < n; ++j) sum += std::exp(static_cast<long double>(x.data()[(o * n + j) * inner + c]));
      for (Index j = 0; j < n; ++j) {
        const Index e = (o * n + j) * inner + c;
        const double expected = static_cast<double>(std::exp(static_cast<long double>(x.data()[e])) / sum);
        EXPECT_NEAR(y.data()[e], expected, 4e-16 + 1e-14 * expected);  // a few roundings of exp and of the sum
        EXPECT_NEAR(z.data()[e], std::log(expected), 1e-14 * (1 + std::abs(std::log(expected))));
        total += y.data()[e];
      }
      EXPECT_NEAR(static_cast<double>(total), 1, 1e-14);
    }
}
}  // namespace

TEST(Softmax, AgreesWithItsFormulaAlongEveryAxis) {
  check_axis<1>({5}, -1);
  check_axis<1>({1}, 0);
  check_axis<2>({3, 37}, -1);
  check_axis<2>({3, 7}, 0);
  check_axis<3>({2, 1, 16}, 2);
  check_axis<3>({2, 5, 3}, 1);
  check_axis<4>({2, 3, 4, 5}, 0);
  check_axis<4>({2, 3, 4, 5}, 1);
  check_axis<4>({2, 3, 4, 5}, -2);
  check_axis<4>({2, 3, 4, 17}, 3);
}

// A constant added to all logits of a row changes nothing, even where exp of the logits would overflow or vanish.
TEST(Softmax, ConstantShiftAndLargeLogits) {
  Tensor<float, 2> x(4, 3);
  x.setValues({{1, 2, 4}, {1e4f, 1e4f - 1, 1e4f + 2}, {-1e30f, 0, 1e30f}, {3.4e38f, -3.4e38f, 3.4e38f}});
  const auto y = softmax(Variable<float, 2>(x)).tensor();
  const auto z = log_softmax(Variable<float, 2>(x)).tensor();
  EXPECT_FLOAT_EQ(y(1, 0), std::exp(0.f) / (std::exp(0.f) + std::exp(-1.f) + std::exp(2.f)));
  EXPECT_EQ(y(2, 0), 0.f);
  EXPECT_EQ(y(2, 2), 1.f);
  EXPECT_EQ(y(3, 0), 0.5f);
  EXPECT_EQ(y(3, 1), 0.f);
  EXPECT_EQ(z(2, 2), 0.f);
  EXPECT_EQ(z(2, 1), -1e30f);
}

TEST(Softmax, MinusInfinityGivesExactZeroAndNothingElseGivesNan) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  Tensor<float, 2> x(4, 3);
  x.setValues({{-inf, 1, 1}, {-inf, -inf, -inf}, {1, inf, 2}, {nan, 1, 2}});
  const auto y = softmax(Variable<float, 2>(x)).tensor();
  EXPECT_EQ(y(0, 0), 0.f);
  EXPECT_EQ(y(0, 1), 0.5f);
  for (Index j = 0; j < 3; ++j) {
    EXPECT_TRUE(std::isnan(y(1, j)));
    EXPECT_TRUE(std::isnan(y(3, j)));
  }
  EXPECT_TRUE(std::isnan(y(2, 1)));
}

TEST(Softmax, RowsSumToOneAndColumnsDoNot) {  // FM 2.1, wrong softmax axis
  const auto x = random_tensor<float, 2>({5, 300}, 2, -4, 4);
  const auto y = softmax(Variable<float, 2>(x)).tensor();
  for (Index i = 0; i < 5; ++i) {
    double sum = 0;
    for (Index j = 0; j < 300; ++j) sum += static_cast<double>(y(i, j));
    EXPECT_NEAR(sum, 1, 300 * 4 * 1.2e-7);
  }
  double column = 0;
  for (Index i = 0; i < 5; ++i) column += static_cast<double>(y(i, 0));
  EXPECT_LT(column, 0.5);
}

TEST(Softmax, ZeroSizedAxes) {
  EXPECT_EQ(softmax(Variable<float, 2>(Tensor<float, 2>(0, 3))).size(), 0);
  EXPECT_EQ(softmax(Variable<float, 2>(Tensor<float, 2>(3, 0))).size(), 0);
  EXPECT_EQ(log_softmax(Variable<float, 3>(Tensor<float, 3>(2, 3, 0)), 1).size(), 0);
}

TEST(BadInput, SoftmaxAxis) {
  const Variable<float, 2> x(random_tensor<float, 2>({2, 3}, 1));
  for (const int axis : {-3, 2, 100}) {
    EXPECT_THROW(softmax(x, axis), ShapeError);
    try {
      log_softmax(x, axis);
      FAIL();
    } catch (const ShapeError& e) {
      EXPECT_EQ(std::string(e.what()),
                "[log_softmax] x has shape (2, 3); axis " + std::to_string(axis) + " must lie in [-2, 2)");
    }
  }
}

/// Results beyond the caches are written past them: a row is the same bits as alone.
TEST(Softmax, LargeResultsAreTheirRows) {
  const Index rows = 2100;
  for (const Index n : {4099, 4096}) {  // rows that begin anywhere, and with a whole vector
    const auto x = random_tensor<float, 2>({rows, n}, 3, -5, 5);
    ASSERT_GT(x.size() * Index(sizeof(float)), Index(32) << 20);
    const auto y = softmax(Variable<float, 2>(x));
    for (Index row = 0; row < rows; row = row == rows - 1 ? rows : std::min(row + 7, rows - 1)) {
      Tensor<float, 2> one(1, n);
      std::copy_n(x.data() + row * n, n, one.data());
      const auto alone = softmax(Variable<float, 2>(one));
      for (Index j = 0; j < n; ++j) ASSERT_EQ(y.data()[row * n + j], alone.data()[j]) << row << " " << j;
    }
  }
}
}  // namespace softmax_test
