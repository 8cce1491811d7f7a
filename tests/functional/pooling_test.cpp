#include "attend/functional/pooling.hpp"

#include <gtest/gtest.h>

#include "attend/functional/global_pooling.hpp"
#include "attend/functional/interpolate.hpp"
#include "attend/functional/pad2d.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace pooling_test {
using namespace attend;
using namespace attend::testing;

namespace {
const double nan_ = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

Variable<double, 4> map(const Shape<4>& shape, std::vector<double> values) {
  Tensor<double, 4> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return Variable<double, 4>(t);
}
Variable<double, 4> row(std::vector<double> values) {
  return map({1, 1, static_cast<Index>(values.size()), 1}, values);
}
template <int R>
std::vector<double> numbers(const Variable<double, R>& v) {
  return {v.data(), v.data() + v.size()};
}
Variable<double, 4> zeros(const Shape<4>& shape) { return {shape, make_buffer<double>(element_count(shape), 0.0)}; }

/// Numbers that differ by more than the steps of a gradient check, so that no maximum changes its place.
Tensor<double, 4> distinct(const Shape<4>& shape) {
  Tensor<double, 4> t(shape);
  auto order = Rng(3).permutation(t.size());
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = 0.01 * static_cast<double>(order[static_cast<std::size_t>(i)]) - 1;
  return t;
}
template <class F>
void expect_gradients(const char* what, const F& f, const Tensor<double, 4>& x) {
  const auto report = check_function_gradients(f, x);
  EXPECT_TRUE(report.ok()) << what << " x " << to_string(shape_of(x)) << ": " << report.text();
}
/// The gradient of the sum of f(x).
template <class F>
std::vector<double> gradient(const Variable<double, 4>& x, const F& f) {
  Tape<double> tape(Mode::training);
  const auto in = tape.want(tape.input(x.tensor()));
  const auto y = f(in);
  auto ones = y.tensor();
  ones.setConstant(1);
  using V = std::decay_t<decltype(y)>;
  const auto g = tape.backward(dot(y, V(ones))).of(in);
  return {g.data(), g.data() + g.size()};
}
}  // namespace

TEST(MaxPool2d, ByHand) {
  const auto x = map({1, 2, 4, 1}, {1, 5, 2, 0, 3, 4, 8, 7});
  EXPECT_EQ(numbers(max_pool2d(x, {.kernel_size = 2})), (std::vector<double>{5, 8}));
  EXPECT_EQ(numbers(max_pool2d(x, {.kernel_size = {1, 3}})), (std::vector<double>{5, 8}));
  EXPECT_EQ(numbers(max_pool2d(row({-1, -2, -3}), {.kernel_size = {1, 3}, .stride = 2, .padding = {0, 1}})),
            (std::vector<double>{-1, -2}));
}
TEST(MaxPool2d, TheFirstOfEqualsGetsTheGradient) {
  EXPECT_EQ(gradient(row({2, 2, 1, 2}),
                     [](const auto& x) {
                       return max_pool2d(x, {.kernel_size = {1, 4}});
                     }),
            (std::vector<double>{1, 0, 0, 0}));
  EXPECT_EQ(gradient(row({-inf, -inf}),
                     [](const auto& x) {
                       return max_pool2d(x, {.kernel_size = {1, 2}});
                     }),
            (std::vector<double>{1, 0}));
  EXPECT_EQ(gradient(row({1, 3, 3}), [](const auto& x) { return global_max_pool(x); }), (std::vector<double>{0, 1, 0}));
  EXPECT_EQ(gradient(row({1, 3, 3}), [](const auto& x) { return adaptive_max_pool2d(x, 1); }),
            (std::vector<double>{0, 1, 0}));
}
TEST(FM_2_2, NaNInAMaximumIsFoundInEveryPlace) {
  for (const std::size_t place : {0u, 1u, 2u, 3u}) {
    std::vector<double> values{1, 2, inf, 3};
    values[place] = nan_;
    const auto x = row(values);
    Tape<double> tape(Mode::training);
    EXPECT_TRUE(std::isnan(max_pool2d(x, {.kernel_size = {1, 4}}).data()[0])) << place;
    EXPECT_TRUE(std::isnan(max_pool2d(tape.want(tape.input(x.tensor())), {.kernel_size = {1, 4}}).data()[0])) << place;
    EXPECT_TRUE(std::isnan(global_max_pool(x).data()[0])) << place;
    EXPECT_TRUE(std::isnan(adaptive_max_pool2d(x, 1).data()[0])) << place;
  }
}
TEST(MaxPool2d, Gradients) {
  for (const MaxPoolOptions& o :
       std::vector<MaxPoolOptions>{{.kernel_size = 2},
                                   {.kernel_size = 3, .stride = 1},
                                   {.kernel_size = 3, .stride = 2, .padding = 1},
                                   {.kernel_size = {2, 3}, .stride = {1, 2}, .padding = {0, 1}},
                                   {.kernel_size = 3, .stride = 2, .ceil_mode = true},
                                   {.kernel_size = 2, .stride = 3, .padding = 1, .ceil_mode = true},
                                   {.kernel_size = 2, .stride = 1, .dilation = {2, 3}}})
    expect_gradients(
        "max_pool2d", [&](const auto& x) { return max_pool2d(x, o); }, distinct({2, 6, 5, 3}));
}

