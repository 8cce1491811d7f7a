#pragma once
#include "attend/functional/absent.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN

/// y = x W[row : row + count]^T + b[entry : entry + count]: a dense layer that uses a part of a packed weight and bias.
/// x (B, L, in)  weight (rows, in)  bias (entries) or absent  ->  (B, L, count).  Saves x and W.
template <class S>
Variable<S, 3> dense_rows(const Variable<S, 3>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias, Index row,
                          Index entry, Index count) {
  Operation<S> op("dense_rows", x, weight, bias);
  const Index in = weight.dim(1), rows = x.dim(0) * x.dim(1);
  op.require(x.dim(2) == in, [&] {
    return "x has shape " + to_string(x.shape()) + "; its last axis must be in_features = " + std::to_string(in);
  });
  op.require(row >= 0 && count >= 0 && row + count <= weight.dim(0), [&] {
    return "weight has shape " + to_string(weight.shape()) + "; it must hold rows " + std::to_string(row) + " to " +
           std::to_string(row + count);
  });
  op.require(!present(bias) || (entry >= 0 && entry + count <= bias.dim(0)), [&] {
    return "bias has shape " + to_string(bias.shape()) + "; it must hold entries " + std::to_string(entry) + " to " +
           std::to_string(entry + count);
  });
  const auto y = op.result(Shape<3>{x.dim(0), x.dim(1), count});
  if (present(bias))
    for (Index i = 0; i < rows; ++i) std::copy_n(bias.data() + entry, count, op.data(y) + i * count);
  gemm<S>(Side::plain, Side::transposed, rows, count, in, S(1), x.data(), in, weight.data() + row * in, in,
          present(bias) ? S(1) : S(0), op.data(y), count);
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = present(bias) ? op.slot(bias) : Slot{};
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dw.differentiable),
                  ws = op.keep(weight, dx.differentiable)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(db))
        for (Index i = 0; i < rows; ++i)
          for (Index c = 0; c < count; ++c) d[entry + c] += g[i * count + c];
      if (S* d = pass.add_to(dw))
        gemm<S>(Side::transposed, Side::plain, count, in, rows, S(1), g, count, xs.get(), in, S(1), d + row * in, in);
      if (S* d = pass.add_to(dx))
        gemm<S>(Side::plain, Side::plain, rows, in, count, S(1), g, count, ws.get() + row * in, in, S(1), d, in);
    });
  }
  return y;
}
/// The same rows of weight and bias.
template <class S>
Variable<S, 3> dense_rows(const Variable<S, 3>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias,
                          Index first, Index count) {
  return dense_rows(x, weight, bias, first, first, count);
}

ATTEND_END
