#pragma once
#include <array>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <string>
#include <utility>

#include "attend/core/error.hpp"

ATTEND_BEGIN

using Index = Eigen::Index;

/// Extents of the axes, outermost first; memory is row-major everywhere.
template <int Rank>
using Shape = std::array<Index, static_cast<std::size_t>(Rank)>;

/// Product of the extents. A negative extent, or a product whose bytes an Index could not count, throws ShapeError.
template <class Extents>
Index element_count(const Extents& shape) {
  constexpr Index most = std::numeric_limits<Index>::max() / 16;  // 16 bytes: the largest scalar
  Index count = 1;
  bool empty = false, fits = true;
  for (const Index extent : shape) {
    fits = fits && extent >= 0 && (extent == 0 || count <= most / extent);
    empty = empty || extent == 0;
    if (fits && extent > 0) count *= extent;
  }
  require(fits, "tensor", [&] { return message("shape ", shape, " is negative or too large"); });
  return empty ? 0 : count;
}

namespace detail {
/// Throws OptionError, in the layer's name, for a size among its options that is 2^30 or more: products of two sizes and a
/// small number must not overflow.
inline void check_sizes(const char* layer, std::initializer_list<std::pair<const char*, Index>> sizes) {
  constexpr Index limit = Index(1) << 30;
  for (const auto& [name, size] : sizes)
    require<OptionError>(size < limit && size > -limit, layer, [&, name = name, size = size] {
      return message(name, " = ", size, " is too large; it must be below 2^30");
    });
}
}  // namespace detail

ATTEND_END
