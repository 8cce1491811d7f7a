#include "attend/functional/mathematics.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "attend/functional/arithmetic.hpp"
#include "attend/functional/reduction.hpp"
#include "functional/plain_values.hpp"

namespace mathematics_test {
using namespace attend;
using namespace attend::testing;

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

TEST(BadInput, Mathematics) {
  EXPECT_THROW((void)clamp(vector({1}), 2, 1), OptionError);
  EXPECT_THROW((void)clamp(vector({1}), std::numeric_limits<double>::quiet_NaN(), 1), OptionError);
}
}  // namespace mathematics_test
