#include "attend/functional/reduction.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "attend/functional/arithmetic.hpp"
#include "functional/plain_values.hpp"

namespace reduction_test {
using namespace attend;
using namespace attend::testing;

namespace {

/// Positive, and no two closer than 1e-3: differences stay off the kinks of maximum.
Tensor<double, 4> apart(const Shape<4>& shape, double offset) {
  auto t = random_tensor<double, 4>(shape, 9, 0, 1);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = 0.5 + std::floor(t.data()[i] * 300) / 100 + offset;
  return t;
}
}  // namespace

TEST(Reduction, GradientsAgreeWithDifferences) {
  for (const auto& shape : {Shape<4>{2, 3, 4, 5}, Shape<4>{1, 3, 1, 5}, Shape<4>{2, 1, 4, 1}}) {
    const auto x = apart(shape, 0);
    const auto name = to_string(shape);
    expect_ok("sum" + name, check_function_gradients([](const V4& v) { return sum(v); }, x));
    expect_ok("mean" + name, check_function_gradients([](const V4& v) { return mean(v); }, x));
    expect_ok("sum 0" + name, check_function_gradients([](const V4& v) { return sum(v, {0}); }, x));
    expect_ok("sum 1 2" + name, check_function_gradients([](const V4& v) { return sum(v, {1, 2}); }, x));
    expect_ok("sum 3 0" + name, check_function_gradients([](const V4& v) { return sum(v, {-1, 0}); }, x));
    expect_ok("sum 1 3 keep" + name, check_function_gradients(
                                         [](const V4& v) {
                                           return sum(v, {1, 3}, keep_dims);
                                         },
                                         x));
    expect_ok("mean 3" + name, check_function_gradients([](const V4& v) { return mean(v, {3}); }, x));
    expect_ok("mean 0 2" + name, check_function_gradients([](const V4& v) { return mean(v, {0, 2}); }, x));
    expect_ok("mean 1 2 keep" + name, check_function_gradients(
                                          [](const V4& v) {
                                            return mean(v, {1, 2}, keep_dims);
                                          },
                                          x));
    const auto distinct = [&] {  // no ties
      auto t = x;
      for (Index i = 0; i < t.size(); ++i) t.data()[i] = double(i * 7 % t.size()) * 0.1;
      return t;
    }();
    expect_ok("max" + name, check_function_gradients([](const V4& v) { return max(v); }, distinct));
    expect_ok("min" + name, check_function_gradients([](const V4& v) { return min(v); }, distinct));
    expect_ok("max 1" + name, check_function_gradients([](const V4& v) { return max(v, {1}); }, distinct));
    expect_ok("max 3 1" + name, check_function_gradients([](const V4& v) { return max(v, {3, 1}); }, distinct));
    expect_ok("max 0 2 keep" + name, check_function_gradients(
                                         [](const V4& v) {
                                           return max(v, {0, 2}, keep_dims);
                                         },
                                         distinct));
    expect_ok("min 2 3" + name, check_function_gradients([](const V4& v) { return min(v, {2, -1}); }, distinct));
  }
}

TEST(Reduction, HandComputed) {
  Tensor<double, 2> t(2, 3);
  t.setValues({{1, 5, 3}, {4, 5, -6}});
  const Variable<double, 2> x(t);
  using List = std::vector<double>;
  EXPECT_EQ(sum(x).item(), 12);
  EXPECT_EQ(mean(x).item(), 2);
  EXPECT_EQ(max(x).item(), 5);
  EXPECT_EQ(min(x).item(), -6);
  EXPECT_EQ(values(sum(x, {0})), (List{5, 10, -3}));
  EXPECT_EQ(values(sum(x, {1})), (List{9, 3}));
  EXPECT_EQ(values(mean(x, {-1})), (List{3, 1}));
  EXPECT_EQ(values(max(x, {0})), (List{4, 5, 3}));
  EXPECT_EQ(values(min(x, {1}, keep_dims)), (List{1, -6}));
  EXPECT_EQ(min(x, {1}, keep_dims).shape(), (Shape<2>{2, 1}));
  EXPECT_EQ((sum(x, {0, 1}).item()), 12);
}

TEST(Reduction, TheFirstOfEqualsGetsTheGradient) {
  Tape<double> tape(Mode::training);
  const auto x = tape.want(tape.input(vector({2, 7, 7, 1, 1}).tensor()));
  const auto gradients = tape.backward(sum(max(x, {0}) * 3) + sum(min(x, {0})));
  EXPECT_EQ(values(V1(gradients.of(x))), (std::vector<double>{0, 3, 0, 1, 0}));
}

TEST(Reduction, FM_2_2_NanReachesTheExtremeWhereverItStands) {
  for (int at = 0; at < 9; ++at) {
    Tensor<float, 1> t(9);
    for (int i = 0; i < 9; ++i) t(i) = float(i);
    t(at) = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(max(Variable<float, 1>(t)).item())) << at;
    EXPECT_TRUE(std::isnan(min(Variable<float, 1>(t)).item())) << at;
  }
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(max(vector({-inf, -inf})).item(), -inf);
}

TEST(Reduction, FM_2_2_EmptyAxes) {
  const Variable<double, 2> x(Tensor<double, 2>(3, 0)), batch(Tensor<double, 2>(0, 3));
  EXPECT_EQ(values(sum(x, {1})), (std::vector<double>{0, 0, 0}));
  for (const double m : values(mean(x, {1}))) EXPECT_TRUE(std::isnan(m));
  EXPECT_EQ(values(max(batch, {1})).size(), 0u);  // no rows: nothing to find
  EXPECT_THROW((void)max(x, {1}), ShapeError);
  EXPECT_THROW((void)min(batch), ShapeError);
  EXPECT_EQ(sum(batch).item(), 0);
  EXPECT_EQ((batch + batch).size(), 0);
  EXPECT_EQ((batch * Variable<double, 2>(Tensor<double, 2>(Tensor<double, 2>(1, 3).setZero()))).shape(),
            (Shape<2>{0, 3}));
}

TEST(BadInput, Reduction) {
  const V3 x = zeros(2, 3, 4);
  expect_bad({
      {[&] { (void)sum(x, {3}); }, {"[sum] x has shape (2, 3, 4)", "[-3, 3)", "is 3"}},
      {[&] { (void)mean(x, {-4}); }, {"[mean]", "is -4"}},
      {[&] {
         (void)max(x, {1, 1});
       },
       {"[max]", "named once"}},
      {[&] {
         (void)min(x, {2, -1}, keep_dims);
       },
       {"[min]", "named once, but one is -1"}},
      {[&] { (void)max(zeros(2, 0, 3), {1}); }, {"[max] x has shape (2, 0, 3)", "at least one element"}},
  });
}
}  // namespace reduction_test
