#pragma once
#include <attend/blocks/basic_block.hpp>
#include <attend/functional/global_pooling.hpp>
#include <attend/functional/pooling.hpp>
#include <attend/layers/dense.hpp>
#include <functional>

/// Makes the attention of a block from its output's channels and side; an empty one is none.
using MakeAttention =
    std::function<attend::AnyLayer<float, 4>(attend::Index channels, attend::Index side, attend::Rng& rng)>;

/// A small ResNet: images (batch, side, side, channels) -> logits (batch, classes). A 3x3 convolution and a 2x2 max
/// pool, three residual blocks of 16, 32 and 64 channels (the last two halve the map), each with an attention after its
/// last norm, the mean over positions, a dense classifier.
struct SmallResNet : attend::Layer<SmallResNet> {
  using Scalar = float;
  SmallResNet(attend::Index channels, attend::Index side, attend::Index classes, const MakeAttention& attention,
              attend::Rng& rng)
      : conv({.in_channels = channels, .out_channels = 16, .kernel_size = 3, .padding = 1, .bias = false}, rng),
        bn({.channels = 16}),
        head({.in_features = 64, .out_features = classes}, rng) {
    attend::Index in = 16;
    side /= 2;
    for (const attend::Index width : {16, 32, 64}) {
      if (width != in) side = (side + 1) / 2;
      blocks.push_back(attend::BasicBlock<float>(
          {.in_channels = in, .out_channels = width, .stride = width != in ? 2 : 1}, attention(width, side, rng), rng));
      in = width;
    }
  }
  attend::Variable<float, 2> forward(const attend::Variable<float, 4>& images) const {
    auto x = attend::max_pool2d(attend::conv_norm_act(conv, bn, attend::Activation::relu, images), {.kernel_size = 2});
    for (const auto& block : blocks) x = block(x);
    return head(attend::global_average_pool(x));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv);
    visit("bn", self.bn);
    visit("blocks", self.blocks);
    visit("head", self.head);
  }
  attend::Conv2d<float> conv;
  attend::BatchNorm<float> bn;
  std::vector<attend::BasicBlock<float>> blocks;
  attend::Dense<float> head;
};
