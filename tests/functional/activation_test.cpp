#include "attend/functional/activation.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace activation_test {
using namespace attend;
using namespace attend::testing;

namespace {
using V1 = Variable<double, 1>;

Tensor<double, 1> vector(std::initializer_list<double> values) {
  Tensor<double, 1> t(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

struct Case {
  const char* name;
  std::function<V1(const V1&)> f;
  std::function<double(double)> formula;  // with std:: functions
  std::vector<double> kinks = {};         // where the derivative jumps
};

double phi(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }
double gelu_tanh_formula(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}
double relu6(double x) { return std::min(std::max(x, 0.0), 6.0); }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"relu", [](const V1& x) { return relu(x); }, [](double x) { return std::max(x, 0.0); }, {0}},
      {"leaky_relu", [](const V1& x) { return leaky_relu(x); }, [](double x) { return x > 0 ? x : 0.01 * x; }, {0}},
      {"leaky_relu steep",
       [](const V1& x) { return leaky_relu(x, 2.5); },
       [](double x) { return x > 0 ? x : 2.5 * x; },
       {0}},
      {"leaky_relu negative",
       [](const V1& x) { return leaky_relu(x, -0.3); },
       [](double x) { return x > 0 ? x : -0.3 * x; },
       {0}},
      {"gelu", [](const V1& x) { return gelu(x); }, [](double x) { return x * phi(x); }},
      {"gelu tanh", [](const V1& x) { return gelu(x, GeluForm::tanh); }, gelu_tanh_formula},
      {"silu", [](const V1& x) { return silu(x); }, [](double x) { return x / (1 + std::exp(-x)); }},
      {"sigmoid", [](const V1& x) { return sigmoid(x); }, [](double x) { return 1 / (1 + std::exp(-x)); }},
      {"hard_sigmoid", [](const V1& x) { return hard_sigmoid(x); }, [](double x) { return relu6(x + 3) / 6; }, {-3, 3}},
      {"hard_swish", [](const V1& x) { return hard_swish(x); }, [](double x) { return x * relu6(x + 3) / 6; }, {-3, 3}},
      {"tanh", [](const V1& x) { return tanh(x); }, [](double x) { return std::tanh(x); }},
      {"softplus", [](const V1& x) { return softplus(x); }, [](double x) { return std::log1p(std::exp(x)); }},
      {"softplus beta",
       [](const V1& x) { return softplus(x, 2.5); },
       [](double x) { return 2.5 * x > 20 ? x : std::log1p(std::exp(2.5 * x)) / 2.5; },
       {8}},
      {"softplus threshold",
       [](const V1& x) { return softplus(x, 1.5, 3); },
       [](double x) { return 1.5 * x > 3 ? x : std::log1p(std::exp(1.5 * x)) / 1.5; },
       {2}},
      {"elu", [](const V1& x) { return elu(x); }, [](double x) { return x > 0 ? x : std::expm1(x); }, {0}},
      {"elu alpha",
       [](const V1& x) { return elu(x, 0.4); },
       [](double x) { return x > 0 ? x : 0.4 * std::expm1(x); },
       {0}},
      {"elu negative alpha",
       [](const V1& x) { return elu(x, -0.7); },
       [](double x) { return x > 0 ? x : -0.7 * std::expm1(x); },
       {0}},
  };
  return all;
}

/// Values in [-6, 6], no closer than 0.01 to a kink.
Tensor<double, 1> away_from(const std::vector<double>& kinks) {
  auto x = random_tensor<double, 1>({41}, 3, -6, 6);
  for (Index i = 0; i < x.size(); ++i)
    for (const double kink : kinks)
      if (std::abs(x(i) - kink) < 0.01) x(i) = kink + 0.02;
  return x;
}
}  // namespace

