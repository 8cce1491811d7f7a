#include "attend/attention/cbam.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace cbam_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

template <class Layer>
void expect_gradients(Layer layer, const Shape<4>& shape, Mode mode = Mode::training) {
  attend::testing::GradientCheckOptions options;
  options.mode = mode;
  const auto report = check_gradients(
      options, layer, [&](const auto& x) { return layer(x); }, random_tensor<double, 4>(shape, 7));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(CbamChannel, Gradients) {
  Rng rng(3);
  const CbamChannelOptions cases[] = {{.channels = 5, .rd_channels = 3, .bias = true},
                                      {.channels = 5, .rd_channels = 3},
                                      {.channels = 5, .rd_channels = 2, .activation = Activation::silu},
                                      {.channels = 5, .rd_channels = 2, .gate = Activation::hard_sigmoid}};
  for (const auto& options : cases) expect_gradients(CbamChannel<double>(options, rng), {3, 2, 4, 5});
}

TEST(CbamSpatial, Gradients) {
  Rng rng(3);
  for (const Index kernel : {1, 3, 7})
    for (const Mode mode : {Mode::training, Mode::evaluation})
      expect_gradients(CbamSpatial<double>({.kernel_size = kernel}, rng), {2, 3, 4, 5}, mode);
}

TEST(Cbam, Gradients) {
  Rng rng(3);
  expect_gradients(Cbam<double>({.channels = 5}, rng), {2, 4, 3, 5});
  expect_gradients(Cbam<double>({.channels = 5, .rd_channels = 2, .spatial_kernel_size = 3, .bias = true}, rng),
                   {2, 4, 3, 5});
  expect_gradients(Cbam<double>({.channels = 3, .gate = Activation::hard_sigmoid}, rng), {2, 4, 3, 3},
                   Mode::evaluation);
}

TEST(Cbam, NamesAndShapesAreTimms) {
  Rng rng(3);
  const Cbam<float> layer({.channels = 64}, rng);
  std::string text;
  for (const auto& p : parameters<float>(layer)) {
    text += p.name + "(";
    for (const Index extent : p->shape()) text += std::to_string(extent) + ",";
    text += ") ";
  }
  EXPECT_EQ(text,
            "channel.fc1.weight(4,64,1,1,) channel.fc2.weight(64,4,1,1,) spatial.conv.conv.weight(1,2,7,7,) "
            "spatial.conv.bn.weight(1,) spatial.conv.bn.bias(1,) spatial.conv.bn.running_mean(1,) "
            "spatial.conv.bn.running_var(1,) spatial.conv.bn.num_batches_tracked() ");
}

// timm concatenates [mean, maximum]; others (External-Attention-pytorch) the other way round.
TEST(Trap, CbamSpatialReadsMeanThenMaximum) {
  Rng rng(3);
  CbamSpatial<double> layer({.kernel_size = 1}, rng);
  for (const auto& p : parameters<double>(layer))
    if (p.name == "conv.conv.weight") p->edit_flat()(0) = 1, p->edit_flat()(1) = 0;  // reads the first only
  Tensor<double, 4> x(1, 1, 1, 3);
  x.setValues({{{{1, 5, -3}}}});
  const double mean = 1;
  // running statistics 0 and 1, eps 1e-5
  const double gate = 1 / (1 + std::exp(-mean / std::sqrt(1 + 1e-5)));
  EXPECT_NEAR(layer(x)(0, 0, 0, 1), 5 * gate, 1e-14);
}

// The shared map sees mean and maximum separately: relu between makes f(mean) + f(max) differ from f(mean + max).
TEST(CbamChannel, MapsMeanAndMaximumSeparately) {
  Rng rng(3);
  CbamChannel<double> layer({.channels = 1, .rd_channels = 1, .bias = true}, rng);
  const auto all = parameters<double>(layer);
  const double values[] = {1, -2, 1, 0.5};  // fc1 x - 2, fc2 h + 0.5
  for (std::size_t i = 0; i < 4; ++i) all[i]->edit_flat()(0) = values[i];
  Tensor<double, 4> x(1, 1, 2, 1);
  x.setValues({{{{0}, {3}}}});  // mean 1.5 -> 0, maximum 3 -> 1
  EXPECT_NEAR(layer(x)(0, 0, 1, 0), 3 / (1 + std::exp(-(0.5 + 1.5))), 1e-14);
}

TEST(Cbam, ItsHalvesOfferTheirGates) {
  Rng rng(3);
  const Cbam<float> layer({.channels = 5}, rng);
  const auto x = random_tensor<float, 4>({2, 3, 4, 5}, 1);
  const Recording recording(layer);
  const auto y = layer(x);
  const auto channel = recording.all<2>("channel.gate");
  const auto spatial = recording.all<4>("spatial.gate");
  ASSERT_EQ(channel.size(), 1u);
  ASSERT_EQ(spatial.size(), 1u);
  ASSERT_EQ(spatial[0].shape(), (Shape<4>{2, 3, 4, 1}));
  EXPECT_EQ(y(1, 2, 3, 4), x(1, 2, 3, 4) * channel[0].data()[9] * spatial[0].data()[23]);
}

// Without a tape the map between its halves is not made.
TEST(Cbam, GivesTheSameBitsOnATapeAndWithout) {
  Rng rng(3);
  const Cbam<float> layer({.channels = 37, .spatial_kernel_size = 3}, rng);
  const auto x = random_tensor<float, 4>({2, 9, 5, 37}, 1);
  const auto y = layer(x);
  Tape<float> tape(Mode::evaluation);
  const auto z = layer(tape.want(tape.input(x)));
  EXPECT_TRUE(std::equal(y.data(), y.data() + y.size(), z.data()));
}

TEST(BadInput, Cbam) {
  Rng rng(3);
  const Cbam<float> layer({.channels = 5}, rng);
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 3, 4, 6)); }, {"channel: ", "(2, 3, 4, 6)", "channels = 5"});
  expect_error<ShapeError>([&] { layer(Tensor<float, 4>(2, 3, 0, 5)); }, {"(2, 3, 0, 5)"});
  expect_error<OptionError>([&] { Cbam<float>({.channels = 0}, rng); }, {"channels = 0"});
  expect_error<OptionError>([&] { Cbam<float>({.channels = 4, .spatial_kernel_size = 4}, rng); }, {"kernel_size = 4"});
  expect_error<OptionError>([&] { CbamSpatial<float>({.kernel_size = -1}, rng); }, {"kernel_size = -1"});
  expect_error<OptionError>([&] { CbamChannel<float>({.channels = 4, .rd_divisor = -2}, rng); }, {"rd_divisor = -2"});
}

}  // namespace
}  // namespace cbam_test
