/// Transposes a square of as many vectors as a vector has lanes, in registers.
#ifndef ATTEND_SIMD_TRANSPOSE
#define ATTEND_SIMD_TRANSPOSE
#include <utility>

#include "attend/simd/lanes.hpp"

#define ATTEND_KERNELS "attend/simd/transpose.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace simd {
namespace detail {

/// Exchanges, between vectors that stand `step` apart, the lanes that stand `step` apart.
template <int step, class V, int... lane>
ATTEND_INLINE void exchange(V& a, V& b, std::integer_sequence<int, lane...>) {
  constexpr int lanes = sizeof...(lane);
#if defined(__clang__)
  const V low = __builtin_shufflevector(a, b, ((lane & step) ? lanes + lane - step : lane)...);
  b = __builtin_shufflevector(a, b, ((lane & step) ? lanes + lane : lane + step)...);
#else
  const V low = __builtin_shuffle(a, b, Bits<V>{((lane & step) ? lanes + lane - step : lane)...});
  b = __builtin_shuffle(a, b, Bits<V>{((lane & step) ? lanes + lane : lane + step)...});
#endif
  a = low;
}

template <int step, class V, int lanes>
ATTEND_INLINE void transpose_from(V (&rows)[lanes]) {
  if constexpr (step > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i)
      if ((i & step) == 0) exchange<step>(rows[i], rows[i + step], std::make_integer_sequence<int, lanes>());
    transpose_from<step / 2>(rows);
  }
}

}  // namespace detail

/// rows[i][j] becomes rows[j][i].
template <class V, int lanes>
ATTEND_INLINE void transpose(V (&rows)[lanes]) {
  static_assert(lanes * sizeof(Scalar<V>) == sizeof(V), "attend: transpose takes a square");
  detail::transpose_from<lanes / 2>(rows);
}

}  // namespace simd

ATTEND_END_ISA
#endif
