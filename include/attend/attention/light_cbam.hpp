#pragma once
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/spatial/cbam_spatial.hpp"

ATTEND_BEGIN

struct LightCbamOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 16;  ///< of the channel half, see SqueezeExciteOptions
  Index rd_channels = 0;
  Index rd_divisor = 1;
  Index spatial_kernel_size = 7;             ///< of the spatial half; odd
  Activation activation = Activation::relu;  ///< between the maps of the channel half
  bool bias = false;                         ///< of the maps of the channel half; timm's mlp_bias
};

/// CBAM whose halves add mean and maximum before they judge (timm's LightCbamModule, 2020): the channel half is a
/// squeeze-and-excitation of mean / 2 + maximum / 2, the spatial half a convolution of the same sum over the channels.
/// Both gates are sigmoids: timm's gate_layer has no effect here.
///
/// x: (batch, height, width, channels)  ->  the same shape. Its halves offer "channel.gate" and "spatial.gate".
/// channel.fc1.weight  channel.fc2.weight  spatial.conv.conv.weight (1, 1, kernel, kernel)  spatial.conv.bn.*
template <class S>
class LightCbam : public Layer<LightCbam<S>> {
 public:
  LightCbam(const LightCbamOptions& o, Rng& rng)
      : channels_(o.channels),
        channel_(squeeze(o), rng),
        spatial_({o.spatial_kernel_size, Activation::sigmoid, true}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    if (x.link() || x.dim(3) != channels_ || Recording::wants(key_of(channel_))) return spatial_(channel_(x));
    const auto channels = channel_.gate(x);  // without a tape: three passes over x, and the map between is not made
    return gate_both(x, channels, spatial_.gate(mean_max_channels(x, channels)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("channel", self.channel_);
    visit("spatial", self.spatial_);
  }

 private:
  static SqueezeExciteOptions squeeze(const LightCbamOptions& o) {
    SqueezeExciteOptions squeeze;
    squeeze.channels = o.channels, squeeze.rd_ratio = o.rd_ratio, squeeze.rd_channels = o.rd_channels;
    squeeze.rd_divisor = o.rd_divisor, squeeze.activation = o.activation, squeeze.bias = o.bias;
    squeeze.add_maxpool = true;
    return squeeze;
  }
  Index channels_;
  SqueezeExcite<S> channel_;
  CbamSpatial<S> spatial_;
};

ATTEND_END
