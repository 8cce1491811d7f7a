/// The widest vector of the instruction set, and memory in and out of it.
#ifndef ATTEND_SIMD_VECTOR
#define ATTEND_SIMD_VECTOR
#include <algorithm>
#include <cstddef>

#include "attend/core/accumulator.hpp"
#include "attend/simd/lanes.hpp"

#define ATTEND_KERNELS "attend/simd/vector.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace simd {

#if ATTEND_LEVEL == 3
constexpr std::size_t widest_bytes = 64;
#elif ATTEND_LEVEL >= 2
constexpr std::size_t widest_bytes = 32;
#else
constexpr std::size_t widest_bytes = 16;
#endif
template <class S>
struct Widest {
  typedef S type __attribute__((vector_size(widest_bytes)));
};
/// A vector of S.
template <class S>
using Vector = typename Widest<S>::type;
template <class S>
constexpr std::ptrdiff_t lanes = static_cast<std::ptrdiff_t>(widest_bytes / sizeof(S));

template <class S>
ATTEND_INLINE Vector<S> load(const S* p) {
  Vector<S> v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
template <class S>
ATTEND_INLINE void store(S* p, Vector<S> v) {
  std::memcpy(p, &v, sizeof(v));
}
#if ATTEND_LEVEL == 2
/// All bits of the first n of `count` lanes.
template <int count>
ATTEND_INLINE __m256i first_lanes(std::ptrdiff_t n) {
  if constexpr (count == 8)
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif
/// The first n lanes, the others 0; n < lanes.
template <class S>
ATTEND_INLINE Vector<S> load_part(const S* p, std::ptrdiff_t n) {
#if ATTEND_LEVEL == 3
  if constexpr (sizeof(S) == 4)
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
  else
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
#else
  Vector<S> v{};
  std::memcpy(&v, p, static_cast<std::size_t>(n) * sizeof(S));
  return v;
#endif
}
template <class S>
ATTEND_INLINE void store_part(S* p, Vector<S> v, std::ptrdiff_t n) {
#if ATTEND_LEVEL == 3
  if constexpr (sizeof(S) == 4)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
#else
  std::memcpy(p, &v, static_cast<std::size_t>(n) * sizeof(S));
#endif
}

/// lanes<double> numbers from memory as doubles, for sums in double: `Whole()(p)`, or `Part{n}(p)` of which the first n
/// count and the others are 0.
struct Whole {
  ATTEND_INLINE Vector<double> operator()(const double* p) const { return load(p); }
  ATTEND_INLINE Vector<double> operator()(const float* p) const {
    typedef float Half __attribute__((vector_size(widest_bytes / 2)));
    Half v;
    std::memcpy(&v, p, sizeof(v));
    return __builtin_convertvector(v, Vector<double>);
  }
};
struct Part {
  std::ptrdiff_t n;
  ATTEND_INLINE Vector<double> operator()(const double* p) const { return load_part(p, n); }
  ATTEND_INLINE Vector<double> operator()(const float* p) const {
#if ATTEND_LEVEL == 3
    return __builtin_convertvector(_mm256_maskz_loadu_ps(static_cast<__mmask8>((1u << n) - 1), p), Vector<double>);
#elif ATTEND_LEVEL >= 2
    return (Vector<double>)_mm256_cvtps_pd(
        _mm_maskload_ps(p, _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(n)), _mm_setr_epi32(0, 1, 2, 3))));
#else
    Vector<double> v{};
    for (std::ptrdiff_t i = 0; i < n; ++i) v[i] = static_cast<double>(p[i]);
    return v;
#endif
  }
};

