#include "attend/layers/dropout.hpp"

#include <gtest/gtest.h>

#include "attend/functional/reduction.hpp"
#include "attend/testing/gradient_check.hpp"

namespace dropout_test {
using namespace attend;
using namespace attend::testing;

namespace {
/// Ones through the layer on a training tape with this seed.
template <class S, int R, class L>
Tensor<S, R> drop_ones(const L& layer, const Shape<R>& shape, std::uint64_t seed) {
  Tensor<S, R> ones(shape);
  ones.setConstant(S(1));
  Rng rng(seed);
  Tape<S> tape(Mode::training, rng);
  return layer(tape.input(ones)).tensor();
}
/// The share of zeros; every other value must be 1 / (1 - p).
template <class T>
double zeros(const T& y, double p) {
  Index count = 0;
  for (Index i = 0; i < y.size(); ++i) {
    if (y.data()[i] == 0)
      ++count;
    else
      EXPECT_FLOAT_EQ(float(y.data()[i]), float(1 / (1 - p)));
  }
  return double(count) / double(y.size());
}
}  // namespace

TEST(Dropout, TheShareOfZerosIsP) {
  for (const double p : {0.01, 0.1, 0.5, 0.9, 0.999}) {
    const Index n = 200001;
    const auto y = drop_ones<float, 1>(Dropout(p), {n}, 7);
    EXPECT_NEAR(zeros(y, p), p, 4 * std::sqrt(p * (1 - p) / double(n)));  // 4 deviations, the seed is fixed
  }
}

TEST(Dropout, NeighboursAreIndependent) {
  const auto y = drop_ones<float, 1>(Dropout(0.5), {100000}, 3);
  for (const Index lag : {1, 2, 3, 4, 8, 1024}) {
    double same = 0;
    for (Index i = 0; i + lag < y.size(); ++i) same += (y(i) == 0) == (y(i + lag) == 0) ? 1 : 0;
    EXPECT_NEAR(same / double(y.size() - lag), 0.5, 4 * 0.5 / std::sqrt(1e5)) << lag;
  }
}

TEST(Dropout, DrawsTheSameForAnyNumberOfThreadsAndDifferentlyForEachCall) {
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const auto y = drop_ones<float, 2>(Dropout(0.3), {100, 333}, 11);
    const std::vector<float> bits(y.data(), y.data() + y.size());
    if (first.empty()) first = bits;
    EXPECT_EQ(first, bits);
  }
  set_num_threads(2);
  Rng rng(1);
  Tape<float> tape(Mode::training, rng);
  const auto ones = tape.input(Tensor<float, 1>(Tensor<float, 1>(1000).setConstant(1)));
  const auto a = Dropout(0.5)(ones).tensor(), b = Dropout(0.5)(ones).tensor();
  EXPECT_FALSE(std::equal(a.data(), a.data() + 1000, b.data()));
}

TEST(Dropout, PAtTheEnds) {
  EXPECT_EQ(zeros(drop_ones<double, 2>(Dropout(1), {7, 9}, 1), 1), 1);
  EXPECT_EQ(zeros(drop_ones<double, 2>(Dropout(0), {7, 9}, 1), 0), 0);
  EXPECT_EQ(zeros(drop_ones<double, 3>(Dropout2d(1), {2, 3, 4}, 1), 1), 1);
  EXPECT_EQ(zeros(drop_ones<double, 3>(DropPath(1), {2, 3, 4}, 1), 1), 1);
}

TEST(Dropout, ActsInTrainingOnly) {
  const auto x = random_tensor<float, 3>({2, 3, 4}, 1);
  const auto same = [&](const Tensor<float, 3>& y) { return std::equal(y.data(), y.data() + y.size(), x.data()); };
  EXPECT_TRUE(same(Dropout(0.9)(x)));
  EXPECT_TRUE(same(Dropout2d(0.9)(x)));
  EXPECT_TRUE(same(DropPath(0.9)(x)));
  Rng rng(1);
  Tape<float> tape(Mode::evaluation, rng);
  EXPECT_TRUE(same(Dropout(0.9)(tape.input(x)).tensor()));
  Tape<float> without(Mode::training);
  EXPECT_TRUE(same(Dropout(0)(without.input(x)).tensor()));  // nothing to draw: no Rng needed
}

