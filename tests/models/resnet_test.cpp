// Outputs are compared with timm's in tests/parity/models_parity_test.cpp.
#include "attend/models/resnet.hpp"

#include <gtest/gtest.h>

#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/autograd/multiply_adds.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/cross_entropy.hpp"
#include "error_of.hpp"

namespace resnet_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

TEST(ResNet, MapsHaveTheStridesThatWereAskedFor) {
  Rng rng(1);
  const auto x = random_tensor<float, 4>({1, 65, 40, 3}, 1);
  const std::array<std::array<Index, 4>, 3> heights{{{17, 9, 9, 9}, {17, 9, 5, 5}, {17, 9, 5, 3}}};
  std::size_t row = 0;
  for (const Index stride : {8, 16, 32}) {
    ResNetOptions<float> o;
    o.layers = {1, 1, 1, 1}, o.output_stride = stride;
    const ResNet<float> model(o, rng);
    const auto maps = model.maps(Variable<float, 4>(x));
    for (std::size_t s = 0; s < 4; ++s) {
      EXPECT_EQ(maps[s].dim(1), heights[row][s]) << "output_stride " << stride << ", stage " << s;
      EXPECT_EQ(maps[s].dim(3), model.map_channels()[s]);
    }
    ++row;
  }
}

TEST(ResNet, MultiplyAddsAreThePublishedOnes) {
  Rng rng(1);
  ResNetOptions<float> o;
  const ResNet<float> model(o, rng);
  MultiplyAdds work;
  model(random_tensor<float, 4>({1, 224, 224, 3}, 1));
  EXPECT_EQ(work.count(), 1814073344);  // of ResNet-18: fvcore and timm's benchmarks give 1.81 G
}

TEST(ResNet, EveryParameterIsTrained) {
  Rng rng(2);
  ResNetOptions<float> o;
  o.layers = {1, 1, 1, 1}, o.num_classes = 3, o.stem = ResNetStem::deep, o.stem_width = 8, o.average_shortcut = true;
  o.zero_init_last = false;
  o.attention = [](Index channels, Rng& r) { return SqueezeExcite<float>({.channels = channels}, r); };
  const ResNet<float> model(o, rng);
  Tape<float> tape(Mode::training, rng);
  Tensor<int, 1> labels(4);
  labels.setValues({0, 2, 1, 2});
  const auto loss = cross_entropy(model(tape.input(random_tensor<float, 4>({4, 48, 48, 3}, 3))), labels);
  const auto gradients = tape.backward(loss);
  for (const auto& p : parameters<float>(model)) {
    if (p->kind() != Kind::parameter) continue;
    const float* g = gradients.find(*p.data);
    ASSERT_TRUE(g) << p.name;
    EXPECT_TRUE(std::any_of(g, g + p->size(), [](float v) { return v != 0; })) << p.name;
  }
}

TEST(BadInput, ResNet) {
  Rng rng(3);
  const auto refused = [&](auto change) {
    ResNetOptions<float> o;
    o.layers = {1, 1, 1, 1};
    change(o);
    return error_of([&] { const ResNet<float> model(o, rng); });
  };
  EXPECT_EQ(refused([](auto& o) { o.output_stride = 4; }), "[ResNet] output_stride is 4; it must be 8, 16 or 32");
  EXPECT_EQ(
      refused([](auto& o) { o.layers[2] = 0; }),
      "[ResNet] in_channels = 3 and layers = (1, 1, 0, 1) must be above 0, num_classes = 1000 not below, stem_width = "
      "64 at least 4");
  EXPECT_NE(refused([](auto& o) { o.num_classes = -1; }).find("num_classes = -1"), std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.bottleneck = true, o.groups = 3; }), "");
  ResNetOptions<float> o;
  o.layers = {1, 1, 1, 1};
  const ResNet<float> model(o, rng);
  EXPECT_EQ(error_of([&] { model(random_tensor<float, 4>({1, 32, 32, 1}, 1)); }).substr(0, 14), "conv1: [conv2d");
}

}  // namespace
}  // namespace resnet_test
