#include <gtest/gtest.h>

#include "attend/blocks/gpt_block.hpp"
#include "attend/blocks/transformer_decoder_layer.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace transformer_block_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

attend::testing::GradientCheckOptions few() {
  attend::testing::GradientCheckOptions options;
  options.entries = 10;  // of each of many tensors
  return options;
}
const auto x = random_tensor<double, 3>({2, 5, 6}, 1), memory = random_tensor<double, 3>({2, 4, 6}, 2);

TEST(TransformerEncoderLayer, Gradients) {
  Rng rng(3);
  for (const bool norm_first : {false, true})
    for (const auto& [activation, dropout, bias] :
         {std::tuple{Activation::gelu, 0.0, true}, {Activation::silu, 0.25, true}, {Activation::gelu, 0.0, false}}) {
      TransformerEncoderLayer<double> layer({.embed_dim = 6,
                                             .num_heads = 2,
                                             .dim_feedforward = 7,
                                             .dropout = dropout,
                                             .activation = activation,
                                             .norm_first = norm_first,
                                             .bias = bias},
                                            rng);
      const auto report = check_gradients(
          few(), layer, [&](const auto& in) { return layer(in); }, x);
      EXPECT_TRUE(report.ok()) << report.text();
    }
}

TEST(TransformerEncoderLayer, GradientsWithMasks) {
  Rng rng(3);
  for (const bool norm_first : {false, true}) {
    TransformerEncoderLayer<double> layer({.embed_dim = 6,
                                           .num_heads = 3,
                                           .dim_feedforward = 4,
                                           .dropout = 0,
                                           .activation = Activation::gelu,
                                           .norm_first = norm_first},
                                          rng);
    const auto causal = check_gradients(
        few(), layer, [&](const auto& in) { return layer(in, {.causal = true}); }, x);
    EXPECT_TRUE(causal.ok()) << causal.text();
    const auto ragged = check_gradients(
        few(), layer,
        [&](const auto& in) {
          return layer(in, {.keys = {5, 3}});
        },
        x);
    EXPECT_TRUE(ragged.ok()) << ragged.text();
  }
}

TEST(TransformerDecoderLayer, Gradients) {
  Rng rng(3);
  for (const bool norm_first : {false, true})
    for (const double dropout : {0.0, 0.25}) {
      TransformerDecoderLayer<double> layer({.embed_dim = 6,
                                             .num_heads = 2,
                                             .dim_feedforward = 7,
                                             .dropout = dropout,
                                             .activation = Activation::gelu,
                                             .norm_first = norm_first},
                                            rng);
      const auto plain = check_gradients(
          few(), layer, [&](const auto& a, const auto& b) { return layer(a, b); }, x, memory);
      EXPECT_TRUE(plain.ok()) << plain.text();
      const auto masked = check_gradients(
          few(), layer,
          [&](const auto& a, const auto& b) {
            return layer(a, b, {.self = {.causal = true}, .memory = {.keys = {2, 4}}});
          },
          x, memory);
      EXPECT_TRUE(masked.ok()) << masked.text();
    }
}

TEST(GptBlock, Gradients) {
  Rng rng(3);
  for (const double dropout : {0.0, 0.2}) {
    GptBlock<double> block({.embed_dim = 6, .num_heads = 3, .mlp_dim = 5, .dropout = dropout}, rng);
    const auto report = check_gradients(
        few(), block, [&](const auto& in) { return block(in); }, x);
    EXPECT_TRUE(report.ok()) << report.text();
  }
  GptBlock<double> wide({.embed_dim = 4, .num_heads = 1}, rng);
  const auto report = check_gradients(
      few(), wide, [&](const auto& in) { return wide(in); }, random_tensor<double, 3>({3, 1, 4}, 4));
  EXPECT_TRUE(report.ok()) << report.text();
}

template <class Model>
std::string names(const Model& model) {
  std::string text;
  for (const auto& p : parameters<double>(model)) text += p.name + " ";
  return text;
}
TEST(TransformerLayers, NamesArePyTorchs) {
  Rng rng(3);
  EXPECT_EQ(names(TransformerEncoderLayer<double>({.embed_dim = 6, .num_heads = 2}, rng)),
            "self_attn.in_proj_weight self_attn.in_proj_bias self_attn.out_proj.weight self_attn.out_proj.bias "
            "linear1.weight "
            "linear1.bias linear2.weight linear2.bias norm1.weight norm1.bias norm2.weight norm2.bias ");
  EXPECT_EQ(names(TransformerDecoderLayer<double>({.embed_dim = 6, .num_heads = 2}, rng)),
            "self_attn.in_proj_weight self_attn.in_proj_bias self_attn.out_proj.weight self_attn.out_proj.bias "
            "multihead_attn.in_proj_weight multihead_attn.in_proj_bias multihead_attn.out_proj.weight "
            "multihead_attn.out_proj.bias "
            "linear1.weight linear1.bias linear2.weight linear2.bias norm1.weight norm1.bias norm2.weight norm2.bias "
            "norm3.weight "
            "norm3.bias ");
  EXPECT_EQ(names(GptBlock<double>({.embed_dim = 6, .num_heads = 2}, rng)),
            "ln_1.weight ln_1.bias attn.c_attn.weight attn.c_attn.bias attn.c_proj.weight attn.c_proj.bias ln_2.weight "
            "ln_2.bias "
            "mlp.c_fc.weight mlp.c_fc.bias mlp.c_proj.weight mlp.c_proj.bias ");
}

