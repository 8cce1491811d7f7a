#pragma once
#include "attend/attention/channel/cbam_channel.hpp"
#include "attend/attention/spatial/cbam_spatial.hpp"

ATTEND_BEGIN

struct CbamOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 16;  ///< of the channel half, see CbamChannelOptions
  Index rd_channels = 0;
  Index rd_divisor = 1;
  Index spatial_kernel_size = 7;             ///< of the spatial half; odd
  Activation activation = Activation::relu;  ///< between the maps of the channel half
  Activation gate = Activation::sigmoid;     ///< of both halves
  bool bias = false;                         ///< of the maps of the channel half; timm's mlp_bias
};

/// Convolutional block attention (Woo et al. 2018; timm's CbamModule): first which channels, then which positions.
///
/// x: (batch, height, width, channels)  ->  the same shape. Its halves offer "channel.gate" and "spatial.gate".
/// channel.fc1.weight  channel.fc2.weight  spatial.conv.conv.weight  spatial.conv.bn.*
template <class S>
class Cbam : public Layer<Cbam<S>> {
 public:
  Cbam(const CbamOptions& o, Rng& rng)
      : channels_(o.channels),
        channel_({o.channels, o.rd_ratio, o.rd_channels, o.rd_divisor, o.bias, o.activation, o.gate}, rng),
        spatial_({o.spatial_kernel_size, o.gate}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    if (x.link() || x.dim(3) != channels_) return spatial_(channel_(x));
    const auto channels = channel_.gate(x);  // without a tape: three passes over x, and the map between is not made
    return gate_both(x, channels, spatial_.gate(mean_max_channels(x, channels)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("channel", self.channel_);
    visit("spatial", self.spatial_);
  }

 private:
  Index channels_;
  CbamChannel<S> channel_;
  CbamSpatial<S> spatial_;
};

ATTEND_END
