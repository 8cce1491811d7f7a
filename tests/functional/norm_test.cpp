#include "attend/functional/norm.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "attend/testing/gradient_check.hpp"

namespace norm_test {
using namespace attend;
using namespace attend::testing;

namespace {
/// Normalises, in long double, every set of elements that `set_of(flat index)` puts together; then scales and shifts
/// per channel.
std::vector<double> reference(const std::vector<double>& x, Index channels, const std::function<Index(Index)>& set_of,
                              double eps, const double* weight, const double* bias, bool centre = true) {
  std::map<Index, std::vector<Index>> sets;
  for (Index i = 0; i < static_cast<Index>(x.size()); ++i) sets[set_of(i)].push_back(i);
  std::vector<double> y(x.size());
  for (const auto& [key, members] : sets) {
    long double mean = 0, square = 0;
    for (const Index i : members) mean += static_cast<long double>(x[std::size_t(i)]);
    mean = centre ? mean / static_cast<long double>(members.size()) : 0;
    for (const Index i : members) square += (x[std::size_t(i)] - mean) * (x[std::size_t(i)] - mean);
    const long double deviation = std::sqrt(square / static_cast<long double>(members.size()) + eps);
    for (const Index i : members)
      y[std::size_t(i)] = double((x[std::size_t(i)] - mean) / deviation * (weight ? weight[i % channels] : 1) +
                                 (bias ? bias[i % channels] : 0));
  }
  return y;
}
template <class V>
std::vector<double> values(const V& v) {
  return {v.data(), v.data() + v.size()};
}
void expect_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << i;
}
using T1 = Tensor<double, 1>;
using V1 = Variable<double, 1>;
const V1 none1 = absent<double, 1>();
V1 random1(Index n, std::uint64_t seed) { return V1(random_tensor<double, 1>({n}, seed)); }
}  // namespace

TEST(Norm, SumsAndTheirNorms) {
  for (const Index n : {1, 5, 16, 77, 1100}) {
    SCOPED_TRACE(n);
    const Variable<double, 2> x(random_tensor<double, 2>({6, n}, 1)), residual(random_tensor<double, 2>({6, n}, 2));
    const auto w = random1(n, 3), b = random1(n, 4);
    const auto sum = x + residual;
    const auto layer = add_layer_norm(x, residual, w, b, 1e-5);
    const auto root = add_rms_norm(x, residual, w, 1e-5);
    EXPECT_EQ(values(layer.sum), values(sum));
    EXPECT_EQ(values(root.sum), values(sum));
    EXPECT_EQ(values(layer.normalized), values(layer_norm(sum, w, b, 1e-5)));
    EXPECT_EQ(values(root.normalized), values(rms_norm(sum, w, 1e-5)));
  }
  const auto x = random_tensor<double, 2>({3, 7}, 1), residual = random_tensor<double, 2>({3, 7}, 2);
  const auto w = random_tensor<double, 1>({7}, 3), b = random_tensor<double, 1>({7}, 4);
  auto report = check_function_gradients(
      [](const auto& v, const auto& r, const auto& weight, const auto& bias) {
        const auto y = add_layer_norm(v, r, weight, bias);
        return y.sum * y.normalized;
      },
      x, residual, w, b);
  EXPECT_TRUE(report.ok()) << report.text();
  report = check_function_gradients(
      [](const auto& v, const auto& r, const auto& weight) {
        const auto y = add_rms_norm(v, r, weight);
        return y.sum * y.normalized;
      },
      x, residual, w);
  EXPECT_TRUE(report.ok()) << report.text();
  const Variable<double, 2> wide(random_tensor<double, 2>({3, 7}, 1)), tall(random_tensor<double, 2>({1, 7}, 2));
  EXPECT_THROW((void)add_layer_norm(wide, tall, none1, none1), ShapeError);
  EXPECT_THROW((void)add_rms_norm(wide, tall, none1), ShapeError);
}

