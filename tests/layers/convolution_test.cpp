#include <gtest/gtest.h>

#include "attend/layers/adaptive_pool.hpp"
#include "attend/layers/avg_pool.hpp"
#include "attend/layers/conv1d.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/conv_norm_act.hpp"
#include "attend/layers/conv_transpose2d.hpp"
#include "attend/layers/global_pool.hpp"
#include "attend/layers/max_pool.hpp"
#include "attend/layers/upsample.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/testing/reference_convolution.hpp"
#include "error_of.hpp"

namespace convolution_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <class S, class L>
std::string state(const L& layer) {
  std::string text;
  for (const auto& p : parameters<S>(layer)) text += p.name + to_string(p->shape()) + " ";
  return text;
}
template <class L>
void expect_gradients(L layer, const Shape<4>& x) {
  const auto report = check_gradients(
      layer, [&](const auto& in) { return layer(in); }, random_tensor<double, 4>(x, 1));
  EXPECT_TRUE(report.ok()) << report.text();
}
}  // namespace

TEST(Conv2d, HasPyTorchsParameters) {
  Rng rng(1);
  EXPECT_EQ(state<float>(Conv2d<float>({.in_channels = 6, .out_channels = 4, .kernel_size = {3, 5}, .groups = 2}, rng)),
            "weight(4, 3, 3, 5) bias(4) ");
  EXPECT_EQ(state<float>(Conv2d<float>({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .bias = false}, rng)),
            "weight(4, 3, 3, 3) ");
  EXPECT_EQ(state<float>(Conv1d<float>({.in_channels = 6, .out_channels = 4, .kernel_size = 3, .groups = 2}, rng)),
            "weight(4, 3, 3) bias(4) ");
  EXPECT_EQ(state<float>(
                ConvTranspose2d<float>({.in_channels = 6, .out_channels = 4, .kernel_size = {3, 5}, .groups = 2}, rng)),
            "weight(6, 2, 3, 5) bias(4) ");
  EXPECT_EQ(state<float>(GeM2d<float>()), "p(1) ");
  EXPECT_EQ(state<float>(MaxPool2d({.kernel_size = 2})), "");
}

TEST(Conv2d, StartsUniformWithinOneOverTheRootOfFanIn) {
  Rng rng(1);
  const Conv2d<double> layer({.in_channels = 32, .out_channels = 64, .kernel_size = {3, 5}, .groups = 2}, rng);
  const double bound = 1 / std::sqrt(16.0 * 15);
  for (const auto& p : parameters<double>(layer)) {
    double largest = 0, squares = 0;
    for (Index i = 0; i < p->size(); ++i)
      largest = std::max(largest, std::abs(p->data()[i])), squares += p->data()[i] * p->data()[i];
    EXPECT_LE(largest, bound) << p.name;
    EXPECT_GT(largest, 0.9 * bound) << p.name;
    // the variance of a uniform value is bound^2 / 3; 4 deviations of its estimate, sqrt(4/45 / n) bound^2
    EXPECT_NEAR(squares / static_cast<double>(p->size()), bound * bound / 3,
                4 * std::sqrt(4.0 / 45 / static_cast<double>(p->size())) * bound * bound)
        << p.name;
  }
  const ConvTranspose2d<double> transposed({.in_channels = 8, .out_channels = 64, .kernel_size = 3}, rng);
  for (const auto& p : parameters<double>(transposed))
    for (Index i = 0; i < p->size(); ++i) EXPECT_LE(std::abs(p->data()[i]), 1 / std::sqrt(64.0 * 9));
}