TEST(Trap, T13_AvgPoolCeilModeDivisorDoesNotCountBeyondThePadding) {
  std::vector<double> values(16);
  for (std::size_t i = 0; i < 16; ++i) values[i] = static_cast<double>(i);
  const auto y =
      avg_pool2d(map({1, 4, 4, 1}, values), {.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true});
  ASSERT_EQ(to_string(y.shape()), "(1, 3, 3, 1)");
  EXPECT_DOUBLE_EQ(y.data()[2], 10.0 / 6);  // rows 0, 1 and the padded one; the last input column and the padded one
}
TEST(AvgPool2d, ByHand) {
  const auto x = row({1, 2, 3, 6});
  EXPECT_EQ(numbers(avg_pool2d(x, {.kernel_size = {1, 2}})), (std::vector<double>{1.5, 4.5}));
  EXPECT_EQ(numbers(avg_pool2d(x, {.kernel_size = {1, 2}, .padding = {0, 1}})), (std::vector<double>{0.5, 2.5, 3}));
  EXPECT_EQ(numbers(avg_pool2d(x, {.kernel_size = {1, 2}, .padding = {0, 1}, .count_include_pad = false})),
            (std::vector<double>{1, 2.5, 6}));
  EXPECT_EQ(numbers(avg_pool2d(x, {.kernel_size = {1, 2}, .divisor_override = 3})), (std::vector<double>{1, 3}));
}
TEST(AvgPool2d, Gradients) {
  const auto x = random_tensor<double, 4>({2, 6, 5, 3}, 1);
  for (const AvgPoolOptions& o : std::vector<AvgPoolOptions>{
           {.kernel_size = 2},
           {.kernel_size = 3, .stride = 1},
           {.kernel_size = 3, .stride = 2, .padding = 1},
           {.kernel_size = 3, .stride = 2, .padding = 1, .count_include_pad = false},
           {.kernel_size = {2, 3}, .stride = {1, 2}, .padding = {0, 1}},
           {.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true},
           {.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false},
           {.kernel_size = 3, .stride = 2, .divisor_override = 5}})
    expect_gradients(
        "avg_pool2d", [&](const auto& v) { return avg_pool2d(v, o); }, x);
}

TEST(AdaptivePool2d, ByHand) {  // 5 cells to 3: [0, 2), [1, 4), [3, 5)
  EXPECT_EQ(numbers(adaptive_avg_pool2d(row({1, 2, 3, 4, 5}), {1, 3})), (std::vector<double>{1.5, 3, 4.5}));
  EXPECT_EQ(numbers(adaptive_max_pool2d(row({1, 2, 3, 4, 5}), {1, 3})), (std::vector<double>{2, 4, 5}));
  EXPECT_EQ(numbers(adaptive_avg_pool2d(row({1, 2}), {1, 4})), (std::vector<double>{1, 1, 2, 2}));
  EXPECT_EQ(to_string(adaptive_avg_pool2d(zeros({2, 3, 4, 5}), {0, 2}).shape()), "(2, 3, 2, 5)");
}
TEST(AdaptivePool2d, Gradients) {
  for (const Pair size : {Pair(1), Pair(3, 4), Pair(5, 7), Pair(0, 2)}) {
    expect_gradients(
        "adaptive_avg_pool2d", [&](const auto& x) { return adaptive_avg_pool2d(x, size); },
        random_tensor<double, 4>({2, 4, 5, 3}, 1));
    expect_gradients(
        "adaptive_max_pool2d", [&](const auto& x) { return adaptive_max_pool2d(x, size); }, distinct({2, 4, 5, 3}));
  }
}

