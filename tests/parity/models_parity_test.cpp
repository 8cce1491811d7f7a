#include "attend/models/cbam_resnet.hpp"
#include "attend/models/eca_resnet.hpp"
#include "attend/models/efficientnet.hpp"
#include "attend/models/mobilenet_v3.hpp"
#include "attend/models/resnest.hpp"
#include "attend/models/se_resnet.hpp"
#include "attend/models/sk_resnet.hpp"
#include "parity/model_parity.hpp"

namespace models_parity_test {
namespace {
using namespace attend;
using model_parity::compared;

ResNetOptions<float> resnet(std::array<Index, 4> layers, bool bottleneck) {
  ResNetOptions<float> o;
  o.layers = layers, o.bottleneck = bottleneck;
  return o;
}
ResNetOptions<float> with_average_shortcut(ResNetOptions<float> o, ResNetStem stem, Index stem_width = 32) {
  o.stem = stem, o.stem_width = stem_width, o.average_shortcut = true;
  return o;
}
ResNetOptions<float> dilated(ResNetOptions<float> o, Index output_stride) {
  o.output_stride = output_stride;
  return o;
}
const auto made = [](ResNetOptions<float> o) {
  o.num_classes = 7;
  return [o](Rng& rng) { return ResNet<float>(o, rng); };
};

const std::array<Index, 4> of_18{2, 2, 2, 2}, of_34{3, 4, 6, 3}, of_50{3, 4, 6, 3};
ResNetOptions<float> grouped(ResNetOptions<float> o, Index groups, Index base_width) {
  o.groups = groups, o.base_width = base_width;
  return o;
}

const auto efficientnet = [](double width, double depth) {
  return [=](Rng& rng) { return EfficientNet<float>({.num_classes = 7, .width = width, .depth = depth}, rng); };
};
const auto mobilenet = [](MobileNetV3Options o) {
  o.num_classes = 7;
  return [o](Rng& rng) { return MobileNetV3<float>(o, rng); };
};

const golden::Cases models(
    "models",
    {
        compared("resnet18", made(resnet(of_18, false))),
        compared("resnet18d", made(with_average_shortcut(resnet(of_18, false), ResNetStem::deep))),
        compared("resnet26t", made(with_average_shortcut(resnet(of_18, true), ResNetStem::tiered))),
        compared("resnet50", made(resnet(of_50, true))),
        compared("seresnet50", made(seresnet50<float>())),
        compared("resnext50_32x4d", made(grouped(resnet(of_50, true), 32, 4))),
        compared("efficientnet_b0", efficientnet(1, 1)),
        compared("efficientnet_b1", efficientnet(1, 1.1)),
        compared("mobilenetv3_small_100", mobilenet(mobilenet_v3_small())),
        compared("mobilenetv3_large_100", mobilenet(mobilenet_v3_large())),
        compared("resnet18_dilated", made(dilated(resnet(of_18, false), 8))),
        compared("resnet50d_dilated", made(dilated(with_average_shortcut(resnet(of_50, true), ResNetStem::deep), 16))),
        compared("ecaresnet26t", made(ecaresnet26t<float>())),
        compared("ecaresnet50d", made(ecaresnet26t<float>(of_50, ResNetStem::deep))),
        compared("cbam_resnet18", made(cbam_resnet18<float>())),
        compared("skresnet18", made(skresnet18<float>())),
        compared("skresnet34", made(skresnet18<float>(of_34))),
        compared("skresnet50", made(skresnet50<float>())),
        compared("skresnext50_32x4d",
                 made(grouped(skresnet50<float>({.kernel_sizes = {3, 5}, .split_input = false, .rd_divisor = 32}), 32,
                              4))),
        compared("resnest14d", made(resnest<float>())),
        compared("resnest26d", made(resnest<float>({2, 2, 2, 2}))),
        compared("resnest50d", made(resnest<float>(of_50))),
        compared("resnest50d_4s2x40d",
                 made(grouped(resnest<float>(of_50, {.radix = 4, .average_first = true}), 2, 40))),
    });

/// Of timm's networks with their 1000 classes.
TEST(Models, ParameterCountsAreThePublishedOnes) {
  Rng rng(1);
  const auto count = [](const auto& model) { return count_parameters<float>(model); };
  EXPECT_EQ(count(ResNet<float>(seresnet50<float>(), rng)), 28088024);
  EXPECT_EQ(count(ResNet<float>(ecaresnet26t<float>(of_50), rng)), 25573814);  // ecaresnet50t
  EXPECT_EQ(count(ResNet<float>(skresnet18<float>(), rng)), 11958056);
  EXPECT_EQ(count(ResNet<float>(resnest<float>({2, 2, 2, 2}), rng)), 17069448);
  EXPECT_EQ(count(ResNet<float>(with_average_shortcut(resnet(of_18, true), ResNetStem::tiered), rng)), 16011872);
  EXPECT_EQ(count(MobileNetV3<float>(mobilenet_v3_small(), rng)), 2542856);
  EXPECT_EQ(count(EfficientNet<float>({}, rng)), 5288548);
}
}  // namespace
}  // namespace models_parity_test
