#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

/// How the two gated maps of scSE become one.
enum class ScseFusion {
  add,     ///< the sum (Roy et al. 2018)
  maximum  ///< the larger of each two (Roy et al. 2019, "max-out")
};

struct ScseOptions {
  Index channels = 0;
  Index reduction = 16;  ///< hidden width = channels / reduction, rounded down; the paper has 2
  ScseFusion fusion = ScseFusion::add;
};

/// Concurrent spatial and channel squeeze and excitation (scSE; Roy, Navab and Wachinger 2018, section 2;
/// segmentation_models_pytorch's SCSEModule): the map gated by channels and the map gated by positions.
///
///   y = x gc(b, c) + x gs(b, i, j),   gc = sigmoid(cSE.3 relu(cSE.1 mean of x)),   gs = sigmoid(sSE.0 x)
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "channel_gate" (batch, channels) and "spatial_gate"
/// (batch, height, width, 1). cSE.1.weight (hidden, channels, 1, 1)  cSE.1.bias  cSE.3.weight (channels, hidden, 1, 1)
/// cSE.3.bias  sSE.0.weight (1, channels, 1, 1)  sSE.0.bias. Throws OptionError if the reduction leaves nothing,
/// ShapeError for other channels or no positions.
template <class S>
class Scse : public Layer<Scse<S>> {
 public:
  Scse(const ScseOptions& options, Rng& rng)
      : options_(options),
        reduce_({options.channels, hidden(options), true}, rng),
        expand_({hidden(options), options.channels, true}, rng),
        position_({options.channels, 1, true}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("Scse", x.shape(), options_.channels);
    const auto channels = sigmoid(expand_(relu(reduce_(global_average_pool(x)))));
    const auto positions = sigmoid(position_(x));
    offer(*this, "channel_gate", channels);
    offer(*this, "spatial_gate", positions);
    const auto by_channels = gate_channels(x, channels), by_positions = gate_positions(x, positions);
    return options_.fusion == ScseFusion::add ? by_channels + by_positions : maximum(by_channels, by_positions);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("cSE.1", self.reduce_);
    visit("cSE.3", self.expand_);
    visit("sSE.0", self.position_);
  }

 private:
  static Index hidden(const ScseOptions& o) { return detail::divided_channels("Scse", o.channels, o.reduction); }
  ScseOptions options_;
  PointwiseConv<S> reduce_, expand_, position_;
};

ATTEND_END
