#include "attend/functional/arithmetic.hpp"

#include <gtest/gtest.h>

#include "attend/functional/mathematics.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/testing/gradient_check.hpp"

using namespace attend;
using namespace attend::testing;

namespace {
using V1 = Variable<double, 1>;
using V3 = Variable<double, 3>;
using V4 = Variable<double, 4>;

V1 vector(std::initializer_list<double> values) {
  Tensor<double, 1> t(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), t.data());
  return V1(t);
}
template <class V>
std::vector<double> values(const V& v) {
  return {v.data(), v.data() + v.size()};
}
void expect_ok(const std::string& name, const GradientReport& report) {
  EXPECT_TRUE(report.ok()) << name << ": " << report.text();
}

struct Binary {
  const char* name;
  std::function<V4(const V4&, const V4&)> f;
  std::function<double(double, double)> formula;
};
const std::vector<Binary>& binaries() {
  static const std::vector<Binary> all = {
      {"add", [](const V4& a, const V4& b) { return a + b; }, [](double a, double b) { return a + b; }},
      {"subtract", [](const V4& a, const V4& b) { return a - b; }, [](double a, double b) { return a - b; }},
      {"multiply", [](const V4& a, const V4& b) { return a * b; }, [](double a, double b) { return a * b; }},
      {"divide", [](const V4& a, const V4& b) { return a / b; }, [](double a, double b) { return a / b; }},
      {"maximum", [](const V4& a, const V4& b) { return maximum(a, b); },
       [](double a, double b) { return std::max(a, b); }},
      {"minimum", [](const V4& a, const V4& b) { return minimum(a, b); },
       [](double a, double b) { return std::min(a, b); }},
  };
  return all;
}
const std::vector<std::pair<Shape<4>, Shape<4>>> broadcasts = {
    {{2, 3, 4, 5}, {2, 3, 4, 5}}, {{2, 3, 4, 5}, {1, 1, 1, 5}}, {{2, 3, 4, 5}, {2, 1, 1, 5}},
    {{2, 1, 1, 5}, {2, 3, 4, 5}}, {{2, 3, 4, 5}, {2, 3, 4, 1}}, {{2, 3, 4, 5}, {1, 3, 1, 5}},
    {{2, 1, 4, 1}, {1, 3, 1, 5}}, {{1, 1, 1, 1}, {2, 3, 4, 5}}, {{2, 3, 4, 5}, {1, 3, 4, 5}},
    {{3, 1, 4, 1}, {3, 2, 1, 1}}, {{1, 1, 1, 1}, {1, 1, 1, 1}}, {{2, 3, 1, 5}, {2, 1, 4, 1}}};
/// Positive, and no two closer than 1e-3: differences stay off the kinks of maximum.
Tensor<double, 4> apart(const Shape<4>& shape, double offset) {
  auto t = random_tensor<double, 4>(shape, 9, 0, 1);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = 0.5 + std::floor(t.data()[i] * 300) / 100 + offset;
  return t;
}
}  // namespace

TEST(Arithmetic, GradientsAgreeWithDifferences) {
  for (const auto& b : binaries())
    for (const auto& [left, right] : broadcasts)
      expect_ok(b.name + to_string(left) + to_string(right),
                check_function_gradients(b.f, apart(left, 0), apart(right, 0.005)));
}

TEST(Arithmetic, BroadcastsAsNumPyDoes) {
  for (const auto& [left, right] : broadcasts) {
    const auto a = apart(left, 0), b = apart(right, 0.005);
    for (const auto& f : binaries()) {
      const auto y = f.f(V4(a), V4(b)).tensor();
      for (Index i = 0; i < y.dimension(0); ++i)
        for (Index j = 0; j < y.dimension(1); ++j)
          for (Index k = 0; k < y.dimension(2); ++k)
            for (Index l = 0; l < y.dimension(3); ++l) {
              const auto at = [&](const Tensor<double, 4>& t) {
                return t(i % t.dimension(0), j % t.dimension(1), k % t.dimension(2), l % t.dimension(3));
              };
              ASSERT_EQ(y(i, j, k, l), f.formula(at(a), at(b))) << f.name << to_string(left) << to_string(right);
            }
    }
  }
}

