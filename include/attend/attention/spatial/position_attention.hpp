#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/query_key_value_maps.hpp"

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
      : maps_("PositionAttention", options.channels, options.reduced_channels, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("PositionAttention", x.shape(), maps_.channels());
    const auto one_head = [&](const Variable<S, 4>& map) {
      return map.reshape(Shape<4>{map.dim(0), map.dim(1) * map.dim(2), 1, map.dim(3)});
    };
    const auto read =
        detail::attend_positions<PositionAttention, S>(*this, "PositionAttention", one_head(maps_.query(x)),
                                                       one_head(maps_.key(x)), one_head(maps_.value(x)), nullptr, 1);
    return maps_.added(read.reshape(x.shape()), x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.maps_);
  }

 private:
  detail::QueryKeyValueMaps<S> maps_;
};

ATTEND_END