/// Neither a large mean nor an outlier where sums begin costs digits, nor do long rows, in float as well.
TEST(Norm, RowsInFloatKeepTheirDigits) {
  for (const Index n : {3, 48, 769, 20000}) {
    SCOPED_TRACE(n);
    auto x = random_tensor<float, 2>({4, n}, 5);
    for (Index j = 0; j < n; ++j) x(1, j) += 4096, x(2, j) = x(2, j) * 1e-3f - 16;
    x(3, 0) = 1000;
    const auto y = layer_norm(Variable<float, 2>(x), absent<float, 1>(), absent<float, 1>(), 1e-12);
    for (Index i = 0; i < 4; ++i) {
      std::vector<double> row(static_cast<std::size_t>(n));
      for (Index j = 0; j < n; ++j) row[std::size_t(j)] = double(x(i, j));
      const auto expected = reference(
          row, n, [](Index) { return Index(0); }, 1e-12, nullptr, nullptr);
      double largest = 0, worst = 0;
      for (Index j = 0; j < n; ++j) {
        largest = std::max(largest, std::abs(expected[std::size_t(j)]));
        worst = std::max(worst, std::abs(double(y.data()[i * n + j]) - expected[std::size_t(j)]));
      }
      EXPECT_LE(worst, 1e-6 * largest) << i;  // a few roundings of 6e-8
    }
  }
}

TEST(Norm, ValuesFollowTheDefinition) {
  // channel counts below and above the side-by-side limit, rows that end in the middle of a chunk
  for (const auto& shape : {Shape<3>{2, 5, 3}, Shape<3>{3, 7, 20}, Shape<3>{2, 1, 6}, Shape<3>{1, 6, 1},
                            Shape<3>{2, 9000, 6}, Shape<3>{3, 1500, 34}}) {
    SCOPED_TRACE(to_string(shape));
    const Index L = shape[1], C = shape[2];
    const auto x = random_tensor<double, 3>(shape, 5, -2, 3);
    const auto w = random1(C, 6), b = random1(C, 7);
    const Variable<double, 3> v(x);
    const auto flat = values(v);
    // 1e-12: a few hundred double roundings of values of order 1
    expect_close(values(batch_norm(v, w, b, 1e-3)),
                 reference(
                     flat, C, [&](Index i) { return i % C; }, 1e-3, w.data(), b.data()),
                 1e-12);
    expect_close(values(batch_norm(v, none1, none1)),
                 reference(
                     flat, C, [&](Index i) { return i % C; }, 1e-5, nullptr, nullptr),
                 1e-12);
    if (L > 1)
      expect_close(values(instance_norm(v, w, b)),
                   reference(
                       flat, C, [&](Index i) { return i / (L * C) * C + i % C; }, 1e-5, w.data(), b.data()),
                   1e-12);
    for (const Index groups : {Index(1), Index(2), Index(3), C})
      if (C % groups == 0)
        expect_close(
            values(group_norm(v, groups, w, b)),
            reference(
                flat, C, [&](Index i) { return i / (L * C) * C + i % C / (C / groups); }, 1e-5, w.data(), b.data()),
            2e-12);
    expect_close(values(layer_norm(v, w, b, 1e-6)),
                 reference(
                     flat, C, [&](Index i) { return i / C; }, 1e-6, w.data(), b.data()),
                 1e-12);
    expect_close(values(layer_norm(v, w, none1)),
                 reference(
                     flat, C, [&](Index i) { return i / C; }, 1e-5, w.data(), nullptr),
                 1e-12);
    expect_close(values(layer_norm(v, none1, none1)),
                 reference(
                     flat, C, [&](Index i) { return i / C; }, 1e-5, nullptr, nullptr),
                 1e-12);
    expect_close(values(rms_norm(v, w, 1e-6)),
                 reference(
                     flat, C, [&](Index i) { return i / C; }, 1e-6, w.data(), nullptr, false),
                 1e-12);
    const Variable<double, 2> w2(random_tensor<double, 2>({L, C}, 8)), b2(random_tensor<double, 2>({L, C}, 9));
    expect_close(values(layer_norm(v, w2, b2)),
                 reference(
                     flat, L * C, [&](Index i) { return i / (L * C); }, 1e-5, w2.data(), b2.data()),
                 2e-12);
    expect_close(
        values(rms_norm(v, w2)),
        reference(
            flat, L * C, [&](Index i) { return i / (L * C); }, 2.220446049250313e-16, w2.data(), nullptr, false),
        2e-12);
  }
}

