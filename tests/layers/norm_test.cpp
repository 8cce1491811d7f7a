#include <gtest/gtest.h>

#include "attend/functional/mathematics.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/group_norm.hpp"
#include "attend/layers/instance_norm.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/rms_norm.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/moments.hpp"
#include "error_of.hpp"

namespace norm_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <class Model>
std::vector<double> state(const Model& model, const std::string& name) {
  for (const auto& p : parameters<double>(model))
    if (p.name == name) return {p->data(), p->data() + p->size()};
  ADD_FAILURE() << "no " << name;
  return {};
}
template <class Model>
std::vector<std::string> names(const Model& model) {
  std::vector<std::string> all;
  for (const auto& p : parameters<double>(model)) all.push_back(p.name);
  return all;
}
/// One training step without a change of the weights.
template <class Model, int R>
void step(Model& model, const Tensor<double, R>& x) {
  Tape<double> tape(Mode::training);
  const auto y = model(tape.input(x));
  store_moments(model, tape.backward(sum(y)));
}
void expect_close(const std::vector<double>& a, const std::vector<double>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-14) << i;
}
using Names = std::vector<std::string>;
}  // namespace

TEST(Trap, T14_RunningVarianceIsUnbiased) {
  BatchNorm<double> norm({.channels = 1});
  Tensor<double, 2> x(4, 1);
  x.setValues({{1}, {2}, {3}, {6}});  // mean 3, biased variance 3.5, unbiased 14 / 3
  step(norm, x);
  expect_close(state(norm, "running_mean"), {0.3});
  expect_close(state(norm, "running_var"), {0.9 + 0.1 * 14 / 3});
  expect_close(state(norm, "num_batches_tracked"), {1});
  Tape<double> tape(Mode::training);
  EXPECT_NEAR(norm(tape.input(x)).data()[0], -2 / std::sqrt(3.5 + 1e-5), 1e-14);  // normalised by the biased one
}

TEST(Trap, T18_BatchNormTakesAnyRankAndNormalisesOverAllButTheLastAxis) {
  // codewords (B, K, D): PyTorch-Encoding normalises over K, which channels-last is a plain BatchNorm on (B, D, K)
  BatchNorm<double> norm({.channels = 3});
  const auto x = random_tensor<double, 3>({4, 5, 3}, 1);
  Tape<double> tape(Mode::training);
  const auto y = norm(tape.input(x)), flat = norm(tape.input(x).reshape(Shape<2>{20, 3})).reshape(Shape<3>{4, 5, 3});
  EXPECT_TRUE(std::equal(y.data(), y.data() + y.size(), flat.data()));
  const auto means = mean(y, {0, 1}), squares = mean(square(y), {0, 1});
  for (Index c = 0; c < 3; ++c) {
    EXPECT_NEAR(means.data()[c], 0, 1e-14);
    EXPECT_NEAR(squares.data()[c], 1, 1e-4);  // eps against a variance of 1/3
  }
}

TEST(Trap, T23_EpsIsTheCallersChoice) {
  Tensor<double, 1> x(2);
  x.setValues({-1e-3, 1e-3});  // variance 1e-6: eps decides
  EXPECT_NEAR(LayerNorm<double>({.normalized_shape = 2})(x)(1), 1e-3 / std::sqrt(1.1e-5), 1e-13);
  EXPECT_NEAR(LayerNorm<double>({.normalized_shape = 2, .eps = 1e-6})(x)(1), 1e-3 / std::sqrt(2e-6), 1e-13);
  EXPECT_NEAR(LayerNorm<double>({.normalized_shape = 2, .eps = 1e-12})(x)(1), 1, 1e-6);
}

TEST(Trap, T27_InstanceNormHasNoWeightsByDefault) {
  EXPECT_EQ(names(InstanceNorm<double>({.channels = 3})), Names{});
  EXPECT_EQ(names(InstanceNorm<double>({.channels = 3, .affine = true})), (Names{"weight", "bias"}));
}

