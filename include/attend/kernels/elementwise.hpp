#pragma once
/// One loop for every function of a single number. A function is a small struct with `value(x)` and `derivative(s)`,
/// where s is what the forward pass saved: the result where `from_result` is true (then the input need not stay in
/// memory), else the input. Where it says `vectors = true` it is given vectors (simd/vector.hpp) instead of numbers,
/// and an element has the same bits wherever it lies.
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN

constexpr Index elementwise_grain = 1 << 14;  ///< elements per unit of work

namespace detail {
template <class F, class = void>
struct TakesVectors : std::false_type {};
template <class F>
struct TakesVectors<F, std::enable_if_t<F::vectors>> : std::true_type {};
}  // namespace detail

/// y[i] = f(x[i]);  y may be x
template <class S, class F>
void elementwise_forward(const F& f, Index size, const S* x, S* y) {
  parallel_for(size, elementwise_grain, [&](Index begin, Index end) {
    const F g = f;  // its options in registers, whatever y may alias
    if constexpr (detail::TakesVectors<F>::value)
      simd::map(
          end - begin, y + begin, [&](auto v) { return g.value(v); }, x + begin);
    else
      for (Index i = begin; i < end; ++i) y[i] = g.value(x[i]);
  });
}

/// dx[i] += dy[i] f'(saved[i])
template <class S, class F>
void elementwise_backward(const F& f, Index size, const S* saved, const S* dy, S* dx) {
  parallel_for(size, elementwise_grain, [&](Index begin, Index end) {
    const F g = f;
    if constexpr (detail::TakesVectors<F>::value)
      simd::map(
          end - begin, dx + begin, [&](auto d, auto s, auto up) { return d + up * g.derivative(s); },
          static_cast<const S*>(dx + begin), saved + begin, dy + begin);
    else
      for (Index i = begin; i < end; ++i) dx[i] += dy[i] * g.derivative(saved[i]);
  });
}

ATTEND_END