TEST(GlobalPool, GradientsAndByHand) {
  EXPECT_EQ(numbers(global_average_pool(map({1, 2, 2, 2}, {1, 10, 2, 20, 3, 30, 6, 40}))),
            (std::vector<double>{3, 25}));
  EXPECT_EQ(numbers(global_max_pool(map({1, 2, 2, 2}, {1, 10, 2, 50, 3, 30, 6, 40}))), (std::vector<double>{6, 50}));
  expect_gradients(
      "global_average_pool", [](const auto& x) { return global_average_pool(x); },
      random_tensor<double, 4>({2, 5, 4, 3}, 1));
  expect_gradients(
      "global_max_pool", [](const auto& x) { return global_max_pool(x); }, distinct({2, 5, 4, 3}));
}

TEST(GlobalPool, MeanAndMaximumInOnePassAreThoseOfTwo) {
  for (const Shape<4>& shape : {Shape<4>{2, 3, 4, 5}, Shape<4>{1, 30, 17, 67}, Shape<4>{3, 1, 1, 16}}) {
    auto x = random_tensor<float, 4>(shape, 3);
    x.data()[x.size() / 2] = std::numeric_limits<float>::quiet_NaN();  // is the maximum, and the mean
    const Variable<float, 4> v(x);
    const auto [mean, most] = global_mean_max_pool(v);
    const auto same = [](const auto& a, const auto& b) {
      return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), std::size_t(a.size()) * sizeof(float)) == 0;
    };
    EXPECT_TRUE(same(mean, global_average_pool(v)));
    EXPECT_TRUE(same(most, global_max_pool(v)));
  }
  EXPECT_THROW((void)global_mean_max_pool(Variable<float, 4>(Tensor<float, 4>(1, 0, 3, 2))), ShapeError);
}

TEST(GeneralisedMeanPool, IsTheMeanForOneAndTheMaximumForManyAndNeverOverflows) {
  const auto power = [](double p) {
    Tensor<double, 1> t(1);
    t(0) = p;
    return Variable<double, 1>(t);
  };
  const auto x = row({1, 2, 3, 6});
  EXPECT_NEAR(generalised_mean_pool(x, power(1)).data()[0], 3, 1e-14);
  EXPECT_NEAR(generalised_mean_pool(x, power(2)).data()[0], std::sqrt(12.5), 1e-14);
  EXPECT_NEAR(generalised_mean_pool(x, power(500)).data()[0], 6 * std::pow(0.25, 1.0 / 500), 1e-12);
  EXPECT_NEAR(generalised_mean_pool(row({1e200, 1e200}), power(3)).data()[0] / 1e200, 1, 1e-14);
  EXPECT_NEAR(generalised_mean_pool(row({-4, -5}), power(3)).data()[0], 1e-6, 1e-18);  // all below eps
}
TEST(GeneralisedMeanPool, Gradients) {
  for (const double p : {1.0, 1.7, 3.0, 6.0})
    for (const double low : {0.1, -1.0}) {  // -1: half of the cells lie below eps, where their gradient is zero
      auto x = random_tensor<double, 4>({2, 5, 4, 3}, 1, low, 1);
      for (Index i = 0; i < x.size(); ++i)
        if (std::abs(x.data()[i] - 0.01) < 0.005) x.data()[i] = 0.02;  // away from the kink at eps
      Tensor<double, 1> power(1);
      power(0) = p;
      const auto report = check_function_gradients(
          [](const auto& in, const auto& q) { return generalised_mean_pool(in, q, 0.01); }, x, power);
      EXPECT_TRUE(report.ok()) << "p " << p << ": " << report.text();
    }
}