TEST(Arithmetic, LargeBroadcastGradientsAreSumsForAnyNumberOfThreads) {
  const struct {
    Shape<4> a, b;
  } cases[] = {{{40, 9, 10, 12}, {40, 1, 1, 12}},    {{40, 9, 10, 12}, {1, 1, 1, 12}},
               {{5, 100, 10, 12}, {1, 100, 10, 12}}, {{3, 200, 9, 10}, {3, 200, 9, 1}},
               {{70, 10, 9, 7}, {1, 1, 1, 1}},       {{70, 10, 9, 7}, {1, 10, 1, 7}}};
  for (const auto& c : cases) {
    SCOPED_TRACE(to_string(c.a) + to_string(c.b));
    const auto a = random_tensor<double, 4>(c.a, 1), b = random_tensor<double, 4>(c.b, 2);
    std::vector<double> first;
    for (const int threads : {1, 3}) {
      set_num_threads(threads);
      Tape<double> tape(Mode::training);
      const auto va = tape.want(tape.input(a)), vb = tape.want(tape.input(b));
      const auto gradients = tape.backward(sum(va * vb));
      const auto db = gradients.of(vb), da = gradients.of(va);
      std::vector<double> expected(static_cast<std::size_t>(b.size()));
      for (Index i = 0; i < a.size(); ++i) {
        Index rest = i, at = 0, step = 1;
        for (std::size_t k = 4; k-- > 0;) {
          if (c.b[k] != 1) at += rest % c.a[k] * step;
          step *= c.b[k];
          rest /= c.a[k];
        }
        expected[std::size_t(at)] += a.data()[i];
        ASSERT_EQ(da.data()[i], b.data()[at]);
      }
      // 1e-11: sums of up to 50000 numbers of order 1 in two orders
      for (Index i = 0; i < b.size(); ++i) ASSERT_NEAR(db.data()[i], expected[std::size_t(i)], 1e-11);
      const std::vector<double> bits(db.data(), db.data() + db.size());
      if (first.empty()) first = bits;
      EXPECT_EQ(first, bits);
    }
  }
  set_num_threads(2);
}

TEST(Arithmetic, FM_2_2_LongFloatSumsKeepTheirDigits) {
  // a naive float sum of a million times 0.1f is off by 1 %
  Tensor<float, 2> x(1000, 1000);
  x.setConstant(0.1f);
  const Variable<float, 2> v(x);
  EXPECT_FLOAT_EQ(sum(v).item(), float(0.1f * 1e6));
  EXPECT_FLOAT_EQ(mean(v).item(), 0.1f);
  EXPECT_FLOAT_EQ(dot(v, v).item(), float(double(0.1f * 0.1f) * 1e6));
  EXPECT_FLOAT_EQ(sum(sum(v, {0}), {0}).item(), float(0.1f * 1e6));
}

TEST(Arithmetic, WithNumbers) {
  const V1 x = vector({1, -2, 4});
  using List = std::vector<double>;
  EXPECT_EQ(values(-x), (List{-1, 2, -4}));
  EXPECT_EQ(values(x + 1), (List{2, -1, 5}));
  EXPECT_EQ(values(0.5f + x), (List{1.5, -1.5, 4.5}));
  EXPECT_EQ(values(x - 1.5), (List{-0.5, -3.5, 2.5}));
  EXPECT_EQ(values(1 - x), (List{0, 3, -3}));
  EXPECT_EQ(values(x * 3), (List{3, -6, 12}));
  EXPECT_EQ(values(3 * x), (List{3, -6, 12}));
  EXPECT_EQ(values(x / 3), (List{1. / 3, -2. / 3, 4. / 3}));
  EXPECT_EQ(values(2 / x), (List{2, -1, 0.5}));
}