TEST(Norm, NamesAndShapesArePyTorchs) {
  EXPECT_EQ(names(BatchNorm<double>({.channels = 3})),
            (Names{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}));
  EXPECT_EQ(names(BatchNorm<double>({.channels = 3, .affine = false})),
            (Names{"running_mean", "running_var", "num_batches_tracked"}));
  EXPECT_EQ(names(BatchNorm<double>({.channels = 3, .track_running_stats = false})), (Names{"weight", "bias"}));
  EXPECT_EQ(names(GroupNorm<double>({.num_groups = 3, .channels = 3})), (Names{"weight", "bias"}));
  EXPECT_EQ(names(GroupNorm<double>({.num_groups = 3, .channels = 3, .affine = false})), Names{});
  EXPECT_EQ(names(LayerNorm<double>({.normalized_shape = 3})), (Names{"weight", "bias"}));
  EXPECT_EQ(names(LayerNorm<double>({.normalized_shape = 3, .bias = false})), Names{"weight"});
  EXPECT_EQ(names(LayerNorm<double>({.normalized_shape = 3, .affine = false})), Names{});
  EXPECT_EQ(names(RmsNorm<double>({.normalized_shape = 3})), Names{"weight"});
  const LayerNorm<double, 2> two({.normalized_shape = {4, 3}});
  EXPECT_EQ(parameters<double>(two)[0]->shape(), (std::vector<Index>{4, 3}));
  const BatchNorm<double> batch({.channels = 3});
  EXPECT_EQ(parameters<double>(batch)[4]->shape(), std::vector<Index>{});
  EXPECT_EQ(count_parameters<double>(batch), 6);
  EXPECT_EQ(state(batch, "running_var"), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(state(batch, "weight"), (std::vector<double>{1, 1, 1}));
}

TEST(Norm, RunningStatisticsFollowPyTorchsMomentum) {
  BatchNorm<double> norm({.channels = 2, .momentum = 0.25});
  std::vector<double> mean_now{0, 0}, variance_now{1, 1};
  for (std::uint64_t k = 0; k < 5; ++k) {
    const auto x = random_tensor<double, 3>({3, 4, 2}, k, -1, 3);
    for (Index c = 0; c < 2; ++c) {
      double m = 0, v = 0;
      for (Index i = 0; i < 12; ++i) m += x.data()[2 * i + c] / 12;
      for (Index i = 0; i < 12; ++i) v += (x.data()[2 * i + c] - m) * (x.data()[2 * i + c] - m) / 11;
      mean_now[std::size_t(c)] += 0.25 * (m - mean_now[std::size_t(c)]);
      variance_now[std::size_t(c)] += 0.25 * (v - variance_now[std::size_t(c)]);
    }
    step(norm, x);
  }
  expect_close(state(norm, "running_mean"), mean_now);
  expect_close(state(norm, "running_var"), variance_now);
  EXPECT_EQ(state(norm, "num_batches_tracked"), std::vector<double>{5});
  Tensor<double, 2> x(1, 2);
  x.setValues({{1, -1}});
  const auto y = norm(x);  // inference: the running ones
  EXPECT_NEAR(y(0, 0), (1 - mean_now[0]) / std::sqrt(variance_now[0] + 1e-5), 1e-13);
  EXPECT_NEAR(y(0, 1), (-1 - mean_now[1]) / std::sqrt(variance_now[1] + 1e-5), 1e-13);
}

TEST(Norm, WithoutMomentumTheRunningStatisticsAreAverages) {  // PyTorch's momentum=None
  BatchNorm<double> norm({.channels = 1, .momentum = std::nullopt});
  Tensor<double, 2> x(2, 1);
  for (const double at : {1.0, 2.0, 6.0}) {
    x.setValues({{at - 1}, {at + 1}});  // mean `at`, unbiased variance 2
    step(norm, x);
  }
  expect_close(state(norm, "running_mean"), {3});
  expect_close(state(norm, "running_var"), {2});
}

TEST(Norm, ForwardAloneChangesNothing) {
  BatchNorm<double> norm({.channels = 2});
  const auto x = random_tensor<double, 3>({3, 4, 2}, 1);
  Tape<double> tape(Mode::training), evaluation(Mode::evaluation);
  (void)norm(tape.input(x));
  (void)norm(x);
  EXPECT_EQ(state(norm, "running_mean"), (std::vector<double>{0, 0}));
  const auto y = norm(evaluation.want(evaluation.input(x)));
  EXPECT_TRUE(evaluation.backward(sum(y)).moments().empty());
}

TEST(Norm, TwoHalvesOfABatchPoolToTheWhole) {
  // several tapes on one model: their statistics add up to those of all samples, and count as one step
  BatchNorm<double> whole({.channels = 2}), halves = whole;
  const auto x = random_tensor<double, 3>({6, 4, 2}, 1, 0, 5);
  step(whole, x);
  const auto part = [&](Index from, Index count) {
    Tensor<double, 3> t(count, 4, 2);
    std::copy_n(x.data() + from * 8, t.size(), t.data());
    Tape<double> tape(Mode::training);
    return tape.backward(sum(halves(tape.input(t))));
  };
  auto gradients = part(0, 2);
  gradients += part(2, 4);
  store_moments(halves, gradients);
  for (const char* name : {"running_mean", "running_var", "num_batches_tracked"}) {
    SCOPED_TRACE(name);
    expect_close(state(halves, name), state(whole, name));
  }
}

TEST(Norm, InstanceNormTracksAveragesOverSamples) {
  InstanceNorm<double> norm({.channels = 1, .track_running_stats = true});
  Tensor<double, 3> x(2, 2, 1);
  x.setValues({{{1}, {3}}, {{4}, {8}}});  // means 2 and 6; unbiased variances 2 and 8
  step(norm, x);
  expect_close(state(norm, "running_mean"), {0.4});
  expect_close(state(norm, "running_var"), {0.9 + 0.1 * 5});
  EXPECT_NEAR(norm(x)(0, 0, 0), 0.6 / std::sqrt(1.4 + 1e-5), 1e-14);
  const InstanceNorm<double> plain({.channels = 1});
  EXPECT_NEAR(plain(x)(0, 0, 0), -1 / std::sqrt(1 + 1e-5), 1e-14);  // of the sample itself, also in inference
}

TEST(Norm, RmsNormsEpsIsTheScalarTypes) {
  Tensor<float, 1> x(2);
  x.setValues({3e-4f, 4e-4f});  // mean square 1.25e-7, close to float's epsilon of 1.19e-7
  EXPECT_NEAR(RmsNorm<float>({.normalized_shape = 2})(x)(0), 3e-4 / std::sqrt(1.25e-7 + 1.1920929e-7), 1e-6);
  EXPECT_NEAR(RmsNorm<float>({.normalized_shape = 2, .eps = 0})(x)(0), 3 / std::sqrt(12.5), 1e-6);
}

TEST(Norm, LayersPassTheGradientCheckInEveryOption) {
  const auto maps = random_tensor<double, 4>({2, 3, 4, 6}, 1);
  const auto sequences = random_tensor<double, 3>({3, 5, 6}, 2);
  const auto check = [&](const char* name, auto layer) {
    for (const Mode mode : {Mode::training, Mode::evaluation}) {
      for (const auto& p : parameters<double>(layer)) {
        auto values = p->edit_flat();
        for (Index i = 0; i < values.size(); ++i) values(i) = 0.5 + 0.1 * double(i);
      }
      GradientCheckOptions o;
      o.mode = mode;
      const auto a = check_gradients(
          o, layer, [&](const auto& v) { return layer(v); }, maps);
      EXPECT_TRUE(a.ok()) << name << a.text();
      const auto b = check_gradients(
          o, layer, [&](const auto& v) { return layer(v); }, sequences);
      EXPECT_TRUE(b.ok()) << name << b.text();
    }
  };
  check("batch", BatchNorm<double>({.channels = 6}));
  check("batch plain", BatchNorm<double>({.channels = 6, .affine = false}));
  check("batch untracked", BatchNorm<double>({.channels = 6, .eps = 1e-3, .track_running_stats = false}));
  check("instance", InstanceNorm<double>({.channels = 6, .affine = true}));
  check("instance tracked", InstanceNorm<double>({.channels = 6, .track_running_stats = true}));
  check("group", GroupNorm<double>({.num_groups = 3, .channels = 6}));
  check("group plain", GroupNorm<double>({.num_groups = 2, .channels = 6, .affine = false}));
  check("layer", LayerNorm<double>({.normalized_shape = 6}));
  check("layer without bias", LayerNorm<double>({.normalized_shape = 6, .bias = false}));
  check("rms", RmsNorm<double>({.normalized_shape = 6, .eps = 1e-3}));
}

TEST(BadInput, NormLayers) {
  const auto x = random_tensor<double, 3>({2, 3, 4}, 1);
  EXPECT_EQ(error_of([] { BatchNorm<double>({.channels = 0}); }), "[BatchNorm] channels is 0; it must be at least 1");
  EXPECT_EQ(error_of([] { BatchNorm<double>({.channels = 3, .eps = -1}); }),
            "[BatchNorm] eps is -1.000000; it must be 0 or more");
  EXPECT_EQ(error_of([] { BatchNorm<double>({.channels = 3, .momentum = 1.5}); }),
            "[BatchNorm] momentum is 1.500000; it must lie in [0, 1]");
  EXPECT_EQ(error_of([] { InstanceNorm<double>({.channels = -2}); }),
            "[InstanceNorm] channels is -2; it must be at least 1");
  EXPECT_EQ(error_of([] { GroupNorm<double>({.num_groups = 4, .channels = 6}); }),
            "[GroupNorm] channels is 6; it must be divisible by num_groups = 4");
  EXPECT_EQ(error_of([] { GroupNorm<double>({.num_groups = 0, .channels = 6}); }),
            "[GroupNorm] channels is 6; it must be divisible by num_groups = 0");
  EXPECT_EQ(error_of([] { LayerNorm<double>({}); }),
            "[LayerNorm] normalized_shape is (0); every extent must be at least 1");
  EXPECT_EQ(error_of([] {
              LayerNorm<double, 2>({.normalized_shape = {3, -1}});
            }),
            "[LayerNorm] normalized_shape is (3, -1); every extent must be at least 1");
  EXPECT_EQ(error_of([] { LayerNorm<double>({.normalized_shape = 3, .eps = -1e-5}); }),
            "[LayerNorm] eps is -0.000010; it must be 0 or more");
  EXPECT_EQ(error_of([] { RmsNorm<double>({.normalized_shape = 3, .eps = -1}); }),
            "[RmsNorm] eps is -1.000000; it must be 0 or more");
  EXPECT_EQ(error_of([&] { (void)BatchNorm<double>({.channels = 3})(x); }),
            "[BatchNorm] x has shape (2, 3, 4); its last axis must be channels = 3");
  EXPECT_EQ(error_of([&] { (void)InstanceNorm<double>({.channels = 3})(x); }),
            "[InstanceNorm] x has shape (2, 3, 4); its last axis must be channels = 3");
  EXPECT_EQ(error_of([&] { (void)GroupNorm<double>({.num_groups = 1, .channels = 3})(x); }),
            "[GroupNorm] x has shape (2, 3, 4); its last axis must be channels = 3");
  EXPECT_EQ(error_of([&] { (void)LayerNorm<double>({.normalized_shape = 3})(x); }),
            "[LayerNorm] x has shape (2, 3, 4); its last axes must be normalized_shape = (3)");
  EXPECT_EQ(error_of([&] {
              (void)LayerNorm<double, 2>({.normalized_shape = {4, 3}})(x);
            }),
            "[LayerNorm] x has shape (2, 3, 4); its last axes must be normalized_shape = (4, 3)");
  EXPECT_EQ(error_of([&] { (void)RmsNorm<double>({.normalized_shape = 2})(x); }),
            "[RmsNorm] x has shape (2, 3, 4); its last axes must be normalized_shape = (2)");
}

// The variance of one value is zero, and dividing by it gave infinities (PyTorch refuses as well).
TEST(Norm, FM_2_2_OneValuePerChannelIsRefused) {
  EXPECT_EQ(error_of([&] {
              Tape<double> tape(Mode::training);
              (void)BatchNorm<double>({.channels = 4})(tape.input(random_tensor<double, 2>({1, 4}, 1)));
            }),
            "[batch_norm] x has shape (1, 4); statistics of a batch need more than 1 value per channel (evaluation "
            "uses the running ones)");
  EXPECT_EQ(error_of([&] {
              (void)InstanceNorm<double>({.channels = 4})(random_tensor<double, 3>({5, 1, 4}, 1));
            }),
            "[instance_norm] x has shape (5, 1, 4); statistics of a sample need more than 1 value per channel");
}
}  // namespace norm_test