// A key's value beyond a length, NaN included, reaches no valid output. (Bit for bit while the sample alone has more than
// four queries, which is where another kernel begins.)
TEST(TransformerEncoderLayer, PaddedEqualsRagged) {
  Rng rng(3);
  const TransformerEncoderLayer<double> layer({.embed_dim = 6, .num_heads = 2, .dim_feedforward = 7}, rng);
  auto padded = random_tensor<double, 3>({2, 8, 6}, 2);
  Tensor<double, 3> alone(1, 5, 6);
  std::copy_n(padded.data() + 48, 30, alone.data());
  for (Index l = 5; l < 8; ++l)
    for (Index c = 0; c < 6; ++c) padded(1, l, c) = std::nan("");
  const auto y = layer(padded, {.keys = {8, 5}}), z = layer(alone);
  for (Index i = 0; i < 30; ++i) EXPECT_EQ(y.data()[48 + i], z.data()[i]);
}

TEST(TransformerLayers, CausalPrefixOfLongerInputIsTheSame) {
  Rng rng(3);
  const TransformerEncoderLayer<double> layer(
      {.embed_dim = 6, .num_heads = 2, .dim_feedforward = 7, .norm_first = true}, rng);
  const GptBlock<double> gpt({.embed_dim = 6, .num_heads = 2}, rng);
  const Tensor<double, 3> all = random_tensor<double, 3>({1, 9, 6}, 1);
  for (const Index length : {5, 3}) {
    Tensor<double, 3> first(1, length, 6);
    std::copy_n(all.data(), first.size(), first.data());
    const auto y = layer(all, {.causal = true}), z = layer(first, {.causal = true});
    const auto g = gpt(all), h = gpt(first);
    // bit for bit, but for up to four queries, whose kernel adds in another order
    const double rounding = length > 4 ? 0 : 1e-14;
    for (Index i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(y.data()[i], z.data()[i], rounding);
      EXPECT_NEAR(g.data()[i], h.data()[i], rounding);
    }
  }
}

TEST(TransformerLayers, DropoutActsInTrainingOnly) {
  Rng rng(3);
  const TransformerEncoderLayer<double> layer({.embed_dim = 6, .num_heads = 2, .dim_feedforward = 7, .dropout = 0.5},
                                              rng);
  const auto y = layer(x);
  Tape<double> evaluation(Mode::evaluation), training(Mode::training, rng);
  const auto e = layer(evaluation.input(x)), t = layer(training.input(x));
  bool differs = false;
  for (Index i = 0; i < y.size(); ++i) {
    EXPECT_EQ(y.data()[i], e.data()[i]);
    differs = differs || t.data()[i] != y.data()[i];
  }
  EXPECT_TRUE(differs);
}

TEST(TransformerLayers, OfferTheirWeights) {
  Rng rng(3);
  const TransformerDecoderLayer<double> layer({.embed_dim = 6, .num_heads = 2, .dim_feedforward = 7}, rng);
  const Recording recording(layer);
  (void)layer(x, memory, {.self = {.causal = true}});
  const auto self = recording.all<4, double>("self_attn.weights"),
             cross = recording.all<4, double>("multihead_attn.weights");
  ASSERT_EQ(self.size(), 1u);
  ASSERT_EQ(cross.size(), 1u);
  EXPECT_EQ(self[0].shape(), (Shape<4>{2, 2, 5, 5}));
  EXPECT_EQ(cross[0].shape(), (Shape<4>{2, 2, 5, 4}));
  EXPECT_EQ(self[0].data()[1], 0);  // the future of the first query
}

TEST(BadInput, TransformerLayers) {
  Rng rng(3);
  const TransformerEncoderLayer<double> encoder({.embed_dim = 6, .num_heads = 2}, rng);
  const TransformerDecoderLayer<double> decoder({.embed_dim = 6, .num_heads = 2}, rng);
  const GptBlock<double> gpt({.embed_dim = 6, .num_heads = 2}, rng);
  expect_error<ShapeError>([&] { encoder(Tensor<double, 3>(2, 5, 7)); }, {"self_attn: ", "(2, 5, 7)", "embed_dim = 6"});
  expect_error<ShapeError>([&] { decoder(x, Tensor<double, 3>(2, 4, 7)); }, {"multihead_attn: ", "(2, 4, 7)", "6"});
  expect_error<ShapeError>([&] { decoder(x, Tensor<double, 3>(3, 4, 6)); }, {"(3, 4, 6)", "(2, 5, 6)"});
  expect_error<ShapeError>([&] { gpt(Tensor<double, 3>(2, 5, 7)); }, {"ln_1: ", "(2, 5, 7)", "6"});
  expect_error<Error>([&] { decoder(x, memory, {.memory = {.causal = true}}); }, {"multihead_attn"});
  expect_error<OptionError>([&] { TransformerEncoderLayer<float>({.embed_dim = 6, .num_heads = 4}, rng); },
                            {"num_heads = 4", "embed_dim = 6"});
  expect_error<OptionError>(
      [&] { TransformerEncoderLayer<float>({.embed_dim = 6, .num_heads = 2, .dim_feedforward = 0}, rng); },
      {"dim_feedforward = 0"});
  expect_error<OptionError>(
      [&] { TransformerDecoderLayer<float>({.embed_dim = 6, .num_heads = 2, .dropout = 1.5}, rng); },
      {"dropout = 1.5"});
  expect_error<OptionError>([&] { GptBlock<float>({.embed_dim = 6, .num_heads = 2, .mlp_dim = -3}, rng); },
                            {"mlp_dim = -3"});
  expect_error<OptionError>([&] { GptBlock<float>({.embed_dim = 6, .num_heads = 4}, rng); },
                            {"num_heads = 4", "embed_dim = 6"});
}

}  // namespace
}  // namespace transformer_block_test
