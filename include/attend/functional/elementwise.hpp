#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/elementwise.hpp"

ATTEND_BEGIN

/// y = f(x), element by element, for a function such as those of kernels/activation.hpp or one's own:
///
///     struct Cube {
///       static constexpr bool from_result = false;  // derivative() is given x; where true, the result
///       template <class S> S value(S x) const { return x * x * x; }
///       template <class S> S derivative(S x) const { return 3 * x * x; }
///     };
///     y = elementwise("cube", x, Cube{});
///
/// x: any shape  ->  the same shape.  Saves x, or the result alone where `from_result`.
template <class S, int R, class F>
Variable<S, R> elementwise(const char* name, const Variable<S, R>& x, const F& f) {
  Operation<S> op(name, x);
  const auto y = op.result(x.shape());
  elementwise_forward(f, x.size(), x.data(), op.data(y));
  if (op.records())
    op.record(y, [f, dy = op.slot(y), dx = op.slot(x), saved = op.keep(F::from_result ? y : x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) elementwise_backward(f, dx.size, saved.get(), pass.of(dy), d);
    });
  return y;
}

ATTEND_END
