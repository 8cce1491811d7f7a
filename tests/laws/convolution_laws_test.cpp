#include <gtest/gtest.h>

#include "attend/layers/adaptive_pool.hpp"
#include "attend/layers/avg_pool.hpp"
#include "attend/layers/conv1d.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/conv_transpose2d.hpp"
#include "attend/layers/global_pool.hpp"
#include "attend/layers/max_pool.hpp"
#include "attend/layers/upsample.hpp"
#include "attend/testing/layer_laws.hpp"

namespace convolution_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto maps = random_tensor<double, 4>({3, 5, 6, 4}, 1);
const auto sequences = random_tensor<double, 3>({3, 7, 4}, 2);
template <class L>
auto always(const L& layer) {
  return [layer](auto, Rng&) { return layer; };
}
auto conv2d_with(const Conv2dOptions& options) {
  return [options](auto s, Rng& rng) { return Conv2d<decltype(s)>(options, rng); };
}
}  // namespace

TEST(Laws, Conv2d) {
  EXPECT_EQ(text(broken_laws(conv2d_with({.in_channels = 4, .out_channels = 3, .kernel_size = 3, .padding = 1}), maps)),
            "");
}
TEST(Laws, Conv2dPointwise) {
  EXPECT_EQ(text(broken_laws(conv2d_with({.in_channels = 4, .out_channels = 3, .kernel_size = 1}), maps)), "");
}
TEST(Laws, Conv2dStrided) {
  EXPECT_EQ(
      text(broken_laws(
          conv2d_with(
              {.in_channels = 4, .out_channels = 6, .kernel_size = {3, 2}, .stride = 2, .groups = 2, .bias = false}),
          maps)),
      "");
}
TEST(Laws, Conv2dDepthwiseReflected) {
  EXPECT_EQ(text(broken_laws(conv2d_with({.in_channels = 4,
                                          .out_channels = 4,
                                          .kernel_size = 3,
                                          .padding = Padding::same,
                                          .groups = 4,
                                          .padding_mode = PaddingMode::reflect}),
                             maps)),
            "");
}
TEST(Laws, Conv1d) {
  const auto make = [](auto s, Rng& rng) {
    return Conv1d<decltype(s)>({.in_channels = 4, .out_channels = 3, .kernel_size = 3, .padding = 1}, rng);
  };
  EXPECT_EQ(text(broken_laws(make, sequences)), "");
}
TEST(Laws, ConvTranspose2d) {
  const auto make = [](auto s, Rng& rng) {
    return ConvTranspose2d<decltype(s)>({.in_channels = 4, .out_channels = 3, .kernel_size = 3, .stride = 2}, rng);
  };
  EXPECT_EQ(text(broken_laws(make, maps)), "");
}
TEST(Laws, GeM2d) {
  LawOptions o;
  o.float_tolerance = 1e-4;  // log and pow of ratios near 1
  EXPECT_EQ(text(broken_laws(
                o, [](auto s, Rng&) { return GeM2d<decltype(s)>({.p = 3, .eps = 0.2}); }, maps)),
            "");
}
TEST(Laws, MaxPool2d) {
  EXPECT_EQ(text(broken_laws(always(MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1})), maps)), "");
}
TEST(Laws, MaxPool1d) {
  EXPECT_EQ(text(broken_laws(always(MaxPool1d({.kernel_size = 3, .stride = 2})), sequences)), "");
}
TEST(Laws, AvgPool2d) {
  EXPECT_EQ(text(broken_laws(always(AvgPool2d({.kernel_size = 3, .stride = 2, .padding = 1})), maps)), "");
}
TEST(Laws, AvgPool1d) {
  EXPECT_EQ(text(broken_laws(always(AvgPool1d({.kernel_size = 3, .stride = 2})), sequences)), "");
}
TEST(Laws, AdaptiveAvgPool2d) {
  EXPECT_EQ(text(broken_laws(always(AdaptiveAvgPool2d({.output_size = {3, 4}})), maps)), "");
}
TEST(Laws, AdaptiveMaxPool2d) {
  EXPECT_EQ(text(broken_laws(always(AdaptiveMaxPool2d({.output_size = {3, 4}})), maps)), "");
}
TEST(Laws, GlobalAveragePool2d) { EXPECT_EQ(text(broken_laws(always(GlobalAveragePool2d()), maps)), ""); }
TEST(Laws, GlobalMaxPool2d) { EXPECT_EQ(text(broken_laws(always(GlobalMaxPool2d()), maps)), ""); }
TEST(Laws, UpsampleNearest) { EXPECT_EQ(text(broken_laws(always(Upsample({.scale_factor = {2, 1.5}})), maps)), ""); }
TEST(Laws, UpsampleBilinear) {
  EXPECT_EQ(text(broken_laws(always(Upsample({.size = {7, 9}, .mode = Interpolation::bilinear})), maps)), "");
}
}  // namespace convolution_laws_test
