#pragma once
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/interpolate.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct EnhancedSpatialAttentionOptions {
  Index channels = 0;
  Index reduced_channels = 0;  ///< 0: channels / 4
  bool light = false;  ///< true: one convolution of the pooled map in place of three, and no activation (RLFN, 2022)
};

/// Enhanced spatial attention of super-resolution networks (Liu et al. 2020, RFANet, section 3.3, as RFDN, 2020, has
/// it; light: Kong et al. 2022, RLFN): a gate from a wide view of a narrow map,
///
///   n = conv1(x),   w = conv3_(relu(conv3(relu(conv_max(max_pool7/3(conv2(n)))))))   or, light,
/// conv3(max_pool7/3(...)),
///   g = sigmoid(conv4(bilinear(w) + conv_f(n))),   y = x g.
///
/// x: (batch, height, width, channels), at least 15 by 15  ->  the same shape. Offers "gate", of that shape.
/// conv1, conv_f, conv4: 1 x 1  conv2: 3 x 3, stride 2, no padding  conv_max, conv3, conv3_: 3 x 3; all with bias.
/// Throws OptionError where no channel is left, ShapeError for other channels and maps too small to pool.
template <class S>
class EnhancedSpatialAttention : public Layer<EnhancedSpatialAttention<S>> {
 public:
  EnhancedSpatialAttention(const EnhancedSpatialAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        conv1_({options_.channels, options_.reduced_channels}, rng),
        conv_f_({options_.reduced_channels, options_.reduced_channels}, rng),
        conv2_(three_by_three(options_.reduced_channels, 2, 0), rng),
        conv3_(three_by_three(options_.reduced_channels, 1, 1), rng),
        conv4_({options_.reduced_channels, options_.channels}, rng) {
    if (options.light) return;
    conv_max_.emplace(three_by_three(options_.reduced_channels, 1, 1), rng);
    conv3_last_.emplace(three_by_three(options_.reduced_channels, 1, 1), rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    require(x.dim(3) == options_.channels && x.dim(1) >= 15 && x.dim(2) >= 15, "EnhancedSpatialAttention", [&] {
      return message("x has shape ", x.shape(), "; it must be at least 15 by 15, with channels = ", options_.channels);
    });
    const auto narrow = conv1_(x);
    MaxPoolOptions pool;
    pool.kernel_size = 7, pool.stride = 3;
    auto wide = max_pool2d(conv2_(narrow), pool);
    wide = options_.light ? conv3_(wide) : (*conv3_last_)(relu(conv3_(relu((*conv_max_)(wide)))));
    InterpolateOptions up;
    up.size = Pair(x.dim(1), x.dim(2)), up.mode = Interpolation::bilinear;
    const auto gate = sigmoid(conv4_(interpolate(wide, up) + conv_f_(narrow)));
    offer(*this, "gate", gate);
    return x * gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("conv_f", self.conv_f_);
    if (self.conv_max_) visit("conv_max", *self.conv_max_);
    visit("conv2", self.conv2_);
    visit("conv3", self.conv3_);
    if (self.conv3_last_) visit("conv3_", *self.conv3_last_);
    visit("conv4", self.conv4_);
  }

 private:
  static EnhancedSpatialAttentionOptions completed(EnhancedSpatialAttentionOptions o) {
    if (o.reduced_channels == 0) o.reduced_channels = o.channels / 4;
    require<OptionError>(o.channels > 0 && o.reduced_channels > 0, "EnhancedSpatialAttention", [&] {
      return message("channels = ", o.channels, " must be above 0, and reduced_channels = ", o.reduced_channels,
                     " too; by default it is a quarter of channels");
    });
    return o;
  }
  static Conv2dOptions three_by_three(Index channels, Index stride, Index padding) {
    Conv2dOptions o;
    o.in_channels = o.out_channels = channels;
    o.kernel_size = 3, o.stride = stride, o.padding = padding;
    return o;
  }
  EnhancedSpatialAttentionOptions options_;
  PointwiseConv<S> conv1_, conv_f_;
  Conv2d<S> conv2_, conv3_;
  std::optional<Conv2d<S>> conv_max_, conv3_last_;
  PointwiseConv<S> conv4_;
};

ATTEND_END