TEST(GlobalNormAndDeviation, FollowTheirFormulas) {
  EXPECT_NEAR(global_norm_pool(row({3, 0, -4})).data()[0], 5, 1e-14);
  EXPECT_EQ(global_norm_pool(row({0, 0})).data()[0], 0);
  EXPECT_NEAR(global_deviation_pool(row({1, 2, 6})).data()[0], std::sqrt(14.0 / 3), 1e-14);
  EXPECT_NEAR(global_deviation_pool(row({1e8 + 1, 1e8 - 1})).data()[0], 1, 1e-14);  // no difference of large squares
  EXPECT_EQ(global_deviation_pool(row({5, 5, 5})).data()[0], 0);
}
TEST(GlobalNormAndDeviation, Gradients) {
  const auto x = random_tensor<double, 4>({2, 5, 4, 3}, 1);
  for (const auto& report : {check_function_gradients([](const auto& in) { return global_norm_pool(in); }, x),
                             check_function_gradients([](const auto& in) { return global_deviation_pool(in); }, x)})
    EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Trap, T25_BilinearWithAndWithoutAlignedCorners) {
  const auto x = row({0, 1});
  EXPECT_EQ(numbers(interpolate(x, {.size = {1, 4}, .mode = Interpolation::bilinear})),
            (std::vector<double>{0, 0.25, 0.75, 1}));
  const auto aligned =
      numbers(interpolate(x, {.size = {1, 4}, .mode = Interpolation::bilinear, .align_corners = true}));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(aligned[i], static_cast<double>(i) / 3, 1e-15);
  EXPECT_EQ(numbers(interpolate(row({4, 1}), {.size = {1, 1}, .mode = Interpolation::bilinear, .align_corners = true})),
            (std::vector<double>{4}));
}
TEST(Trap, T26_NearestAndNearestExactDiffer) {
  const auto x = row({0, 1, 2});
  EXPECT_EQ(numbers(interpolate(x, {.size = {1, 5}})), (std::vector<double>{0, 0, 1, 1, 2}));
  EXPECT_EQ(numbers(interpolate(x, {.size = {1, 5}, .mode = Interpolation::nearest_exact})),
            (std::vector<double>{0, 0, 1, 2, 2}));
}
TEST(Interpolate, AScaleFactorIsUsedAsGivenEvenIfTheSizeWasRounded) {
  // 3 cells times 1.5 are 4.5, so 4; the step is 1 / 1.5, not 3 / 4
  const auto y = numbers(interpolate(row({0, 1, 2}), {.scale_factor = {1, 1.5}, .mode = Interpolation::bilinear}));
  ASSERT_EQ(y.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i)
    EXPECT_NEAR(y[i], std::min(2.0, std::max(0.0, (static_cast<double>(i) + 0.5) / 1.5 - 0.5)), 1e-15);
}
TEST(Interpolate, Gradients) {
  const auto x = random_tensor<double, 4>({2, 3, 4, 5}, 1);
  for (const InterpolateOptions& o :
       std::vector<InterpolateOptions>{{.size = {5, 7}},
                                       {.size = {2, 3}},
                                       {.scale_factor = 2},
                                       {.size = {5, 7}, .mode = Interpolation::nearest_exact},
                                       {.scale_factor = {0.7, 1.6}, .mode = Interpolation::nearest_exact},
                                       {.size = {5, 7}, .mode = Interpolation::bilinear},
                                       {.size = {2, 3}, .mode = Interpolation::bilinear},
                                       {.size = {6, 1}, .mode = Interpolation::bilinear, .align_corners = true},
                                       {.size = {5, 7}, .mode = Interpolation::bilinear, .align_corners = true},
                                       {.scale_factor = {1.5, 2.3}, .mode = Interpolation::bilinear}})
    expect_gradients(
        "interpolate", [&](const auto& v) { return interpolate(v, o); }, x);
}

TEST(Pad2d, ByHand) {
  const auto x = row({1, 2, 3});
  EXPECT_EQ(numbers(pad2d(x, {0, 0, 1, 2}, PaddingMode::constant, 7.0)), (std::vector<double>{7, 1, 2, 3, 7, 7}));
  EXPECT_EQ(numbers(pad2d(x, {0, 0, 2, 1}, PaddingMode::reflect)), (std::vector<double>{3, 2, 1, 2, 3, 2}));
  EXPECT_EQ(numbers(pad2d(x, {0, 0, 2, 1}, PaddingMode::replicate)), (std::vector<double>{1, 1, 1, 2, 3, 3}));
  EXPECT_EQ(numbers(pad2d(x, {0, 0, 2, 1}, PaddingMode::circular)), (std::vector<double>{2, 3, 1, 2, 3, 1}));
  EXPECT_EQ(numbers(pad2d(x, {0, 0, -1, 1})), (std::vector<double>{2, 3, 0}));
}
TEST(Pad2d, Gradients) {
  const auto x = random_tensor<double, 4>({2, 4, 5, 3}, 1);
  for (const PaddingMode mode :
       {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular})
    for (const Pads pads : {Pads{1, 2, 3, 0}, Pads{-1, 2, 0, -2}})
      expect_gradients(
          "pad2d", [&](const auto& v) { return pad2d(v, pads, mode, 0.5); }, x);
}

