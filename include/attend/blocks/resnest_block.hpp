#pragma once
#include "attend/attention/channel/split_attention.hpp"
#include "attend/blocks/bottleneck_block.hpp"

ATTEND_BEGIN

struct ResNestBlockOptions {
  Index radix = 2;             ///< branches of the split attention
  bool average_stride = true;  ///< an average pool has the stride in place of the convolution; timm's avd
  bool average_first = false;  ///< before the split attention; false: after it
};

/// Bottleneck whose 3x3 convolution is split attention (ResNeSt; Zhang et al. 2020, section 3; timm's
/// ResNestBottleneck):
///
///   y = activation(drop_path(attention(bn3(conv3 [pool] conv2 activation(bn1(conv1 x))))) + shortcut(x))
///
/// where conv2 is a SplitAttention with norms and the pool, of 3x3 cells with stride, zeros beyond the border included,
/// is there only in blocks with a stride. `attention` may be empty.
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, 4 planes), rounded up.
/// conv1.weight  bn1.*  conv2.conv.weight  conv2.bn0.*  conv2.fc1.*  conv2.bn1.*  conv2.fc2.*  conv3.weight  bn3.*
/// se.*  downsample.*
template <class S>
class ResNestBlock : public Layer<ResNestBlock<S>> {
 public:
  ResNestBlock(const BottleneckBlockOptions& o, const ResNestBlockOptions& split, AnyLayer<S, 4> attention, Rng& rng)
      : ResNestBlock(o, split, bottleneck_width("ResNestBlock", o), std::move(attention), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    auto y = conv_norm_act(conv1_, bn1_, activation_, x);
    if (average_first_) y = pooled(y);
    y = conv2_(y);
    if (!average_first_) y = pooled(y);
    return end_(x, conv3_, bn3_, y);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("bn1", self.bn1_);
    visit("conv2", self.conv2_);
    visit("conv3", self.conv3_);
    visit("bn3", self.bn3_);
    detail::ResidualEnd<S>::visit_all(self.end_, visit);
  }

 private:
  ResNestBlock(const BottleneckBlockOptions& o, const ResNestBlockOptions& split, Index width, AnyLayer<S, 4> attention,
               Rng& rng)
      : activation_(o.activation),
        average_first_(split.average_first),
        pool_stride_(split.average_stride ? o.stride : 1),
        conv1_(detail::block_conv(o.in_channels, width, 1, 1), rng),
        bn1_(detail::block_norm(width)),
        conv2_(split_attention(o, split, width), rng),
        conv3_(detail::block_conv(width, BottleneckBlock<S>::expansion * o.planes, 1, 1), rng),
        bn3_(detail::block_norm(BottleneckBlock<S>::expansion * o.planes)),
        end_("ResNestBlock", o.activation, o.drop_path, std::move(attention), o.in_channels,
             BottleneckBlock<S>::expansion * o.planes, o.stride, o.dilation, o.average_shortcut, rng) {
    if (o.zero_init_last) detail::zero_weight(bn3_);
  }
  static SplitAttentionOptions split_attention(const BottleneckBlockOptions& o, const ResNestBlockOptions& split,
                                               Index width) {
    SplitAttentionOptions conv;
    conv.channels = width, conv.groups = o.groups, conv.radix = split.radix, conv.norm = true;
    conv.dilation = conv.padding = o.first_dilation > 0 ? o.first_dilation : o.dilation;
    conv.stride = split.average_stride ? 1 : o.stride, conv.activation = o.activation;
    return conv;
  }
  Variable<S, 4> pooled(const Variable<S, 4>& x) const {
    if (pool_stride_ == 1) return x;
    AvgPoolOptions pool;
    pool.kernel_size = 3, pool.stride = pool_stride_, pool.padding = 1;
    return avg_pool2d(x, pool);
  }
  Activation activation_;
  bool average_first_;
  Index pool_stride_;
  Conv2d<S> conv1_;
  BatchNorm<S> bn1_;
  SplitAttention<S> conv2_;
  Conv2d<S> conv3_;
  BatchNorm<S> bn3_;
  detail::ResidualEnd<S> end_;
};

ATTEND_END
