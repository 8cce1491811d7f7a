#pragma once
#include "attend/autograd/multiply_adds.hpp"
#include "attend/functional/absent.hpp"
#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN

/// y = x W[row : row + count]^T + b[entry : entry + count]: a dense layer that uses a part of a packed weight and bias.
/// x (B, L, in)  weight (rows, in)  bias (entries) or absent  ->  (B, L, count).  Saves x and W.
template <class S>
Variable<S, 3> dense_rows(const Variable<S, 3>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias, Index row,
                          Index entry, Index count) {
  Operation<S> op("dense_rows", x, weight, bias);
  const Index in = weight.dim(1), rows = x.dim(0) * x.dim(1);
  op.require(x.dim(2) == in,
             [&] { return message("x has shape ", x.shape(), "; its last axis must be in_features = ", in); });
  op.require(row >= 0 && count >= 0 && row + count <= weight.dim(0), [&] {
    return message("weight has shape ", weight.shape(), "; it must hold rows ", row, " to ", row + count);
  });
  op.require(!present(bias) || (entry >= 0 && entry + count <= bias.dim(0)), [&] {
    return message("bias has shape ", bias.shape(), "; it must hold entries ", entry, " to ", entry + count);
  });
  const auto y = op.result(Shape<3>{x.dim(0), x.dim(1), count});
  const detail::Scratch<S> packed(packed_size<S>(in, count));
  pack_b(Side::transposed, in, count, weight.data() + row * in, in, packed.get());
  const PlainRows<S> a{x.data(), in};
  MultiplyAdds::add(rows, count, in);
  gemm_packed(rows, count, in, S(1), a, packed.get(), S(0), op.data(y), count,
              GemmEpilogue<S>{present(bias) ? bias.data() + entry : nullptr});
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = present(bias) ? op.slot(bias) : Slot{};
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dw.differentiable),
                  ws = op.keep(weight, dx.differentiable)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(db)) add_column_sums(g, rows, count, d + entry);
      if (S* d = pass.add_to(dw))
        gemm<S>(Side::transposed, Side::plain, count, in, rows, S(1), g, count, xs.get(), in, S(1), d + row * in, in);
      if (const auto d = pass.accumulate(dx))
        gemm<S>(Side::plain, Side::plain, rows, in, count, S(1), g, count, ws.get() + row * in, in, d.beta(), d.to, in);
    });
  }
  return y;
}
ATTEND_END
