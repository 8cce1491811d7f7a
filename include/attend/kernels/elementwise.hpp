/// One loop for every function of a single number. A function is a small struct with `value(x)` and `derivative(s)`,
/// where s is what the forward pass saved: the result where `from_result` is true (then the input need not stay in
/// memory), else the input. Those of the library have a Formula on vectors instead.
#ifndef ATTEND_KERNELS_ELEMENTWISE
#define ATTEND_KERNELS_ELEMENTWISE
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
constexpr Index elementwise_grain = 1 << 14;  ///< elements per unit of work
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/elementwise.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_AS(elementwise_forward, elementwise_forward)
ATTEND_DISPATCH_AS(elementwise_backward, elementwise_backward)
ATTEND_DISPATCH(add_scaled)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// How a function F is computed on vectors: `value(f, v)` and `derivative(f, v)` of a specialisation (of two numbers:
/// `value`, `by_a` and `by_b`, all of (f, a, b)). An element has the same bits wherever it lies. Without one, F's own
/// functions are called for each number.
template <class F>
struct Formula {
  static constexpr bool exists = false;
};
struct OnVectors {
  static constexpr bool exists = true;
};

/// y[i] = f(x[i]);  y may be x
template <class S, class F>
void elementwise_forward(const F& f, Index size, const S* x, S* y) {
  parallel_for(size, elementwise_grain, [&](Index begin, Index end) {
    const F g = f;  // its options in registers, whatever y may alias
    if constexpr (Formula<F>::exists)
      simd::map(
          end - begin, y + begin, [&](const auto& v) { return Formula<F>::value(g, v); }, x + begin);
    else
      for (Index i = begin; i < end; ++i) y[i] = g.value(x[i]);
  });
}

/// dx[i] += dy[i] f'(saved[i])
template <class S, class F>
void elementwise_backward(const F& f, Index size, const S* saved, const S* dy, S* dx) {
  parallel_for(size, elementwise_grain, [&](Index begin, Index end) {
    const F g = f;
    if constexpr (Formula<F>::exists)
      simd::map_add(
          end - begin, dx + begin, [&](const auto& up, const auto& s) { return up * Formula<F>::derivative(g, s); },
          dy + begin, saved + begin);
    else
      for (Index i = begin; i < end; ++i) dx[i] += dy[i] * g.derivative(saved[i]);
  });
}

/// y[i] += factor x[i]
template <class S>
void add_scaled(Index size, S factor, const S* x, S* y) {
  parallel_for(size, elementwise_grain, [=](Index begin, Index end) {
    simd::map_add(
        end - begin, y + begin, [factor](const auto& v) { return factor * v; }, x + begin);
  });
}

ATTEND_END_ISA
#endif
