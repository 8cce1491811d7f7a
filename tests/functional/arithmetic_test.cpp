#include "attend/functional/arithmetic.hpp"

#include <gtest/gtest.h>

#include "attend/functional/reduction.hpp"
#include "functional/plain_values.hpp"

namespace arithmetic_test {
using namespace attend;
using namespace attend::testing;

namespace {

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

TEST(BadInput, Arithmetic) {
  const V3 x = zeros(2, 3, 4);
  expect_bad({
      {[&] { (void)(x + zeros(2, 3, 5)); }, {"[add] b has shape (2, 3, 5)", "axis 2 must be 4", "(2, 3, 4)", "or 1"}},
      {[&] { (void)(x - zeros(2, 2, 4)); }, {"[subtract] b has shape (2, 2, 4)", "axis 1 must be 3"}},
      {[&] { (void)(x * zeros(3, 3, 4)); }, {"[multiply]", "axis 0 must be 2"}},
      {[&] { (void)(x / zeros(0, 3, 4)); }, {"[divide]", "axis 0 must be 2"}},
      {[&] { (void)maximum(x, zeros(2, 3, 2)); }, {"[maximum]", "axis 2 must be 4"}},
      {[&] { (void)minimum(x, zeros(2, 3, 2)); }, {"[minimum]", "(2, 3, 2)"}},
      {[&] { (void)dot(x, zeros(2, 3, 1)); }, {"[dot] b has shape (2, 3, 1)", "(2, 3, 4)"}},
  });
}
}  // namespace arithmetic_test
