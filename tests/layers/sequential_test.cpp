#include "attend/layers/sequential.hpp"

#include <gtest/gtest.h>

#include "attend/layers/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/dropout.hpp"
#include "attend/layers/flatten.hpp"
#include "attend/layers/identity.hpp"
#include "attend/layers/layer_list.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/residual.hpp"
#include "attend/testing/gradient_check.hpp"

namespace sequential_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <class Model>
std::vector<std::string> names(const Model& model) {
  std::vector<std::string> all;
  for (const auto& p : parameters<double>(model)) all.push_back(p.name);
  return all;
}
using Names = std::vector<std::string>;
}  // namespace

TEST(Sequential, CallsItsLayersInOrder) {
  Rng rng(1);
  const Dense<double> first({.in_features = 3, .out_features = 4}, rng),
      second({.in_features = 4, .out_features = 2}, rng);
  const auto model = Sequential(first, Relu(), Identity(), second);
  const auto x = random_tensor<double, 2>({5, 3}, 1);
  const auto expected = second(Relu()(first(x))), y = model(x);
  EXPECT_TRUE(std::equal(y.data(), y.data() + y.size(), expected.data()));
}

TEST(Sequential, ChildrenAreNumberedAsPyTorchs) {
  Rng rng(1);
  const auto model =
      Sequential(Dense<double>({3, 4}, rng), Relu(), Sequential(BatchNorm<double>({.channels = 4}), Flatten()),
                 Dense<double>({.in_features = 4, .out_features = 2, .bias = false}, rng));
  EXPECT_EQ(names(model), (Names{"0.weight", "0.bias", "2.0.weight", "2.0.bias", "2.0.running_mean", "2.0.running_var",
                                 "2.0.num_batches_tracked", "3.weight"}));
}

TEST(Sequential, RanksMayChangeAndGradientsArrive) {
  Rng rng(2);
  auto model = Sequential(Dense<double>({3, 4}, rng), Gelu(), Flatten(),
                          Dense<double>({.in_features = 8, .out_features = 3}, rng), Dropout(0.4));
  const auto report = check_gradients(
      model, [&](const Variable<double, 3>& x) { return model(x); }, random_tensor<double, 3>({4, 2, 3}, 1));
  EXPECT_TRUE(report.ok()) << report.text();
  model.get<0>().weight().edit().setZero();
  EXPECT_EQ(model.get<0>().weight().value()(0, 0), 0);
}

TEST(Sequential, ErrorsCarryThePath) {
  Rng rng(1);
  const auto model = Sequential(Relu(), Sequential(Identity(), Dense<double>({3, 4}, rng)));
  try {
    (void)model(random_tensor<double, 2>({2, 5}, 1));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "1.1: [dense] x has shape (2, 5); its last axis must be in_features = 3");
  }
}

TEST(LayerList, IsASequentialOfRunTime) {
  Rng rng(1);
  LayerList<double, 2> list;
  const auto x = random_tensor<double, 2>({5, 3}, 1);
  EXPECT_EQ(list(x)(4, 2), x(4, 2));
  const Dense<double> dense({3, 3}, rng);
  list.push_back(dense);
  list.push_back(Tanh());
  list.push_back(Sequential(Dense<double>({3, 6}, rng), Relu(), Dense<double>({6, 3}, rng)));
  EXPECT_EQ(list.size(), 3u);
  EXPECT_EQ(names(list), (Names{"0.weight", "0.bias", "2.0.weight", "2.0.bias", "2.2.weight", "2.2.bias"}));
  const auto report = check_gradients(
      list, [&](const Variable<double, 2>& v) { return list(v); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
  const auto copy = list;  // deep
  for (const auto& p : parameters<double>(list)) p->edit_flat().setZero();
  EXPECT_EQ(list(x)(1, 1), 0);
  EXPECT_NE(copy(x)(1, 1), 0);
}

TEST(Residual, AddsTheBranch) {
  Rng rng(1);
  const Dense<double> body({3, 3}, rng);
  const Residual block(body);
  const auto x = random_tensor<double, 2>({5, 3}, 1);
  const auto y = block(x), branch = body(x);
  for (Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i] + branch.data()[i]);
  EXPECT_EQ(names(block), (Names{"body.weight", "body.bias"}));
}

TEST(Residual, DropsTheBranchOfWholeSamples) {
  Tensor<float, 2> ones(4000, 3);
  ones.setConstant(1);
  Rng rng(4);
  Tape<float> tape(Mode::training, rng);
  const auto y = Residual(Identity(), 0.25)(tape.input(ones)).tensor();
  int dropped = 0;
  for (Index i = 0; i < 4000; ++i) {
    EXPECT_TRUE(y(i, 0) == 1 || std::abs(y(i, 0) - (1 + 1 / 0.75f)) < 1e-6f);
    EXPECT_EQ(y(i, 0), y(i, 2));
    dropped += y(i, 0) == 1;
  }
  EXPECT_NEAR(dropped / 4000.0, 0.25, 4 * std::sqrt(0.25 * 0.75 / 4000));
  EXPECT_FLOAT_EQ(Residual(Identity(), 0.25)(ones)(0, 0), 2);
}

TEST(Residual, GradientsAgreeWithDifferences) {
  Rng rng(2);
  for (const double p : {0.0, 0.4}) {
    Residual block(Sequential(LayerNorm<double>({.normalized_shape = 3}), Dense<double>({3, 3}, rng), Silu()), p);
    const auto report = check_gradients(
        block, [&](const Variable<double, 3>& x) { return block(x); }, random_tensor<double, 3>({4, 2, 3}, 1));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

TEST(BadInput, Residual) {
  Rng rng(1);
  EXPECT_THROW(Residual(Identity(), -0.1), OptionError);
  EXPECT_THROW(Residual(Identity(), 1.1), OptionError);
  try {
    (void)Residual(Dense<double>({3, 4}, rng))(random_tensor<double, 2>({2, 3}, 1));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "[Residual] x has shape (2, 3); the body must keep it, but gives (2, 4)");
  }
}
}  // namespace sequential_test
