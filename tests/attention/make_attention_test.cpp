#include "attend/attention/make_attention.hpp"

#include <gtest/gtest.h>

#include "attend/attend.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace make_attention_test {
namespace {
using namespace attend;

/// What each attention needs beyond channels = 32 on a map of 6 x 4.
MakeAttentionOptions options_of(const std::string& name) {
  MakeAttentionOptions options{.channels = 32};
  if (name == "bottleneck") options.feature_size = Pair(6, 4);
  return options;
}
const auto image = attend::testing::random_tensor<float, 4>({2, 6, 4, 32}, 1);
/// A map of a size that the attention takes: whole blocks, or enough to pool.
Tensor<float, 4> image_of(const std::string& name) {
  const Pair size = name == "halo"  ? Pair(8, 16)
                    : name == "bat" ? Pair(14, 7)
                    : name == "esa" ? Pair(15, 17)
                                    : Pair(6, 4);
  return attend::testing::random_tensor<float, 4>({2, size.height, size.width, 32}, 1);
}

TEST(MakeAttention, EveryNameGivesALayerFromMapToMap) {
  for (const std::string& name : attention_names()) {
    Rng rng(3);
    const auto layer = make_attention<float>(name, options_of(name), rng);
    const auto x = image_of(name);
    const Tensor<float, 4> y = layer(x);
    EXPECT_EQ(y.dimensions(), x.dimensions()) << name;
  }
}

template <class Layer>
void expect_same(const std::string& name, const Layer& layer, MakeAttentionOptions options = {}) {
  Rng rng(3);
  options.channels = 32;
  const Tensor<float, 4> y = make_attention<float>(name, options, rng)(image), expected = layer(image);
  for (Index i = 0; i < y.size(); ++i) ASSERT_EQ(y.data()[i], expected.data()[i]) << name;
}
TEST(MakeAttention, TakesTheDefaultsAndWhatIsGiven) {
  const auto fresh = [] { return Rng(3); };
  Rng a = fresh(), b = fresh(), c = fresh(), d = fresh(), e = fresh(), f = fresh(), g = fresh(), h = fresh();
  expect_same("se", SqueezeExcite<float>({.channels = 32}, a));
  expect_same("se", SqueezeExcite<float>({.channels = 32, .rd_ratio = 0.5, .rd_divisor = 4}, b),
              {.rd_ratio = 0.5, .rd_divisor = 4});
  expect_same("ecam", EfficientChannelAttention<float>({.channels = 32, .mlp = true, .rd_channels = 5}, c),
              {.rd_channels = 5});
  expect_same("gca", GlobalContext<float>({.channels = 32, .fuse_add = true, .fuse_scale = false}, d));
  expect_same("cbam", Cbam<float>({.channels = 32, .spatial_kernel_size = 3}, e), {.kernel_size = 3});
  expect_same("halo", HaloAttention<float>({.channels = 32, .block_size = 2}, h), {.block_size = 2});
  expect_same("bam", Bam<float>({.channels = 32, .reduction = 4}, f), {.reduction = 4});
  expect_same("ceca", EfficientChannelAttention<float>({.channels = 32, .circular = true}, g));
}

TEST(AnyLayer, KnowsWhatStartsAsTheIdentity) {
  for (const std::string& name : attention_names()) {
    Rng rng(3);
    const auto layer = make_attention<float>(name, options_of(name), rng);
    const auto x = image_of(name);
    const Tensor<float, 4> y = layer(x);
    EXPECT_EQ(layer.starts_as_identity(), std::equal(x.data(), x.data() + x.size(), y.data())) << name;
  }
}

// In a ResNet the attention's attribute is `se` whatever it is.
TEST(Trap, T28_TheSlotIsCalledSe) {
  Rng rng(3);
  auto attention = make_attention<float>("eca", {.channels = 32}, rng);
  const BottleneckBlock<float> block({.in_channels = 32, .planes = 8}, std::move(attention), rng);
  EXPECT_EQ(parameter<float>(block, "se.conv.weight")->size(), 3);
}

TEST(BadInput, MakeAttention) {
  Rng rng(3);
  expect_error<OptionError>([&] { make_attention<float>("sse", {.channels = 8}, rng); },
                            {"\"sse\"", "nearest known ones are se, ese and", "bottleneck"});
  expect_error<OptionError>([&] { make_attention<float>("lcbm", {.channels = 8}, rng); }, {"lcbam, ecam and cbam"});
  expect_error<OptionError>([&] { make_attention<float>("", {.channels = 8}, rng); }, {"\"\""});
  expect_error<OptionError>([&] { make_attention<float>("simam", {.channels = 8, .rd_ratio = 0.5}, rng); },
                            {"\"simam\"", "rd_ratio"});
  expect_error<OptionError>([&] { make_attention<float>("ela", {.channels = 8, .num_heads = 2}, rng); },
                            {"\"ela\"", "num_heads"});
  expect_error<OptionError>([&] { make_attention<float>("se", {}, rng); }, {"SqueezeExcite", "channels = 0"});
  expect_error<OptionError>([&] { make_attention<float>("bottleneck", {.channels = 8}, rng); }, {"height = 0"});
}

}  // namespace
}  // namespace make_attention_test
