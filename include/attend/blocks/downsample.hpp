#pragma once
#include "attend/functional/pooling.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/conv_norm_act.hpp"

ATTEND_BEGIN
namespace detail {

inline Conv2dOptions block_conv(Index in, Index out, Index kernel, Index stride, Index dilation = 1, Index groups = 1) {
  check_sizes("Conv2d", {{"dilation", dilation}});
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
  BatchNorm<S>::children(norm, [](std::string_view name, auto& parameter) {
    if (name == "weight") parameter.edit_flat().setZero();
  });
}

/// The shortcut of a residual block whose sizes change: a strided 1x1 convolution and a norm, named 0 and 1; or (timm's
/// avg_down, ResNet-D of He et al. 2019) the mean of 2x2 cells, the convolution and the norm, named 1 and 2. In a dilated
/// stage, whose stride is 1, the 2x2 mean looks at the cell itself, the next, the one below and the one beyond.
template <class S>
class Downsample : public Layer<Downsample<S>> {
 public:
  Downsample(Index in, Index out, Index stride, Index dilation, bool average, Rng& rng)
      : average_(average),
        stride_(stride),
        dilation_(dilation),
        conv_(block_conv(in, out, 1, average ? 1 : stride), rng),
        norm_(block_norm(out)) {}
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    return conv_norm_act(conv_, norm_, Activation::identity, average_ ? pooled(x) : x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit(self.average_ ? "1" : "0", self.conv_);
    visit(self.average_ ? "2" : "1", self.norm_);
  }

 private:
  Variable<S, 4> pooled(const Variable<S, 4>& x) const {
    if (stride_ == 1 && dilation_ == 1) return x;
    AvgPoolOptions pool;
    pool.kernel_size = 2;
    if (dilation_ == 1) {
      pool.stride = stride_, pool.ceil_mode = true, pool.count_include_pad = false;
      return avg_pool2d(x, pool);
    }
    pool.stride = 1, pool.padding = 1;  // zeros beyond the border count here, as in timm
    return slice(slice(avg_pool2d(x, pool), 1, x.dim(1) + 1, 1), 1, x.dim(2) + 1, 2);
  }
  bool average_;
  Index stride_, dilation_;
  Conv2d<S> conv_;
  BatchNorm<S> norm_;
};

}  // namespace detail
ATTEND_END
