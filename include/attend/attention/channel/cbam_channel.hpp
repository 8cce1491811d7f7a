#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct CbamChannelOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 16;                ///< reduced channels = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;                     ///< ... unless given here
  Index rd_divisor = 1;                      ///< the reduced channels are a multiple of this
  bool bias = false;                         ///< of both maps; timm's mlp_bias
  Activation activation = Activation::relu;  ///< between the maps
  Activation gate = Activation::sigmoid;
};

/// The channel half of CBAM (Woo et al. 2018, eq. 2; timm's ChannelAttn): mean and maximum go through the same two
/// maps.
///
///   g = gate(f(mean of x) + f(maximum of x)),  f = fc2 activation fc1,  y(b, i, j, c) = x(b, i, j, c) g(b, c)
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, channels).
/// fc1.weight (rd, channels, 1, 1)  fc2.weight (channels, rd, 1, 1), with biases if asked for.
/// Throws OptionError for non-positive sizes, ShapeError for other channels or no positions.
template <class S>
class CbamChannel : public Layer<CbamChannel<S>> {
 public:
  CbamChannel(const CbamChannelOptions& options, Rng& rng)
      : CbamChannel(options, detail::reduced_channels("CbamChannel", options), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return gate_channels(x, gate(x)); }
  /// The gate alone, (batch, channels).
  Variable<S, 2> gate(const Variable<S, 4>& x) const {
    detail::check_map_channels("CbamChannel", x.shape(), options_.channels);
    const auto [mean, maximum] = global_mean_max_pool(x);
    const auto gate = activate(maps(mean) + maps(maximum), options_.gate);
    offer(*this, "gate", gate);
    return gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("fc1", self.fc1_);
    visit("fc2", self.fc2_);
  }

 private:
  Variable<S, 2> maps(const Variable<S, 2>& pooled) const { return fc2_(activate(fc1_(pooled), options_.activation)); }
  CbamChannel(const CbamChannelOptions& options, Index reduced, Rng& rng)
      : options_(options),
        fc1_({options.channels, reduced, options.bias}, rng),
        fc2_({reduced, options.channels, options.bias}, rng) {}
  CbamChannelOptions options_;
  PointwiseConv<S> fc1_, fc2_;
};

ATTEND_END
