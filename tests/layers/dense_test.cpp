#include "attend/layers/dense.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"

namespace dense_test {
using namespace attend;
using namespace attend::testing;

TEST(Dense, HandComputed) {
  Rng rng(1);
  Dense<double> layer({.in_features = 2, .out_features = 3}, rng);
  layer.weight().edit().setValues({{1, 2}, {3, 4}, {5, 6}});
  layer.bias()->edit().setValues({0.5, 0, -1});
  Tensor<double, 2> x(2, 2);
  x.setValues({{1, 1}, {-1, 2}});
  const auto y = layer(x);
  const double expected[] = {3.5, 7, 10, 3.5, 5, 6};
  for (Index i = 0; i < 6; ++i) EXPECT_EQ(y.data()[i], expected[i]);
}

TEST(Dense, InitialValuesAreUniformWithinPyTorchsBound) {
  Rng rng(3);
  Dense<float> layer({.in_features = 100, .out_features = 400}, rng);
  const double bound = 0.1;
  for (const auto& p : parameters<float>(layer)) {
    double sum = 0, square = 0, largest = 0;
    for (Index i = 0; i < p->size(); ++i) {
      const double v = static_cast<double>(p->data()[i]);
      sum += v, square += v * v, largest = std::max(largest, std::abs(v));
    }
    const double n = double(p->size());
    EXPECT_LE(largest, bound);
    EXPECT_GT(largest, 0.98 * bound);
    EXPECT_NEAR(sum / n, 0, 4 * bound / std::sqrt(3 * n));  // 4 deviations of a mean of uniforms
    EXPECT_NEAR(square / n, bound * bound / 3, 4 * bound * bound * 0.3 / std::sqrt(n));
  }
}

/// Residual and activation at the end of the kernel are what they are as functions of their own, to the bit; on a tape they
/// are those functions.
TEST(Dense, FusedComputesWhatSeparateFunctionsDo) {
  Rng rng(2);
  for (const bool bias : {true, false})
    for (const Index out : {5, 64, 97}) {
      const Dense<float> layer({.in_features = 19, .out_features = out, .bias = bias}, rng);
      const Variable<float, 3> x(random_tensor<float, 3>({3, 7, 19}, 1)),
          residual(random_tensor<float, 3>({3, 7, out}, 2));
      const auto plain = layer(x);
      for (const auto activation : {Activation::identity, Activation::relu, Activation::gelu, Activation::gelu_tanh,
                                    Activation::silu, Activation::hard_swish, Activation::tanh}) {
        const auto expected = activate(plain, activation), sum = activate(plain + residual, activation);
        const auto fused = layer.fused(x, activation), fused_sum = layer.fused(x, activation, &residual);
        for (Index i = 0; i < plain.size(); ++i) {
          ASSERT_EQ(fused.data()[i], expected.data()[i]) << to_string(activation) << i;
          ASSERT_EQ(fused_sum.data()[i], sum.data()[i]) << to_string(activation) << i;
        }
      }
    }
  const auto report =
      check_function_gradients([](const auto& x, const auto& w, const auto& b,
                                  const auto& residual) { return fused_dense(x, w, b, Activation::tanh, &residual); },
                               random_tensor<double, 2>({4, 5}, 1), random_tensor<double, 2>({3, 5}, 2),
                               random_tensor<double, 1>({3}, 3), random_tensor<double, 2>({4, 3}, 4));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Dense, FusedRefusesAResidualOfAnotherShape) {
  Rng rng(2);
  const Dense<float> layer({.in_features = 4, .out_features = 3}, rng);
  const Variable<float, 2> x(random_tensor<float, 2>({2, 4}, 1));
  for (const auto& shape : {Shape<2>{2, 2}, Shape<2>{3, 3}}) {
    const Variable<float, 2> wrong(random_tensor<float, 2>(shape, 1));
    try {
      (void)layer.fused(x, Activation::relu, &wrong);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const ShapeError& error) {
      EXPECT_NE(std::string(error.what()).find(to_string(shape)), std::string::npos) << error.what();
    }
  }
}

TEST(Dense, GradientsAgreeWithDifferences) {
  Rng rng(2);
  const struct {
    Index in, out;
    bool bias;
  } cases[] = {{5, 7, true}, {5, 7, false}, {1, 3, true}, {3, 1, true}, {1, 1, false}, {17, 33, true}};
  for (const auto& c : cases) {
    Dense<double> layer({.in_features = c.in, .out_features = c.out, .bias = c.bias}, rng);
    const auto call = [&](const auto& x) { return layer(x); };
    const auto check = [&](const GradientReport& report) {
      EXPECT_TRUE(report.ok()) << c.in << c.out << report.text();
    };
    check(check_gradients(layer, call, random_tensor<double, 1>({c.in}, 1)));
    check(check_gradients(layer, call, random_tensor<double, 2>({4, c.in}, 1)));
    check(check_gradients(layer, call, random_tensor<double, 3>({2, 3, c.in}, 1)));
    check(check_gradients(layer, call, random_tensor<double, 4>({2, 1, 3, c.in}, 1)));
    check(check_gradients(
        layer,
        [&](const Variable<double, 2>& x) {
          return layer(x) + layer(layer.weight().on(x)).reshape(Shape<2>{c.out, c.out});
        },
        random_tensor<double, 2>({c.out, c.in}, 1)));  // weights that are also the input
  }
}

TEST(Dense, NamesAndShapesArePyTorchs) {
  Rng rng(1);
  Dense<float> layer({.in_features = 4, .out_features = 6}, rng),
      plain({.in_features = 4, .out_features = 6, .bias = false}, rng);
  const auto all = parameters<float>(layer);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].name, "weight");
  EXPECT_EQ(all[0]->shape(), (std::vector<Index>{6, 4}));
  EXPECT_EQ(all[1].name, "bias");
  EXPECT_EQ(all[1]->shape(), (std::vector<Index>{6}));
  EXPECT_EQ(parameters<float>(plain).size(), 1u);
  EXPECT_EQ(count_parameters<float>(layer), 30);
}

