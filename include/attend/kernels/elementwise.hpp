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
namespace detail {

template <class... Pointers>
using ElementwisePiece = void (*)(const void* function, Index size, Pointers... pointers);
template <class S, class F>
ElementwisePiece<const S*, S*> forward_piece() {
  ATTEND_PICK(forward_piece<S, F>);
}
template <class S, class F>
ElementwisePiece<const S*, const S*, Accumulator<S>> backward_piece() {
  ATTEND_PICK(backward_piece<S, F>);
}
/// One loop over the units of work for all functions: what is compiled for each is the piece alone.
template <class... Pointers>
ATTEND_OUT_OF_LINE void in_pieces(ElementwisePiece<Pointers...> piece, const void* function, Index size,
                                  Pointers... pointers) {
  parallel_for(size, elementwise_grain,
               [&](Index begin, Index end) { piece(function, end - begin, (pointers + begin)...); });
}

}  // namespace detail

/// y[i] = f(x[i]);  y may be x
template <class S, class F>
void elementwise_forward(const F& f, Index size, const S* x, S* y) {
  detail::in_pieces<const S*, S*>(detail::forward_piece<S, F>(), &f, size, x, y);
}
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

/// y[i] = f(x[i])
template <class S, class F>
void forward_piece(const void* function, Index size, const S* x, S* y) {
  const F f = *static_cast<const F*>(function);  // its options in registers, whatever y may alias
  if constexpr (Formula<F>::exists)
    simd::map(
        size, y, [&](const auto& v) { return Formula<F>::value(f, v); }, x);
  else
    for (Index i = 0; i < size; ++i) y[i] = f.value(x[i]);
}

/// dy[i] f'(saved[i]) as the next term of dx[i]
template <class S, class F>
void backward_piece(const void* function, Index size, const S* saved, const S* dy, Accumulator<S> dx) {
  const F f = *static_cast<const F*>(function);
  if constexpr (Formula<F>::exists)
    simd::accumulate(
        size, dx, [&](const auto& up, const auto& s) { return up * Formula<F>::derivative(f, s); }, dy, saved);
  else
    for (Index i = 0; i < size; ++i) dx.to[i] = (dx.empty ? S(0) : dx.to[i]) + dy[i] * f.derivative(saved[i]);
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
