#include "attend/attention/channel/squeeze_excite.hpp"

#include <gtest/gtest.h>

#include "attend/attention/channel/effective_squeeze_excite.hpp"
#include "attend/autograd/multiply_adds.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace squeeze_excite_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

template <class Layer>
void expect_gradients(Layer layer, const Shape<4>& shape) {
  const auto report = check_gradients(
      layer, [&](const auto& x) { return layer(x); }, random_tensor<double, 4>(shape, 7));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(SqueezeExcite, Gradients) {
  Rng rng(3);
  const SqueezeExciteOptions cases[] = {
      {.channels = 5, .rd_divisor = 2},
      {.channels = 5, .rd_channels = 3, .add_maxpool = true},
      {.channels = 5, .rd_channels = 3, .bias = false},
      {.channels = 5, .rd_channels = 3, .activation = Activation::silu},
      {.channels = 5, .rd_channels = 3, .norm = true},
      {.channels = 5, .rd_channels = 3, .gate = Activation::hard_sigmoid},
      {.channels = 5, .rd_channels = 1, .add_maxpool = true, .bias = false, .norm = true, .names = SqueezeNames::conv}};
  for (const auto& options : cases) expect_gradients(SqueezeExcite<double>(options, rng), {3, 2, 4, 5});
  expect_gradients(SqueezeExcite<double>({.channels = 1, .rd_channels = 1}, rng), {2, 1, 1, 1});
  expect_gradients(SqueezeExcite<double>(efficientnet_squeeze_excite(6), rng), {2, 3, 1, 6});
}

TEST(EffectiveSqueezeExcite, Gradients) {
  Rng rng(3);
  for (const bool add_maxpool : {false, true})
    for (const auto gate : {Activation::hard_sigmoid, Activation::sigmoid})
      expect_gradients(EffectiveSqueezeExcite<double>({.channels = 5, .add_maxpool = add_maxpool, .gate = gate}, rng),
                       {3, 2, 4, 5});
}

TEST(Gate, GradientsOfTheFunctions) {
  const auto x = random_tensor<double, 4>({2, 3, 4, 5}, 1);
  for (const auto& report :
       {attend::testing::check_function_gradients([](const auto&v, const auto&g) { return gate_channels(v, g); }, x,
                                                  random_tensor<double, 2>({2, 5}, 2)),
        attend::testing::check_function_gradients([](const auto&v, const auto&g) { return gate_positions(v, g); }, x,
                                                  random_tensor<double, 4>({2, 3, 4, 1}, 2)),
        attend::testing::check_function_gradients([](const auto&v) { return mean_max_channels(v); }, x)})
    EXPECT_TRUE(report.ok()) << report.text();
}

template <class Model>
void fill(Model& model, double value) {
  for (const auto& p : parameters<typename std::remove_const_t<double>>(model)) {
    auto values = p->edit_flat();
    for (Index i = 0; i < values.size(); ++i) values(i) = value;
  }
}

TEST(Gate, GradientsOfTheSumWithAShortcut) {
  for (const bool relu : {false, true}) {
    const auto report = attend::testing::check_function_gradients(
        [&](const auto& x, const auto& gate, const auto& shortcut) {
          return gate_channels_plus(x, gate, shortcut, relu);
        },
        random_tensor<double, 4>({2, 3, 2, 5}, 1), random_tensor<double, 2>({2, 5}, 2),
        random_tensor<double, 4>({2, 3, 2, 5}, 3));
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

/// Without a tape a few samples go through all steps at a time, and large results past the caches.
TEST(SqueezeExcite, LargeMapsGiveWhatTheirSamplesGiveAlone) {
  Rng rng(3);
  const SqueezeExcite<float> layer({.channels = 200, .rd_channels = 3}, rng);
  const Shape<4> shape{3, 113, 130, 200}, one{1, 113, 130, 200};
  const auto x = random_tensor<float, 4>(shape, 5), shortcut = random_tensor<float, 4>(shape, 6);
  ASSERT_GT(x.size() * Index(sizeof(float)), Index(32) << 20);
  const auto y = layer(x);
  const Variable<float, 4> all(x), added(shortcut);
  const auto sum = layer.plus(all, added, true);
  const Index each = element_count(one);
  for (Index b = 0; b < shape[0]; ++b) {
    Tensor<float, 4> sample(one);
    std::copy_n(x.data() + b * each, each, sample.data());
    const auto alone = layer(sample);
    for (Index i = 0; i < each; ++i) {
      ASSERT_EQ(y.data()[b * each + i], alone.data()[i]) << b << " " << i;
      // the product is rounded before the sum here, not there
      const double expected = std::max(double(alone.data()[i]) + double(shortcut.data()[b * each + i]), 0.0);
      ASSERT_NEAR(double(sum.data()[b * each + i]), expected, 3e-7) << b << " " << i;
    }
  }
}

/// The samples are shared out, a few small maps together; who counts products still sees all of them.
TEST(SqueezeExcite, ABatchIsItsSamplesForAnyNumberOfThreads) {
  Rng rng(3);
  const Index batch = 13, channels = 40, reduced = 3;
  const SqueezeExcite<float> layer({.channels = channels, .rd_channels = reduced}, rng);
  const auto x = random_tensor<float, 4>({batch, 7, 7, channels}, 5);
  const int before = num_threads();
  for (const int threads : {1, 2, 4, 20}) {
    set_num_threads(threads);
    const auto y = layer(x);
    const Index each = x.size() / batch;
    for (Index b = 0; b < batch; ++b) {
      const Tensor<float, 4> sample = rows(x, b, 1), alone = layer(sample);
      for (Index i = 0; i < each; ++i) ASSERT_EQ(y.data()[b * each + i], alone.data()[i]) << threads << " " << b;
    }
    MultiplyAdds work;
    layer(x);
    EXPECT_EQ(work.count(), double(batch * 2 * channels * reduced)) << threads;
  }
  set_num_threads(before);
}

TEST(SqueezeExcite, ZeroWeightsHalveTheInput) {
  Rng rng(3);
  SqueezeExcite<double> layer({.channels = 32}, rng);
  fill(layer, 0);
  const auto x = random_tensor<double, 4>({2, 3, 4, 32}, 1);
  const auto y = layer(x);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], 0.5 * x.data()[i]);  // sigmoid(0) is exactly 1/2
}

// By hand: two channels, one reduced, mean 2 and 4, fc1 = (1, -0.25) + 0.5, fc2 = (1, -1).
TEST(SqueezeExcite, FollowsTheFormula) {
  Rng rng(3);
  SqueezeExcite<double> layer({.channels = 2, .rd_channels = 1}, rng);
  const std::vector<std::vector<double>> values{{1, -0.25}, {0.5}, {1, -1}, {0, 0.25}};
  const auto all = parameters<double>(layer);
  for (std::size_t p = 0; p < values.size(); ++p)
    for (Index i = 0; i < all[p]->size(); ++i) all[p]->edit_flat()(i) = values[p][std::size_t(i)];
  Tensor<double, 4> x(1, 1, 2, 2);
  x.setValues({{{{1, 3}, {3, 5}}}});
  const double hidden = 2 - 0.25 * 4 + 0.5;
  const auto sigma = [](double v) { return 1 / (1 + std::exp(-v)); };
  const auto y = layer(x);
  EXPECT_NEAR(y(0, 0, 1, 0), 3 * sigma(hidden), 1e-14);
  EXPECT_NEAR(y(0, 0, 0, 1), 3 * sigma(0.25 - hidden), 1e-14);
}

TEST(SqueezeExcite, NamesAndShapesAreTimms) {
  Rng rng(3);
  const auto named = [](const auto& layer) {
    std::string text;
    for (const auto& p : parameters<float>(layer)) {
      text += p.name + "(";
      for (const Index extent : p->shape()) text += std::to_string(extent) + ",";
      text += ") ";
    }
    return text;
  };
  EXPECT_EQ(named(SqueezeExcite<float>({.channels = 64}, rng)),
            "fc1.weight(8,64,1,1,) fc1.bias(8,) fc2.weight(64,8,1,1,) fc2.bias(64,) ");
  EXPECT_EQ(
      named(SqueezeExcite<float>(efficientnet_squeeze_excite(64), rng)),
      "conv_reduce.weight(16,64,1,1,) conv_reduce.bias(16,) conv_expand.weight(64,16,1,1,) conv_expand.bias(64,) ");
  EXPECT_EQ(named(SqueezeExcite<float>(senet_squeeze_excite(64), rng)),
            "fc1.weight(4,64,1,1,) fc1.bias(4,) fc2.weight(64,4,1,1,) fc2.bias(64,) ");
  EXPECT_EQ(named(EffectiveSqueezeExcite<float>({.channels = 64}, rng)), "fc.weight(64,64,1,1,) fc.bias(64,) ");
  EXPECT_NE(named(SqueezeExcite<float>({.channels = 64, .norm = true}, rng)).find("bn.running_mean(8,)"),
            std::string::npos);
}

TEST(SqueezeExcite, ReducedChannelsFollowTimmsRule) {
  const std::pair<Index, Index> rule[] = {{16, 8},   {32, 8},   {64, 8},    {128, 8},
                                          {256, 16}, {512, 32}, {1024, 64}, {2048, 128}};
  for (const auto& [channels, reduced] : rule)
    EXPECT_EQ(make_divisible(double(channels) / 16, 8, 0, 0), reduced) << channels;
  EXPECT_EQ(make_divisible(18, 8), 24);  // 16 would be below 0.9 * 18
  EXPECT_EQ(make_divisible(18, 8, 0, 0), 16);
  EXPECT_EQ(make_divisible(3, 8, 16), 16);
}

TEST(Trap, T9_EfficientNetRoundsHalfToEven) {
  const std::pair<double, Index> python[] = {{2.5, 2}, {1.5, 2}, {0.5, 0}, {3.5, 4}, {2.4, 2}, {2.6, 3}, {4, 4}};
  for (const auto& [value, rounded] : python) EXPECT_EQ(round_half_even(value), rounded) << value;
  EXPECT_EQ(efficientnet_squeeze_excite(10).rd_channels, 2);
  EXPECT_EQ(efficientnet_squeeze_excite(6).rd_channels, 2);
}

TEST(SqueezeExcite, OffersItsGate) {
  Rng rng(3);
  const SqueezeExcite<float> layer({.channels = 5, .rd_channels = 2}, rng);
  const auto x = random_tensor<float, 4>({2, 3, 4, 5}, 1);
  const Recording recording(layer);
  const auto y = layer(x);
  const auto gates = recording.all<2>("gate");
  ASSERT_EQ(gates.size(), 1u);
  ASSERT_EQ(gates[0].shape(), (Shape<2>{2, 5}));
  for (Index b = 0; b < 2; ++b)
    for (Index c = 0; c < 5; ++c) EXPECT_EQ(y(b, 1, 2, c), x(b, 1, 2, c) * gates[0].data()[b * 5 + c]);
}

TEST(MeanMaxChannels, MeanFirstThenMaximumAndNaNIsTheLargest) {
  Tensor<double, 4> x(1, 1, 2, 3);
  x.setValues({{{{1, 4, -2}, {std::nan(""), 2, 3}}}});
  const auto y = mean_max_channels(Variable<double, 4>(x));
  EXPECT_EQ(y.data()[0], 1);
  EXPECT_EQ(y.data()[1], 4);
  EXPECT_TRUE(std::isnan(y.data()[3]));
}

TEST(MeanMaxChannels, OffATapeHasTheBitsOfATape) {
  for (const Index channels : {1, 5, 16, 67, 256}) {
    auto x = random_tensor<float, 4>({3, 3, 5, channels}, 1);
    x.data()[20 * channels + channels / 2] = std::numeric_limits<float>::quiet_NaN();
    x.data()[31 * channels] = std::numeric_limits<float>::infinity();
    const auto gate = random_tensor<float, 2>({3, channels}, 2);
    Tape<float> tape(Mode::training);
    const auto same = [](const Variable<float, 4>& a, const Variable<float, 4>& b) {
      for (Index i = 0; i < a.size(); ++i)
        if (a.data()[i] != b.data()[i] && !(std::isnan(a.data()[i]) && std::isnan(b.data()[i]))) return false;
      return true;
    };
    const auto taped = tape.want(tape.input(x));
    EXPECT_TRUE(same(mean_max_channels(Variable<float, 4>(x)), mean_max_channels(taped))) << channels;
    EXPECT_TRUE(same(mean_max_channels(Variable<float, 4>(x), Variable<float, 2>(gate)),
                     mean_max_channels(taped, tape.input(gate))))
        << channels;
  }
}

TEST(BadInput, ShortcutOfAnotherShape) {
  Rng rng(3);
  const SqueezeExcite<float> layer({.channels = 4, .rd_channels = 2}, rng);
  const auto of = [](const Shape<4>& shape) { return Variable<float, 4>(random_tensor<float, 4>(shape, 1)); };
  const auto x = of({2, 3, 3, 4});
  for (const auto& wrong : {Shape<4>{1, 3, 3, 4}, Shape<4>{2, 3, 3, 1}, Shape<4>{2, 3, 2, 4}}) {
    expect_error<ShapeError>([&] { (void)layer.plus(x, of(wrong), true); }, {"(2, 3, 3, 4)", to_string(wrong)});
    expect_error<ShapeError>(
        [&] {
          (void)gate_channels_plus(x, Variable<float, 2>(random_tensor<float, 2>({2, 4}, 2)), of(wrong), false);
        },
        {"gate_channels_plus", "(2, 3, 3, 4)", to_string(wrong)});
  }
}

TEST(BadInput, SqueezeExcite) {
  Rng rng(3);
  const SqueezeExcite<float> layer({.channels = 5, .rd_channels = 2}, rng);
  const EffectiveSqueezeExcite<float> effective({.channels = 5}, rng);
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 3, 4, 6)); }, {"(2, 3, 4, 6)", "channels = 5"});
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 0, 4, 5)); }, {"(2, 0, 4, 5)"});
  expect_error<ShapeError>([&] { effective(Tensor<float, 4>(2, 3, 4, 6)); }, {"(2, 3, 4, 6)", "channels = 5"});
  expect_error<OptionError>([&] { SqueezeExcite<float>({.channels = 0}, rng); }, {"channels = 0"});
  expect_error<OptionError>([&] { SqueezeExcite<float>({.channels = 8, .rd_divisor = 0}, rng); }, {"rd_divisor = 0"});
  expect_error<OptionError>([&] { SqueezeExcite<float>({.channels = 8, .rd_channels = -2}, rng); },
                            {"rd_channels = -2"});
  expect_error<OptionError>([&] { EffectiveSqueezeExcite<float>({.channels = -1}, rng); }, {"in_channels = -1"});
  expect_error<OptionError>([] { senet_squeeze_excite(8, 16); }, {"reduction = 16", "channels = 8"});
  expect_error<OptionError>([] { efficientnet_squeeze_excite(2, 0.25); }, {"channels = 2", "rounds to 0"});
  expect_error<OptionError>([] { torchvision_squeeze_excite(2, 0); }, {"squeeze_channels = 0"});
  const Variable<float, 4> x(Tensor<float, 4>(2, 3, 4, 5)), gate(Tensor<float, 4>(2, 3, 4, 2));
  const Variable<float, 2> few(Tensor<float, 2>(1, 5));
  expect_error<ShapeError>([&] { gate_channels(x, few); }, {"(2, 3, 4, 5)", "(2, 5)", "(1, 5)"});
  expect_error<ShapeError>([&] { gate_positions(x, gate); }, {"(2, 3, 4, 5)", "(2, 3, 4, 1)", "(2, 3, 4, 2)"});
}

}  // namespace
}  // namespace squeeze_excite_test
