#pragma once
#include "attend/core/tensor.hpp"

ATTEND_BEGIN
namespace detail {

/// Throws ShapeError, in the layer's name, unless the last axis of x is the channels.
template <class Extents>
void check_map_channels(const char* layer, const Extents& shape, Index channels) {
  require(shape.back() == channels, layer,
          [&] { return message("x has shape ", shape, "; its last axis must be channels = ", channels); });
}
/// The same, and that there are positions.
inline void check_map(const char* layer, const Shape<4>& shape, Index channels) {
  check_map_channels(layer, shape, channels);
  require(shape[1] > 0 && shape[2] > 0, layer,
          [&] { return message("x has shape ", shape, "; there must be positions to judge from"); });
}

}  // namespace detail
ATTEND_END
