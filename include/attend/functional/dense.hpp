#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN

/// y = x W^T + b.  x: (..., in)  weight: (out, in)  bias: (out)  ->  (..., out).  Saves x and W.
/// `transposed`, if given, is W^T (in, out), which the forward product reads faster.
template <class S, int R>
Variable<S, R> dense(const Variable<S, R>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias, const S* transposed = nullptr) {
  static_assert(R >= 1, "attend: dense needs a feature axis");
  Operation<S> op("dense", x, weight, bias);
  const Index out = weight.dim(0), in = weight.dim(1);
  op.require(x.dim(-1) == in, [&] { return "x has shape " + to_string(x.shape()) + "; its last axis must be in_features = " + std::to_string(in); });
  auto shape = x.shape();
  shape.back() = out;
  const Index rows = in == 0 ? 0 : x.size() / in;
  const auto y = op.result(shape);
  for (Index i = 0; i < rows; ++i) std::copy_n(bias.data(), out, op.data(y) + i * out);
  if (transposed) gemm<S>(Side::plain, Side::plain, rows, out, in, 1, x.data(), in, transposed, out, 1, op.data(y), out);
  else gemm<S>(Side::plain, Side::transposed, rows, out, in, 1, x.data(), in, weight.data(), in, 1, op.data(y), out);
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = op.slot(bias);
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dw.differentiable), ws = op.keep(weight, dx.differentiable)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(db)) for (Index i = 0; i < dy.size; ++i) d[i % out] += g[i];
      if (S* d = pass.add_to(dw)) gemm<S>(Side::transposed, Side::plain, out, in, rows, 1, g, out, xs.get(), in, 1, d, in);
      if (S* d = pass.add_to(dx)) gemm<S>(Side::plain, Side::plain, rows, in, out, 1, g, out, ws.get(), in, 1, d, in);
    });
  }
  return y;
}

ATTEND_END
