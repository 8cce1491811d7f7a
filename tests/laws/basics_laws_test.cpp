#include <gtest/gtest.h>

#include "attend/layers/activation.hpp"
#include "attend/testing/layer_laws.hpp"

namespace basics_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <class L>
auto always(const L& layer) {
  return [layer](auto, Rng&) { return layer; };
}
/// Away from the kinks at -3, 0 and 3.
Tensor<double, 3> input() {
  auto x = random_tensor<double, 3>({3, 5, 7}, 4, -5, 5);
  for (Index i = 0; i < x.size(); ++i)
    for (const double kink : {-3.0, 0.0, 3.0})
      if (std::abs(x.data()[i] - kink) < 0.01) x.data()[i] = kink + 0.02;
  return x;
}
}  // namespace

TEST(Laws, Relu) { EXPECT_EQ(text(broken_laws(always(Relu()), input())), ""); }
TEST(Laws, LeakyRelu) { EXPECT_EQ(text(broken_laws(always(LeakyRelu({.negative_slope = 0.2})), input())), ""); }
TEST(Laws, Gelu) {
  const auto many = random_tensor<double, 3>({3, 131, 101}, 4, -5, 5);  // several units of work for the threads
  for (const auto& x : {input(), many}) EXPECT_EQ(text(broken_laws(always(Gelu()), x)), "");
}
TEST(Laws, GeluTanh) { EXPECT_EQ(text(broken_laws(always(Gelu(Gelu::tanh)), input())), ""); }
TEST(Laws, Silu) { EXPECT_EQ(text(broken_laws(always(Silu()), input())), ""); }
TEST(Laws, Sigmoid) { EXPECT_EQ(text(broken_laws(always(Sigmoid()), input())), ""); }
TEST(Laws, HardSigmoid) { EXPECT_EQ(text(broken_laws(always(HardSigmoid()), input())), ""); }
TEST(Laws, HardSwish) { EXPECT_EQ(text(broken_laws(always(HardSwish()), input())), ""); }
TEST(Laws, Tanh) { EXPECT_EQ(text(broken_laws(always(Tanh()), input())), ""); }
TEST(Laws, Softplus) { EXPECT_EQ(text(broken_laws(always(Softplus({.beta = 2})), input())), ""); }
TEST(Laws, Elu) { EXPECT_EQ(text(broken_laws(always(Elu({.alpha = 0.5})), input())), ""); }
TEST(Laws, Activate) { EXPECT_EQ(text(broken_laws(always(Activate(activation_from("swish"))), input())), ""); }
}  // namespace basics_laws_test