TEST(Dense, AnEditIsSeenByTheNextCall) {
  Rng rng(1);
  Dense<float> layer({.in_features = 2, .out_features = 1, .bias = false}, rng);
  Tensor<float, 1> x(2);
  x.setValues({1, 1});
  (void)layer(x);
  layer.weight().edit().setValues({{2, 3}});
  EXPECT_EQ(layer(x)(0), 5);
}

TEST(Dense, InferenceAndTapesGiveTheSameBits) {
  Rng rng(5);
  const Dense<float> layer({.in_features = 37, .out_features = 29}, rng);
  const auto x = random_tensor<float, 2>({23, 37}, 4);
  Tape<float> tape(Mode::training);
  const auto a = layer(x), b = layer(tape.input(x)).tensor();
  EXPECT_TRUE(std::equal(a.data(), a.data() + a.size(), b.data()));
}

TEST(Dense, AResultOfAnotherShapeIsMadeInPlace) {
  Rng rng(1);
  const Dense<float> layer({.in_features = 4, .out_features = 64}, rng);
  const auto x = random_tensor<float, 3>({8, 32, 4}, 2);
  EXPECT_EQ(layer.result_shape(shape_of(x)), (Shape<3>{8, 32, 64}));
  layer(x);  // packs the weight
  Recycler::release();
  const auto y = layer(x);
  EXPECT_EQ(shape_of(y), (Shape<3>{8, 32, 64}));
  EXPECT_LT(Recycler::held(), static_cast<std::size_t>(y.size()) * sizeof(float));
}

TEST(Dense, EmptyBatches) {
  Rng rng(1);
  Dense<float> layer({.in_features = 4, .out_features = 6}, rng);
  EXPECT_EQ(layer(Tensor<float, 3>(0, 5, 4)).dimension(2), 6);
  Tape<float> tape(Mode::training);
  const auto y = layer(tape.input(Tensor<float, 2>(0, 4)));
  const auto gradients = tape.backward(dot(y, y));
  EXPECT_EQ(gradients.of(layer.weight())(0, 0), 0);
}

TEST(BadInput, Dense) {
  Rng rng(1);
  const auto option = [&](DenseOptions o) -> std::string {
    try {
      Dense<float> layer(o, rng);
    } catch (const OptionError& error) {
      return error.what();
    }
    return "nothing thrown";
  };
  EXPECT_EQ(option({.in_features = 0, .out_features = 3}),
            "[Dense] in_features is 0 and out_features 3; both must be at least 1");
  EXPECT_EQ(option({.in_features = 4}), "[Dense] in_features is 4 and out_features 0; both must be at least 1");
  EXPECT_EQ(option({.in_features = -1, .out_features = 3}),
            "[Dense] in_features is -1 and out_features 3; both must be at least 1");
  EXPECT_EQ(option({}), "[Dense] in_features is 0 and out_features 0; both must be at least 1");
  const Dense<float> layer({.in_features = 4, .out_features = 6}, rng);
  try {
    (void)layer(Tensor<float, 3>(2, 4, 5));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "[dense] x has shape (2, 4, 5); its last axis must be in_features = 4");
  }
  const Variable<float, 2> x(Tensor<float, 2>(3, 4)), w(Tensor<float, 2>(6, 4));
  try {
    (void)dense(x, w, Variable<float, 1>(Tensor<float, 1>(5)));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "[dense] bias has shape (5); for a weight of shape (6, 4) it must be (6)");
  }
  EXPECT_THROW((void)dense(x, Variable<float, 2>(Tensor<float, 2>(6, 3)), absent<float, 1>()), ShapeError);
}
}  // namespace dense_test