TEST(Pool1d, GradientsAndByHand) {
  const Variable<double, 3> x = row({1, 5, 2, 4}).reshape(Shape<3>{1, 4, 1});
  EXPECT_EQ(numbers(max_pool1d(x, {.kernel_size = 2})), (std::vector<double>{5, 4}));
  EXPECT_EQ(numbers(max_pool1d(x, {.kernel_size = 3, .stride = 1, .padding = 1})), (std::vector<double>{5, 5, 5, 4}));
  EXPECT_EQ(numbers(avg_pool1d(x, {.kernel_size = 2, .stride = 1})), (std::vector<double>{3, 3.5, 3}));
  const auto report = check_function_gradients(
      [](const auto& v) { return avg_pool1d(v, {.kernel_size = 3, .stride = 2, .padding = 1}); },
      random_tensor<double, 3>({2, 7, 3}, 1));
  EXPECT_TRUE(report.ok()) << report.text();
  const auto maximum = check_function_gradients(
      [](const auto& v) { return max_pool1d(v, {.kernel_size = 3, .stride = 2, .padding = 1}); },
      random_tensor<double, 3>({2, 7, 3}, 1));
  EXPECT_TRUE(maximum.ok()) << maximum.text();
}

TEST(FM_2_3, EmptyBatchesPoolAndResizeToEmptyResults) {
  const auto x = zeros({0, 4, 6, 3});
  EXPECT_EQ(to_string(max_pool2d(x, {.kernel_size = 2}).shape()), "(0, 2, 3, 3)");
  EXPECT_EQ(to_string(avg_pool2d(x, {.kernel_size = 2}).shape()), "(0, 2, 3, 3)");
  EXPECT_EQ(to_string(adaptive_avg_pool2d(x, 1).shape()), "(0, 1, 1, 3)");
  EXPECT_EQ(to_string(global_average_pool(x).shape()), "(0, 3)");
  EXPECT_EQ(to_string(global_max_pool(x).shape()), "(0, 3)");
  EXPECT_EQ(to_string(interpolate(x, {.scale_factor = 2}).shape()), "(0, 8, 12, 3)");
  EXPECT_EQ(to_string(pad2d(x, {1, 1, 1, 1}, PaddingMode::reflect).shape()), "(0, 6, 8, 3)");
}

