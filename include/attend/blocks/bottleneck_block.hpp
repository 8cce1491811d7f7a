#pragma once
#include "attend/blocks/residual_end.hpp"

ATTEND_BEGIN

struct BottleneckBlockOptions {
  Index in_channels = 0;
  Index planes = 0;               ///< the output has 4 planes channels
  Index stride = 1;               ///< of the 3x3 convolution and the shortcut
  Index dilation = 1;             ///< of the 3x3 convolution, and of the stage for the shortcut
  Index first_dilation = 0;       ///< of the 3x3 convolution where it differs; 0: dilation
  bool average_shortcut = false;  ///< the shortcut takes means of 2x2 cells before its convolution (avg_down)
  Index groups = 1;               ///< of the 3x3 convolution; ResNeXt's cardinality
  Index base_width = 64;          ///< inner channels = planes base_width / 64, rounded down, times groups
  Activation activation = Activation::relu;  ///< after the first two norms and after the sum
  double drop_path = 0;                      ///< probability of dropping the branch of a sample, in training
  bool zero_init_last = false;               ///< the last norm starts at weight 0, the block as its shortcut
};

/// Inner channels of a bottleneck. Throws OptionError, in the block's name, if none are left.
inline Index bottleneck_width(const char* block, const BottleneckBlockOptions& o) {
  const bool countable = double(o.planes) * double(o.base_width) * double(o.groups) < 1e15;
  const Index width =
      o.planes > 0 && o.base_width > 0 && o.groups > 0 && countable ? o.planes * o.base_width / 64 * o.groups : 0;
  require<OptionError>(width > 0, block, [&] {
    return message("planes = ", o.planes, ", base_width = ", o.base_width, " and groups = ", o.groups,
                   " must be above 0 and leave inner channels");
  });
  return width;
}

/// Residual block of ResNet-50 and deeper (He et al. 2016, figure 5 right; ResNeXt with groups) with a place for
/// attention (timm's Bottleneck):
///
///   y = activation(drop_path(attention(bn3(conv3 a(bn2(conv2 a(bn1(conv1 x))))))) + shortcut(x)),  a = activation
///
/// conv1 and conv3 are 1x1, conv2 is 3x3. The attention sits after the last norm and before drop-path and sum; any
/// layer from feature map to feature map of the same shape fits (ShapeError if it gives another).
///
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, 4 planes), rounded up.
/// conv1.weight  bn1.*  conv2.weight  bn2.*  conv3.weight  bn3.*  se.*  downsample.0.weight  downsample.1.* (1 and
/// 2 with average_shortcut)
template <class S>
class BottleneckBlock : public Layer<BottleneckBlock<S>> {
 public:
  static constexpr Index expansion = 4;
  BottleneckBlock(const BottleneckBlockOptions& o, Rng& rng) : BottleneckBlock(o, AnyLayer<S, 4>(), rng) {}
  BottleneckBlock(const BottleneckBlockOptions& o, AnyLayer<S, 4> attention, Rng& rng)
      : activation_(o.activation),
        conv1_(detail::block_conv(o.in_channels, width(o), 1, 1), rng),
        bn1_(detail::block_norm(width(o))),
        conv2_(detail::block_conv(width(o), width(o), 3, o.stride, o.first_dilation > 0 ? o.first_dilation : o.dilation,
                                  o.groups),
               rng),
        bn2_(detail::block_norm(width(o))),
        conv3_(detail::block_conv(width(o), expansion * o.planes, 1, 1), rng),
        bn3_(detail::block_norm(expansion * o.planes)),
        end_("BottleneckBlock", o.activation, o.drop_path, std::move(attention), o.in_channels, expansion * o.planes,
             o.stride, o.dilation, o.average_shortcut, rng) {
    if (o.zero_init_last) detail::zero_weight(bn3_);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto reduced = conv_norm_act(conv1_, bn1_, activation_, x);
    const auto seen = conv_norm_act(conv2_, bn2_, activation_, reduced);
    return end_(x, conv3_, bn3_, seen);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("bn1", self.bn1_);
    visit("conv2", self.conv2_);
    visit("bn2", self.bn2_);
    visit("conv3", self.conv3_);
    visit("bn3", self.bn3_);
    detail::ResidualEnd<S>::visit_all(self.end_, visit);
  }

 private:
  static Index width(const BottleneckBlockOptions& o) { return bottleneck_width("BottleneckBlock", o); }
  Activation activation_;
  Conv2d<S> conv1_;
  BatchNorm<S> bn1_;
  Conv2d<S> conv2_;
  BatchNorm<S> bn2_;
  Conv2d<S> conv3_;
  BatchNorm<S> bn3_;
  detail::ResidualEnd<S> end_;
};

ATTEND_END
