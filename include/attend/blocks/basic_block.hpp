#pragma once
#include "attend/blocks/residual_end.hpp"

ATTEND_BEGIN

struct BasicBlockOptions {
  Index in_channels = 0;
  Index out_channels = 0;         ///< timm's planes
  Index stride = 1;               ///< of the first convolution and the shortcut
  Index dilation = 1;             ///< of the 3x3 convolutions
  Index first_dilation = 0;       ///< of the first 3x3 convolution; 0: as the other
  bool average_shortcut = false;  ///< the shortcut takes means of 2x2 cells before its convolution (avg_down)
  Activation activation = Activation::relu;  ///< after the first norm and after the sum
  double drop_path = 0;                      ///< probability of dropping the branch of a sample, in training
  bool zero_init_last = false;               ///< the last norm starts at weight 0, the block as its shortcut
};

/// Residual block of ResNet-18 and -34 (He et al. 2016, figure 5 left) with a place for attention (timm's BasicBlock):
///
///   y = activation(drop_path(attention(bn2(conv2(activation(bn1(conv1 x)))))) + shortcut(x))
///
/// so the attention sits after the last norm and before drop-path and sum. Any layer from feature map to feature map of
/// the same shape fits (ShapeError if it gives another); without one nothing is there. The shortcut is x, or
/// `downsample` where stride or channels change.
///
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, out_channels), rounded up.
/// conv1.weight  bn1.*  conv2.weight  bn2.*  se.*, whatever the attention  downsample.0.weight  downsample.1.* (1 and
/// 2 with average_shortcut)
template <class S>
class BasicBlock : public Layer<BasicBlock<S>> {
 public:
  BasicBlock(const BasicBlockOptions& o, Rng& rng) : BasicBlock(o, AnyLayer<S, 4>(), rng) {}
  BasicBlock(const BasicBlockOptions& o, AnyLayer<S, 4> attention, Rng& rng)
      : activation_(o.activation),
        conv1_(detail::block_conv(o.in_channels, o.out_channels, 3, o.stride,
                                  o.first_dilation > 0 ? o.first_dilation : o.dilation),
               rng),
        bn1_(detail::block_norm(o.out_channels)),
        conv2_(detail::block_conv(o.out_channels, o.out_channels, 3, 1, o.dilation), rng),
        bn2_(detail::block_norm(o.out_channels)),
        end_("BasicBlock", o.activation, o.drop_path, std::move(attention), o.in_channels, o.out_channels, o.stride,
             o.dilation, o.average_shortcut, rng) {
    if (o.zero_init_last) detail::zero_weight(bn2_);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto hidden = conv_norm_act(conv1_, bn1_, activation_, x);
    return end_(x, conv2_, bn2_, hidden);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("bn1", self.bn1_);
    visit("conv2", self.conv2_);
    visit("bn2", self.bn2_);
    detail::ResidualEnd<S>::visit_all(self.end_, visit);
  }

 private:
  Activation activation_;
  Conv2d<S> conv1_;
  BatchNorm<S> bn1_;
  Conv2d<S> conv2_;
  BatchNorm<S> bn2_;
  detail::ResidualEnd<S> end_;
};

ATTEND_END