TEST(Norm, HandComputed) {
  Tensor<double, 2> x(2, 2);
  x.setValues({{1, 10}, {3, 14}});  // channel 0: mean 2, variance 1; channel 1: mean 12, variance 4
  const Variable<double, 2> v(x);
  expect_close(values(batch_norm(v, none1, none1, 0)), {-1, -1, 1, 1}, 1e-15);
  expect_close(values(layer_norm(v, none1, none1, 0)), {-1, 1, -1, 1}, 1e-15);
  expect_close(values(rms_norm(v, none1, 0)),
               {1 / std::sqrt(50.5), 10 / std::sqrt(50.5), 3 / std::sqrt(102.5), 14 / std::sqrt(102.5)}, 1e-15);
  T1 mean(2), variance(2);
  mean.setValues({1, 2});
  variance.setValues({4, 16});
  expect_close(values(batch_norm_with(v, V1(mean), V1(variance), none1, none1, 0)), {0, 2, 1, 3}, 1e-15);
}

TEST(Norm, GradientsAgreeWithDifferences) {
  const auto check = [](const std::string& name, const GradientReport& report) {
    EXPECT_TRUE(report.ok()) << name << ": " << report.text();
  };
  const auto T = [](auto shape, std::uint64_t seed) {
    return random_tensor<double, static_cast<int>(std::tuple_size<decltype(shape)>::value)>(shape, seed, -1.5, 2);
  };
  for (const auto& shape : {Shape<3>{2, 5, 3}, Shape<3>{3, 1, 4}, Shape<3>{2, 3, 1}, Shape<3>{2, 4, 18}}) {
    const Index C = shape[2];
    const auto x = T(shape, 1);
    const auto w = T(Shape<1>{C}, 2), b = T(Shape<1>{C}, 3);
    const std::string name = to_string(shape);
    using X = const Variable<double, 3>&;
    using P = const V1&;
    check("batch_norm " + name, check_function_gradients([](X v, P a, P c) { return batch_norm(v, a, c); }, x, w, b));
    check("batch_norm plain " + name,
          check_function_gradients([](X v) { return batch_norm(v, none1, none1, 1e-2); }, x));
    check("batch_norm weight only " + name,
          check_function_gradients([](X v, P a) { return batch_norm(v, a, none1); }, x, w));
    const auto m = random1(C, 4);
    T1 s(C);
    for (Index c = 0; c < C; ++c) s(c) = 0.5 + double(c);
    check("batch_norm_with " + name,
          check_function_gradients([&](X v, P a, P c) { return batch_norm_with(v, m, V1(s), a, c); }, x, w, b));
    check("batch_norm_with plain " + name,
          check_function_gradients([&](X v) { return batch_norm_with(v, m, V1(s), none1, none1); }, x));
    for (const Index groups : {Index(1), Index(3), C})
      if (C % groups == 0) {
        check("group_norm " + std::to_string(groups) + name,
              check_function_gradients([&](X v, P a, P c) { return group_norm(v, groups, a, c, 1e-3); }, x, w, b));
        check("group_norm plain " + std::to_string(groups) + name,
              check_function_gradients([&](X v) { return group_norm(v, groups, none1, none1, 1e-3); }, x));
      }
    if (shape[1] > 1) {
      check("instance_norm " + name,
            check_function_gradients([](X v, P a, P c) { return instance_norm(v, a, c, 1e-3); }, x, w, b));
      check("instance_norm plain " + name,
            check_function_gradients([](X v) { return instance_norm(v, none1, none1, 1e-3); }, x));
    }
    check("layer_norm " + name,
          check_function_gradients([](X v, P a, P c) { return layer_norm(v, a, c, 1e-3); }, x, w, b));
    check("layer_norm weight only " + name,
          check_function_gradients([](X v, P a) { return layer_norm(v, a, none1, 1e-3); }, x, w));
    check("layer_norm bias only " + name,
          check_function_gradients([](X v, P c) { return layer_norm(v, none1, c, 1e-3); }, x, b));
    check("group_norm bias only " + name,
          check_function_gradients([](X v, P c) { return group_norm(v, 1, none1, c, 1e-3); }, x, b));
    check("layer_norm plain " + name,
          check_function_gradients([](X v) { return layer_norm(v, none1, none1, 1e-3); }, x));
    check("rms_norm " + name, check_function_gradients([](X v, P a) { return rms_norm(v, a, 1e-3); }, x, w));
    check("rms_norm plain " + name, check_function_gradients([](X v) { return rms_norm(v, none1, 1e-3); }, x));
    const auto w2 = T(Shape<2>{shape[1], C}, 5), b2 = T(Shape<2>{shape[1], C}, 6);
    using P2 = const Variable<double, 2>&;
    check("layer_norm over two axes " + name,
          check_function_gradients([](X v, P2 a, P2 c) { return layer_norm(v, a, c, 1e-3); }, x, w2, b2));
    check("rms_norm over two axes " + name,
          check_function_gradients([](X v, P2 a) { return rms_norm(v, a, 1e-3); }, x, w2));
  }
  const auto rows = T(Shape<2>{7, 3}, 8);
  check("batch_norm (7, 3)",
        check_function_gradients([](const Variable<double, 2>& v) { return batch_norm(v, none1, none1); }, rows));
  const auto maps = T(Shape<4>{2, 3, 5, 6}, 8);
  check("group_norm rank 4",
        check_function_gradients([](const Variable<double, 4>& v) { return group_norm(v, 2, none1, none1); }, maps));
  check("instance_norm rank 4",
        check_function_gradients([](const Variable<double, 4>& v) { return instance_norm(v, none1, none1); }, maps));
  check("batch_norm rank 4",
        check_function_gradients([](const Variable<double, 4>& v) { return batch_norm(v, none1, none1); }, maps));
}

