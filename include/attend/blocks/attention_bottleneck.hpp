#pragma once
#include "attend/blocks/downsample.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/any_layer.hpp"
#include "attend/layers/conv_norm_act.hpp"

ATTEND_BEGIN

struct AttentionBottleneckOptions {
  Index in_channels = 0;
  Index inner_channels = 0;  ///< between the 1x1 convolutions
  Index out_channels = 0;
  Index stride = 1;
  Index groups = 1;             ///< of the 3x3 convolution
  bool self_attention = false;  ///< the attention stands in the place of the 3x3 convolution, and has the stride
  Activation activation = Activation::relu;  ///< after every norm but the last, and after the sum
  double drop_path = 0;                      ///< probability of dropping the branch of a sample, in training
  bool zero_init_last = true;                ///< the last norm starts at weight 0, the block as its shortcut
};

/// Bottleneck with attention inside (timm's byobnet: BottleneckBlock, and SelfAttnBlock with self_attention):
///
///   y = activation(drop_path(conv3(attn(conv2(conv1 x)))) + shortcut(x))                        a gate, or nothing
///   y = activation(drop_path(conv3(activation(norm(self_attn(conv1 x))))) + shortcut(x))        self_attention
///
/// where each conv has its norm and, but for conv3, activation. The shortcut is x, or a strided 1x1 convolution with
/// norm where stride or channels change. ShapeError if a self-attention does not give inner_channels.
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, out_channels).
/// conv1_1x1.conv.weight  conv1_1x1.bn.*  conv2_kxk.*  attn.*, or self_attn.*  post_attn.*  conv3_1x1.*  [shortcut.*]
template <class S>
class AttentionBottleneck : public Layer<AttentionBottleneck<S>> {
 public:
  AttentionBottleneck(const AttentionBottleneckOptions& o, AnyLayer<S, 4> attention, Rng& rng)
      : options_(checked(o)),
        conv1_(conv(o.in_channels, o.inner_channels, 1, 1, o.activation), rng),
        attention_(std::move(attention)),
        conv3_(conv(o.inner_channels, o.out_channels, 1, 1, Activation::identity), rng) {
    if (o.self_attention) {
      post_norm_.emplace(detail::block_norm(o.inner_channels));
    } else {
      conv2_.emplace(conv(o.inner_channels, o.inner_channels, 3, o.stride, o.activation, o.groups), rng);
    }
    if (o.stride != 1 || o.in_channels != o.out_channels)
      shortcut_.emplace(conv(o.in_channels, o.out_channels, 1, o.stride, Activation::identity), rng);
    if (o.zero_init_last) detail::zero_weight(conv3_.norm());
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    auto y = conv1_(x);
    if (conv2_) y = (*conv2_)(y);
    y = attention_(y);
    if (post_norm_) y = activate((*post_norm_)(y), options_.activation);
    y = drop_path(conv3_(y), options_.drop_path);
    return activate(y + (shortcut_ ? (*shortcut_)(x) : x), options_.activation);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1_1x1", self.conv1_);
    if (self.conv2_) visit("conv2_kxk", *self.conv2_);
    visit(self.conv2_ ? "attn" : "self_attn", self.attention_);
    if (self.post_norm_) visit("post_attn", *self.post_norm_);
    visit("conv3_1x1", self.conv3_);
    if (self.shortcut_) visit("shortcut", *self.shortcut_);
  }

 private:
  static const AttentionBottleneckOptions& checked(const AttentionBottleneckOptions& o) {
    require<OptionError>(o.drop_path >= 0 && o.drop_path <= 1, "AttentionBottleneck",
                         [&] { return message("drop_path = ", o.drop_path, " must lie in [0, 1]"); });
    return o;
  }
  static ConvNormActOptions conv(Index in, Index out, Index kernel_size, Index stride, Activation activation,
                                 Index groups = 1) {
    ConvNormActOptions conv;
    conv.in_channels = in, conv.out_channels = out, conv.kernel_size = kernel_size, conv.stride = stride;
    conv.activation = activation, conv.groups = groups;
    return conv;
  }
  AttentionBottleneckOptions options_;
  ConvNormAct<S> conv1_;
  std::optional<ConvNormAct<S>> conv2_;
  AnyLayer<S, 4> attention_;
  std::optional<BatchNorm<S>> post_norm_;
  ConvNormAct<S> conv3_;
  std::optional<ConvNormAct<S>> shortcut_;
};

ATTEND_END
