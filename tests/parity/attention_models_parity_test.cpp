#include "attend/models/botnet.hpp"
#include "attend/models/coatnet.hpp"
#include "attend/models/convnext.hpp"
#include "attend/models/gc_resnet.hpp"
#include "attend/models/halonet.hpp"
#include "attend/models/lambda_resnet.hpp"
#include "parity/model_parity.hpp"

namespace attention_models_parity_test {
namespace {
using namespace attend;
using model_parity::compared;

const auto byob = [](ByobNetOptions<float> o) {
  o.num_classes = 7;
  return [o](Rng& rng) { return ByobNet<float>(o, rng); };
};
const auto convnext = [](ConvNeXtOptions o) {
  o.num_classes = 7;
  return [o](Rng& rng) { return ConvNeXt<float>(o, rng); };
};
const auto coatnet = [](CoAtNetOptions o) {
  o.num_classes = 7;
  return [o](Rng& rng) { return CoAtNet<float>(o, rng); };
};

const golden::Cases attention_models("attention_models",
                                     {
                                         compared("gcresnet50t", byob(gcresnet50t<float>())),
                                         compared("gcresnext26ts", byob(gcresnext26ts<float>())),
                                         compared("gcresnet33ts", byob(gcresnet33ts<float>())),
                                         compared("botnet26t_256", byob(botnet26t<float>(64, 96)), {2, 64, 96}),
                                         compared("sebotnet33ts_256", byob(sebotnet33ts<float>(64, 96)), {1, 64, 96}),
                                         compared("halonet26t", byob(halonet26t<float>()), {1, 256, 256}),
                                         compared("halonet_h1", byob(halonet_h1<float>()), {1, 256, 256}),
                                         compared("lambda_resnet26t", byob(lambda_resnet26t<float>()), {2, 64, 96}),
                                         compared("lambda_resnet26rpt_256", byob(lambda_resnet26rpt<float>(64, 96)),
                                                  {2, 64, 96}),
                                         compared("convnextv2_atto", convnext({})),
                                         compared("convnextv2_tiny", convnext(convnextv2_tiny()), {1, 64, 48}),
                                         compared("convnext_atto", convnext(convnext_atto())),
                                         compared("coatnet_0_rw_224", coatnet(coatnet_0_rw(64, 96)), {2, 64, 96}),
                                         compared("coatnet_nano_rw_224", coatnet(coatnet_nano_rw(64, 96)), {2, 64, 96}),
                                         compared("coatnet_pico_rw_224", coatnet(coatnet_pico_rw(64, 96)), {2, 64, 96}),
                                     });

/// Of timm's networks with their 1000 classes.
TEST(AttentionModels, ParameterCountsAreThePublishedOnes) {
  Rng rng(1);
  const auto count = [](const auto& model) { return count_parameters<float>(model); };
  EXPECT_EQ(count(ByobNet<float>(gcresnet50t<float>(), rng)), 25897080);
  EXPECT_EQ(count(ByobNet<float>(botnet26t<float>(256, 256), rng)), 12488672);
  EXPECT_EQ(count(ByobNet<float>(halonet26t<float>(), rng)), 12480288);
  EXPECT_EQ(count(ByobNet<float>(lambda_resnet26t<float>(), rng)), 10958272);
  EXPECT_EQ(count(ConvNeXt<float>({}, rng)), 3708400);
}
}  // namespace
}  // namespace attention_models_parity_test