TEST(Norm, FM_2_2_LargeMeansDoNotCancel) {
  // float values around 1e4 with deviation 1: E[x^2] - E[x]^2 in float would lose the variance entirely
  Tensor<float, 3> x(2, 500, 4);
  const Rng rng(3);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = 1e4f + float(2 * rng.uniform_at(std::uint64_t(i)) - 1);
  const Variable<float, 3> v(x);
  const std::vector<double> flat(x.data(), x.data() + x.size());
  const auto none = absent<float, 1>();
  const auto check = [&](const Variable<float, 3>& y, const std::function<Index(Index)>& set_of, bool centre = true) {
    const auto exact = reference(flat, 4, set_of, 1e-5, nullptr, nullptr, centre);
    for (Index i = 0; i < y.size(); ++i)
      ASSERT_NEAR(y.data()[i], exact[std::size_t(i)], 1e-6) << i;  // float roundings of values up to 2
  };
  check(batch_norm(v, none, none), [](Index i) { return i % 4; });
  check(instance_norm(v, none, none), [](Index i) { return i / 2000 * 4 + i % 4; });
  check(group_norm(v, 2, none, none), [](Index i) { return i / 2000 * 4 + i % 4 / 2; });
  const Variable<float, 2> rows = v.reshape(Shape<2>{10, 400});
  const auto exact = reference(
      flat, 400, [](Index i) { return i / 400; }, 1e-5, nullptr, nullptr);
  const auto y = layer_norm(rows, none, none);
  for (Index i = 0; i < y.size(); ++i) ASSERT_NEAR(y.data()[i], exact[std::size_t(i)], 1e-6) << i;
}

