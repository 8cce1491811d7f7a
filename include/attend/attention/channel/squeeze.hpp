#pragma once
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/gate.hpp"
#include "attend/functional/global_pooling.hpp"

ATTEND_BEGIN
namespace detail {

/// What a channel gate looks at: the mean over the positions, or half of it and half of the maximum.
/// x: (batch, height, width, channels)  ->  (batch, channels)
template <class S>
Variable<S, 2> squeeze(const Variable<S, 4>& x, bool add_maxpool) {
  const auto mean = global_average_pool(x);
  return add_maxpool ? (mean + global_max_pool(x)) * 0.5 : mean;
}

inline void check_map_channels(const char* layer, const Shape<4>& shape, Index channels) {
  require(shape[3] == channels, layer, [&] {
    return "x has shape " + to_string(shape) + "; its last axis must be channels = " + std::to_string(channels);
  });
}

/// The same, and that there are positions.
inline void check_map(const char* layer, const Shape<4>& shape, Index channels) {
  check_map_channels(layer, shape, channels);
  require(shape[1] > 0 && shape[2] > 0, layer,
          [&] { return "x has shape " + to_string(shape) + "; there must be positions to judge from"; });
}

}  // namespace detail
ATTEND_END
