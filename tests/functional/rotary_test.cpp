#include "attend/functional/rotary.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"

namespace rotary_test {
using namespace attend;
using attend::testing::check_function_gradients;
using attend::testing::random_tensor;

TEST(Rotary, GradientChecksOfBothLayouts) {
  const auto x = random_tensor<double, 4>({2, 5, 3, 6}, 1);
  for (const RotaryOptions& options :
       {RotaryOptions{}, RotaryOptions{.base = 10, .layout = RotaryLayout::interleaved},
        RotaryOptions{.dim = 4, .first_position = 7},
        RotaryOptions{.layout = RotaryLayout::interleaved, .dim = 2, .first_position = -3}}) {
    const auto report = check_function_gradients([&](const auto& v) { return rotary(v, options); }, x);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

// T16: half_split turns (x_i, x_{i + d/2}), interleaved (x_2i, x_{2i+1}); reordering the numbers of a head converts one to the other.
TEST(Trap, T16_RotaryLayouts) {
  const auto x = random_tensor<double, 4>({1, 4, 2, 6}, 1);
  Tensor<double, 4> reordered(1, 4, 2, 6);  // (0, 2, 4, 1, 3, 5), as when Meta's weights are converted
  for (Index t = 0; t < 4; ++t)
    for (Index h = 0; h < 2; ++h)
      for (Index i = 0; i < 6; ++i) reordered(0, t, h, i) = x(0, t, h, i < 3 ? 2 * i : 2 * (i - 3) + 1);
  const auto y = rotary(Variable<double, 4>(x), {.layout = RotaryLayout::interleaved}).tensor();
  const auto z = rotary(Variable<double, 4>(reordered)).tensor();
  for (Index t = 0; t < 4; ++t)
    for (Index h = 0; h < 2; ++h)
      for (Index i = 0; i < 6; ++i) EXPECT_EQ(z(0, t, h, i), y(0, t, h, i < 3 ? 2 * i : 2 * (i - 3) + 1));
}

TEST(Rotary, TurnsByPositionTimesFrequency) {
  Tensor<double, 4> x(1, 3, 1, 4);
  x.setZero();
  for (Index t = 0; t < 3; ++t) x(0, t, 0, 0) = x(0, t, 0, 1) = 1;
  const auto y = rotary(Variable<double, 4>(x), {.base = 100, .first_position = 5}).tensor();
  for (Index t = 0; t < 3; ++t) {
    const double position = static_cast<double>(t + 5);
    EXPECT_NEAR(y(0, t, 0, 0), std::cos(position), 1e-15);
    EXPECT_NEAR(y(0, t, 0, 2), std::sin(position), 1e-15);
    EXPECT_NEAR(y(0, t, 0, 1), std::cos(position / 10), 1e-15);  // 100^(-2/4) = 1/10
    EXPECT_NEAR(y(0, t, 0, 3), std::sin(position / 10), 1e-15);
  }
}

// Frequencies of d = 128, base 10000, as executed upstream: 0.865964 for pair 1, 1.15478e-4 for pair 63.
TEST(Rotary, FrequenciesOfLlama) {
  Tensor<double, 4> x(1, 1, 1, 128);
  x.setZero();
  for (Index i = 0; i < 64; ++i) x(0, 0, 0, i) = 1;
  const auto y = rotary(Variable<double, 4>(x), {.first_position = 1}).tensor();
  EXPECT_NEAR(std::atan2(y(0, 0, 0, 65), y(0, 0, 0, 1)), 0.865964, 1e-6);
  EXPECT_NEAR(std::atan2(y(0, 0, 0, 127), y(0, 0, 0, 63)), 1.15478e-4, 1e-9);
}

TEST(Rotary, ScoresDependOnDistanceAlone) {
  const auto q = random_tensor<double, 4>({1, 1, 1, 8}, 1), k = random_tensor<double, 4>({1, 1, 1, 8}, 2);
  const auto score = [&](Index query, Index key) {
    const auto a = rotary(Variable<double, 4>(q), {.first_position = query}).tensor(),
               b = rotary(Variable<double, 4>(k), {.first_position = key}).tensor();
    return std::inner_product(a.data(), a.data() + 8, b.data(), 0.0);
  };
  for (const Index by : {1, 10, 1000}) EXPECT_NEAR(score(3, 1), score(3 + by, 1 + by), 1e-12);
  EXPECT_GT(std::abs(score(3, 1) - score(1, 3)), 1e-3);
}

TEST(Rotary, ZeroSizedAxes) {
  EXPECT_EQ(rotary(Variable<float, 4>(Tensor<float, 4>(0, 3, 2, 4))).size(), 0);
  EXPECT_EQ(rotary(Variable<float, 4>(Tensor<float, 4>(2, 0, 2, 4))).size(), 0);
}
}  // namespace rotary_test
