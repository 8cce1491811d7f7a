#pragma once
#include <algorithm>
#include <vector>

#include "attend/functional/embedding.hpp"
#include "attend/functional/shape.hpp"

ATTEND_BEGIN
namespace detail {

/// In a list of positions: none of the grid's, a row of zeros.
inline constexpr Index outside = -1;

/// Positions of a grid by number, in any order, also repeatedly.  x: (batch, positions, channels)  ->
/// (batch, places, channels).
template <class S>
Variable<S, 3> gather_positions(const Variable<S, 3>& x, const std::vector<Index>& places) {
  const Index count = Index(places.size()), zeros = x.dim(1);
  const auto ids = make_buffer<Index>(count);
  std::replace_copy(places.begin(), places.end(), ids.get(), outside, zeros);
  const bool padded = std::find(places.begin(), places.end(), outside) != places.end();
  return index_select(padded ? pad(x, 0, 1, 1) : x, Variable<Index, 1>(Shape<1>{count}, ids), 1);
}

/// A feature map as its positions, row by row: (batch, height, width, channels) -> (batch, height width, channels).
template <class S>
Variable<S, 3> positions_of(const Variable<S, 4>& x) {
  return x.reshape(Shape<3>{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)});
}

}  // namespace detail
ATTEND_END
