#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct ContrastAwareAttentionOptions {
  Index channels = 0;
  Index reduction = 16;  ///< hidden width = channels / reduction, rounded down
};

/// Contrast-aware channel attention (CCA of IMDN; Hui et al. 2019, section 3.3): squeeze-and-excitation that looks at
/// the contrast of a channel beside its mean; made for super-resolution, where texture matters.
///
///   s = mean over positions of x + standard deviation over positions of x
///   y(b, i, j, c) = x(b, i, j, c) g(b, c),   g = sigmoid(conv_du.2 relu(conv_du.0 s))
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, channels).
/// conv_du.0.weight (hidden, channels, 1, 1)  conv_du.0.bias  conv_du.2.weight (channels, hidden, 1, 1)  conv_du.2.bias.
/// A constant channel has the deviation's gradient 0. Throws OptionError if the reduction leaves nothing, ShapeError for
/// other channels or no positions.
template <class S>
class ContrastAwareAttention : public Layer<ContrastAwareAttention<S>> {
 public:
  ContrastAwareAttention(const ContrastAwareAttentionOptions& options, Rng& rng)
      : channels_(options.channels),
        reduce_({options.channels, hidden(options), true}, rng),
        expand_({hidden(options), options.channels, true}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("ContrastAwareAttention", x.shape(), channels_);
    const auto gate = sigmoid(expand_(relu(reduce_(global_average_pool(x) + global_deviation_pool(x)))));
    offer(*this, "gate", gate);
    return gate_channels(x, gate);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv_du.0", self.reduce_);
    visit("conv_du.2", self.expand_);
  }

 private:
  static Index hidden(const ContrastAwareAttentionOptions& o) {
    return detail::divided_channels("ContrastAwareAttention", o.channels, o.reduction);
  }
  Index channels_;
  PointwiseConv<S> reduce_, expand_;
};

ATTEND_END
