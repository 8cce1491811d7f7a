#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/softmax.hpp"

ATTEND_BEGIN
namespace detail {
/// A tensor seen as (outer, n, inner) around one axis; a negative axis counts from the last.
struct AxisSplit {
  Index outer = 1, n = 1, inner = 1;
};
template <class S, int R>
AxisSplit split_at(const Operation<S>& op, const Variable<S, R>& x, int axis) {
  static_assert(R >= 1, "attend: softmax needs an axis");
  op.require(axis >= -R && axis < R,
             [&] { return message("x has shape ", x.shape(), "; axis ", axis, " must lie in [", -R, ", ", R, ")"); });
  const int at = axis < 0 ? axis + R : axis;
  AxisSplit split;
  for (int i = 0; i < R; ++i) (i < at ? split.outer : i == at ? split.n : split.inner) *= x.dim(i);
  return split;
}
}  // namespace detail

/// y_j = exp(x_j) / sum_l exp(x_l) along an axis, the last by default. Any shape -> the same; saves y. A row of nothing
/// but -inf, or one that holds NaN or +inf, gives NaN, as in PyTorch.
template <class S, int R>
Variable<S, R> softmax(const Variable<S, R>& x, int axis = -1) {
  Operation<S> op("softmax", x);
  const auto [outer, n, inner] = detail::split_at(op, x, axis);
  const auto y = op.result(x.shape());
  softmax_forward(outer, n, inner, x.data(), op.data(y));
  if (op.records())
    op.record(y, [outer = outer, n = n, inner = inner, dy = op.slot(y), dx = op.slot(x), ys = op.keep(y)](
                     Pass<S>& pass) { softmax_backward(outer, n, inner, ys.get(), pass.of(dy), pass.add_to(dx)); });
  return y;
}

/// y_j = x_j - log sum_l exp(x_l) along an axis, the last by default: exact where softmax would round to zero. Any
/// shape -> the same; saves y.
template <class S, int R>
Variable<S, R> log_softmax(const Variable<S, R>& x, int axis = -1) {
  Operation<S> op("log_softmax", x);
  const auto [outer, n, inner] = detail::split_at(op, x, axis);
  const auto y = op.result(x.shape());
  log_softmax_forward(outer, n, inner, x.data(), op.data(y));
  if (op.records())
    op.record(y, [outer = outer, n = n, inner = inner, dy = op.slot(y), dx = op.slot(x), ys = op.keep(y)](
                     Pass<S>& pass) { log_softmax_backward(outer, n, inner, ys.get(), pass.of(dy), pass.add_to(dx)); });
  return y;
}

ATTEND_END
