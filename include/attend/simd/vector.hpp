/// The widest vector of the instruction set, and memory in and out of it.
#ifndef ATTEND_SIMD_VECTOR
#define ATTEND_SIMD_VECTOR
#include <algorithm>
#include <cstddef>

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
/// The first n lanes, the others 0; n < lanes.
template <class S>
ATTEND_INLINE Vector<S> load_part(const S* p, std::ptrdiff_t n) {
  Vector<S> v{};
  std::memcpy(&v, p, static_cast<std::size_t>(n) * sizeof(S));
  return v;
}
template <class S>
ATTEND_INLINE void store_part(S* p, Vector<S> v, std::ptrdiff_t n) {
  std::memcpy(p, &v, static_cast<std::size_t>(n) * sizeof(S));
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
  template <class S>
  ATTEND_INLINE Vector<double> operator()(const S* p) const {
    Vector<double> v{};
    for (std::ptrdiff_t i = 0; i < n; ++i) v[i] = static_cast<double>(p[i]);
    return v;
  }
};

/// y[i] = f(inputs[i]...) for i in [0, n), a vector at a time; f is given vectors. What is left at the end goes through
/// the same instructions, so an element has the same bits wherever it lies.
template <class S, class F, class... In>
ATTEND_INLINE void map(std::ptrdiff_t n, S* y, const F& f, const In*... inputs) {
  std::ptrdiff_t i = 0;
  for (; i + lanes<S> <= n; i += lanes<S>) store(y + i, f(load(inputs + i)...));
  if (i < n) store_part(y + i, f(load_part(inputs + i, n - i)...), n - i);
}

}  // namespace simd

ATTEND_END_ISA
#endif
