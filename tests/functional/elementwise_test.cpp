#include "attend/functional/elementwise.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "attend/testing/gradient_check.hpp"

namespace elementwise_test {
using namespace attend;
using namespace attend::testing;

namespace {

struct Cube {
  static constexpr bool from_result = false;
  template <class S>
  S value(S x) const {
    return x * x * x;
  }
  template <class S>
  S derivative(S x) const {
    return 3 * x * x;
  }
};

/// exp(rate x): its derivative follows from the result.
struct Growth {
  static constexpr bool from_result = true;
  double rate;
  template <class S>
  S value(S x) const {
    return std::exp(S(rate) * x);
  }
  template <class S>
  S derivative(S y) const {
    return S(rate) * y;
  }
};

/// c[0] + c[1] x + c[2] x^2 + ...: neither small nor trivially copied.
struct Polynomial {
  static constexpr bool from_result = false;
  std::vector<double> c;
  template <class S>
  S value(S x) const {
    S sum(0);
    for (std::size_t i = c.size(); i-- > 0;) sum = sum * x + S(c[i]);
    return sum;
  }
  template <class S>
  S derivative(S x) const {
    S sum(0);
    for (std::size_t i = c.size(); i-- > 1;) sum = sum * x + S(double(i) * c[i]);
    return sum;
  }
};

template <class F>
void expect_values_and_gradients(const F& f) {
  const auto x = random_tensor<double, 2>({3, 7}, 1);
  const Variable<double, 2> y = elementwise("f", Variable<double, 2>(x), f);
  for (Index i = 0; i < x.size(); ++i)
    EXPECT_NEAR(y.data()[i], f.value(x.data()[i]), 1e-14) << i;  // kernels may fuse what the test does not
  const auto report =
      check_function_gradients([&](const Variable<double, 2>& v) { return elementwise("f", v, F(f)); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Elementwise, users_functions_of_any_size_have_their_values_and_gradients) {
  expect_values_and_gradients(Cube{});
  expect_values_and_gradients(Growth{0.7});
  expect_values_and_gradients(Polynomial{{1, -2, 0.5, 3}});
}

TEST(Elementwise, units_of_work_cover_every_element_once) {
  Rng rng(2);
  const auto x = random_tensor<float, 1>({2 * elementwise_grain + 5}, 3);
  Tape<float> tape(Mode::training, rng);
  const auto v = tape.want(tape.input(x));
  const auto y = elementwise("cube", v, Cube{});
  const std::vector<float> ones(static_cast<std::size_t>(x.size()), 1.f);
  const auto dx = tape.backward_from(y, ones.data()).of(v);
  for (Index i = 0; i < x.size(); ++i) {
    ASSERT_EQ(y.data()[i], Cube{}.value(x(i))) << i;
    ASSERT_EQ(dx(i), Cube{}.derivative(x(i))) << i;
  }
}

}  // namespace
}  // namespace elementwise_test
