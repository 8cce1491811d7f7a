#include "attend/layers/recurrent_cell.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace recurrent_cell_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;
const auto x = random_tensor<double, 2>({3, 4}, 1), h = random_tensor<double, 2>({3, 5}, 2),
           c = random_tensor<double, 2>({3, 5}, 3);

TEST(RecurrentCell, Gradients) {
  Rng rng(1);
  for (const bool bias : {true, false}) {
    for (const auto f : {Nonlinearity::tanh, Nonlinearity::relu}) {
      RnnCell<double> rnn({.input_size = 4, .hidden_size = 5, .bias = bias, .nonlinearity = f}, rng);
      const auto report = check_gradients(
          rnn, [&](const auto&... in) { return rnn(in...); }, x, h);
      EXPECT_TRUE(report.ok()) << report.text();
    }
    LstmCell<double> lstm({.input_size = 4, .hidden_size = 5, .bias = bias}, rng);
    const auto report = check_gradients(
        lstm, [&](const auto&... in) { return lstm(in...); }, x, h, c);
    EXPECT_TRUE(report.ok()) << report.text();
    GruCell<double> gru({.input_size = 4, .hidden_size = 5, .bias = bias}, rng);
    const auto gated = check_gradients(
        gru, [&](const auto&... in) { return gru(in...); }, x, h);
    EXPECT_TRUE(gated.ok()) << gated.text();
  }
}

TEST(RecurrentCell, GradientsWithoutStatesAndOfOneStateAlone) {
  Rng rng(1);
  LstmCell<double> lstm({.input_size = 4, .hidden_size = 5}, rng);
  for (const auto& report : {check_gradients(
                                 lstm, [&](const auto& in) { return lstm(in); }, x),
                             check_gradients(
                                 lstm, [&](const auto&... in) { return lstm(in...).cell; }, x, h, c),
                             check_gradients(
                                 lstm, [&](const auto&... in) { return lstm(in...).hidden; }, x, h, c)})
    EXPECT_TRUE(report.ok()) << report.text();
  GruCell<double> gru({.input_size = 4, .hidden_size = 5}, rng);
  const auto report = check_gradients(
      gru, [&](const auto& in) { return gru(in); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(RecurrentCell, StatesNotGivenAreZeros) {
  Rng rng(1);
  const LstmCell<double> lstm({.input_size = 4, .hidden_size = 5}, rng);
  const Tensor<double, 2> zero = Tensor<double, 2>(3, 5).setZero();
  const auto without = lstm(x), with = lstm(x, zero, zero);
  for (Index i = 0; i < 15; ++i) {
    EXPECT_EQ(without.hidden.data()[i], with.hidden.data()[i]);
    EXPECT_EQ(without.cell.data()[i], with.cell.data()[i]);
  }
}

// By hand: one unit, every number chosen.
TEST(Lstm, FollowsTheFormulaInPyTorchsGateOrder) {
  Rng rng(1);
  LstmCell<double> lstm({.input_size = 1, .hidden_size = 1}, rng);
  const auto all = parameters<double>(lstm);
  ASSERT_EQ(all[0].name, "weight_ih");
  ASSERT_EQ(all[3].name, "bias_hh");
  const double wi[] = {.1, .2, .3, .4}, wh[] = {.5, .6, .7, .8}, bi[] = {.01, .02, .03, .04},
               bh[] = {-.1, -.2, -.3, -.4};
  const double* values[] = {wi, wh, bi, bh};
  for (std::size_t p = 0; p < 4; ++p)
    for (Index g = 0; g < 4; ++g) all[p]->edit_flat()(g) = values[p][g];
  const double xv = 2, hv = -.5, cv = .25;
  const auto pre = [&](int g) { return wi[g] * xv + bi[g] + wh[g] * hv + bh[g]; };
  const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
  const double next = sigma(pre(1)) * cv + sigma(pre(0)) * std::tanh(pre(2));
  Tensor<double, 2> xs(1, 1), hs(1, 1), cs(1, 1);
  xs(0, 0) = xv, hs(0, 0) = hv, cs(0, 0) = cv;
  const auto result = lstm(xs, hs, cs);
  EXPECT_NEAR(result.cell(0, 0), next, 1e-14);  // a few roundings of numbers below 1
  EXPECT_NEAR(result.hidden(0, 0), sigma(pre(3)) * std::tanh(next), 1e-14);
}

// The reset gate scales W_hn h + b_hn, bias included: not r h before the product.
TEST(Gru, ResetsAfterTheProductAsPyTorch) {
  Rng rng(1);
  GruCell<double> gru({.input_size = 1, .hidden_size = 1}, rng);
  const auto all = parameters<double>(gru);
  const double wi[] = {.1, .2, .3}, wh[] = {.5, .6, .7}, bi[] = {.01, .02, .03}, bh[] = {-.1, -.2, -.3};
  const double* values[] = {wi, wh, bi, bh};
  for (std::size_t p = 0; p < 4; ++p)
    for (Index g = 0; g < 3; ++g) all[p]->edit_flat()(g) = values[p][g];
  const double xv = 2, hv = -.5;
  const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto pre = [&](int g) { return wi[g] * xv + bi[g] + wh[g] * hv + bh[g]; };
  const double r = sigma(pre(0)), z = sigma(pre(1)), n = std::tanh(wi[2] * xv + bi[2] + r * (wh[2] * hv + bh[2]));
  Tensor<double, 2> xs(1, 1), hs(1, 1);
  xs(0, 0) = xv, hs(0, 0) = hv;
  EXPECT_NEAR(gru(xs, hs)(0, 0), (1 - z) * n + z * hv, 1e-14);
}

TEST(RecurrentCell, EmptyBatch) {
  Rng rng(1);
  const GruCell<float> gru({.input_size = 4, .hidden_size = 5}, rng);
  const auto y = gru(Tensor<float, 2>(0, 4));
  EXPECT_EQ(y.dimension(0), 0);
  EXPECT_EQ(y.dimension(1), 5);
}

TEST(BadInput, RecurrentCells) {
  Rng rng(1);
  const GruCell<double> gru({.input_size = 4, .hidden_size = 5}, rng);
  const LstmCell<double> lstm({.input_size = 4, .hidden_size = 5}, rng);
  const Tensor<double, 2> wide(3, 6), few(2, 5);
  expect_error<ShapeError>([&] { gru(wide); }, {"(3, 1, 6)", "input_size = 4"});
  expect_error<ShapeError>([&] { gru(x, few); }, {"(2, 5)", "(3, 5)"});
  expect_error<ShapeError>([&] { lstm(x, h, wide); }, {"(3, 6)", "(3, 5)"});
  expect_error<OptionError>([&] { GruCell<float>({.input_size = 0, .hidden_size = 5}, rng); }, {"input_size = 0"});
  expect_error<OptionError>([&] { LstmCell<float>({.input_size = 4, .hidden_size = -5}, rng); }, {"hidden_size = -5"});
  expect_error<OptionError>([&] { RnnCell<float>({.input_size = 4}, rng); }, {"hidden_size = 0"});
}

}  // namespace
}  // namespace recurrent_cell_test
