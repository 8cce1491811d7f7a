// A trained super-resolution network, RFDN, winner of AIM 2020, loaded by its published names into the library's layers:
// every block ends with enhanced spatial attention.
#include <gtest/gtest.h>

#include "attend/attention/spatial/enhanced_spatial_attention.hpp"
#include "attend/functional/concat.hpp"
#include "attend/io/safetensors.hpp"
#include "shared_data.hpp"

namespace rfdn_test {
namespace {
using namespace attend;

Conv2dOptions convolution(Index in, Index out, Index kernel) {
  return {.in_channels = in, .out_channels = out, .kernel_size = kernel, .padding = kernel / 2};
}

/// Residual feature distillation: at three stages half of the channels are set aside, the rest goes on.
struct Block : Layer<Block> {
  explicit Block(Rng& rng)
      : c4(convolution(50, 25, 3), rng), c5(convolution(100, 50, 1), rng), esa({.channels = 50}, rng) {
    for (int i = 0; i < 3; ++i) {
      distill.emplace_back(convolution(50, 25, 1), rng);
      refine.emplace_back(convolution(50, 50, 3), rng);
    }
  }
  Variable<float, 4> forward(const Variable<float, 4>& x) const {
    std::vector<Variable<float, 4>> kept;
    auto rest = x;
    for (std::size_t i = 0; i < 3; ++i) {
      kept.push_back(leaky_relu(distill[i](rest), 0.05));
      rest = leaky_relu(refine[i](rest) + rest, 0.05);
    }
    kept.push_back(leaky_relu(c4(rest), 0.05));
    return esa(c5(concat(kept, 3)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string name = "c" + std::to_string(i + 1);
      visit(name + "_d", self.distill[i]);
      visit(name + "_r", self.refine[i]);
    }
    visit("c4", self.c4);
    visit("c5", self.c5);
    visit("esa", self.esa);
  }
  std::vector<Conv2d<float>> distill, refine;
  Conv2d<float> c4, c5;
  EnhancedSpatialAttention<float> esa;
};

/// (batch, height, width, 3), 0 ... 255  ->  four times as high and wide.
struct Rfdn : Layer<Rfdn> {
  explicit Rfdn(Rng& rng)
      : fea_conv(convolution(3, 50, 3), rng),
        c(convolution(200, 50, 1), rng),
        lr_conv(convolution(50, 50, 3), rng),
        upsampler(convolution(50, 48, 3), rng) {
    for (int i = 0; i < 4; ++i) blocks.emplace_back(rng);
  }
  Variable<float, 4> forward(const Variable<float, 4>& x) const {
    const auto features = fea_conv(x);
    std::vector<Variable<float, 4>> results;
    for (const auto& block : blocks) results.push_back(block(results.empty() ? features : results.back()));
    const auto y = upsampler(lr_conv(leaky_relu(c(concat(results, 3)), 0.05)) + features);
    const Shape<6> cells{y.dim(0), y.dim(1), y.dim(2), 3, 4, 4};  // of each pixel, 4 x 4 for each colour
    return transpose(y.reshape(cells), {0, 1, 4, 2, 5, 3}).reshape(Shape<4>{y.dim(0), 4 * y.dim(1), 4 * y.dim(2), 3});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("fea_conv", self.fea_conv);
    for (std::size_t i = 0; i < 4; ++i) visit("B" + std::to_string(i + 1), self.blocks[i]);
    visit("c.0", self.c);
    visit("LR_conv", self.lr_conv);
    visit("upsampler.0", self.upsampler);
  }
  Conv2d<float> fea_conv;
  std::vector<Block> blocks;
  Conv2d<float> c, lr_conv, upsampler;
};

TEST(Rfdn, PublishedWeightsGiveThePublishedCrop) {
  const auto folder = shared_data("rfdn");
  if (!folder) GTEST_SKIP() << "shared/data/rfdn is not there";
  Rng rng(1);
  Rfdn model(rng);
  load_safetensors(*folder / "RFDN_AIM_x4.safetensors", model);  // strict: every name and shape
  EXPECT_EQ(count_parameters<float>(model), 433448);
  const SafetensorsFile golden(*folder / "golden.safetensors");
  const auto low = golden.tensor<std::uint8_t, 3>("lr_rgb_u8");
  Tensor<float, 4> x(1, low.dimension(0), low.dimension(1), 3);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = float(low.data()[i]);
  const auto y = model(x);
  const auto expected = golden.tensor<float, 4>("sr");  // (1, 3, height, width)
  ASSERT_EQ(shape_of(y), (Shape<4>{1, 256, 256, 3}));
  float worst = 0;
  for (Index i = 0; i < 256; ++i)
    for (Index j = 0; j < 256; ++j)
      for (Index channel = 0; channel < 3; ++channel)
        worst = std::max(worst, std::abs(y(0, i, j, channel) - expected(0, channel, i, j)));
  EXPECT_LE(worst, 1e-3) << "grey levels of 0 ... 255";
  RecordProperty("worst_grey_levels", std::to_string(worst));

  // Where the last block looked: a gate for every channel and pixel.
  const Recording recording(model);
  (void)model(x);
  EXPECT_EQ(recording.all<4>("B4.esa.gate").at(0).shape(), (Shape<4>{1, 64, 64, 50}));
}

}  // namespace
}  // namespace rfdn_test