TEST(Conv2d, APackedWeightIsRenewedWhenTheWeightIsEdited) {
  Rng rng(1);
  for (const Index groups : {1, 2, 4}) {
    Conv2d<double> layer({.in_channels = 4, .out_channels = 4, .kernel_size = 3, .padding = 1, .groups = groups}, rng);
    const auto x = random_tensor<double, 4>({2, 5, 6, 4}, 2);
    const auto expect_right = [&] {
      const auto found = parameters<double>(layer);
      Tensor<double, 4> w(4, 4 / groups, 3, 3);
      Tensor<double, 1> b(4);
      std::copy_n(found[0]->data(), w.size(), w.data());
      std::copy_n(found[1]->data(), b.size(), b.data());
      const auto expected = reference_conv2d(x, w, b, {.padding = 1, .groups = groups});
      for (int call = 0; call < 2; ++call) {
        const auto y = layer(x);
        for (Index i = 0; i < y.size(); ++i) ASSERT_NEAR(y.data()[i], expected.data()[i], 1e-14);  // 37 terms below 1
      }
    };
    expect_right();
    parameters<double>(layer)[0]->edit_flat().setConstant(0.25);
    expect_right();
    parameters<double>(layer)[0]->edit_flat()(7) = -1;
    expect_right();
  }
}

TEST(Conv2d, TensorsAndVariablesGiveTheSameBits) {
  Rng rng(1);
  const Conv2d<float> layer({.in_channels = 33, .out_channels = 17, .kernel_size = 3, .padding = Padding::same}, rng);
  const auto x = random_tensor<float, 4>({3, 9, 8, 33}, 2);
  Tape<float> tape(Mode::training);
  const auto plain = layer(x), recorded = layer(tape.input(x)).tensor();
  for (Index i = 0; i < plain.size(); ++i) ASSERT_EQ(plain.data()[i], recorded.data()[i]);
}

TEST(Conv2d, ForetellsTheShapeOfItsResult) {
  Rng rng(1);
  const Conv2dOptions cases[] = {
      {.in_channels = 4, .out_channels = 6, .kernel_size = 3},
      {.in_channels = 4, .out_channels = 8, .kernel_size = {3, 2}, .stride = {2, 3}, .padding = {2, 1}, .groups = 2},
      {.in_channels = 4, .out_channels = 3, .kernel_size = {1, 3}, .padding = Padding::same, .dilation = 2},
      {.in_channels = 4, .out_channels = 5, .kernel_size = 5, .padding = 2, .padding_mode = PaddingMode::reflect}};
  const auto x = random_tensor<float, 4>({2, 9, 8, 4}, 2);
  for (const Conv2dOptions& options : cases) {
    const Conv2d<float> conv(options, rng);
    EXPECT_EQ(conv.result_shape(shape_of(x)), shape_of(conv(x))) << "kernel " << to_string(options.kernel_size);
  }
  EXPECT_EQ(Conv2d<float>(cases[0], rng).result_shape({2, 1, 8, 4}), (Shape<4>{2, 0, 6, 6}));
}

TEST(Conv2d, AResultOfAnotherShapeIsMadeInPlace) {
  Rng rng(1);
  const Conv2d<float> conv({.in_channels = 4, .out_channels = 64, .kernel_size = 1, .stride = 2}, rng);
  const auto x = random_tensor<float, 4>({1, 32, 32, 4}, 2);
  conv(x);  // packs the weight
  Recycler::release();
  const auto y = conv(x);
  EXPECT_LT(Recycler::held(), static_cast<std::size_t>(y.size()) * sizeof(float));
}

TEST(Conv2d, GradientsOfTheLayers) {
  Rng rng(1);
  expect_gradients(Conv2d<double>({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 1}, rng),
                   {2, 4, 5, 3});
  expect_gradients(
      Conv2d<double>({.in_channels = 3, .out_channels = 4, .kernel_size = {2, 3}, .stride = 2, .bias = false}, rng),
      {2, 4, 5, 3});
  expect_gradients(Conv2d<double>({.in_channels = 4,
                                   .out_channels = 6,
                                   .kernel_size = 3,
                                   .padding = Padding::same,
                                   .groups = 2,
                                   .padding_mode = PaddingMode::circular},
                                  rng),
                   {2, 4, 5, 4});
  expect_gradients(
      ConvTranspose2d<double>(
          {.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 2, .padding = 1, .output_padding = 1}, rng),
      {2, 4, 3, 3});
  expect_gradients(GeM2d<double>({.p = 2, .eps = 0.5}), {2, 4, 5, 3});
  Conv1d<double> sequence({.in_channels = 3,
                           .out_channels = 4,
                           .kernel_size = 4,
                           .padding = Padding::same,
                           .padding_mode = PaddingMode::replicate},
                          rng);
  const auto report = check_gradients(
      sequence, [&](const auto& x) { return sequence(x); }, random_tensor<double, 3>({2, 7, 3}, 1));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Conv2d, AFrozenWeightGetsNoGradientAndItsInputDoes) {
  Rng rng(1);
  Conv2d<double> layer({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 1}, rng);
  parameters<double>(layer)[0]->set_trainable(false);
  expect_gradients(layer, {2, 4, 5, 3});
}

