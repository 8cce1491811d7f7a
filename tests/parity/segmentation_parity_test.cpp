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
const SegmentationNetOptions torchvision{
    .backbone = "backbone", .head = "classifier", .auxiliary = "aux_classifier", .align_corners = false};
const auto deeplab_aux = [](Rng& rng) {
  auto resnet = backbone(rng, true);
  DeepLabV3Head<float> head({.in_channels = 2048, .classes = 7}, rng);
  FcnHead<float> auxiliary({.in_channels = 1024, .classes = 7, .drop_channels = false}, rng);
  return SegmentationNet(std::move(resnet), std::move(head), std::move(auxiliary), torchvision);
};
const auto fcn_aux = [](Rng& rng) {
  auto resnet = backbone(rng, true);
  FcnHead<float> head({.in_channels = 2048, .classes = 7, .drop_channels = false}, rng);
  FcnHead<float> auxiliary({.in_channels = 1024, .classes = 7, .drop_channels = false}, rng);
  return SegmentationNet(std::move(resnet), std::move(head), std::move(auxiliary), torchvision);
};
EncNetHead<float> enc_head(Rng& rng, bool lateral) {
  return {{.in_channels = 512, .classes = 7, .hidden_channels = 128, .codewords = 16, .lateral = lateral}, rng};
}
const auto encnet = [](Rng& rng) {
  auto resnet = backbone(rng);
  return SegmentationNet(std::move(resnet), enc_head(rng, false));
};
const auto encnet_lateral = [](Rng& rng) {
  auto resnet = backbone(rng);
  auto head = enc_head(rng, true);
  return SegmentationNet(std::move(resnet), std::move(head), FcnHead<float>({.in_channels = 256, .classes = 7}, rng));
};
const auto both = [](const auto& model, const auto& x) { return model.with_auxiliary(x); };
/// The head with the gradient of everything.
const auto lateral_head = golden::check([](auto& run) -> void {
  using S = typename std::decay_t<decltype(run)>::Scalar;
  Rng rng(5);
  EncNetHead<S> head({.in_channels = 16, .classes = 3, .hidden_channels = 5, .codewords = 3, .lateral = true}, rng);
  run.load(head);
  const auto second = run.template input<4>(0), third = run.template input<4>(1), last = run.template input<4>(2);
  const auto y = head(second, third, last);
  run.outputs(y.logits, y.class_logits);
  run.finish();
});
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
                                                     compared("deeplabv3_resnet50_aux", deeplab_aux, {1, 64, 96}, both),
                                                     compared("fcn_resnet50_aux", fcn_aux, {1, 64, 96}, both),
                                                     compared("encnet_lateral", encnet_lateral, {1, 64, 96}, both),
                                                     {"fcn_head", golden::layer<FcnHead, 4>(FcnHeadOptions{
                                                                      .in_channels = 16, .classes = 3})},
                                                     {"enc_head_lateral", lateral_head},
                                                 });
}  // namespace
}  // namespace segmentation_parity_test
