#pragma once
#include "attend/attention/channel/danet_channel_attention.hpp"
#include "attend/attention/spatial/position_attention.hpp"
#include "attend/models/segmentation_net.hpp"

ATTEND_BEGIN

struct DaNetHeadOptions {
  Index in_channels = 0;
  Index classes = 21;
  Index hidden_channels = 0;  ///< attended to, at least 8, for queries have an eighth; 0: a quarter of in_channels
};

/// Logits of the sum of both attentions, the network's answer, and of each alone, for losses of their own.
template <template <class, int> class Of, class S>
struct DaNetLogits {
  template <template <class, int> class Other>
  using of = DaNetLogits<Other, S>;
  Of<S, 4> logits, of_positions, of_channels;
  template <class Visit>
  auto members(Visit&& visit) const {
    return visit(logits, of_positions, of_channels);
  }
};

/// The head of the dual attention network (Fu et al. 2019, figure 2; DANet's code, there DANetHead):
///
///   p = conv51(sa(conv5a x)),  c = conv52(sc(conv5c x)),   conv5a, conv5c, conv51, conv52: relu(BN(conv3x3 x))
///   logits = conv8 (p + c),   of_positions = conv6 p,   of_channels = conv7 c,      each after dropout of channels
///
/// with position attention `sa` and channel attention `sc`; hidden_channels inside.
/// x: (batch, height, width, in_channels)  ->  DaNetLogits.  conv5a.{0,1}.*  conv5c.*  sa.*  sc.gamma  conv51.*
/// conv52.*  conv6.1.*  conv7.1.*  conv8.1.*   Dropout is 0.1. Throws OptionError for sizes that are not positive,
/// ShapeError for other channels.
template <class S>
class DaNetHead : public Layer<DaNetHead<S>> {
 public:
  DaNetHead(const DaNetHeadOptions& o, Rng& rng) : DaNetHead(o, hidden_of(o), rng) {}

  DaNetLogits<Variable, S> forward(const Variable<S, 4>& x) const {
    const auto positions = conv51_(sa_(conv5a_(x))), channels = conv52_(sc_(conv5c_(x)));
    const auto classified = [](const PointwiseConv<S>& conv, const Variable<S, 4>& seen) {
      return conv(channel_dropout(seen, 0.1));
    };
    const auto logits = classified(conv8_, positions + channels), of_positions = classified(conv6_, positions);
    return {logits, of_positions, classified(conv7_, channels)};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv5a", self.conv5a_);
    visit("conv5c", self.conv5c_);
    visit("sa", self.sa_);
    visit("sc", self.sc_);
    visit("conv51", self.conv51_);
    visit("conv52", self.conv52_);
    visit("conv6.1", self.conv6_);
    visit("conv7.1", self.conv7_);
    visit("conv8.1", self.conv8_);
  }

 private:
  DaNetHead(const DaNetHeadOptions& o, Index hidden, Rng& rng)
      : conv5a_(o.in_channels, hidden, 3, rng),
        conv5c_(o.in_channels, hidden, 3, rng),
        sa_({hidden}, rng),
        sc_(DanetChannelAttentionOptions{hidden}),
        conv51_(hidden, hidden, 3, rng),
        conv52_(hidden, hidden, 3, rng),
        conv6_({hidden, o.classes, true}, rng),
        conv7_({hidden, o.classes, true}, rng),
        conv8_({hidden, o.classes, true}, rng) {}
  static Index hidden_of(const DaNetHeadOptions& o) {
    const Index hidden = o.hidden_channels == 0 ? o.in_channels / 4 : o.hidden_channels;
    detail::check_head("DaNetHead", o.in_channels, o.classes, 1);
    require<OptionError>(hidden >= 8, "DaNetHead", [&] {
      return message("in_channels = ", o.in_channels, " and hidden_channels = ", o.hidden_channels, " make ", hidden,
                     " inside; there must be 8 or more");
    });
    return hidden;
  }
  detail::HeadConv<S> conv5a_, conv5c_;
  PositionAttention<S> sa_;
  DanetChannelAttention<S> sc_;
  detail::HeadConv<S> conv51_, conv52_;
  PointwiseConv<S> conv6_, conv7_, conv8_;
};

ATTEND_END
