/// What lets one branch-free function serve a float, a double, and the compiler's vectors of them (`vector_size`).
#ifndef ATTEND_SIMD_LANES
#define ATTEND_SIMD_LANES
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "attend/core/inline.hpp"
#include "attend/core/namespace.hpp"

#define ATTEND_KERNELS "attend/simd/lanes.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
namespace simd = base::simd;  // for code outside the regions
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace simd {

template <class V, class = void>
struct Lanes {  // of a vector
  using Scalar = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<V&>()[0])> >;
  using Word = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
#if defined(__GNUC__) || defined(__clang__)
  typedef Word Bits __attribute__((vector_size(sizeof(V))));
#endif
};
template <class V>
struct Lanes<V, std::enable_if_t<std::is_floating_point_v<V> > > {
  using Scalar = V;
  using Word = std::conditional_t<sizeof(V) == 4, std::uint32_t, std::uint64_t>;
  using Bits = Word;
};
template <class V>
using Scalar = typename Lanes<V>::Scalar;
template <class V>
using Bits = typename Lanes<V>::Bits;

/// `value` in every lane.
template <class V>
ATTEND_INLINE V all(Scalar<V> value) {
  return value - V{};  // + would be computed: it turns -0 into 0
}
template <class V>
ATTEND_INLINE Bits<V> bits_of(V value) {
  Bits<V> bits;
  std::memcpy(&bits, &value, sizeof(V));
  return bits;
}
template <class V>
ATTEND_INLINE V from_bits(Bits<V> bits) {
  V value;
  std::memcpy(&value, &bits, sizeof(V));
  return value;
}
/// `yes` in the lanes where the comparison held, `no` in the others. Of scalars by masks: g++ would make branches of
/// `?:`.
template <class V, class Mask>
ATTEND_INLINE V select(Mask held, V yes, V no) {
  if constexpr (std::is_floating_point_v<V>) {
    const Bits<V> mask = Bits<V>(0) - static_cast<Bits<V> >(held);
    return from_bits<V>((bits_of(yes) & mask) | (bits_of(no) & ~mask));
  } else {
    return held ? yes : no;
  }
}

/// x where it is larger than `bound`, or NaN. (All lanes by mask: of the plain instruction g++ 12 warns.)
template <class V>
ATTEND_INLINE V at_least(V bound, V x) {
#if ATTEND_LEVEL == 3
  if constexpr (sizeof(V) == 64 && sizeof(Scalar<V>) == 4)
    return _mm512_maskz_max_ps(static_cast<__mmask16>(-1), bound, x);
  else if constexpr (sizeof(V) == 64)
    return _mm512_maskz_max_pd(static_cast<__mmask8>(-1), bound, x);
#endif
#if ATTEND_LEVEL >= 2
  if constexpr (sizeof(V) == 32 && sizeof(Scalar<V>) == 4)
    return _mm256_max_ps(bound, x);
  else if constexpr (sizeof(V) == 32)
    return _mm256_max_pd(bound, x);
#endif
  return select(x < bound, bound, x);
}
/// x where it is smaller than `bound`, or NaN.
template <class V>
ATTEND_INLINE V at_most(V bound, V x) {
#if ATTEND_LEVEL == 3
  if constexpr (sizeof(V) == 64 && sizeof(Scalar<V>) == 4)
    return _mm512_maskz_min_ps(static_cast<__mmask16>(-1), bound, x);
  else if constexpr (sizeof(V) == 64)
    return _mm512_maskz_min_pd(static_cast<__mmask8>(-1), bound, x);
#endif
#if ATTEND_LEVEL >= 2
  if constexpr (sizeof(V) == 32 && sizeof(Scalar<V>) == 4)
    return _mm256_min_ps(bound, x);
  else if constexpr (sizeof(V) == 32)
    return _mm256_min_pd(bound, x);
#endif
  return select(x > bound, bound, x);
}

/// a b + c, rounded once wherever the instruction set can. Said outright: left to the compiler, the same formula is
/// fused in one place and not in another, and a row alone differs from the row in a batch.
template <class V>
ATTEND_INLINE V multiply_add(V a, V b, V c) {
  if constexpr (std::is_floating_point_v<V>) {
#if ATTEND_LEVEL >= 2 || defined(__aarch64__)
    if constexpr (sizeof(V) == 4)
      return __builtin_fmaf(a, b, c);
    else
      return __builtin_fma(a, b, c);
#endif
  }
#if ATTEND_LEVEL == 3
  else if constexpr (sizeof(V) == 64 && sizeof(Scalar<V>) == 4)
    return _mm512_fmadd_ps(a, b, c);
  else if constexpr (sizeof(V) == 64)
    return _mm512_fmadd_pd(a, b, c);
#endif
#if ATTEND_LEVEL >= 2
  else if constexpr (sizeof(V) == 32 && sizeof(Scalar<V>) == 4)
    return _mm256_fmadd_ps(a, b, c);
  else if constexpr (sizeof(V) == 32)
    return _mm256_fmadd_pd(a, b, c);
  else if constexpr (sizeof(V) == 16 && sizeof(Scalar<V>) == 4)
    return _mm_fmadd_ps(a, b, c);
  else if constexpr (sizeof(V) == 16)
    return _mm_fmadd_pd(a, b, c);
#elif defined(__aarch64__)
  else if constexpr (sizeof(Scalar<V>) == 4)
    return vfmaq_f32(c, a, b);
  else
    return vfmaq_f64(c, a, b);
#endif
  return a * b + c;
}

/// c[first] + x (c[first + 1] + x (c[first + 2] + ...)). By recursion: compilers leave long loops over the coefficients
/// rolled.
template <std::size_t first = 0, class V, std::size_t n>
ATTEND_INLINE V polynomial(V x, const Scalar<V> (&c)[n]) {
  if constexpr (first + 1 == n) {
    return all<V>(c[first]);
  } else {
    return multiply_add(polynomial<first + 1>(x, c), x, all<V>(c[first]));
  }
}

}  // namespace simd

ATTEND_END_ISA
#endif
