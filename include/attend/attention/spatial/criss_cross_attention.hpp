#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/query_key_value_maps.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/softmax.hpp"

ATTEND_BEGIN

struct CrissCrossAttentionOptions {
  Index channels = 0;
  Index reduced_channels = 0;  ///< of query and key; 0: channels / 8
};

/// Criss-cross attention (Huang et al. 2019, CCNet, section 3.2): a position attends to its column and its row, itself
/// counted once; called twice, everything reaches everything.
///
///   y = gamma softmax over both [q k_column^T, q k_row^T] [v_column, v_row] + x,   scores unscaled
///
/// x: (batch, height, width, channels), any size  ->  the same shape. Offers "weights" (batch, H W, H + W): the column,
/// without weight for the position itself, then the row.
/// query_conv, key_conv: weight (reduced, channels, 1, 1), bias (reduced)  value_conv: weight (channels, channels, 1,
/// 1), bias (channels)  gamma (1), starts at 0: the layer starts as the identity. Saved: x, the maps, the weights.
/// Throws OptionError where no channel is left, ShapeError for other channels.
template <class S>
class CrissCrossAttention : public Layer<CrissCrossAttention<S>> {
 public:
  using StartsAsIdentity = void;
  CrissCrossAttention(const CrissCrossAttentionOptions& options, Rng& rng)
      : maps_("CrissCrossAttention", options.channels, options.reduced_channels, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("CrissCrossAttention", x.shape(), maps_.channels());
    const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2);
    const auto columns = [](const Variable<S, 4>& map) { return transpose(map, {0, 2, 1, 3}); };
    const auto query = maps_.query(x), key = maps_.key(x), value = maps_.value(x);
    const auto itself = [&] {  // (1, 1, height, height)
      const Shape<4> shape{1, 1, height, height};
      const auto hidden = make_buffer<S>(height * height, S(0));
      for (Index i = 0; i < height; ++i) hidden.get()[i * height + i] = -std::numeric_limits<S>::infinity();
      return Variable<S, 4>(shape, hidden);
    }();
    const auto down = matmul(columns(query), columns(key), Side::plain, Side::transposed) + itself;
    const auto across = matmul(query, key, Side::plain, Side::transposed);  // (batch, height, width, width)
    const auto weights = softmax(concat({columns(down), across}, 3));
    offer(*this, "weights", weights.reshape(Shape<3>{batch, height * width, height + width}));
    const auto of_column = matmul(columns(slice(weights, 0, height, 3)), columns(value));
    const auto of_row = matmul(slice(weights, height, height + width, 3), value);
    return maps_.added(columns(of_column) + of_row, x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.maps_);
  }

 private:
  detail::QueryKeyValueMaps<S> maps_;
};

ATTEND_END
