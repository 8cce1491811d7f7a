// Outputs are compared with torchvision's and with derivations in tests/parity/segmentation_parity_test.cpp.
#include <gtest/gtest.h>

#include "attend/models/da_net.hpp"
#include "attend/models/enc_net.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/cross_entropy.hpp"
#include "attend/train/semantic_encoding.hpp"
#include "error_of.hpp"
#include "models/without_gradient.hpp"

namespace segmentation_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

ResNet<float> backbone(Rng& rng, Index output_stride = 8) {
  ResNetOptions<float> o;
  o.layers = {1, 1, 1, 1}, o.num_classes = 0, o.output_stride = output_stride;
  o.zero_init_last = false;  // a branch that gives zeros hides its first layers' gradients
  return {o, rng};
}
constexpr EncNetHeadOptions lateral{
    .in_channels = 512, .classes = 4, .hidden_channels = 12, .codewords = 3, .lateral = true};
auto encnet(Rng& rng, Index output_stride = 8) {
  auto resnet = backbone(rng, output_stride);
  EncNetHead<float> head(lateral, rng);
  return SegmentationNet(std::move(resnet), std::move(head), FcnHead<float>({.in_channels = 256, .classes = 4}, rng));
}
const auto image = random_tensor<float, 4>({1, 33, 40, 3}, 1);

template <class A, class B>
void expect_same(const A& a, const B& b) {
  ASSERT_EQ(shape_of(a), shape_of(b));
  for (Index i = 0; i < a.size(); ++i) ASSERT_EQ(a.data()[i], b.data()[i]);
}

TEST(DaNetHead, HasTheHiddenChannelsThatItIsGiven) {
  Rng rng(2);
  const DaNetHead<float> head({.in_channels = 32, .classes = 4, .hidden_channels = 24}, rng);
  EXPECT_EQ(shape_of(head(random_tensor<float, 4>({1, 5, 6, 32}, 1)).logits), (Shape<4>{1, 5, 6, 4}));
  EXPECT_EQ(count_parameters<float>(head), 2 * 9 * 32 * 24 + 2 * 9 * 24 * 24 + 4 * 2 * 24  // convolutions and norms
                                               + 2 * (24 * 3 + 3) + 24 * 24 + 24 + 2       // query, key, value, gammas
                                               + 3 * (24 * 4 + 4));
}

TEST(SegmentationNet, LogitsHaveTheImagesSizeAndErrorsNameTheLayer) {
  Rng rng(2);
  auto resnet = backbone(rng);
  const SegmentationNet model(std::move(resnet), DaNetHead<float>({.in_channels = 512, .classes = 4}, rng));
  const auto result = model(image);
  for (const auto* map : {&result.logits, &result.of_positions, &result.of_channels})
    EXPECT_EQ(shape_of(*map), (Shape<4>{1, 33, 40, 4}));
  expect_error<ShapeError>([&] { model(random_tensor<float, 4>({1, 33, 40, 1}, 1)); }, {"pretrained.conv1: "});
}
TEST(SegmentationNet, AuxiliaryLogitsComeOnRequest) {
  Rng rng(2);
  const auto model = encnet(rng);
  const auto plain = model(image);
  const auto seen = model.with_auxiliary(image);
  expect_same(seen.output.logits, plain.logits);
  expect_same(seen.output.class_logits, plain.class_logits);
  EXPECT_EQ(shape_of(seen.auxiliary), (Shape<4>{1, 33, 40, 4}));
  EXPECT_EQ(shape_of(plain.class_logits), (Shape<2>{1, 4}));
}
TEST(SegmentationNet, AnOutputOfOneMapHasAnAuxiliaryOneBesideIt) {
  Rng rng(2);
  auto resnet = backbone(rng);
  FcnHead<float> head({.in_channels = 512, .classes = 4}, rng);
  const SegmentationNet model(std::move(resnet), std::move(head),
                              FcnHead<float>({.in_channels = 256, .classes = 4}, rng));
  const auto seen = model.with_auxiliary(image);
  expect_same(seen.output, model(image));
  EXPECT_EQ(shape_of(seen.auxiliary), shape_of(seen.output));
}
TEST(SegmentationNet, TrainingWithTheAuxiliaryHeadReachesEveryParameter) {
  Rng rng(2);
  const auto model = encnet(rng);
  const auto images = random_tensor<float, 4>({2, 32, 40, 3}, 3);
  Tensor<int, 3> labels(2, 32, 40);
  for (Index i = 0; i < labels.size(); ++i) labels.data()[i] = static_cast<int>(i / 7 % 4);
  const auto untrained = [&](bool auxiliary) {
    Tape<float> tape(Mode::training, rng);
    const auto seen = model.with_auxiliary(tape.input(images));
    auto loss =
        cross_entropy(seen.output.logits, labels) + semantic_encoding_loss(seen.output.class_logits, labels) * 0.2f;
    if (auxiliary) loss = loss + cross_entropy(seen.auxiliary, labels) * 0.4f;
    return without_gradient(model, tape.backward(loss));
  };
  EXPECT_EQ(untrained(true), "");
  EXPECT_EQ(untrained(false),
            "auxlayer.conv5.0.weight auxlayer.conv5.1.weight auxlayer.conv5.1.bias auxlayer.conv5.4.weight "
            "auxlayer.conv5.4.bias ");
}

