#pragma once
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"

ATTEND_BEGIN
namespace detail {

inline Conv2dOptions block_conv(Index in, Index out, Index kernel, Index stride, Index dilation = 1, Index groups = 1) {
  Conv2dOptions conv;
  conv.in_channels = in, conv.out_channels = out, conv.kernel_size = kernel, conv.stride = stride;
  conv.dilation = dilation, conv.padding = Padding(dilation * (kernel - 1) / 2), conv.groups = groups;
  conv.bias = false;
  return conv;
}
inline BatchNormOptions block_norm(Index channels) {
  BatchNormOptions norm;
  norm.channels = channels;
  return norm;
}
/// Zeros the norm's weight, so that the block starts as its shortcut (Goyal et al. 2017, section 5.1).
template <class S>
void zero_weight(BatchNorm<S>& norm) {
  BatchNorm<S>::children(norm, [](const std::string& name, auto& parameter) {
    if (name == "weight") parameter.edit_flat().setZero();
  });
}

/// The shortcut of a residual block whose sizes change: a strided 1x1 convolution and a norm, named 0 and 1.
template <class S>
class Downsample : public Layer<Downsample<S>> {
 public:
  Downsample(Index in, Index out, Index stride, Rng& rng)
      : conv_(block_conv(in, out, 1, stride), rng), norm_(block_norm(out)) {}
  Variable<S, 4> forward(const Variable<S, 4>& x) const { return norm_(conv_(x)); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("0", self.conv_);
    visit("1", self.norm_);
  }

 private:
  Conv2d<S> conv_;
  BatchNorm<S> norm_;
};

}  // namespace detail
ATTEND_END
