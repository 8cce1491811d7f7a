#pragma once
#include "attend/attention/channel/squeeze.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/reduction.hpp"

ATTEND_BEGIN
namespace detail {

/// What a gate of rows and columns looks at: the means of the rows, then those of the columns.
/// x: (batch, height, width, channels)  ->  (batch, height + width, channels)
template <class S>
Variable<S, 3> strips(const Variable<S, 4>& x) {
  return concat({mean(x, {2}), mean(x, {1})}, 1);
}
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