TEST(Activation, GradientsAgreeWithDifferences) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto report = check_function_gradients(c.f, away_from(c.kinks));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(Activation, ValuesFollowTheFormula) {
  Tensor<double, 1> x(2001);
  for (Index i = 0; i < x.size(); ++i) x(i) = double(i - 1000) / 100;  // -10 ... 10
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    const auto y = c.f(V1(x));
    // 1e-14: a few roundings of the function and of the formula, relative to values of up to 10
    for (Index i = 0; i < x.size(); ++i)
      ASSERT_NEAR(y.data()[i], c.formula(x(i)), 1e-14 * (1 + std::abs(x(i)))) << x(i);
  }
}

TEST(Activation, FloatsAreCloseToDoublesWhateverTheVector) {
  const auto x = random_tensor<float, 1>({1003}, 5, -9, 9);
  const Tensor<double, 1> wide = x.cast<double>();
  for (const Case& c : cases()) {
    if (std::string(c.name) != "gelu" && std::string(c.name) != "gelu tanh") continue;
    const auto form = std::string(c.name) == "gelu" ? GeluForm::erf : GeluForm::tanh;
    const auto y = gelu(Variable<float, 1>(x), form);
    // 4 roundings, relative to values of up to 9
    for (Index i = 0; i < x.size(); ++i)
      ASSERT_NEAR(y.data()[i], c.formula(wide(i)), 4 * 6e-8 * (1 + std::abs(wide(i)))) << c.name << " of " << x(i);
  }
}

