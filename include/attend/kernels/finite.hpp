/// Whether a product whose zeros hide what they meet (0 times infinity is NaN) may be computed like any other.
#ifndef ATTEND_KERNELS_FINITE
#define ATTEND_KERNELS_FINITE
#include "attend/core/shape.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/finite.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(detail::all_finite)
ATTEND_COMPILED_KERNEL(detail::any_zero)
namespace detail {
ATTEND_DISPATCH_IN(detail, all_finite)
ATTEND_DISPATCH_IN(detail, any_zero)
}  // namespace detail
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

/// `rows` rows of `columns` numbers, all finite?
template <class S>
ATTEND_OUT_OF_LINE bool all_finite(const S* x, Index rows, Index columns, Index stride) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  V sum[4] = {};  // one would make a chain of all additions
  for (Index i = 0; i < rows; ++i) {
    const S* const row = x + i * stride;
    Index j = 0;
    for (; j + 4 * lanes <= columns; j += 4 * lanes)
#pragma GCC unroll 4
      for (Index v = 0; v < 4; ++v) sum[v] = simd::multiply_add(simd::load(row + j + v * lanes), V{}, sum[v]);
    for (; j + lanes <= columns; j += lanes) sum[0] = simd::multiply_add(simd::load(row + j), V{}, sum[0]);
    if (j < columns) sum[1] = simd::multiply_add(simd::load_part(row + j, columns - j), V{}, sum[1]);
  }
  return simd::sum_of_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])) == S(0);
}

/// Is one of them zero?
template <class S>
ATTEND_OUT_OF_LINE bool any_zero(const S* x, Index rows, Index columns, Index stride) {
  auto found = simd::Vector<S>{} != S(0);
  for (Index i = 0; i < rows; ++i) {
    const S* const row = x + i * stride;
    Index j = 0;
    for (; j + simd::lanes<S> <= columns; j += simd::lanes<S>) found |= simd::load(row + j) == S(0);
    for (; j < columns; ++j)
      if (row[j] == S(0)) return true;
  }
  return simd::any(found);
}

}  // namespace detail

ATTEND_END_ISA
#endif
