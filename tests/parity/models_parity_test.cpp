#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/models/efficientnet.hpp"
#include "attend/models/mobilenet_v3.hpp"
#include "attend/models/resnet.hpp"
#include "parity/model_parity.hpp"

namespace {
using namespace attend;
using model_parity::compared;

ResNetOptions<float> resnet(std::array<Index, 4> layers, bool bottleneck) {
  ResNetOptions<float> o;
  o.layers = layers, o.bottleneck = bottleneck, o.num_classes = 7;
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
const auto made = [](const ResNetOptions<float>& o) { return [o](Rng& rng) { return ResNet<float>(o, rng); }; };

const std::array<Index, 4> of_18{2, 2, 2, 2}, of_50{3, 4, 6, 3};
ResNetOptions<float> se_resnet() {
  auto o = resnet(of_50, true);
  o.attention = [](Index channels, Rng& rng) { return SqueezeExcite<float>({.channels = channels}, rng); };
  return o;
}
ResNetOptions<float> resnext() {
  auto o = resnet(of_50, true);
  o.groups = 32, o.base_width = 4;
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
        compared("seresnet50", made(se_resnet())),
        compared("resnext50_32x4d", made(resnext())),
        compared("efficientnet_b0", efficientnet(1, 1)),
        compared("efficientnet_b1", efficientnet(1, 1.1)),
        compared("mobilenetv3_small_100", mobilenet(mobilenet_v3_small())),
        compared("mobilenetv3_large_100", mobilenet(mobilenet_v3_large())),
        compared("resnet18_dilated", made(dilated(resnet(of_18, false), 8))),
        compared("resnet50d_dilated", made(dilated(with_average_shortcut(resnet(of_50, true), ResNetStem::deep), 16))),
    });
}  // namespace
