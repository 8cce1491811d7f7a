#pragma once
#include "attend/autograd/recording.hpp"
#include "attend/functional/gate.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/conv_norm_act.hpp"

ATTEND_BEGIN

struct CbamSpatialOptions {
  Index kernel_size = 7;  ///< odd
  Activation gate = Activation::sigmoid;
  bool light = false;  ///< judged from half the mean and half the maximum, one map: timm's LightSpatialAttn
};

/// The spatial half of CBAM (Woo et al. 2018, eq. 3; timm's SpatialAttn): where to look, judged from mean and maximum
/// over the channels, in this order.
///
///   g = gate(BN(conv([mean, maximum]))),  y(b, i, j, c) = x(b, i, j, c) g(b, i, j)
///   light: g = gate(BN(conv(mean / 2 + maximum / 2)))
///
/// x: (batch, height, width, channels), any number of channels  ->  the same shape. Offers "gate" (batch, height,
/// width, 1). conv.conv.weight (1, 2, kernel, kernel), light (1, 1, kernel, kernel)  conv.bn.*. Throws OptionError unless kernel_size is odd and
/// positive.
template <class S>
class CbamSpatial : public Layer<CbamSpatial<S>> {
 public:
  CbamSpatial(const CbamSpatialOptions& options, Rng& rng) : options_(options), conv_(convolution(options), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return gate_positions(x, gate(mean_max_channels(x))); }
  /// The gate alone, (batch, height, width, 1), of mean and maximum over the channels.
  Variable<S, 4> gate(const Variable<S, 4>& mean_max) const {
    const auto gate = activate(conv_(options_.light ? half_sum(mean_max) : mean_max), options_.gate);
    offer(*this, "gate", gate);
    return gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv_);
  }

 private:
  static Variable<S, 4> half_sum(const Variable<S, 4>& mean_max) {
    const auto sum = select(mean_max, 0, 3) + select(mean_max, 1, 3);
    return (sum * 0.5).reshape(Shape<4>{sum.dim(0), sum.dim(1), sum.dim(2), 1});
  }
  static ConvNormActOptions convolution(const CbamSpatialOptions& o) {
    require<OptionError>(o.kernel_size > 0 && o.kernel_size % 2 == 1, "CbamSpatial",
                         [&] { return message("kernel_size = ", o.kernel_size, " must be odd and above 0"); });
    ConvNormActOptions conv;
    conv.in_channels = o.light ? 1 : 2, conv.out_channels = 1, conv.kernel_size = o.kernel_size,
    conv.activation = Activation::identity;
    return conv;
  }
  CbamSpatialOptions options_;
  ConvNormAct<S> conv_;
};

ATTEND_END
