#include <gtest/gtest.h>

#include "attend/attention/cbam.hpp"
#include "attend/attention/channel/effective_squeeze_excite.hpp"
#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/blocks/attention_cnn_block.hpp"
#include "attend/blocks/basic_block.hpp"
#include "attend/blocks/bottleneck_block.hpp"
#include "attend/blocks/inverted_residual.hpp"
#include "attend/layers/activation.hpp"
#include "attend/layers/max_pool.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace residual_block_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

template <class Block>
void expect_gradients(Block block, const Shape<4>& shape, Mode mode = Mode::training) {
  attend::testing::GradientCheckOptions options;
  options.mode = mode;
  options.entries = 12;  // of each of many tensors
  const auto report = check_gradients(
      options, block, [&](const auto& x) { return block(x); }, random_tensor<double, 4>(shape, 7));
  EXPECT_TRUE(report.ok()) << report.text();
}
SqueezeExcite<double> se(Index channels, Rng& rng) { return {{.channels = channels, .rd_channels = 2}, rng}; }
template <class Model>
std::string names(const Model& model) {
  std::string text;
  for (const auto& p : parameters<double>(model))
    if (p->kind() == Kind::parameter) text += p.name + " ";
  return text;
}

/// Inference, where norms are part of the convolutions' kernels, against an evaluation on a tape, where they are not.
template <class Block>
void expect_folded(Block block, const Shape<4>& shape) {
  std::uint64_t seed = 1;
  for (auto& p : parameters<double>(block)) {
    auto values = p->edit_flat();
    const bool variance = p.name.find("running_var") != std::string::npos;
    const auto drawn = random_tensor<double, 1>({values.size()}, seed++, variance ? 0.1 : -1, variance ? 2 : 1);
    std::copy_n(drawn.data(), drawn.size(), values.data());
  }
  const auto x = random_tensor<double, 4>(shape, 9);
  Tape<double> tape(Mode::evaluation);
  const auto unfused = block(tape.want(tape.input(x)));
  const auto fused = block(x);
  double largest = 0;
  for (Index i = 0; i < fused.size(); ++i) largest = std::max(largest, std::abs(unfused.data()[i]));
  for (Index i = 0; i < fused.size(); ++i) ASSERT_NEAR(fused.data()[i], unfused.data()[i], 1e-11 * largest) << i;
}

TEST(ResidualBlocks, InferenceComputesWhatEvaluationOnATapeDoes) {
  Rng rng(3);
  expect_folded(BasicBlock<double>({.in_channels = 16, .out_channels = 18, .stride = 2}, rng), {2, 7, 8, 16});
  expect_folded(
      BasicBlock<double>({.in_channels = 16, .out_channels = 16, .activation = Activation::silu}, se(16, rng), rng),
      {2, 7, 8, 16});
  expect_folded(BottleneckBlock<double>({.in_channels = 5, .planes = 4, .stride = 2, .average_shortcut = true}, rng),
                {2, 7, 8, 5});
  // sum and activation in the kernel of the convolution, or of the attention that knows how
  expect_folded(BasicBlock<double>({.in_channels = 18, .out_channels = 18}, rng), {2, 7, 8, 18});
  expect_folded(BottleneckBlock<double>({.in_channels = 8, .planes = 2, .activation = Activation::gelu}, rng),
                {2, 7, 8, 8});
  expect_folded(BottleneckBlock<double>({.in_channels = 8, .planes = 2}, se(8, rng), rng), {2, 7, 8, 8});
  expect_folded(BottleneckBlock<double>({.in_channels = 6, .planes = 2, .stride = 2},
                                        EfficientChannelAttention<double>({.channels = 8}, rng), rng),
                {2, 7, 8, 6});
  expect_folded(BasicBlock<double>({.in_channels = 8, .out_channels = 8, .activation = Activation::tanh},
                                   EffectiveSqueezeExcite<double>({.channels = 8}, rng), rng),
                {2, 7, 8, 8});
  for (const Index squeeze : {0, 2})
    for (const Index expanded : {0, 12})
      expect_folded(InvertedResidual<double>({.in_channels = 6,
                                              .out_channels = 6,
                                              .expanded_channels = expanded,
                                              .activation = Activation::hard_swish,
                                              .squeeze_channels = squeeze},
                                             rng),
                    {2, 7, 8, 6});
  expect_folded(AttentionCnnBlock<double>({.in_channels = 3, .out_channels = 18, .pool = 2}, rng), {2, 8, 8, 3});
}