namespace {
struct Unary {
  const char* name;
  std::function<V3(const V3&)> f;
  std::function<double(double)> formula;
  double low, high;
};
}  // namespace
TEST(Mathematics, ValuesAndGradients) {
  const Unary cases[] = {
      {"negate", [](const V3& x) { return -x; }, [](double x) { return -x; }, -2, 2},
      {"x + n", [](const V3& x) { return x + 0.7; }, [](double x) { return x + 0.7; }, -2, 2},
      {"n + x", [](const V3& x) { return 3 + x; }, [](double x) { return x + 3; }, -2, 2},
      {"x - n", [](const V3& x) { return x - 0.7; }, [](double x) { return x - 0.7; }, -2, 2},
      {"n - x", [](const V3& x) { return 0.7 - x; }, [](double x) { return 0.7 - x; }, -2, 2},
      {"x * n", [](const V3& x) { return x * 1.7; }, [](double x) { return x * 1.7; }, -2, 2},
      {"n * x", [](const V3& x) { return -3 * x; }, [](double x) { return x * -3; }, -2, 2},
      {"x / n", [](const V3& x) { return x / 0.7; }, [](double x) { return x / 0.7; }, -2, 2},
      {"n / x", [](const V3& x) { return 0.7 / x; }, [](double x) { return 0.7 / x; }, 0.5, 3},
      {"exp", [](const V3& x) { return exp(x); }, [](double x) { return std::exp(x); }, -2, 2},
      {"log", [](const V3& x) { return log(x); }, [](double x) { return std::log(x); }, 0.2, 3},
      {"sqrt", [](const V3& x) { return sqrt(x); }, [](double x) { return std::sqrt(x); }, 0.2, 3},
      {"square", [](const V3& x) { return square(x); }, [](double x) { return x * x; }, -2, 2},
      {"abs", [](const V3& x) { return abs(x); }, [](double x) { return std::abs(x); }, 0.01, 2},
      {"abs below 0", [](const V3& x) { return abs(x); }, [](double x) { return std::abs(x); }, -2, -0.01},
      {"pow 3", [](const V3& x) { return pow(x, 3); }, [](double x) { return x * x * x; }, -2, 2},
      {"pow -1.5", [](const V3& x) { return pow(x, -1.5); }, [](double x) { return 1 / (x * std::sqrt(x)); }, 0.5, 2},
      {"pow 0", [](const V3& x) { return pow(x, 0); }, [](double) { return 1.0; }, -2, 2},
      {"clamp inside", [](const V3& x) { return clamp(x, -1, 1); }, [](double x) { return x; }, -0.9, 0.9},
      {"clamp above", [](const V3& x) { return clamp(x, -1, 1); }, [](double) { return 1.0; }, 1.1, 3},
      {"clamp below", [](const V3& x) { return clamp(x, -1, 1); }, [](double) { return -1.0; }, -3, -1.1},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto x = random_tensor<double, 3>({2, 3, 5}, 4, c.low, c.high);
    expect_ok(c.name, check_function_gradients(c.f, x));
    const V3 y = c.f(V3(x));
    for (Index i = 0; i < x.size(); ++i)
      EXPECT_NEAR(y.data()[i], c.formula(x.data()[i]), 1e-14 * (1 + std::abs(y.data()[i])));
  }
}

TEST(Mathematics, AtTheEdges) {
  const auto derivative = [](const auto& f, double at) {
    Tape<double> tape(Mode::training);
    const auto x = tape.want(tape.input(vector({at}).tensor()));
    return tape.backward(sum(f(x))).of(x)(0);
  };
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(derivative([](const V1& x) { return abs(x); }, 0), 0);
  EXPECT_EQ(derivative([](const V1& x) { return clamp(x, -1, 2); }, -1), 1);
  EXPECT_EQ(derivative([](const V1& x) { return clamp(x, -1, 2); }, 2), 1);
  EXPECT_EQ(derivative([](const V1& x) { return sqrt(x); }, 0), inf);
  EXPECT_EQ(derivative([](const V1& x) { return pow(x, 0); }, 0), 0);
  EXPECT_EQ(derivative([](const V1& x) { return pow(x, 1); }, 0), 1);
  EXPECT_EQ(derivative([](const V1& x) { return maximum(x, vector({3})); }, 3), 0.5);
  EXPECT_EQ(values(log(vector({0}))), std::vector<double>{-inf});
  EXPECT_TRUE(std::isnan(log(vector({-1})).data()[0]));
  EXPECT_EQ(values(exp(vector({-inf, 0}))), (std::vector<double>{0, 1}));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const V1& y :
       {clamp(vector({nan}), 0, 1), maximum(vector({nan}), vector({1})), maximum(vector({1}), vector({nan})),
        minimum(vector({nan}), vector({1})), minimum(vector({1}), vector({nan})), abs(vector({nan}))})
    EXPECT_TRUE(std::isnan(y.data()[0]));
}

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