TEST(Activation, BiasGeluIsGeluOfTheSum) {
  const auto x = random_tensor<double, 3>({3, 4, 19}, 1, -3, 3), bias = random_tensor<double, 3>({1, 1, 19}, 2);
  for (const auto form : {GeluForm::erf, GeluForm::tanh}) {
    const auto one = bias_gelu(Variable<double, 3>(x), Variable<double, 3>(bias), form),
               two = gelu(Variable<double, 3>(x) + Variable<double, 3>(bias), form);
    EXPECT_TRUE(std::equal(one.data(), one.data() + one.size(), two.data()));
    const auto report =
        check_function_gradients([form](const auto& a, const auto& b) { return bias_gelu(a, b, form); }, x, bias);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(Activation, SmallNumbersKeepTheirDigits) {  // the naive log(1 + e^x) and e^x - 1 lose all of them
  const auto softplus_value = softplus(V1(vector({-40, -30, -20}))),
             elu_value = elu(V1(vector({-1e-12, -1e-9, -1e-5})));
  const double x[] = {-40, -30, -20}, z[] = {-1e-12, -1e-9, -1e-5};
  for (int i = 0; i < 3; ++i) {
    EXPECT_NEAR(softplus_value.data()[i] / std::log1p(std::exp(x[i])), 1, 1e-14);
    EXPECT_NEAR(elu_value.data()[i] / std::expm1(z[i]), 1, 1e-14);
  }
}

TEST(Activation, FM_2_2_HugeArgumentsDoNotOverflow) {
  for (const float huge : {1e4f, 1e18f, 1e30f, std::numeric_limits<float>::max()}) {
    Tensor<float, 1> x(2);
    x.setValues({huge, -huge});
    for (const auto activation :
         {Activation::relu, Activation::gelu, Activation::gelu_tanh, Activation::silu, Activation::sigmoid,
          Activation::hard_sigmoid, Activation::tanh, Activation::softplus, Activation::elu, Activation::hard_swish}) {
      SCOPED_TRACE(std::string(to_string(activation)) + " of " + std::to_string(huge));
      const bool bounded =
          activation == Activation::sigmoid || activation == Activation::tanh || activation == Activation::hard_sigmoid;
      Tape<float> tape(Mode::training);
      const auto v = tape.want(tape.input(x));
      const auto y = activate(v, activation);
      const auto total = dot(y, Variable<float, 1>(Tensor<float, 1>(x.constant(1e-30f))));
      const auto gradient = tape.backward(total).of(v);
      EXPECT_FLOAT_EQ(y.data()[0], bounded ? 1.f : huge);
      EXPECT_FLOAT_EQ(y.data()[1], activation == Activation::tanh || activation == Activation::elu ? -1.f : 0.f);
      EXPECT_NEAR(gradient(0), bounded ? 0 : 1e-30f, 1e-36f);
      EXPECT_EQ(gradient(1), 0.f);
    }
  }
}

TEST(Activation, FM_2_2_NanStaysNan) {
  Tensor<float, 1> x(33);
  x.setConstant(std::numeric_limits<float>::quiet_NaN());
  for (const auto activation : {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::gelu,
                                Activation::gelu_tanh, Activation::silu, Activation::sigmoid, Activation::hard_sigmoid,
                                Activation::hard_swish, Activation::tanh, Activation::softplus, Activation::elu}) {
    const auto y = activate(Variable<float, 1>(x), activation);
    for (Index i = 0; i < y.size(); ++i) EXPECT_TRUE(std::isnan(y.data()[i])) << to_string(activation) << " at " << i;
  }
}

TEST(Activation, DerivativesAtKinksArePyTorchs) {
  const auto derivative = [](const auto& f, double at) {
    Tape<double> tape(Mode::training);
    const auto x = tape.want(tape.input(vector({at})));
    return tape.backward(dot(f(x), V1(vector({1})))).of(x)(0);
  };
  EXPECT_EQ(derivative([](const V1& x) { return relu(x); }, 0), 0);
  EXPECT_EQ(derivative([](const V1& x) { return leaky_relu(x, 0.25); }, 0), 0.25);
  EXPECT_EQ(derivative([](const V1& x) { return hard_sigmoid(x); }, -3), 0);
  EXPECT_EQ(derivative([](const V1& x) { return hard_sigmoid(x); }, 3), 0);
  EXPECT_EQ(derivative([](const V1& x) { return elu(x, 0.5); }, 0), 0.5);
}

TEST(Trap, T24_GeluHasTwoForms) {
  double widest = 0;
  for (int i = -300; i <= 300; ++i) {
    const auto x = V1(vector({i / 100.0}));
    widest = std::max(widest, std::abs(gelu(x).data()[0] - gelu(x, GeluForm::tanh).data()[0]));
  }
  EXPECT_GT(widest, 4.0e-4);  // they differ by up to 4.1e-4 on the points PyTorch was tried on, 4.7e-4 in all
  EXPECT_LT(widest, 4.8e-4);
  EXPECT_NEAR(gelu(V1(vector({1}))).data()[0], 0.8413447460685429, 1e-15);
  EXPECT_NEAR(gelu(V1(vector({1})), GeluForm::tanh).data()[0], 0.8411919906082768, 1e-15);
}

TEST(Activation, NamesAreReadAndWritten) {
  for (const auto& known : attend::detail::activation_names) EXPECT_EQ(activation_from(known.name), known.value);
  for (const auto& known : attend::detail::activation_names)
    EXPECT_EQ(activation_from(to_string(known.value)), known.value);
  EXPECT_STREQ(to_string(Activation::hard_swish), "hardswish");
}

TEST(Activation, AnEmptyTensorStaysEmpty) {
  const Variable<float, 3> x(Tensor<float, 3>(0, 4, 5));
  EXPECT_EQ(gelu(x).shape(), x.shape());
}

TEST(BadInput, Activation) {
  EXPECT_EQ(error_of<OptionError>([] {
              (void)activation_from("ReLU7");
            }).rfind("[activation] the name is \"ReLU7\"; it must be one of identity, relu, ", 0),
            0u);
  EXPECT_NE(error_of<OptionError>([] { (void)softplus(V1(vector({1})), 0); }).find("beta is 0"), std::string::npos);
  EXPECT_NE(error_of<OptionError>([] { (void)softplus(V1(vector({1})), -2); }).find("greater than 0"),
            std::string::npos);
  EXPECT_NE(error_of<OptionError>([] {
              (void)softplus(V1(vector({1})), std::numeric_limits<double>::quiet_NaN());
            }).find("beta is nan"),
            std::string::npos);
}
}  // namespace activation_test