TEST(Dropout, WholeChannelsOfASample) {
  const double p = 0.3;
  const auto y = drop_ones<float, 4>(Dropout2d(p), {20, 3, 5, 1100}, 5);
  Index dropped = 0;
  for (Index b = 0; b < 20; ++b)
    for (Index c = 0; c < 1100; ++c) {
      const float first = y(b, 0, 0, c);
      dropped += first == 0;
      for (Index i = 0; i < 3; ++i)
        for (Index j = 0; j < 5; ++j) ASSERT_EQ(y(b, i, j, c), first);
    }
  EXPECT_NEAR(double(dropped) / 22000, p, 4 * std::sqrt(p * (1 - p) / 22000));
  EXPECT_NEAR(zeros(y, p), p, 4 * std::sqrt(p * (1 - p) / 22000));
}

TEST(Dropout, WholeSamples) {
  const double p = 0.2;
  const auto y = drop_ones<float, 3>(DropPath(p), {5000, 2, 3}, 5);
  for (Index b = 0; b < 5000; ++b)
    for (Index i = 0; i < 6; ++i) ASSERT_EQ(y.data()[b * 6 + i], y.data()[b * 6]);
  EXPECT_NEAR(zeros(y, p), p, 4 * std::sqrt(p * (1 - p) / 5000));
}

TEST(Dropout, GradientsAgreeWithDifferences) {
  const auto x = random_tensor<double, 3>({3, 5, 7}, 2);
  for (const double p : {0.0, 0.3, 0.9, 1.0}) {
    const auto check = [&](const char* name, const GradientReport& report) {
      EXPECT_TRUE(report.ok()) << name << p << report.text();
    };
    using X = const Variable<double, 3>&;
    check("dropout", check_function_gradients([=](X v) { return dropout(v, p); }, x));
    check("channel_dropout", check_function_gradients([=](X v) { return channel_dropout(v, p); }, x));
    check("drop_path", check_function_gradients([=](X v) { return drop_path(v, p); }, x));
    check("twice", check_function_gradients([=](X v) { return dropout(dropout(v, p) + v, p); }, x));
  }
  const auto one = random_tensor<double, 3>({3, 1, 7}, 2);
  EXPECT_TRUE(check_function_gradients([](const Variable<double, 3>& v) { return channel_dropout(v, 0.5); }, one).ok());
  const auto flat = random_tensor<double, 1>({9}, 2);
  EXPECT_TRUE(check_function_gradients([](const Variable<double, 1>& v) { return drop_path(v, 0.5); }, flat).ok());
}

TEST(Dropout, EmptyBatches) {
  EXPECT_EQ((drop_ones<float, 3>(Dropout(0.5), {0, 3, 4}, 1).size()), 0);
  EXPECT_EQ((drop_ones<float, 3>(Dropout2d(0.5), {0, 3, 4}, 1).size()), 0);
  EXPECT_EQ((drop_ones<float, 3>(Dropout2d(0.5), {2, 0, 4}, 1).size()), 0);
  EXPECT_EQ((drop_ones<float, 3>(DropPath(0.5), {0, 3, 4}, 1).size()), 0);
}

TEST(BadInput, Dropout) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double p : {-0.1, 1.1, nan}) {
    EXPECT_THROW(Dropout{p}, OptionError);
    EXPECT_THROW(Dropout2d{p}, OptionError);
    EXPECT_THROW(DropPath{p}, OptionError);
    const Variable<float, 3> x(Tensor<float, 3>(Tensor<float, 3>(1, 2, 3).setZero()));
    EXPECT_THROW((void)dropout(x, p), OptionError);
    EXPECT_THROW((void)drop_path(x, p), OptionError);
  }
  try {
    (void)Dropout(1.5);
  } catch (const OptionError& error) {
    EXPECT_STREQ(error.what(), "[Dropout] the probability is 1.500000; it must lie in [0, 1]");
  }
  Tape<float> tape(Mode::training);
  EXPECT_THROW((void)dropout(tape.input(Tensor<float, 1>(3)), 0.5), OptionError);  // no Rng to draw from
}
}  // namespace dropout_test