TEST(Norm, FM_2_2_ConstantsAndDenormalsGiveFiniteResults) {
  const auto none = absent<float, 1>();
  for (const float value : {0.f, 1e-40f, 1e-30f, 3.25f, 1e18f}) {
    Tensor<float, 3> x(2, 3, 4);
    x.setConstant(value);
    Tape<float> tape(Mode::training);
    const auto v = tape.want(tape.input(x));
    for (const auto& y : {batch_norm(v, none, none), group_norm(v, 2, none, none), instance_norm(v, none, none),
                          layer_norm(v, none, none)}) {
      const auto gradient = tape.backward(dot(y, Variable<float, 3>(x)), Keep::tape).of(v);
      for (Index i = 0; i < y.size(); ++i) {
        EXPECT_EQ(y.data()[i], 0) << value;
        EXPECT_TRUE(std::isfinite(gradient.data()[i])) << value;
      }
    }
  }
}

TEST(Norm, FM_2_2_NanStaysInItsSet) {
  Tensor<float, 3> x(2, 3, 4);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = float(i % 7);
  x(1, 2, 3) = std::numeric_limits<float>::quiet_NaN();
  const Variable<float, 3> v(x);
  const auto none = absent<float, 1>();
  const auto count = [](const Variable<float, 3>& y) {
    return std::count_if(y.data(), y.data() + y.size(), [](float f) { return std::isnan(f); });
  };
  EXPECT_EQ(count(batch_norm(v, none, none)), 6);
  EXPECT_EQ(count(instance_norm(v, none, none)), 3);
  EXPECT_EQ(count(group_norm(v, 2, none, none)), 6);
  EXPECT_EQ(count(layer_norm(v, none, none)), 4);
  EXPECT_EQ(count(rms_norm(v, none)), 4);
}

TEST(Norm, BatchStatisticsAreReported) {
  Tensor<double, 2> x(4, 2);
  x.setValues({{1, 0}, {2, 0}, {3, 0}, {6, 8}});
  BatchStatistics<double> found;
  (void)batch_norm(Variable<double, 2>(x), none1, none1, 1e-5, &found);
  EXPECT_EQ(found.count, 4);
  expect_close(found.mean, {3, 2}, 1e-15);
  expect_close(found.variance, {3.5, 12}, 1e-15);
}

TEST(Norm, ABiasCountsWithoutAWeight) {
  const Variable<double, 3> x(random_tensor<double, 3>({2, 5, 6}, 1));
  const auto b = random1(6, 2);
  const auto moved = [&](const Variable<double, 3>& with, const Variable<double, 3>& without) {
    for (Index i = 0; i < x.size(); ++i) ASSERT_NEAR(with.data()[i], without.data()[i] + b.data()[i % 6], 1e-15) << i;
  };
  moved(layer_norm(x, none1, b), layer_norm(x, none1, none1));
  moved(batch_norm(x, none1, b), batch_norm(x, none1, none1));
  moved(group_norm(x, 2, none1, b), group_norm(x, 2, none1, none1));
  moved(instance_norm(x, none1, b), instance_norm(x, none1, none1));
}

TEST(Norm, FM_2_3_NoChannelsGiveEmptyResults) {
  for (const auto& shape : {Shape<3>{2, 5, 0}, Shape<3>{0, 0, 0}}) {
    Tape<double> tape(Mode::training);
    const auto x = tape.want(tape.input(Tensor<double, 3>(shape)));
    const V1 none(T1(0));
    const auto y = batch_norm(x, none1, none1) + batch_norm_with(x, none, none, none1, none1) +
                   group_norm(x, 3, none1, none1) + instance_norm(x, none1, none1) + layer_norm(x, none1, none1) +
                   rms_norm(x, none1);
    EXPECT_EQ(y.shape(), shape);
    EXPECT_EQ(tape.backward(dot(y, y)).of(x).size(), 0);
  }
}

