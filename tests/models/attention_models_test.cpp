// Outputs are compared with timm's in tests/parity/.
#include <gtest/gtest.h>

#include "attend/models/botnet.hpp"
#include "attend/models/coatnet.hpp"
#include "attend/models/convnext.hpp"
#include "attend/models/resnet.hpp"
#include "attend/models/unet.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/cross_entropy.hpp"
#include "error_of.hpp"
#include "models/without_gradient.hpp"

namespace attention_models_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

ByobNetOptions<float> small_botnet() {
  auto o = sebotnet33ts<float>(64, 32);
  o.num_classes = 3, o.stem_channels = 8, o.final_channels = 12, o.zero_init_last = false;
  o.stages = {{16, 1, {false}, 0.5}, {24, 2, {false}, 0.5}, {32, 2, {false, true}, 0.5}};
  return o;
}
ConvNeXtOptions small_convnext() { return {.num_classes = 3, .depths = {1, 1, 1, 1}, .dims = {4, 8, 8, 12}}; }
CoAtNetOptions small_coatnet() {
  return {.num_classes = 3,
          .height = 64,
          .width = 32,
          .stem_channels = {4, 8},
          .depths = {1, 1, 2, 1},
          .dims = {8, 32, 32, 64}};
}

/// The names of the parameters that get no gradient from the loss of labels at random.
template <class Model>
std::string untrained(const Model& model, const Shape<4>& shape) {
  Rng rng(5);
  Tape<float> tape(Mode::training, rng);
  Tensor<int, 1> labels(shape[0]);
  for (Index i = 0; i < shape[0]; ++i) labels(i) = static_cast<int>(i % 3);
  const auto x = tape.input(random_tensor<float, 4>(shape, 3));
  return without_gradient(model, tape.backward(cross_entropy(model(x), labels)));
}

TEST(ByobNet, EveryParameterIsTrained) {
  Rng rng(2);
  const ByobNet<float> model(small_botnet(), rng);
  EXPECT_EQ(untrained(model, {6, 64, 32, 3}), "");
}
TEST(ByobNet, ItsAttentionIsRecordedByName) {
  Rng rng(2);
  const ByobNet<float> model(small_botnet(), rng);
  Recording recording(model);
  model(random_tensor<float, 4>({2, 64, 32, 3}, 1));
  EXPECT_EQ(recording.all<2>("stages.0.0.attn.gate").size(), 1u);
  const auto weights = recording.all<4>("stages.2.1.self_attn.weights");
  ASSERT_EQ(weights.size(), 1u);
  EXPECT_EQ(weights[0].shape(), (Shape<4>{2, 4, 8, 8}));  // four heads, the 4 x 2 map
}
TEST(ConvNeXt, EveryParameterIsTrained) {
  Rng rng(2);
  const ConvNeXt<float> model(small_convnext(), rng);
  EXPECT_EQ(untrained(model, {6, 64, 64, 3}), "");
}
TEST(CoAtNet, EveryParameterIsTrained) {
  Rng rng(2);
  const CoAtNet<float> model(small_coatnet(), rng);
  EXPECT_EQ(untrained(model, {6, 64, 32, 3}), "");
}

/// What small_coatnet with `o` makes of images in training, parameters whose names `zeroed` picks being zero.
Tensor<double, 2> coatnet_in_training(const CoAtNetOptions& o, const std::function<bool(const std::string&)>& zeroed) {
  Rng rng(2);
  CoAtNet<double> model(o, rng);
  for (const auto& p : parameters<double>(model))
    if (p->kind() == Kind::parameter) {
      auto values = p->edit_flat();
      for (Index i = 0; i < values.size(); ++i) values(i) += 0.1 * rng.uniform();
      if (zeroed(p.name)) values.setZero();
    }
  Tape<double> tape(Mode::training, rng);
  return model(tape.input(random_tensor<double, 4>({2, 64, 32, 3}, 3))).tensor();
}
// Dropped altogether, weights of the attention leave the bias of its projection, and the projection's result nothing.
TEST(CoAtNet, DropsInItsAttentionBlocks) {
  const auto ends = [](const std::string& name, const std::string& end) {
    return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
  };
  const auto expect = [&](double CoAtNetOptions::*drop, const auto& zeroed) {
    auto o = small_coatnet();
    const auto plain = coatnet_in_training(o, [](const auto&) { return false; });
    const auto without = coatnet_in_training(o, zeroed);
    o.*drop = 1;
    const auto dropped = coatnet_in_training(o, [](const auto&) { return false; });
    for (Index i = 0; i < plain.size(); ++i) {
      EXPECT_NEAR(dropped.data()[i], without.data()[i], 1e-12);  // roundings of sums of order one
      EXPECT_GT(std::abs(dropped.data()[i] - plain.data()[i]), 1e-6);
    }
    o.*drop = 1.5;
    expect_error<OptionError>([&] { coatnet_in_training(o, zeroed); }, {"_drop is 1.5", "[0, 1]"});
  };
  expect(&CoAtNetOptions::attn_drop, [&](const std::string& name) { return ends(name, "attn.proj.weight"); });
  expect(&CoAtNetOptions::proj_drop, [&](const std::string& name) {
    return ends(name, "attn.proj.weight") || ends(name, "attn.proj.bias") || ends(name, "mlp.fc2.weight");
  });
}