TEST(BadInput, Pooling) {
  const auto max = [](const Shape<4>& x, const MaxPoolOptions& o) { return [=] { max_pool2d(zeros(x), o); }; };
  const auto avg = [](const Shape<4>& x, const AvgPoolOptions& o) { return [=] { avg_pool2d(zeros(x), o); }; };
  expect_error<ShapeError>(max({2, 4, 6, 3}, {.kernel_size = 5}),
                           {"[max_pool2d]", "(2, 4, 6, 3)", "kernel_size (5, 5)"});
  expect_error<ShapeError>(max({2, 4, 6, 3}, {.kernel_size = 3, .dilation = {2, 1}}),
                           {"(2, 4, 6, 3)", "dilation (2, 1)"});
  expect_error<ShapeError>(max({2, 0, 6, 3}, {.kernel_size = 2, .padding = 1}), {"(2, 0, 6, 3)"});
  expect_error<OptionError>(max({2, 4, 6, 3}, {}), {"kernel_size is (0, 0)"});
  expect_error<OptionError>(max({2, 4, 6, 3}, {.kernel_size = 2, .stride = {0, 1}}), {"stride is (0, 1)"});
  expect_error<OptionError>(max({2, 4, 6, 3}, {.kernel_size = 2, .dilation = 0}), {"dilation is (0, 0)"});
  expect_error<OptionError>(max({2, 4, 6, 3}, {.kernel_size = {3, 2}, .padding = {1, 2}}),
                            {"padding is (1, 2)", "kernel_size (3, 2)", "at most (1, 1)"});
  expect_error<ShapeError>(avg({2, 4, 6, 3}, {.kernel_size = {2, 7}}),
                           {"[avg_pool2d]", "(2, 4, 6, 3)", "kernel_size (2, 7)"});
  expect_error<OptionError>(avg({2, 4, 6, 3}, {.kernel_size = 2, .padding = -1}), {"padding is (-1, -1)"});
  expect_error<OptionError>(avg({2, 4, 6, 3}, {.kernel_size = 3, .padding = 2}),
                            {"padding is (2, 2)", "at most (1, 1)"});
  expect_error<OptionError>([] { adaptive_avg_pool2d(zeros({2, 4, 6, 3}), {-1, 2}); }, {"output_size is (-1, 2)"});
  expect_error<ShapeError>([] { adaptive_avg_pool2d(zeros({2, 4, 0, 3}), 2); }, {"(2, 4, 0, 3)"});
  expect_error<ShapeError>([] { adaptive_max_pool2d(zeros({2, 0, 4, 3}), 2); }, {"(2, 0, 4, 3)"});
  expect_error<ShapeError>([] { global_average_pool(zeros({2, 4, 0, 3})); }, {"(2, 4, 0, 3)"});
  expect_error<ShapeError>([] { global_max_pool(zeros({2, 0, 5, 3})); }, {"(2, 0, 5, 3)"});
  expect_error<ShapeError>([] { global_deviation_pool(zeros({2, 0, 5, 3})); }, {"(2, 0, 5, 3)"});
  expect_error<OptionError>(
      [] {
        generalised_mean_pool(zeros({2, 4, 5, 3}), Variable<double, 1>({1}, make_buffer<double>(1, 3.0)), 0);
      },
      {"eps is 0"});
  expect_error<ShapeError>(
      [] {
        generalised_mean_pool(zeros({2, 4, 5, 3}), Variable<double, 1>({2}, make_buffer<double>(2, 3.0)));
      },
      {"p has shape (2)"});
}
TEST(BadInput, InterpolateAndPad) {
  const auto x = zeros({2, 4, 5, 3});
  expect_error<OptionError>([&] { interpolate(x, {}); }, {"[interpolate]", "give one of them"});
  const Index huge = Index(1) << 50;
  expect_error<ShapeError>([&] { interpolate(zeros({0, huge, 1, 1}), {.scale_factor = 1e6}); }, {std::to_string(huge)});
  expect_error<OptionError>([&] { interpolate(x, {.size = 3, .scale_factor = 2}); },
                            {"size is (3, 3)", "2.0", "give one of them"});
  expect_error<OptionError>([&] { interpolate(x, {.size = {3, 0}}); }, {"size is (3, 0)"});
  expect_error<OptionError>([&] { interpolate(x, {.scale_factor = {2, -1}}); }, {"-1.0", "positive"});
  expect_error<OptionError>([&] { interpolate(x, {.scale_factor = {nan_, 1}}); }, {"positive"});
  expect_error<OptionError>([&] { interpolate(x, {.size = 3, .align_corners = true}); }, {"align_corners", "bilinear"});
  expect_error<ShapeError>([&] { interpolate(x, {.scale_factor = 0.2}); }, {"(2, 4, 5, 3)", "0 by 1"});
  expect_error<ShapeError>([&] { interpolate(zeros({2, 0, 5, 3}), {.size = 3}); }, {"(2, 0, 5, 3)"});
  expect_error<ShapeError>(
      [&] {
        pad2d(x, {4, 0, 0, 0}, PaddingMode::reflect);
      },
      {"[pad2d]", "(2, 4, 5, 3)", "height 4", "at most 3"});
  expect_error<ShapeError>([&] { pad2d(x, {0, 0, 0, 6}, PaddingMode::circular); }, {"width 5", "at most 5"});
  expect_error<ShapeError>([&] { pad2d(x, {0, 0, -3, -2}); }, {"width 5", "leave no cell"});
  expect_error<ShapeError>([&] { pad2d(zeros({2, 0, 5, 3}), {1, 0, 0, 0}, PaddingMode::replicate); }, {"(2, 0, 5, 3)"});
}
}  // namespace pooling_test
