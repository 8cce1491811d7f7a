#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct PositionAttentionOptions {
  Index channels = 0;
  Index reduced_channels = 0;  ///< of query and key; 0: channels / 8
};

/// The position attention of the dual attention network (Fu et al. 2019, section 3.2; PAM_Module of DANet and
/// PyTorch-Encoding): every position gathers from all others, however far,
///
///   y = gamma softmax(query_conv(x) key_conv(x)^T) value_conv(x) + x,   scores unscaled.
///
/// x: (batch, height, width, channels), any size  ->  the same shape. Offers "weights" (batch, 1, H W, H W), rows of
/// queries.
/// query_conv, key_conv: weight (reduced, channels, 1, 1), bias (reduced)  value_conv: weight (channels, channels, 1,
/// 1), bias (channels)  gamma (1), starts at 0: the layer starts as the identity. Saved: x, the maps, the attention's
/// output and two numbers per position; no score matrix. Throws OptionError where no channel is left, ShapeError for
/// others.
template <class S>
class PositionAttention : public Layer<PositionAttention<S>> {
 public:
  using StartsAsIdentity = void;
  PositionAttention(const PositionAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        query_conv_({options_.channels, options_.reduced_channels}, rng),
        key_conv_({options_.channels, options_.reduced_channels}, rng),
        value_conv_({options_.channels, options_.channels}, rng),
        gamma_({1}) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    require(x.dim(3) == options_.channels, "PositionAttention", [&] {
      return "x has shape " + to_string(x.shape()) +
             "; its last axis must be channels = " + std::to_string(options_.channels);
    });
    const auto one_head = [&](const Variable<S, 4>& map) {
      return map.reshape(Shape<4>{map.dim(0), map.dim(1) * map.dim(2), 1, map.dim(3)});
    };
    const auto read =
        detail::attend_positions<PositionAttention, S>(*this, "PositionAttention", one_head(query_conv_(x)),
                                                       one_head(key_conv_(x)), one_head(value_conv_(x)), nullptr, 1);
    return gamma_.on(x).reshape(Shape<4>{1, 1, 1, 1}) * read.reshape(x.shape()) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("query_conv", self.query_conv_);
    visit("key_conv", self.key_conv_);
    visit("value_conv", self.value_conv_);
    visit("gamma", self.gamma_);
  }

 private:
  static PositionAttentionOptions completed(PositionAttentionOptions o) {
    if (o.reduced_channels == 0) o.reduced_channels = o.channels / 8;
    require<OptionError>(o.channels > 0 && o.reduced_channels > 0, "PositionAttention", [&] {
      return "channels = " + std::to_string(o.channels) +
             " must be above 0, and reduced_channels = " + std::to_string(o.reduced_channels) +
             " too; by default it is an eighth of channels";
    });
    return o;
  }
  PositionAttentionOptions options_;
  PointwiseConv<S> query_conv_, key_conv_, value_conv_;
  Parameter<S, 1> gamma_;
};

ATTEND_END
