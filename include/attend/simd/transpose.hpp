/// Across lanes, in registers: squares of as many vectors as a vector has lanes, transposed or summed row by row, and one
/// vector folded.
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

/// Half as many vectors after each exchange: lanes of one vector that stand `step` apart are summed.
template <int step, class V, int lanes>
ATTEND_INLINE V row_sums_from(V (&rows)[lanes]) {
  if constexpr (step > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < step; ++i) {
      exchange<step>(rows[i], rows[i + step], std::make_integer_sequence<int, lanes>());
      rows[i] += rows[i + step];
    }
    return row_sums_from<step / 2>(rows);
  } else {
    return rows[0];
  }
}

template <int half, class V, class F, int... lane>
ATTEND_INLINE Scalar<V> fold_from(V v, const F& f, std::integer_sequence<int, lane...> lanes) {
  if constexpr (half > 0) {
#if defined(__clang__)
    const V other = __builtin_shufflevector(v, v, (lane ^ half)...);
#else
    const V other = __builtin_shuffle(v, Bits<V>{(lane ^ half)...});
#endif
    return fold_from<half / 2>(f(v, other), f, lanes);
  } else {
    return v[0];
  }
}

}  // namespace detail

/// rows[i][j] becomes rows[j][i].
template <class V, int lanes>
ATTEND_INLINE void transpose(V (&rows)[lanes]) {
  static_assert(lanes * sizeof(Scalar<V>) == sizeof(V), "attend: transpose takes a square");
  detail::transpose_from<lanes / 2>(rows);
}

/// Lane i is the sum of rows[i], its lanes folded by halves. Destroys `rows`.
template <class V, int lanes>
ATTEND_INLINE V row_sums(V (&rows)[lanes]) {
  static_assert(lanes * sizeof(Scalar<V>) == sizeof(V), "attend: row_sums takes a square");
  return detail::row_sums_from<lanes / 2>(rows);
}

/// One lane of all lanes by f(vector, vector): halves with halves, then quarters with quarters, ...
template <class V, class F>
ATTEND_INLINE Scalar<V> fold(V v, const F& f) {
  return detail::fold_from<static_cast<int>(sizeof(V) / sizeof(Scalar<V>)) / 2>(
      v, f, std::make_integer_sequence<int, static_cast<int>(sizeof(V) / sizeof(Scalar<V>))>());
}

}  // namespace simd

ATTEND_END_ISA
#endif