TEST(Matmul, GradientsAgreeWithDifferences) {
  const struct {
    Shape<2> batch_a, batch_b;
  } batches[] = {{{2, 3}, {2, 3}}, {{2, 3}, {1, 1}}, {{1, 1}, {2, 3}},
                 {{2, 1}, {1, 3}}, {{2, 3}, {2, 1}}, {{1, 1}, {1, 1}}};
  for (const auto& c : batches)
    for (const Side a : {Side::plain, Side::transposed})
      for (const Side b : {Side::plain, Side::transposed}) {
        const bool ta = a == Side::transposed, tb = b == Side::transposed;
        const auto left = random_tensor<double, 4>({c.batch_a[0], c.batch_a[1], ta ? 5 : 4, ta ? 4 : 5}, 1);
        const auto right = random_tensor<double, 4>({c.batch_b[0], c.batch_b[1], tb ? 3 : 5, tb ? 5 : 3}, 2);
        expect_ok(to_string(c.batch_a) + to_string(c.batch_b) + (ta ? " A^T" : "") + (tb ? " B^T" : ""),
                  check_function_gradients([=](const V4& x, const V4& z) { return matmul(x, z, a, b); }, left, right));
        const auto y = matmul(V4(left), V4(right), a, b).tensor();
        for (Index i = 0; i < y.dimension(0); ++i)
          for (Index j = 0; j < y.dimension(1); ++j)
            for (Index r = 0; r < 4; ++r)
              for (Index s = 0; s < 3; ++s) {
                double expected = 0;
                for (Index l = 0; l < 5; ++l) {
                  const Index ai = i % c.batch_a[0], aj = j % c.batch_a[1], bi = i % c.batch_b[0],
                              bj = j % c.batch_b[1];
                  expected +=
                      (ta ? left(ai, aj, l, r) : left(ai, aj, r, l)) * (tb ? right(bi, bj, s, l) : right(bi, bj, l, s));
                }
                ASSERT_NEAR(y(i, j, r, s), expected, 1e-14);
              }
      }
  const auto a2 = random_tensor<double, 2>({3, 4}, 1), b2 = random_tensor<double, 2>({4, 2}, 2);
  expect_ok("rank 2",
            check_function_gradients(
                [](const Variable<double, 2>& x, const Variable<double, 2>& z) { return matmul(x, z); }, a2, b2));
}

TEST(Matmul, EmptyOperands) {
  const V3 a(Tensor<double, 3>(2, 3, 0)), b(Tensor<double, 3>(2, 0, 4)), none(Tensor<double, 3>(0, 3, 4)),
      one(Tensor<double, 3>(Tensor<double, 3>(1, 4, 5).setZero()));
  EXPECT_EQ(values(matmul(a, b)), std::vector<double>(24, 0));  // a sum of nothing
  EXPECT_EQ(matmul(none, one).shape(), (Shape<3>{0, 3, 5}));
}

TEST(BadInput, Arithmetic) {
  const auto zeros = [](Index a, Index b, Index c) {
    return V3(Tensor<double, 3>(Tensor<double, 3>(a, b, c).setZero()));
  };
  const V3 x = zeros(2, 3, 4);
  const struct {
    std::function<void()> call;
    std::vector<std::string> parts;
  } bad[] = {
      {[&] { (void)(x + zeros(2, 3, 5)); }, {"[add] b has shape (2, 3, 5)", "axis 2 must be 4", "(2, 3, 4)", "or 1"}},
      {[&] { (void)(x - zeros(2, 2, 4)); }, {"[subtract] b has shape (2, 2, 4)", "axis 1 must be 3"}},
      {[&] { (void)(x * zeros(3, 3, 4)); }, {"[multiply]", "axis 0 must be 2"}},
      {[&] { (void)(x / zeros(0, 3, 4)); }, {"[divide]", "axis 0 must be 2"}},
      {[&] { (void)maximum(x, zeros(2, 3, 2)); }, {"[maximum]", "axis 2 must be 4"}},
      {[&] { (void)minimum(x, zeros(2, 3, 2)); }, {"[minimum]", "(2, 3, 2)"}},
      {[&] { (void)dot(x, zeros(2, 3, 1)); }, {"[dot] b has shape (2, 3, 1)", "(2, 3, 4)"}},
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
      {[&] { (void)matmul(x, zeros(2, 3, 4)); }, {"[matmul] b has shape (2, 3, 4)", "its rows must be 4", "(2, 3, 4)"}},
      {[&] { (void)matmul(x, zeros(2, 4, 3), Side::transposed); }, {"[matmul]", "rows must be 3", "(transposed)"}},
      {[&] { (void)matmul(x, zeros(2, 4, 3), Side::plain, Side::transposed); },
       {"(2, 4, 3) (transposed)", "rows must be 4"}},
      {[&] { (void)matmul(x, zeros(3, 4, 5)); }, {"[matmul] b has shape (3, 4, 5)", "batch axis 0 must be 2"}},
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
  EXPECT_THROW((void)clamp(x, 2, 1), OptionError);
}
