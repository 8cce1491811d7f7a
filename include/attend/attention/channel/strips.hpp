#pragma once
#include "attend/attention/channel/squeeze.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/strips.hpp"

ATTEND_BEGIN
namespace detail {

/// One number per row and channel, or per column and channel, as a factor of the map.
template <class S>
Variable<S, 4> of_rows(const Variable<S, 3>& gate) {
  return gate.reshape(Shape<4>{gate.dim(0), gate.dim(1), 1, gate.dim(2)});
}
template <class S>
Variable<S, 4> of_columns(const Variable<S, 3>& gate) {
  return gate.reshape(Shape<4>{gate.dim(0), 1, gate.dim(1), gate.dim(2)});
}

}  // namespace detail
ATTEND_END