TEST(Layers, PoolsAndResizesNeedNoScalar) {
  const auto x = random_tensor<float, 4>({2, 6, 8, 3}, 1);
  EXPECT_EQ(to_string(shape_of(MaxPool2d({.kernel_size = 2})(x))), "(2, 3, 4, 3)");
  EXPECT_EQ(to_string(shape_of(AvgPool2d({.kernel_size = {3, 2}})(x))), "(2, 2, 4, 3)");
  EXPECT_EQ(to_string(shape_of(AdaptiveAvgPool2d({.output_size = {2, 3}})(x))), "(2, 2, 3, 3)");
  EXPECT_EQ(to_string(shape_of(AdaptiveMaxPool2d()(x))), "(2, 1, 1, 3)");
  EXPECT_EQ(to_string(shape_of(GlobalAveragePool2d()(x))), "(2, 3)");
  EXPECT_EQ(to_string(shape_of(GlobalMaxPool2d()(x))), "(2, 3)");
  EXPECT_EQ(to_string(shape_of(Upsample({.scale_factor = 1.5, .mode = Interpolation::bilinear})(x))), "(2, 9, 12, 3)");
  const auto sequence = random_tensor<double, 3>({2, 7, 3}, 1);
  EXPECT_EQ(to_string(shape_of(MaxPool1d({.kernel_size = 3, .stride = 2})(sequence))), "(2, 3, 3)");
  EXPECT_EQ(to_string(shape_of(AvgPool1d({.kernel_size = 3})(sequence))), "(2, 2, 3)");
}

TEST(BadInput, ConvolutionLayers) {
  Rng rng(1);
  const auto conv = [&](Conv2dOptions o) {
    return [=] {
      Rng r(1);
      Conv2d<float>(o, r);
    };
  };
  expect_error<OptionError>(conv({}), {"[Conv2d]", "kernel_size is (0, 0)"});
  expect_error<OptionError>(conv({.kernel_size = 3}), {"in_channels is 0", "out_channels 0"});
  expect_error<OptionError>(conv({.in_channels = 6, .out_channels = 4, .kernel_size = 3, .groups = 4}),
                            {"groups is 4", "in_channels = 6", "out_channels = 4"});
  expect_error<OptionError>(conv({.in_channels = 4, .out_channels = 6, .kernel_size = 3, .groups = 4}),
                            {"groups is 4"});
  expect_error<OptionError>(conv({.in_channels = 4, .out_channels = 6, .kernel_size = 3, .groups = -1}),
                            {"groups is -1"});
  expect_error<OptionError>(
      conv({.in_channels = 4, .out_channels = 6, .kernel_size = 3, .stride = {1, 2}, .padding = Padding::same}),
      {"same", "stride (1, 2)"});
  expect_error<OptionError>(
      [] {
        Rng r(1);
        Conv1d<float>({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 0}, r);
      },
      {"[Conv1d]", "stride is (0, 0)"});
  expect_error<OptionError>(
      [] {
        Rng r(1);
        ConvTranspose2d<float>(
            {.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 2, .output_padding = 2}, r);
      },
      {"[ConvTranspose2d]", "output_padding is (2, 2)"});
  expect_error<OptionError>([] { MaxPool2d(MaxPoolOptions{}); }, {"[MaxPool2d]", "kernel_size"});
  expect_error<OptionError>([] { AvgPool2d({.kernel_size = 2, .padding = 2}); }, {"[AvgPool2d]", "padding is (2, 2)"});
  expect_error<OptionError>([] { MaxPool1d(MaxPoolOptions{}); }, {"[MaxPool1d]", "kernel_size"});
  expect_error<OptionError>([] { AvgPool1d(AvgPoolOptions{}); }, {"[AvgPool1d]", "kernel_size"});
  expect_error<OptionError>([] { AdaptiveAvgPool2d({.output_size = -1}); }, {"[AdaptiveAvgPool2d]", "output_size"});
  expect_error<OptionError>([] { AdaptiveMaxPool2d({.output_size = -1}); }, {"[AdaptiveMaxPool2d]", "output_size"});
  expect_error<OptionError>([] { GeM2d<float>({.p = 0}); }, {"[GeM2d]", "p is 0"});
  expect_error<OptionError>([] { GeM2d<float>({.eps = -1}); }, {"[GeM2d]", "eps -1"});
  expect_error<OptionError>([] { Upsample({.size = 2, .scale_factor = 2}); }, {"[Upsample]", "give one of them"});
  const Conv2d<float> layer({.in_channels = 3, .out_channels = 4, .kernel_size = 3}, rng);
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 5, 6, 4)); },
                           {"(2, 5, 6, 4)", "(4, 3, 3, 3)", "in_channels = 3"});
}