// Every feature is one and has a class that reads it alone: a class shows what of its channel was dropped.
TEST(FcnHead, DropsWholeChannelsOrSingleNumbers) {
  for (const bool whole : {true, false}) {
    Rng rng(2);
    FcnHead<float> head({.in_channels = 16, .classes = 4, .drop_channels = whole}, rng);
    for (const auto& p : parameters<float>(head)) p->edit_flat().setZero();
    parameter<float>(head, "1.bias")->edit_flat().setConstant(1);
    for (Index c = 0; c < 4; ++c) parameter<float>(head, "4.weight")->edit_flat()(5 * c) = 1;
    Tape<float> tape(Mode::training, rng);
    const auto y = head(tape.input(random_tensor<float, 4>({50, 3, 3, 16}, 1))).tensor();
    Index zeros = 0, partly = 0;
    for (Index b = 0; b < 50; ++b)
      for (Index c = 0; c < 4; ++c) {
        Index here = 0;
        for (Index i = 0; i < 9; ++i) here += y(b, i / 3, i % 3, c) == 0;
        zeros += here, partly += here > 0 && here < 9;
      }
    EXPECT_EQ(partly == 0, whole);
    const double independent = whole ? 200 : 1800;
    EXPECT_NEAR(double(zeros) / 1800, 0.1, 4 * std::sqrt(0.1 * 0.9 / independent));  // 4 deviations
  }
}

TEST(BadInput, SegmentationNets) {
  Rng rng(3);
  auto resnet = backbone(rng);
  const SegmentationNet alone(std::move(resnet), DaNetHead<float>({.in_channels = 512, .classes = 4}, rng));
  expect_error<OptionError>([&] { alone.with_auxiliary(image); }, {"[SegmentationNet]", "FcnHead"});
  const auto model = encnet(rng);
  expect_error<ShapeError>(
      [&] {
        model.with_auxiliary(random_tensor<float, 4>({1, 33, 40, 1}, 1));
      },
      {"pretrained.conv1: "});
  const auto strided = encnet(rng, 32);
  expect_error<ShapeError>(
      [&] {
        strided(random_tensor<float, 4>({1, 64, 96, 3}, 1));
      },
      {"head: [EncNetHead]", "(1, 8, 12, 128)", "(1, 4, 6, 256)", "(1, 2, 3, 512)", "stride 8"});
  const EncNetHead<float> head(lateral, rng);
  const auto map = [](Index channels) { return random_tensor<float, 4>({1, 3, 4, channels}, 1); };
  expect_error<OptionError>([&] { head(map(512)); }, {"[EncNetHead]", "three stages"});
  expect_error<ShapeError>([&] { head(map(128), map(255), map(512)); }, {"connect.1.0: [", "255", "256"});
  expect_error<OptionError>([&] { DaNetHead<float>({.in_channels = 16}, rng); },
                            {"DaNetHead", "in_channels = 16 and hidden_channels = 0 make 4 inside; there must be 8"});
  expect_error<OptionError>([&] { DaNetHead<float>({.in_channels = 64, .hidden_channels = 7}, rng); },
                            {"hidden_channels = 7 make 7 inside"});
  expect_error<OptionError>([&] { FcnHead<float>({.in_channels = 3}, rng); }, {"FcnHead", "in_channels = 3"});
  expect_error<OptionError>([&] { FcnHead<float>({.in_channels = 8, .classes = 0}, rng); }, {"classes = 0"});
  expect_error<OptionError>([&] { EncNetHead<float>({.in_channels = 3, .lateral = true}, rng); }, {"in_channels = 0"});
}

}  // namespace
}  // namespace segmentation_test
