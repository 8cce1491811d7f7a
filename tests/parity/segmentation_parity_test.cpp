#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/models/da_net.hpp"
#include "attend/models/deeplab_v3.hpp"
#include "attend/models/enc_net.hpp"
#include "attend/models/psp_net.hpp"
#include "attend/models/unet.hpp"
#include "parity/model_parity.hpp"

namespace segmentation_parity_test {
namespace {
using namespace attend;
using model_parity::compared;

ResNet<float> backbone(Rng& rng, bool bottleneck = false) {
  ResNetOptions<float> o;
  if (bottleneck) o.bottleneck = true, o.layers = {3, 4, 6, 3};
  o.num_classes = 0, o.output_stride = 8;
  return {o, rng};
}
const auto deeplab = [](Rng& rng) {
  auto resnet = backbone(rng, true);
  return SegmentationNet(std::move(resnet), DeepLabV3Head<float>({.in_channels = 2048, .classes = 7}, rng),
                         {.backbone = "backbone", .head = "classifier", .align_corners = false});
};
const auto encnet = [](Rng& rng) {
  auto resnet = backbone(rng);
  return SegmentationNet(
      std::move(resnet),
      EncNetHead<float>({.in_channels = 512, .classes = 7, .hidden_channels = 128, .codewords = 16}, rng));
};
const auto danet = [](Rng& rng) {
  auto resnet = backbone(rng);
  return SegmentationNet(std::move(resnet), DaNetHead<float>({.in_channels = 512, .classes = 7}, rng));
};
const auto pspnet = [](Rng& rng) {
  auto resnet = backbone(rng);
  return SegmentationNet(std::move(resnet), PspHead<float>({.in_channels = 512, .classes = 7}, rng));
};
const auto unet = [](Rng& rng) {
  UNetOptions<float> o{.in_channels = 3, .classes = 7, .channels = {8, 16, 24, 32}};
  o.attention = [](Index channels, Rng& r) {
    return SqueezeExcite<float>({.channels = channels, .rd_channels = 4}, r);
  };
  return UNet<float>(o, rng);
};

const golden::Cases segmentation("segmentation", {
                                                     compared("deeplabv3_resnet50", deeplab, {1, 128, 192}),
                                                     compared("encnet", encnet, {1, 128, 192}),
                                                     compared("danet", danet, {1, 128, 192}),
                                                     compared("pspnet", pspnet, {1, 128, 192}),
                                                     compared("unet", unet, {2, 64, 48}),
                                                 });
}  // namespace
}  // namespace segmentation_parity_test
