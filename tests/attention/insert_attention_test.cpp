#include "attend/attention/insert_attention.hpp"

#include <gtest/gtest.h>

#include "attend/attention/cbam.hpp"
#include "attend/attention/channel/danet_channel_attention.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/layers/max_pool.hpp"
#include "attend/models/resnet.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/adam.hpp"
#include "attend/train/cross_entropy.hpp"
#include "error_of.hpp"

namespace insert_attention_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

ResNet<float> small_net(Rng& rng) {
  ResNetOptions<float> o;
  o.layers = {1, 1, 1, 1}, o.num_classes = 3;
  o.zero_init_last = false;  // a branch that gives zeros shows an attention nothing
  return ResNet<float>(o, rng);
}
template <class T>
bool same(const T& a, const T& b) {
  return a.size() == b.size() && std::equal(a.data(), a.data() + a.size(), b.data());
}

TEST(InsertAttention, LeavesTheOutputsAsTheyWereBitForBit) {
  Rng rng(1);
  ResNet<float> net = small_net(rng);
  const auto x = random_tensor<float, 4>({2, 40, 33, 3}, 1);
  const Tensor<float, 2> before = net(x);
  const Index parameters_before = count_parameters<float>(net);
  insert_attention<float>(net, "layer1.0.se", SqueezeExcite<float>({.channels = 64}, rng));
  insert_attention<float>(net, "layer4.0.se", Cbam<float>({.channels = 512}, rng));
  insert_attention<float>(net, "layer3.0.se", DanetChannelAttention<float>({.channels = 256}));
  EXPECT_TRUE(same(before, Tensor<float, 2>(net(x))));
  EXPECT_GT(count_parameters<float>(net), parameters_before);
  EXPECT_EQ(parameter<float>(net, "layer1.0.se.alpha")->size(), 1);
  EXPECT_GT(parameter<float>(net, "layer1.0.se.fc1.weight")->size(), 1);  // its own names
}

TEST(InsertAttention, TheNetworkTrainsFromThere) {
  Rng rng(2);
  ResNet<float> net = small_net(rng);
  insert_attention<float>(net, "layer2.0.se", SqueezeExcite<float>({.channels = 128}, rng));
  set_trainable<float>(net, false);
  set_trainable<float>(net, true, below("layer2.0.se"));
  const auto x = random_tensor<float, 4>({4, 40, 33, 3}, 1);
  Tensor<int, 1> labels(4);
  labels.setValues({0, 1, 2, 1});
  AdamW<float> optimizer(net, {.learning_rate = 1e-2});
  double first = 0, last = 0;
  for (int step = 0; step < 4; ++step) {
    Tape<float> tape(Mode::evaluation);  // running statistics stay
    const auto loss = cross_entropy(net(tape.input(x)), labels);
    (step == 0 ? first : last) = double(loss.item());
    const auto gradients = tape.backward(loss);
    if (step == 0) {
      EXPECT_NE(gradients.of<1>(*parameter<float>(net, "layer2.0.se.alpha").data)(0), 0);
    }
    optimizer.step(net, gradients);
  }
  EXPECT_NE(first, last);
  EXPECT_NE(parameter<float>(net, "layer2.0.se.alpha")->data()[0], 0);
}

TEST(InsertAttention, WhatStartsAsTheIdentityByItselfIsTrainedToo) {
  Rng rng(2);
  ResNet<float> net = small_net(rng);
  insert_attention<float>(net, "layer3.0.se", DanetChannelAttention<float>({.channels = 256}));
  Tape<float> tape(Mode::evaluation);
  const auto y = net(tape.input(random_tensor<float, 4>({2, 40, 33, 3}, 1)));
  const auto gradients = tape.backward(mean(y * y, {0, 1}));
  EXPECT_NE(gradients.of<1>(*parameter<float>(net, "layer3.0.se.gamma").data)(0), 0);
}

TEST(IdentityStart, GradientsAgreeWithDifferences) {
  Rng rng(3);
  IdentityStart<double> layer{AnyLayer<double, 4>(SqueezeExcite<double>({.channels = 4, .rd_channels = 3}, rng))};
  parameter<double>(layer, "alpha")->edit_flat().setConstant(0.7);
  const auto report = attend::testing::check_gradients(
      layer, [&](const auto& x) { return layer(x); }, random_tensor<double, 4>({2, 3, 5, 4}, 7));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(InsertAttention, RefusesWhatIsNoSlot) {
  Rng rng(4);
  ResNet<float> net = small_net(rng);
  const auto insert = [&](const std::string& where) {
    return error_of<OptionError>(
        [&] { insert_attention<float>(net, where, SqueezeExcite<float>({.channels = 64}, rng)); });
  };
  EXPECT_NE(insert("layer1.0.sa").find("there is no layer1.0.sa; the nearest empty slots are layer1.0.se"),
            std::string::npos);
  EXPECT_NE(insert("layer1.0.conv1").find("layer of fixed type"), std::string::npos);
  EXPECT_EQ(insert("layer1.0.se"), "no error");
  EXPECT_NE(insert("layer1.0.se").find("is taken"), std::string::npos);
  EXPECT_NE(error_of<OptionError>([&] { insert_attention<float>(net, "layer2.0.se", {}); }).find("empty"),
            std::string::npos);
}

TEST(InsertAttention, WhatDoesNotFitIsNamedWithItsSlot) {
  Rng rng(6);
  const auto x = random_tensor<float, 4>({1, 40, 33, 3}, 1);
  ResNet<float> other_channels = small_net(rng), other_shape = small_net(rng);
  insert_attention<float>(other_channels, "layer1.0.se", SqueezeExcite<float>({.channels = 32}, rng));
  expect_error<ShapeError>([&] { other_channels(x); }, {"layer1.0.se", "64", "32"});
  insert_attention<float>(other_shape, "layer1.0.se", MaxPool2d({.kernel_size = 2}));
  expect_error<ShapeError>([&] { other_shape(x); }, {"layer1.0.se", "the attention's result has shape", "must keep"});
}

TEST(FineTuning, TheHeadIsReplacedAndPartsLearnAtTheirOwnRates) {
  Rng rng(5);
  ResNet<float> net = small_net(rng);
  net.reset_classifier(7, rng);
  EXPECT_EQ(net(random_tensor<float, 4>({1, 33, 33, 3}, 1)).dimension(1), 7);
  EXPECT_NE(error_of<OptionError>([&] { net.reset_classifier(0, rng); }).find("out_features 0"), std::string::npos);
  const auto groups = discriminative_rates({"layer3", "layer4", "fc"}, 0.5);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].learning_rate_scale, 0.25);
  EXPECT_EQ(groups[2].learning_rate_scale, 1);
  EXPECT_TRUE(groups[1].matches("layer4.0.conv1.weight", {}));
  EXPECT_FALSE(groups[1].matches("layer3.0.conv1.weight", {}));
  EXPECT_NE(error_of<OptionError>([&] { discriminative_rates({"a"}, 0); }).find("decay is 0"), std::string::npos);
  EXPECT_NE(error_of<OptionError>([&] { set_trainable<float>(net, false, below("layer9")); }).find("no parameter"),
            std::string::npos);
}
}  // namespace
}  // namespace insert_attention_test
