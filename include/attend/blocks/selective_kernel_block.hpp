#pragma once
#include "attend/attention/channel/selective_kernel.hpp"
#include "attend/blocks/bottleneck_block.hpp"

ATTEND_BEGIN
namespace detail {
/// `kernel` with what follows from the block around it.
inline SelectiveKernelOptions placed_kernel(SelectiveKernelOptions kernel, Index in, Index out,
                                            const BottleneckBlockOptions& o) {
  kernel.channels = in, kernel.out_channels = out, kernel.stride = o.stride, kernel.groups = o.groups;
  kernel.activation = o.activation;
  kernel.dilation = o.first_dilation > 0 ? o.first_dilation : o.dilation;
  return kernel;
}
inline ConvNormActOptions block_conv_norm(Index in, Index out, Index kernel_size, Index dilation,
                                          Activation activation) {
  ConvNormActOptions conv;
  conv.in_channels = in, conv.out_channels = out, conv.kernel_size = kernel_size, conv.dilation = dilation;
  conv.activation = activation;
  return conv;
}
}  // namespace detail

/// Basic residual block whose first convolution is a selective kernel (timm's SelectiveKernelBasic):
///
///   y = activation(drop_path(attention(conv2(conv1 x))) + shortcut(x)),   conv1 a SelectiveKernel, conv2 3x3 with norm
///
/// Of `kernel` only what the block does not say counts: kernel_sizes, keep_3x3, split_input and the hidden width.
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, planes), rounded up.
/// conv1.paths.*  conv1.attn.*  conv2.conv.weight  conv2.bn.*  se.*  downsample.*
template <class S>
class SelectiveKernelBasicBlock : public Layer<SelectiveKernelBasicBlock<S>> {
 public:
  SelectiveKernelBasicBlock(const BottleneckBlockOptions& o, const SelectiveKernelOptions& kernel,
                            AnyLayer<S, 4> attention, Rng& rng)
      : conv1_(detail::placed_kernel(kernel, o.in_channels, o.planes, o), rng),
        conv2_(detail::block_conv_norm(o.planes, o.planes, 3, o.dilation, Activation::identity), rng),
        end_("SelectiveKernelBasicBlock", o.activation, o.drop_path, std::move(attention), o.in_channels, o.planes,
             o.stride, o.dilation, o.average_shortcut, rng) {
    if (o.zero_init_last) detail::zero_weight(conv2_.norm());
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return end_(x, conv2_(conv1_(x))); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("conv2", self.conv2_);
    detail::ResidualEnd<S>::visit_all(self.end_, visit);
  }

 private:
  SelectiveKernel<S> conv1_;
  ConvNormAct<S> conv2_;
  detail::ResidualEnd<S> end_;
};

/// Bottleneck whose 3x3 convolution is a selective kernel (Li et al. 2019, section 3.2; timm's
/// SelectiveKernelBottleneck):
///
///   y = activation(drop_path(attention(conv3(conv2(conv1 x)))) + shortcut(x)),   conv1 and conv3 1x1 with norm
///
/// Options as of SelectiveKernelBasicBlock, with `groups` and `base_width`.
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, 4 planes), rounded up.
/// conv1.conv.weight  conv1.bn.*  conv2.paths.*  conv2.attn.*  conv3.conv.weight  conv3.bn.*  se.*  downsample.*
template <class S>
class SelectiveKernelBlock : public Layer<SelectiveKernelBlock<S>> {
 public:
  SelectiveKernelBlock(const BottleneckBlockOptions& o, const SelectiveKernelOptions& kernel, AnyLayer<S, 4> attention,
                       Rng& rng)
      : SelectiveKernelBlock(o, kernel, bottleneck_width("SelectiveKernelBlock", o), std::move(attention), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return end_(x, conv3_(conv2_(conv1_(x)))); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("conv2", self.conv2_);
    visit("conv3", self.conv3_);
    detail::ResidualEnd<S>::visit_all(self.end_, visit);
  }

 private:
  SelectiveKernelBlock(const BottleneckBlockOptions& o, const SelectiveKernelOptions& kernel, Index width,
                       AnyLayer<S, 4> attention, Rng& rng)
      : conv1_(detail::block_conv_norm(o.in_channels, width, 1, 1, o.activation), rng),
        conv2_(detail::placed_kernel(kernel, width, width, o), rng),
        conv3_(detail::block_conv_norm(width, BottleneckBlock<S>::expansion * o.planes, 1, 1, Activation::identity),
               rng),
        end_("SelectiveKernelBlock", o.activation, o.drop_path, std::move(attention), o.in_channels,
             BottleneckBlock<S>::expansion * o.planes, o.stride, o.dilation, o.average_shortcut, rng) {
    if (o.zero_init_last) detail::zero_weight(conv3_.norm());
  }
  ConvNormAct<S> conv1_;
  SelectiveKernel<S> conv2_;
  ConvNormAct<S> conv3_;
  detail::ResidualEnd<S> end_;
};

ATTEND_END