/// `headless` is the network without a classifier: what a new one reads.
template <class Model>
void expect_new_classifier(const Model& headless, Model model, const std::string& name, const Shape<4>& shape) {
  Rng rng(7);
  for (const auto& p : parameters<float>(headless)) {  // the same network but for the head
    auto values = parameter<float>(model, p.name)->edit_flat();
    std::copy_n(p->data(), p->size(), values.data());
  }
  const auto x = random_tensor<float, 4>(shape, 3);
  model.reset_classifier(5, rng);
  const Tensor<float, 2> features = headless(x), logits = model(x);
  const Index width = features.dimension(1);
  ASSERT_EQ(logits.dimension(1), 5);
  const auto weight = parameter<float>(model, name + ".weight"), bias = parameter<float>(model, name + ".bias");
  ASSERT_EQ(weight->size(), 5 * width);
  EXPECT_EQ(count_parameters<float>(model) - count_parameters<float>(headless), 5 * (width + 1));
  for (Index k = 0; k < 5; ++k) {
    double sum = bias->data()[k];
    for (Index c = 0; c < width; ++c) sum += double(features(0, c)) * weight->data()[k * width + c];
    EXPECT_NEAR(logits(0, k), sum, 1e-4);
  }
  EXPECT_NE(error_of<OptionError>([&] { model.reset_classifier(0, rng); }).find("out_features 0"), std::string::npos);
}
TEST(ResetClassifier, LeavesTheRestAsItIs) {
  Rng rng(2);
  const auto expect = [&](auto options, auto make, const std::string& name, const Shape<4>& shape) {
    const auto model = make(options);
    options.num_classes = 0;
    expect_new_classifier(make(options), model, name, shape);
  };
  expect(small_botnet(), [&](const auto& o) { return ByobNet<float>(o, rng); }, "head.fc", {2, 64, 32, 3});
  expect(small_convnext(), [&](const auto& o) { return ConvNeXt<float>(o, rng); }, "head.fc", {2, 64, 64, 3});
  expect(small_coatnet(), [&](const auto& o) { return CoAtNet<float>(o, rng); }, "head.fc", {2, 64, 32, 3});
  ResNetOptions<float> o;
  o.layers = {1, 1, 1, 1}, o.num_classes = 3;
  expect(o, [&](const auto& options) { return ResNet<float>(options, rng); }, "fc", {2, 33, 40, 3});
}

TEST(BadInput, AttentionModels) {
  Rng rng(3);
  const auto byob = [&](auto change) {
    auto o = small_botnet();
    change(o);
    return error_of<OptionError>([&] { const ByobNet<float> model(o, rng); });
  };
  EXPECT_EQ(byob([](auto& o) { o.stages[0].group_size = 3; }),
            "[ByobNet] stages[0]: group_size = 3 must divide the inner channels 8");
  EXPECT_EQ(byob([](auto& o) { o.self_attention = nullptr; }),
            "[ByobNet] stages[2] has self-attention, but the option self_attention, which makes it, is empty");
  EXPECT_NE(byob([](auto& o) { o.stages[2].self_attention.clear(); }).find("stages[2]: channels = 32"),
            std::string::npos);
  EXPECT_NE(byob([](auto& o) { o.stages.clear(); }).find("stages (0) not none"), std::string::npos);
  EXPECT_NE(byob([](auto& o) { o.height = 0; }).find("[BottleneckAttention]"), std::string::npos);
  const ByobNet<float> botnet(small_botnet(), rng);
  expect_error<ShapeError>(
      [&] {
        botnet(random_tensor<float, 4>({1, 64, 64, 3}, 1));
      },
      {"stages.2.1.self_attn: [BottleneckAttention] x has shape (1, 4, 4, 16)", "(1, 4, 2, 16)"});

  EXPECT_EQ(
      error_of<OptionError>([&] {
        const ConvNeXt<float> model({.dims = {4, 0, 8, 8}}, rng);
      }),
      "[ConvNeXt] in_channels = 3, patch_size = 4, depths = (2, 2, 6, 2) and dims = (4, 0, 8, 8) must be above 0, "
      "num_classes = 1000 not below");
  EXPECT_EQ(error_of<OptionError>([&] { const CoAtNet<float> model(coatnet_0_rw(224, 100), rng); }),
            "[CoAtNet] height = 224 and width = 100 must be multiples of 32");
  const CoAtNet<float> coatnet(small_coatnet(), rng);
  EXPECT_EQ(error_of<ShapeError>([&] {
              coatnet(random_tensor<float, 4>({1, 32, 64, 3}, 1));
            }),
            "[CoAtNet] x has shape (1, 32, 64, 3); the network is made for images of (64, 32)");
  EXPECT_EQ(error_of<OptionError>([&] {
              const UNet<float> model({.channels = {8, -1}}, rng);
            }),
            "[UNet] in_channels = 1, classes = 2 and the channels of each of 2 levels must be above 0, levels 1 to 16");
  const UNet<float> unet({.channels = {4, 4, 4}}, rng);
  EXPECT_EQ(error_of<ShapeError>([&] {
              unet(random_tensor<float, 4>({1, 12, 10, 1}, 1));
            }),
            "[UNet] x has shape (1, 12, 10, 1); its height and width must be multiples of 4, with 3 levels");
}

}  // namespace
}  // namespace attention_models_test