/// Sum of the lanes, by halves.
template <class V>
ATTEND_INLINE Scalar<V> sum_of_lanes(V v) {
  constexpr std::size_t count = sizeof(V) / sizeof(Scalar<V>);
  Scalar<V> lane[count];
  std::memcpy(lane, &v, sizeof(V));
  for (std::size_t half = count / 2; half > 0; half /= 2)
    for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

/// to[j] += x[j]
template <class S>
ATTEND_INLINE void add_as_doubles(std::ptrdiff_t n, const S* x, double* to) {
  constexpr std::ptrdiff_t width = lanes<double>;
  std::ptrdiff_t j = 0;
  for (; j + width <= n; j += width) store(to + j, load(to + j) + Whole()(x + j));
  if (j == n) return;
  const Part at{n - j};
  store_part(to + j, at(to + j) + at(x + j), n - j);
}
/// Sum of n numbers, in 16 width and then by halves.
template <class S>
ATTEND_INLINE double sum_as_doubles(std::ptrdiff_t n, const S* x) {
  constexpr std::ptrdiff_t width = lanes<double>, vectors = 16 / width;
  Vector<double> sums[vectors] = {};
  std::ptrdiff_t j = 0;
  for (; j + 16 <= n; j += 16)
    for (std::ptrdiff_t k = 0; k < vectors; ++k) sums[k] += Whole()(x + j + k * width);
  for (; j + width <= n; j += width) sums[0] += Whole()(x + j);
  if (j < n) sums[vectors - 1] += Part{n - j}(x + j);
  for (std::ptrdiff_t k = 1; k < vectors; ++k) sums[0] += sums[k];
  return sum_of_lanes(sums[0]);
}

/// Whether a comparison held in some lane.
template <class Mask>
ATTEND_INLINE bool any(Mask held) {
#if ATTEND_LEVEL == 3
  if constexpr (sizeof(Mask) == 64) return _mm512_test_epi32_mask((__m512i)held, (__m512i)held) != 0;
#endif
#if ATTEND_LEVEL >= 2
  if constexpr (sizeof(Mask) == 32) return _mm256_movemask_epi8((__m256i)held) != 0;
#endif
  std::uint64_t words[sizeof(Mask) / 8];
  std::memcpy(words, &held, sizeof(Mask));
  std::uint64_t all = 0;
  for (const std::uint64_t word : words) all |= word;
  return all != 0;
}

/// Where a loop over vectors stands: element i, with `left` elements to go, of which a last vector may have too few.
/// What is left at the end goes through the same instructions, so an element has the same bits wherever it lies.
template <class S>
struct At {
  std::ptrdiff_t i, left;
  ATTEND_INLINE bool whole() const { return left >= lanes<S>; }
  ATTEND_INLINE Vector<S> operator()(const S* p) const { return whole() ? load(p + i) : load_part(p + i, left); }
  /// v with zeros in the lanes behind the end.
  ATTEND_INLINE Vector<S> part(Vector<S> v) const {
    S lane[lanes<S>];
    store(lane, v);
    return whole() ? v : load_part(lane, left);
  }
  ATTEND_INLINE void put(S* p, Vector<S> v) const {
    if (whole())
      store(p + i, v);
    else
      store_part(p + i, v, left);
  }
};
/// f(at) for all vectors of n elements: one loop, so that a long f is compiled once.
template <class S, class F>
ATTEND_INLINE void for_each_vector(std::ptrdiff_t n, const F& f) {
  for (std::ptrdiff_t i = 0; i < n; i += lanes<S>) f(At<S>{i, n - i});
}

/// y[i] = f(inputs[i]...) for i in [0, n), a vector at a time; f is given vectors.
template <class S, class F, class... In>
ATTEND_INLINE void map(std::ptrdiff_t n, S* y, const F& f, const In*... inputs) {
  for_each_vector<S>(n, [&](const auto& at) { at.put(y, f(at(inputs)...)); });
}
/// From so many bytes on a result is written past the caches: the line is not fetched before it is overwritten.
constexpr std::ptrdiff_t far_bytes = std::ptrdiff_t(24) << 20;
/// Past the caches, to an address that is a multiple of the vector's size. `end_stream` before another thread reads.
template <class S>
ATTEND_INLINE void stream(S* p, Vector<S> v) {
#if ATTEND_LEVEL == 3
  _mm512_stream_ps(reinterpret_cast<float*>(p), (__m512)v);
#elif ATTEND_LEVEL == 2
  _mm256_stream_ps(reinterpret_cast<float*>(p), (__m256)v);
#elif defined(__SSE2__)
  _mm_stream_ps(reinterpret_cast<float*>(p), (__m128)v);
#else
  store(p, v);
#endif
}
ATTEND_INLINE void end_stream() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}
/// How many of n elements come before the first that `stream` may write a vector from.
template <class S>
ATTEND_INLINE std::ptrdiff_t before_aligned(const S* p, std::ptrdiff_t n) {
  constexpr auto bytes = static_cast<std::ptrdiff_t>(widest_bytes);
  const auto wrong = static_cast<std::ptrdiff_t>(reinterpret_cast<std::uintptr_t>(p) % widest_bytes);
  return std::min(n, (bytes - wrong) % bytes / static_cast<std::ptrdiff_t>(sizeof(S)));
}
/// As map, past the caches but for the ends.
template <class S, class F, class... In>
ATTEND_INLINE void map_far(std::ptrdiff_t n, S* y, const F& f, const In*... inputs) {
  std::ptrdiff_t i = before_aligned(y, n);
  map(i, y, f, inputs...);
  for (; i + lanes<S> <= n; i += lanes<S>) stream(y + i, Vector<S>(f(load(inputs + i)...)));
  map(n - i, y + i, f, (inputs + i)...);
}
/// y[i] += f(inputs[i]...)
template <class S, class F, class... In>
ATTEND_INLINE void map_add(std::ptrdiff_t n, S* y, const F& f, const In*... inputs) {
  map(
      n, y, [&f](const auto& sum, const auto&... v) { return sum + f(v...); }, static_cast<const S*>(y), inputs...);
}
/// f(inputs[i]...) as the next term of each y[i]: one loop for both kinds of terms, so that a long f is compiled once.
/// The first term is added to -0, which gives the bits of the term alone.
template <class S, class F, class... In>
ATTEND_INLINE void accumulate(std::ptrdiff_t n, Accumulator<S> y, const F& f, const In*... inputs) {
  for_each_vector<S>(n, [&](const auto& at) {
    const Vector<S> before = y.empty ? all<Vector<S> >(S(-0.0)) : at(static_cast<const S*>(y.to));
    at.put(y.to, before + f(at(inputs)...));
  });
}

}  // namespace simd

ATTEND_END_ISA
#endif
