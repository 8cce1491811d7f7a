/// Between rows in memory, one of each query, and panels with the queries side by side in vector lanes: transposed in
/// registers, a square of vectors at a time.
#ifndef ATTEND_KERNELS_ATTENTION_PANEL
#define ATTEND_KERNELS_ATTENTION_PANEL
#include <algorithm>

#include "attend/core/tensor.hpp"
#include "attend/simd/transpose.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_panel.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

/// panel(c, i) = factor rows[i stride + c] for `count` rows of `columns`, and 0 in the lanes up to `width`, a multiple
/// of the vector's.
template <class S>
ATTEND_OUT_OF_LINE void rows_to_panel(const S* rows, Index stride, Index count, Index columns, S factor, S* panel,
                                      Index width) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  for (Index i = 0; i < width; i += lanes) {
    const Index given = std::min(lanes, count - i);
    for (Index c = 0; c < columns; c += lanes) {
      const Index from = std::max<Index>(0, std::min(c, columns - lanes));  // the last square may overlap another
      V square[lanes];
#pragma GCC unroll 16
      for (Index r = 0; r < lanes; ++r) {
        const S* row = rows + (i + r) * stride + from;
        square[r] = r >= given ? V{} : columns >= lanes ? simd::load(row) : simd::load_part(row, columns);
      }
      simd::transpose(square);
      const Index filled = std::min(lanes, columns);
#pragma GCC unroll 16
      for (Index r = 0; r < lanes; ++r)
        if (r < filled) simd::store(panel + (from + r) * width + i, square[r] * factor);
    }
  }
}

/// The way back: put(row, columns before, vector, columns in it) for each piece of each row, panel(c, i) factor[i].
template <class S, class Put>
ATTEND_INLINE void panel_to_rows(const S* panel, Index width, Index count, Index columns, const S* factor,
                                 const Put& put) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  for (Index i = 0; i < width; i += lanes) {
    const Index given = std::min(lanes, count - i);
    const V by = simd::load(factor + i);
    for (Index c = 0; c < columns; c += lanes) {
      const Index filled = std::min(lanes, columns - c);
      V square[lanes];
#pragma GCC unroll 16
      for (Index r = 0; r < lanes; ++r)
        square[r] = r < filled ? simd::select(by == V{}, V{}, simd::load(panel + (c + r) * width + i) * by) : V{};
      simd::transpose(square);
#pragma GCC unroll 16
      for (Index r = 0; r < lanes; ++r)
        if (r < given) put(i + r, c, square[r], filled);
    }
  }
}

}  // namespace detail

ATTEND_END_ISA
#endif