TEST(BasicBlock, Gradients) {
  Rng rng(3);
  expect_gradients(BasicBlock<double>({.in_channels = 3, .out_channels = 3}, rng), {2, 4, 5, 3});
  expect_gradients(BasicBlock<double>({.in_channels = 3, .out_channels = 4, .stride = 2}, rng), {2, 5, 4, 3});
  expect_gradients(BasicBlock<double>({.in_channels = 3, .out_channels = 3}, se(3, rng), rng), {2, 4, 5, 3});
  expect_gradients(
      BasicBlock<double>({.in_channels = 2, .out_channels = 3, .dilation = 2}, Cbam<double>({.channels = 3}, rng), rng),
      {2, 4, 5, 2});
  expect_gradients(
      BasicBlock<double>({.in_channels = 3, .out_channels = 3, .activation = Activation::silu, .drop_path = 0.4},
                         se(3, rng), rng),
      {5, 3, 2, 3});
  expect_gradients(BasicBlock<double>({.in_channels = 3, .out_channels = 3}, se(3, rng), rng), {2, 4, 5, 3},
                   Mode::evaluation);
}

TEST(BottleneckBlock, Gradients) {
  Rng rng(3);
  expect_gradients(BottleneckBlock<double>({.in_channels = 8, .planes = 2, .activation = Activation::silu}, rng),
                   {2, 3, 4, 8});
  expect_gradients(BottleneckBlock<double>({.in_channels = 5, .planes = 2, .stride = 2}, se(8, rng), rng),
                   {2, 5, 4, 5});
  expect_gradients(
      BottleneckBlock<double>(
          {.in_channels = 3, .planes = 2, .dilation = 2, .groups = 2, .base_width = 32, .drop_path = 0.3}, rng),
      {4, 3, 2, 3});
}

TEST(AttentionCnnBlock, Gradients) {
  Rng rng(3);
  expect_gradients(AttentionCnnBlock<double>({.in_channels = 2, .out_channels = 3}, rng), {2, 4, 5, 2});
  expect_gradients(AttentionCnnBlock<double>({.in_channels = 2, .out_channels = 3, .pool = 2}, se(3, rng), rng),
                   {2, 4, 5, 2});
  expect_gradients(
      AttentionCnnBlock<double>(
          {.in_channels = 2, .out_channels = 3, .kernel_size = 1, .stride = 2, .activation = Activation::gelu},
          Cbam<double>({.channels = 3, .spatial_kernel_size = 3}, rng), rng),
      {2, 4, 5, 2});
}

TEST(ResidualBlock, NamesAreTimmsAndTheAttentionIsSeWhateverItIs) {
  Rng rng(3);
  EXPECT_EQ(names(BasicBlock<double>({.in_channels = 3, .out_channels = 4}, se(4, rng), rng)),
            "conv1.weight bn1.weight bn1.bias conv2.weight bn2.weight bn2.bias se.fc1.weight se.fc1.bias se.fc2.weight "
            "se.fc2.bias downsample.0.weight downsample.1.weight downsample.1.bias ");
  EXPECT_EQ(names(BottleneckBlock<double>({.in_channels = 16, .planes = 4}, Cbam<double>({.channels = 16}, rng), rng)),
            "conv1.weight bn1.weight bn1.bias conv2.weight bn2.weight bn2.bias conv3.weight bn3.weight bn3.bias "
            "se.channel.fc1.weight se.channel.fc2.weight se.spatial.conv.conv.weight se.spatial.conv.bn.weight "
            "se.spatial.conv.bn.bias ");
  EXPECT_EQ(
      names(AttentionCnnBlock<double>({.in_channels = 2, .out_channels = 4}, se(4, rng), rng)),
      "conv.weight bn.weight bn.bias attention.fc1.weight attention.fc1.bias attention.fc2.weight attention.fc2.bias ");
}

/// Doubles what it is given: shows where in a block it sits.
struct Twice : Layer<Twice> {
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return x * 2;
  }
};
TEST(Trap, T28_AttentionSitsAfterTheLastNormAndBeforeTheSum) {
  Rng one(3), two(3);
  const BasicBlockOptions options{.in_channels = 3, .out_channels = 3, .activation = Activation::identity};
  const BasicBlock<double> plain(options, one), doubled(options, Twice(), two);
  const auto x = random_tensor<double, 4>({2, 4, 5, 3}, 1);
  const auto y = plain(x), z = doubled(x);
  for (Index i = 0; i < x.size(); ++i)  // branch + x against 2 branch + x
    EXPECT_NEAR(z.data()[i] - x.data()[i], 2 * (y.data()[i] - x.data()[i]), 1e-13);
}

