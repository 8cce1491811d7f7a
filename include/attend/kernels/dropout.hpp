/// Dropout by counter: whether number i of the draws drops is a function of the stream and i, so any thread draws any
/// part, and the backward pass draws again.
#ifndef ATTEND_KERNELS_DROPOUT
#define ATTEND_KERNELS_DROPOUT
#include "attend/core/threads.hpp"
#include "attend/simd/philox.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
/// x is (outer, repeats, inner); one draw for each (outer, inner), shared by its repeats.
struct DropoutSizes {
  Index outer, repeats, inner;
  Index size() const { return outer * repeats * inner; }
};
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/dropout.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(dropout_forward)
ATTEND_DISPATCH(dropout_backward)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {
constexpr Index dropout_unit = 1024;  ///< draws at a time

/// A word below it drops: p is met to 2^-32.
inline std::uint32_t dropout_limit(double p) {
  return static_cast<std::uint32_t>(std::min(std::ceil(p * 0x1p32), 4294967295.0));
}
/// Draws [begin, end), dropout_unit at most, as factors: 0, or 1 / (1 - p). A word of 32 bits each.
template <class S>
void dropout_factors(const Rng& stream, double p, Index begin, Index end, S* factor) {
  std::uint32_t words[dropout_unit + 8];
  const Index first = begin / 4;
  simd::random_words(stream, static_cast<std::uint64_t>(first), (end + 3) / 4 - first, words);
  const std::uint32_t limit = dropout_limit(p);
  const S kept = p < 1 ? S(1 / (1 - p)) : S(0);
  const std::uint32_t* word = words + (begin - 4 * first);
  for (Index i = 0; i < end - begin; ++i) factor[i] = word[i] < limit ? S(0) : kept;
}
/// f(first element, elements, factors, step): the factor of element j is factors[j * step]
template <class S, class F>
void for_each_dropout(const Rng& stream, double p, const DropoutSizes& s, const F& f) {
  constexpr Index unit = dropout_unit;
  if (s.repeats == 1) {
    parallel_for(s.outer * s.inner, 4 * unit, [&](Index begin, Index end) {
      S factor[unit];
      for (Index i = begin; i < end; i += unit) {
        const Index n = std::min(unit, end - i);
        dropout_factors(stream, p, i, i + n, factor);
        f(i, n, static_cast<const S*>(factor), Index(1));
      }
    });
    return;
  }
  const Index grain = std::max<Index>(1, (Index(1) << 14) / std::max<Index>(1, s.repeats * s.inner));
  parallel_for(s.outer, grain, [&](Index begin, Index end) {
    for (Index outer = begin; outer < end; ++outer)
      for (Index c = 0; c < s.inner; c += unit) {
        S factor[unit];
        const Index n = std::min(unit, s.inner - c), first = outer * s.repeats * s.inner + c;
        dropout_factors(stream, p, outer * s.inner + c, outer * s.inner + c + n, factor);
        if (s.inner == 1)
          f(first, s.repeats, static_cast<const S*>(factor), Index(0));
        else
          for (Index r = 0; r < s.repeats; ++r) f(first + r * s.inner, n, static_cast<const S*>(factor), Index(1));
      }
  });
}
}  // namespace detail

/// y = factor x
template <class S>
void dropout_forward(const Rng& stream, double p, const DropoutSizes& s, const S* x, S* y) {
  detail::for_each_dropout<S>(stream, p, s, [=](Index first, Index n, const S* factor, Index step) {
    if (step == 1)
      simd::map(
          n, y + first, [](auto v, auto k) { return v * k; }, x + first, factor);
    else
      for (Index j = 0; j < n; ++j) y[first + j] = x[first + j] * *factor;
  });
}

/// dx += factor dy
template <class S>
void dropout_backward(const Rng& stream, double p, const DropoutSizes& s, const S* dy, S* dx) {
  detail::for_each_dropout<S>(stream, p, s, [=](Index first, Index n, const S* factor, Index step) {
    if (step == 1)
      simd::map(
          n, dx + first, [](auto d, auto up, auto k) { return d + up * k; }, static_cast<const S*>(dx + first),
          dy + first, factor);
    else
      for (Index j = 0; j < n; ++j) dx[first + j] += dy[first + j] * *factor;
  });
}

ATTEND_END_ISA
#endif
