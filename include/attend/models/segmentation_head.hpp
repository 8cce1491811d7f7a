#pragma once
#include "attend/blocks/downsample.hpp"

ATTEND_BEGIN
namespace detail {
/// Convolution, norm, relu of segmentation heads, named 0 and 1.
template <class S>
class HeadConv : public Layer<HeadConv<S>> {
 public:
  HeadConv(Index in, Index out, Index kernel_size, Rng& rng, Index dilation = 1)
      : conv_(block_conv(in, out, kernel_size, 1, dilation), rng), norm_(block_norm(out)) {}
  Variable<S, 4> forward(const Variable<S, 4>& x) const { return conv_norm_act(conv_, norm_, Activation::relu, x); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("0", self.conv_);
    visit("1", self.norm_);
  }

 private:
  Conv2d<S> conv_;
  BatchNorm<S> norm_;
};
inline void check_head(const char* name, Index in_channels, Index classes, Index hidden) {
  require<OptionError>(in_channels > 0 && classes > 0 && hidden > 0, name, [&] {
    return message("in_channels = ", in_channels, ", classes = ", classes, " and hidden channels = ", hidden,
                   " must be above 0");
  });
}
}  // namespace detail
ATTEND_END
