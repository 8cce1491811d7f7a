#include <gtest/gtest.h>

#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/blocks/attention_cnn_block.hpp"
#include "attend/blocks/basic_block.hpp"
#include "attend/blocks/bottleneck_block.hpp"
#include "attend/blocks/gpt_block.hpp"
#include "attend/blocks/transformer_decoder_layer.hpp"
#include "attend/testing/layer_laws.hpp"

namespace blocks_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <template <class> class L, class Options>
auto made(const Options& options) {
  return [options](auto scalar, Rng& rng) { return L<decltype(scalar)>(options, rng); };
}
/// A block of feature maps with squeeze-and-excitation in its slot.
template <template <class> class L, class Options>
auto with_attention(const Options& options, Index channels) {
  return [options, channels](auto scalar, Rng& rng) {
    using S = decltype(scalar);
    SqueezeExcite<S> attention({.channels = channels, .rd_channels = 2}, rng);
    return L<S>(options, std::move(attention), rng);
  };
}
/// Batch norms pool the batch in training; few entries of each of many tensors.
LawOptions few(Mode mode) {
  LawOptions options;
  options.gradient.mode = mode;
  options.gradient.entries = 8;
  return options;
}
const auto map = random_tensor<double, 4>({3, 4, 5, 4}, 1);
const auto tokens = random_tensor<double, 3>({3, 5, 6}, 1), memory = random_tensor<double, 3>({3, 4, 6}, 2);
}  // namespace

TEST(Laws, BasicBlock) {
  const BasicBlockOptions options{
      .in_channels = 4, .out_channels = 6, .stride = 2, .activation = Activation::silu, .drop_path = 0.2};
  EXPECT_EQ(text(broken_laws(few(Mode::evaluation), with_attention<BasicBlock>(options, 6), map)), "");
}
TEST(Laws, BasicBlockWithAverageShortcut) {
  const BasicBlockOptions options{.in_channels = 4, .out_channels = 6, .stride = 2, .average_shortcut = true};
  EXPECT_EQ(text(broken_laws(few(Mode::evaluation), with_attention<BasicBlock>(options, 6), map)), "");
}
TEST(Laws, DilatedBlockWithAverageShortcut) {
  const BottleneckBlockOptions options{.in_channels = 4,
                                       .planes = 2,
                                       .dilation = 2,
                                       .first_dilation = 1,
                                       .average_shortcut = true,
                                       .base_width = 32,
                                       .activation = Activation::silu};
  EXPECT_EQ(text(broken_laws(few(Mode::evaluation), with_attention<BottleneckBlock>(options, 8), map)), "");
}
TEST(Laws, BottleneckBlock) {
  const BottleneckBlockOptions options{.in_channels = 4, .planes = 1, .activation = Activation::silu};
  EXPECT_EQ(text(broken_laws(few(Mode::evaluation), with_attention<BottleneckBlock>(options, 4), map)), "");
}
TEST(Laws, AttentionCnnBlock) {
  const AttentionCnnBlockOptions options{
      .in_channels = 4, .out_channels = 6, .activation = Activation::silu, .pool = 2};
  EXPECT_EQ(text(broken_laws(few(Mode::evaluation), with_attention<AttentionCnnBlock>(options, 6), map)), "");
}
TEST(Laws, TransformerEncoderLayer) {
  const TransformerLayerOptions options{
      .embed_dim = 6, .num_heads = 2, .dim_feedforward = 8, .activation = Activation::gelu};
  EXPECT_EQ(text(broken_laws(few(Mode::training), made<TransformerEncoderLayer>(options), tokens)), "");
}
TEST(Laws, TransformerDecoderLayer) {
  const TransformerLayerOptions options{
      .embed_dim = 6, .num_heads = 2, .dim_feedforward = 8, .activation = Activation::gelu, .norm_first = true};
  EXPECT_EQ(text(broken_laws(few(Mode::training), made<TransformerDecoderLayer>(options), tokens, memory)), "");
}
TEST(Laws, GptBlock) {
  EXPECT_EQ(text(broken_laws(few(Mode::training),
                             made<GptBlock>(GptBlockOptions{.embed_dim = 6, .num_heads = 3, .dropout = 0.1}), tokens)),
            "");
}
TEST(Laws, GptAttention) {
  EXPECT_EQ(
      text(broken_laws(few(Mode::training),
                       made<GptAttention>(GptBlockOptions{.embed_dim = 6, .num_heads = 3, .dropout = 0.1}), tokens)),
      "");
}
TEST(Laws, GptMlp) {
  EXPECT_EQ(text(broken_laws(few(Mode::training),
                             made<GptMlp>(GptBlockOptions{.embed_dim = 6, .mlp_dim = 5, .dropout = 0.1}), tokens)),
            "");
}
}  // namespace blocks_laws_test
