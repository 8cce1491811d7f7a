#include "attend/simd/math.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace math_test {
namespace {

template <class S>
constexpr S infinity = std::numeric_limits<S>::infinity();
template <class S>
constexpr S nan_of = std::numeric_limits<S>::quiet_NaN();

/// What counts as exact beside S.
template <class S>
using Wide = std::conditional_t<sizeof(S) == 4, double, long double>;

/// |got - exact| in units of the last place of S at `exact`.
template <class S>
double ulp_error(S got, Wide<S> exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  exponent = std::max(exponent, std::numeric_limits<S>::min_exponent);
  return static_cast<double>(std::fabs(Wide<S>(got) - exact) *
                             std::ldexp(Wide<S>(1), std::numeric_limits<S>::digits - exponent));
}

/// The largest error over [low, high]: an even grid, and (for signed ranges around 0) every power of two down to 2^-60.
template <class S, class F, class Exact>
double worst(F f, Exact exact, double low, double high, int points = 200001) {
  double largest = 0;
  const auto at = [&](S x) {
    const double error = ulp_error(f(x), exact(Wide<S>(x)));
    if (!(error <= largest)) largest = error;
  };
  for (int i = 0; i < points; ++i) at(static_cast<S>(low + (high - low) * i / (points - 1)));
  for (int e = -60; e < 10; ++e)
    for (double mantissa : {1.0, 1.1, 1.3, 1.5, 1.9, -1.0, -1.2, -1.7})
      if (const double x = std::ldexp(mantissa, e); x > low && x < high) at(static_cast<S>(x));
  return largest;
}

TEST(Math, FM_2_2_ErrorsInUnitsOfTheLastPlaceAreAsTheHeaderStates) {
  const auto exp_exact = [](auto x) { return std::exp(x); };
  const auto expm1_exact = [](auto x) { return std::expm1(x); };
  const auto log_exact = [](auto x) { return std::log(x); };
  const auto tanh_exact = [](auto x) { return std::tanh(x); };
  const auto sigmoid_exact = [](auto x) { return 1 / (1 + std::exp(-x)); };
  const auto erf_exact = [](auto x) { return std::erf(x); };
#define WORST(S, f, exact, low, high) worst<S>([](S x) { return attend::f(x); }, exact, low, high)
  const struct {
    const char* name;
    double error, bound;
  } rows[] = {
      {"exp float", WORST(float, exp, exp_exact, -87.3365, 88.7228), 1},
      {"exp float near 0", WORST(float, exp, exp_exact, -1, 1), 1},
      {"exp double", WORST(double, exp, exp_exact, -708.396, 709.782), 1},
      {"exp double near 0", WORST(double, exp, exp_exact, -1, 1), 1},
      {"exp_nonpositive float", WORST(float, simd::exp_nonpositive, exp_exact, -87.3365, 0), 5},
      {"exp_nonpositive float near 0", WORST(float, simd::exp_nonpositive, exp_exact, -16, 0), 2.5},
      {"exp_nonpositive double", WORST(double, simd::exp_nonpositive, exp_exact, -708.396, 0), 1},
      {"expm1 float", WORST(float, expm1, expm1_exact, -90, 88.7228), 2},
      {"expm1 float near 0", WORST(float, expm1, expm1_exact, -2, 2), 2},
      {"expm1 double", WORST(double, expm1, expm1_exact, -720, 709.782), 2},
      {"expm1 double near 0", WORST(double, expm1, expm1_exact, -2, 2), 2},
      {"log float", WORST(float, log, log_exact, 1e-30, 10), 1},
      {"log float large", WORST(float, log, log_exact, 1, 3e38), 1},
      {"log double", WORST(double, log, log_exact, 1e-300, 10), 1},
      {"log double large", WORST(double, log, log_exact, 1, 1e308), 1},
      {"tanh float", WORST(float, tanh, tanh_exact, -11, 11), 3},
      {"tanh double", WORST(double, tanh, tanh_exact, -21, 21), 3},
      {"tanh double near 0", WORST(double, tanh, tanh_exact, -1, 1), 3},
      {"sigmoid float", WORST(float, sigmoid, sigmoid_exact, -87, 40), 3},
      {"sigmoid double", WORST(double, sigmoid, sigmoid_exact, -708, 60), 3},
      {"erf float", WORST(float, erf, erf_exact, -5, 5), 1.5},
      {"erf double", WORST(double, erf, erf_exact, -7, 7), 2},
      {"erf double near 0", WORST(double, erf, erf_exact, -1.2, 1.2), 2},
  };
#undef WORST
  for (const auto& row : rows) {
    EXPECT_LE(row.error, row.bound) << row.name;
    RecordProperty(row.name, std::to_string(row.error));
    std::printf("  %-20s %.2f ulp\n", row.name, row.error);
  }
}

template <class S>
double worst_of_normal_distribution() {
  double largest = 0;
  for (int i = -400000; i <= 400000; ++i) {
    const S x = S(i) / S(40000);
    const Wide<S> exact = std::erfc(-Wide<S>(x) / std::sqrt(Wide<S>(2))) / 2;
    const Wide<S> error = std::fabs(Wide<S>(attend::simd::normal_distribution(x)) - exact);
    if (!(error <= largest)) largest = static_cast<double>(error);
  }
  return largest;
}
TEST(Math, TheNormalDistributionHasTheAbsoluteErrorsThatTheHeaderStates) {
  EXPECT_LE(worst_of_normal_distribution<float>(), 1.4e-7);
  EXPECT_LE(worst_of_normal_distribution<double>(), 2.3e-16);
}

template <class S>
void check_special_values() {
  const S inf = infinity<S>, nan = nan_of<S>;
  EXPECT_EQ(attend::exp(-inf), S(0));
  EXPECT_FALSE(std::signbit(attend::exp(-inf)));
  EXPECT_EQ(attend::exp(inf), inf);
  EXPECT_EQ(attend::exp(S(0)), S(1));
  EXPECT_EQ(attend::exp(S(1e30)), inf);
  EXPECT_EQ(attend::exp(S(-1e30)), S(0));
  EXPECT_EQ(attend::simd::exp_nonpositive(-inf), S(0));
  EXPECT_FALSE(std::signbit(attend::simd::exp_nonpositive(-inf)));
  EXPECT_EQ(attend::simd::exp_nonpositive(S(0)), S(1));
  EXPECT_EQ(attend::simd::exp_nonpositive(S(-1e30)), S(0));
  EXPECT_EQ(attend::expm1(-inf), S(-1));
  EXPECT_EQ(attend::expm1(inf), inf);
  EXPECT_EQ(attend::expm1(S(0)), S(0));
  EXPECT_EQ(attend::log(S(0)), -inf);
  EXPECT_EQ(attend::log(inf), inf);
  EXPECT_EQ(attend::log(S(1)), S(0));
  EXPECT_TRUE(std::isnan(attend::log(S(-1))));
  EXPECT_TRUE(std::isnan(attend::log(-inf)));
  EXPECT_EQ(attend::tanh(inf), S(1));
  EXPECT_EQ(attend::tanh(-inf), S(-1));
  EXPECT_EQ(attend::tanh(S(0)), S(0));
  EXPECT_TRUE(std::signbit(attend::tanh(S(-0.0))));
  EXPECT_EQ(attend::sigmoid(inf), S(1));
  EXPECT_EQ(attend::sigmoid(-inf), S(0));
  EXPECT_EQ(attend::sigmoid(S(0)), S(0.5));
  EXPECT_EQ(attend::erf(inf), S(1));
  EXPECT_EQ(attend::erf(-inf), S(-1));
  EXPECT_EQ(attend::erf(S(0)), S(0));
  EXPECT_EQ(attend::simd::normal_distribution(inf), S(1));
  EXPECT_EQ(attend::simd::normal_distribution(-inf), S(0));
  for (S x : {nan, -nan}) {
    EXPECT_TRUE(std::isnan(attend::exp(x)));
    EXPECT_TRUE(std::isnan(attend::simd::exp_nonpositive(x)));
    EXPECT_TRUE(std::isnan(attend::expm1(x)));
    EXPECT_TRUE(std::isnan(attend::log(x)));
    EXPECT_TRUE(std::isnan(attend::tanh(x)));
    EXPECT_TRUE(std::isnan(attend::sigmoid(x)));
    EXPECT_TRUE(std::isnan(attend::erf(x)));
    EXPECT_TRUE(std::isnan(attend::simd::normal_distribution(x)));
  }
}
TEST(Math, InfinitiesGiveTheLimitsAndNaNStaysNaN) {
  check_special_values<float>();
  check_special_values<double>();
}

template <class S>
void check_no_subnormals(S from, S to) {
  for (S x = from; x > to; x -= S(0.001)) {
    EXPECT_NE(std::fpclassify(attend::exp(x)), FP_SUBNORMAL) << x;
    EXPECT_NE(std::fpclassify(attend::simd::exp_nonpositive(x)), FP_SUBNORMAL) << x;
    EXPECT_NE(std::fpclassify(attend::sigmoid(x)), FP_SUBNORMAL) << x;
  }
}
TEST(Math, FM_2_1_exp_of_minus_infinity_is_zero_and_no_result_is_subnormal) {
  check_no_subnormals<float>(-86, -105);
  check_no_subnormals<double>(-707, -746);
  // the last normal results are there, the first beyond overflow too
  EXPECT_GT(attend::exp(-87.3365f), 0.0f);
  EXPECT_GT(attend::exp(-708.396), 0.0);
  EXPECT_LT(attend::exp(88.7228f), infinity<float>);
  EXPECT_EQ(attend::exp(88.7229f), infinity<float>);
  EXPECT_LT(attend::exp(709.7827), infinity<double>);
  EXPECT_EQ(attend::exp(709.7828), infinity<double>);
}

TEST(Math, LogTakesSubnormals) {
  EXPECT_LE(ulp_error(attend::log(1e-40f), std::log(Wide<float>(1e-40f))), 1);
  EXPECT_LE(ulp_error(attend::log(4.9e-324), std::log(Wide<double>(4.9e-324))), 1);
}

/// Inside a vectorised loop, in its remainder and alone: the same bits.
template <class S, class F>
void check_same_bits_everywhere(F f) {
  std::vector<S> x(67), y(67);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<S>(0.37 * static_cast<double>(i) - 11.3);
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = f(x[i]);
  for (std::size_t start = 0; start < 20; ++start) {
    std::vector<S> z(x.size());
    for (std::size_t i = start; i < x.size(); ++i) z[i] = f(x[i]);
    for (std::size_t i = start; i < x.size(); ++i) ASSERT_EQ(z[i], y[i]) << i << " from " << start;
  }
}
TEST(Math, ResultsDoNotDependOnThePlaceInALoop) {
  check_same_bits_everywhere<float>([](float x) { return attend::exp(x); });
  check_same_bits_everywhere<float>([](float x) { return attend::tanh(x); });
  check_same_bits_everywhere<float>([](float x) { return attend::sigmoid(x); });
  check_same_bits_everywhere<float>([](float x) { return attend::erf(x); });
  check_same_bits_everywhere<double>([](double x) { return attend::exp(x); });
  check_same_bits_everywhere<double>([](double x) { return attend::erf(x); });
}

#if defined(__GNUC__)
TEST(Math, VectorsGiveWhatTheirLanesGive) {
  typedef float Four __attribute__((vector_size(16)));
  typedef double Two __attribute__((vector_size(16)));
  for (float x : {-100.0f, -3.0f, -0.1f, 0.2f, 5.0f, 89.0f}) {
    const Four v = {x, x + 1, -x, infinity<float>};
    const Four e = attend::simd::exp(v), t = attend::simd::tanh(v), s = attend::simd::sigmoid(v),
               r = attend::simd::erf(v), l = attend::simd::log(v * v);
    for (int i = 0; i < 4; ++i) {
      EXPECT_EQ(e[i], attend::exp(v[i]));
      EXPECT_EQ(t[i], attend::tanh(v[i]));
      EXPECT_EQ(s[i], attend::sigmoid(v[i]));
      EXPECT_EQ(r[i], attend::erf(v[i]));
      EXPECT_EQ(l[i], attend::log(v[i] * v[i]));
    }
    const Two w = {x, -infinity<double>}, f = attend::simd::exp(w), g = attend::simd::erf(w);
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(f[i], attend::exp(w[i]));
      EXPECT_EQ(g[i], attend::erf(w[i]));
    }
  }
}
#endif

}  // namespace
}  // namespace math_test