TEST(ConvNormAct, PadsAsTimmDoes) {
  Rng rng(1);
  const auto out = [&](Index kernel, Index stride, Index dilation, Index extent) {
    const ConvNormAct<float> layer(
        {.in_channels = 1, .out_channels = 1, .kernel_size = kernel, .stride = stride, .dilation = dilation}, rng);
    return layer(Tensor<float, 4>(Tensor<float, 4>(1, extent, extent, 1).setZero())).dimension(1);
  };
  EXPECT_EQ(out(3, 1, 1, 12), 12);
  EXPECT_EQ(out(3, 2, 1, 12), 6);
  EXPECT_EQ(out(5, 1, 2, 12), 12);
  EXPECT_EQ(out(3, 4, 1, 12), 4);  // get_padding: (4 - 1 + 2) / 2 = 2 cells
  EXPECT_EQ(out(2, 2, 1, 5), 3);   // (2 - 1 + 1) / 2 = 1 cell
}

namespace {
/// Every parameter and buffer of a model, other than it started; variances stay above 0.
template <class Model>
void randomize(Model& model) {
  std::uint64_t seed = 1;
  for (auto& p : parameters<double>(model)) {
    auto values = p->edit_flat();
    const bool variance = p.name.find("running_var") != std::string::npos;
    const auto drawn = random_tensor<double, 1>({values.size()}, seed++, variance ? 0.1 : -1, variance ? 2 : 1);
    std::copy_n(drawn.data(), drawn.size(), values.data());
  }
}
/// Inference, where the norm is part of the convolution's kernel, against an evaluation on a tape, where it is not.
template <class Layer>
void expect_folded(Layer layer, const Shape<4>& shape) {
  randomize(layer);
  const auto x = random_tensor<double, 4>(shape, 9);
  Tape<double> tape(Mode::evaluation);
  const auto unfused = layer(tape.want(tape.input(x)));
  const auto fused = layer(x);
  ASSERT_EQ(shape_of(fused), unfused.shape());
  double largest = 0;
  for (Index i = 0; i < fused.size(); ++i) largest = std::max(largest, std::abs(unfused.data()[i]));
  for (Index i = 0; i < fused.size(); ++i)  // sums of some hundred terms in double, after Winograd's transforms
    ASSERT_NEAR(fused.data()[i], unfused.data()[i], 1e-12 * largest) << i;
}
}  // namespace