TEST(ResidualBlock, ZeroInitialisedLastNormMakesItTheShortcut) {
  Rng rng(3);
  const BasicBlock<double> basic(
      {.in_channels = 3, .out_channels = 3, .activation = Activation::identity, .zero_init_last = true}, rng);
  const BottleneckBlock<double> bottleneck(
      {.in_channels = 4, .planes = 1, .activation = Activation::identity, .zero_init_last = true}, rng);
  const auto x = random_tensor<double, 4>({2, 4, 5, 3}, 1), w = random_tensor<double, 4>({2, 3, 5, 4}, 1);
  const auto y = basic(x), v = bottleneck(w);
  for (Index i = 0; i < x.size(); ++i) EXPECT_EQ(y.data()[i], x.data()[i]);
  for (Index i = 0; i < w.size(); ++i) EXPECT_EQ(v.data()[i], w.data()[i]);
}

TEST(ResidualBlock, OddSizesWithStrideRoundUp) {
  Rng rng(3);
  const BasicBlock<float> basic({.in_channels = 3, .out_channels = 4, .stride = 2}, rng);
  EXPECT_EQ(shape_of(basic(random_tensor<float, 4>({2, 5, 7, 3}, 1))), (Shape<4>{2, 3, 4, 4}));
  const AttentionCnnBlock<float> brick({.in_channels = 3, .out_channels = 4, .pool = 2}, rng);
  EXPECT_EQ(shape_of(brick(random_tensor<float, 4>({2, 6, 8, 3}, 1))), (Shape<4>{2, 3, 4, 4}));
}

TEST(BadInput, ResidualBlocks) {
  Rng rng(3);
  const BasicBlock<double> basic({.in_channels = 3, .out_channels = 3}, rng);
  const BasicBlock<double> mismatched({.in_channels = 3, .out_channels = 3}, se(4, rng), rng);
  expect_error<ShapeError>([&] { basic(Tensor<double, 4>(2, 4, 5, 2)); }, {"conv1: ", "(2, 4, 5, 2)", "3"});
  expect_error<ShapeError>(
      [&] {
        mismatched(random_tensor<double, 4>({2, 4, 5, 3}, 1));
      },
      {"se: ", "(2, 4, 5, 3)", "channels = 4"});
  const BasicBlock<double> shrinking({.in_channels = 3, .out_channels = 3}, MaxPool2d({.kernel_size = 4}), rng);
  expect_error<ShapeError>(
      [&] {
        shrinking(random_tensor<double, 4>({2, 4, 4, 3}, 1));  // (2, 1, 1, 3) would be repeated by the sum
      },
      {"[BasicBlock]", "(2, 1, 1, 3)", "must keep (2, 4, 4, 3)"});
  expect_error<OptionError>(
      [&] { BottleneckBlock<float>({.in_channels = 3, .planes = Index(1) << 60, .base_width = 64}, rng); },
      {"planes = 1152921504606846976"});
  expect_error<OptionError>([&] { BasicBlock<float>({.in_channels = 0, .out_channels = 3}, rng); },
                            {"in_channels is 0"});
  expect_error<OptionError>([&] { BasicBlock<float>({.in_channels = 3, .out_channels = 3, .stride = 0}, rng); },
                            {"stride is (0, 0)"});
  expect_error<OptionError>([&] { BasicBlock<float>({.in_channels = 3, .out_channels = 3, .drop_path = 2}, rng); },
                            {"drop_path = 2"});
  expect_error<OptionError>([&] { BottleneckBlock<float>({.in_channels = 3, .planes = 0}, rng); }, {"planes = 0"});
  expect_error<OptionError>([&] { BottleneckBlock<float>({.in_channels = 3, .planes = 1, .base_width = 32}, rng); },
                            {"base_width = 32"});
  expect_error<OptionError>(
      [&] { AttentionCnnBlock<float>({.in_channels = 3, .out_channels = 3, .kernel_size = 2}, rng); },
      {"kernel_size = 2"});
  expect_error<OptionError>([&] { AttentionCnnBlock<float>({.in_channels = 3, .out_channels = 3, .pool = -1}, rng); },
                            {"pool = -1"});
}

}  // namespace
}  // namespace residual_block_test
