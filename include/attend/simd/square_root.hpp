#ifndef ATTEND_SIMD_SQUARE_ROOT
#define ATTEND_SIMD_SQUARE_ROOT
#include <cmath>

#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/simd/square_root.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace simd {

/// Correctly rounded, as std::sqrt; of a number or a vector.
template <class V>
ATTEND_INLINE V square_root(V x) {
  if constexpr (std::is_floating_point_v<V>) return std::sqrt(x);
#if ATTEND_LEVEL == 3  // with a full mask: the plain form makes g++ 12 warn about its own header
  else if constexpr (sizeof(V) == 64 && sizeof(Scalar<V>) == 4)
    return (V)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
  else if constexpr (sizeof(V) == 64)
    return (V)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#endif
#if ATTEND_LEVEL >= 2
  else if constexpr (sizeof(V) == 32 && sizeof(Scalar<V>) == 4)
    return (V)_mm256_sqrt_ps((__m256)x);
  else if constexpr (sizeof(V) == 32)
    return (V)_mm256_sqrt_pd((__m256d)x);
#endif
#if defined(__SSE2__)
  else if constexpr (sizeof(V) == 16 && sizeof(Scalar<V>) == 4)
    return (V)_mm_sqrt_ps((__m128)x);
  else if constexpr (sizeof(V) == 16)
    return (V)_mm_sqrt_pd((__m128d)x);
#endif
  else {
    for (std::size_t i = 0; i < sizeof(V) / sizeof(Scalar<V>); ++i) x[i] = std::sqrt(x[i]);
    return x;
  }
}

}  // namespace simd

ATTEND_END_ISA
#endif