TEST(ConvNormAct, InferenceComputesWhatEvaluationOnATapeDoes) {
  Rng rng(5);
  for (const Activation activation : {Activation::relu, Activation::identity, Activation::silu})
    for (const ConvNormActOptions& o : std::vector<ConvNormActOptions>{
             {.in_channels = 5, .out_channels = 19},
             {.in_channels = 18, .out_channels = 20, .kernel_size = 3},
             {.in_channels = 18, .out_channels = 20, .kernel_size = 3, .algorithm = ConvolutionAlgorithm::fast},
             {.in_channels = 18, .out_channels = 20, .kernel_size = 3, .algorithm = ConvolutionAlgorithm::exact},
             {.in_channels = 6, .out_channels = 4, .kernel_size = 3, .stride = 2, .groups = 2},
             {.in_channels = 21, .out_channels = 21, .kernel_size = 3, .stride = 2, .groups = 21}}) {
      ConvNormActOptions options = o;
      options.activation = activation;
      expect_folded(ConvNormAct<double>(options, rng), {2, 8, 9, o.in_channels});
    }
}

TEST(ConvNormAct, FollowsWhatItsNormLearns) {
  Rng rng(5);
  ConvNormAct<double> layer({.in_channels = 3, .out_channels = 4, .kernel_size = 3}, rng);
  expect_folded(layer, {1, 4, 5, 3});
  const auto x = random_tensor<double, 4>({1, 4, 5, 3}, 9);
  const auto before = layer(x);
  for (auto& p : parameters<double>(layer))
    if (p.name == "bn.running_mean") p->edit_flat().setConstant(-100);
  EXPECT_GT(layer(x).data()[0], before.data()[0] + 50);
}

TEST(ConvNormAct, ABiasOfTheConvolutionIsFoldedAsWell) {
  struct Biased : Layer<Biased> {
    Conv2d<double> conv;
    BatchNorm<double> bn;
    explicit Biased(Rng& rng)
        : conv({.in_channels = 3, .out_channels = 4, .kernel_size = 3}, rng), bn({.channels = 4}) {}
    Variable<double, 4> forward(const Variable<double, 4>& x) const {
      return conv_norm_act(conv, bn, Activation::relu, x);
    }
  };
  Rng rng(5);
  Biased layer(rng);
  randomize(layer.conv);
  randomize(layer.bn);
  const auto x = random_tensor<double, 4>({2, 5, 4, 3}, 9);
  const auto fused = layer(x);
  const auto apart = relu(Variable<double, 4>(layer.bn(layer.conv(x))));
  for (Index i = 0; i < fused.size(); ++i) EXPECT_NEAR(fused.data()[i], apart.data()[i], 1e-12);
}

TEST(ConvNormAct, WithoutRunningStatisticsUsesThoseOfTheBatch) {
  Rng rng(5);
  const Conv2d<double> conv({.in_channels = 3, .out_channels = 4, .kernel_size = 1}, rng);
  const BatchNorm<double> norm({.channels = 4, .track_running_stats = false});
  const auto x = random_tensor<double, 4>({2, 5, 4, 3}, 9);
  const auto y = conv_norm_act(conv, norm, Activation::identity, Variable<double, 4>(x));
  double sum = 0;
  for (Index i = 0; i < y.size(); i += 4) sum += y.data()[i];
  EXPECT_NEAR(sum, 0, 1e-12 * static_cast<double>(y.size()));
}

TEST(BadInput, ConvNormActNamesTheConvolution) {
  Rng rng(5);
  const ConvNormAct<float> layer({.in_channels = 3, .out_channels = 4, .kernel_size = 3}, rng);
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(1, 4, 4, 2)); }, {"conv", "in_channels = 3"});
  const Conv2d<float> conv({.in_channels = 3, .out_channels = 4, .kernel_size = 1}, rng);
  Tape<float> tape(Mode::training);
  Tensor<float, 4> x(1, 2, 2, 3);
  x.setZero();
  const float scale[4] = {1, 2, 3, 4};
  const auto on_tape = tape.want(tape.input(x));
  expect_error<OptionError>([&] { conv.inference(on_tape, GemmEpilogue<float>{scale}); }, {"epilogue", "tape"});
}
}  // namespace convolution_test