TEST(Norm, EmptyBatchesGiveEmptyResults) {
  const Variable<double, 3> x(Tensor<double, 3>(0, 5, 4));
  EXPECT_EQ(batch_norm(x, none1, none1).shape(), x.shape());
  EXPECT_EQ(group_norm(x, 2, none1, none1).shape(), x.shape());
  EXPECT_EQ(instance_norm(x, none1, none1).shape(), x.shape());
  EXPECT_EQ(layer_norm(x, none1, none1).shape(), x.shape());
  EXPECT_EQ(rms_norm(x, none1).shape(), x.shape());
  Tape<double> tape(Mode::training);
  const auto v = tape.want(tape.input(Tensor<double, 3>(0, 5, 4)));
  const auto w = tape.want(tape.input(T1(T1(4).setConstant(1))));
  const auto y = layer_norm(v, w, w) + batch_norm(v, w, w) + group_norm(v, 2, w, w);
  EXPECT_EQ(tape.backward(dot(y, y)).of(w)(0), 0);
}

TEST(BadInput, Norm) {
  const Variable<double, 3> x(Tensor<double, 3>(Tensor<double, 3>(2, 5, 6).setZero()));
  const Variable<double, 2> one(Tensor<double, 2>(Tensor<double, 2>(1, 6).setZero()));
  const Variable<double, 3> point(Tensor<double, 3>(Tensor<double, 3>(3, 1, 6).setZero()));
  const auto w5 = random1(5, 1), w6 = random1(6, 2);
  const Variable<double, 2> w26(random_tensor<double, 2>({2, 6}, 3));
  const struct {
    std::function<void()> call;
    std::vector<std::string> parts;
  } bad[] = {
      {[&] { (void)batch_norm(x, w5, none1); }, {"[batch_norm] weight has shape (5)", "(2, 5, 6)", "must be (6)"}},
      {[&] { (void)batch_norm(x, w6, w5); }, {"[batch_norm] bias has shape (5)", "must be (6)"}},
      {[&] { (void)batch_norm(one, none1, none1); },
       {"[batch_norm] x has shape (1, 6)", "more than 1 value per channel"}},
      {[&] { (void)batch_norm_with(x, w5, w6, none1, none1); }, {"[batch_norm] x has shape (2, 5, 6)", "channels = 5"}},
      {[&] { (void)batch_norm_with(x, w6, w5, none1, none1); }, {"channels = 5"}},
      {[&] { (void)group_norm(x, 4, none1, none1); },
       {"[group_norm] x has shape (2, 5, 6)", "divisible by num_groups = 4"}},
      {[&] { (void)group_norm(x, 0, none1, none1); }, {"num_groups = 0"}},
      {[&] { (void)group_norm(x, -2, none1, none1); }, {"num_groups = -2"}},
      {[&] { (void)group_norm(x, 2, w5, none1); }, {"[group_norm] weight has shape (5)"}},
      {[&] { (void)instance_norm(point, none1, none1); },
       {"[instance_norm] x has shape (3, 1, 6)", "more than 1 value"}},
      {[&] { (void)instance_norm(x, none1, w5); }, {"[instance_norm] bias has shape (5)"}},
      {[&] { (void)layer_norm(x, w5, none1); }, {"[layer_norm] weight has shape (5)", "must be (6)"}},
      {[&] { (void)layer_norm(x, w26, w26); }, {"[layer_norm] weight has shape (2, 6)", "must be (5, 6)"}},
      {[&] { (void)rms_norm(x, w5); }, {"[rms_norm] weight has shape (5)", "(2, 5, 6)"}},
  };
  for (const auto& b : bad) {
    try {
      b.call();
      ADD_FAILURE() << "nothing thrown for " << b.parts[0];
    } catch (const ShapeError& error) {
      for (const auto& part : b.parts)
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << " lacks " << part;
    }
  }
}
}  // namespace norm_test
