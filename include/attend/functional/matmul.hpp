#pragma once
#include "attend/autograd/multiply_adds.hpp"
#include "attend/autograd/operation.hpp"
#include "attend/kernels/broadcast.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN

/// y[..., :, :] = op(a)[..., :, :] op(b)[..., :, :], op the identity or the transposition of the last two axes.
/// a: (batch axes, m, k)  b: (batch axes, k, n), before op(), of equal rank  ->  (batch axes, m, n). A batch axis of
/// extent 1 is repeated.  Saves a and b. Throws ShapeError where the inner extents differ or a batch axis fits neither
/// way.  torch.matmul
template <class S, int R>
Variable<S, R> matmul(const Variable<S, R>& a, const Variable<S, R>& b, Side side_a = Side::plain,
                      Side side_b = Side::plain) {
  static_assert(R >= 2, "attend: matmul multiplies matrices: its arguments have at least two axes");
  Operation<S> op("matmul", a, b);
  const bool ta = side_a == Side::transposed, tb = side_b == Side::transposed;
  const Index m = a.dim(ta ? -1 : -2), k = a.dim(ta ? -2 : -1), n = b.dim(tb ? -2 : -1);
  op.require(b.dim(tb ? -1 : -2) == k, [&] {
    return message("b has shape ", b.shape(), tb ? " (transposed)" : "", "; its rows must be ", k,
                   ", the columns of a of shape ", a.shape(), ta ? " (transposed)" : "");
  });
  Shape<R> shape{}, batch_a{}, batch_b{};
  for (std::size_t i = 0; i < R; ++i) {
    const bool batch = i + 2 < R;
    batch_a[i] = batch ? a.shape()[i] : 1, batch_b[i] = batch ? b.shape()[i] : 1;
    op.require(batch_a[i] == batch_b[i] || batch_a[i] == 1 || batch_b[i] == 1, [&] {
      return message("b has shape ", b.shape(), "; batch axis ", i, " must be ", batch_a[i], ", as in a's ", a.shape(),
                     ", or 1");
    });
    shape[i] = batch_a[i] == 1 ? batch_b[i] : batch_a[i];
  }
  shape[R - 2] = m, shape[R - 1] = n;
  const Broadcast batches(batch_a, batch_b);
  const Index lda = ta ? m : k, ldb = tb ? k : n;
  const bool repeats = element_count(batch_a) != batches.size || element_count(batch_b) != batches.size;
  /// f(index in the result, in a, in b) for every matrix of the batch; one at a time where gradients meet in a repeated
  /// one
  const auto each = [batches](bool together, const auto& f) {
    const auto run = [&](Index i, Index ia, Index ib, Index count) {
      for (Index j = 0; j < count; ++j) f(i + j, ia + j * batches.inner_a(), ib + j * batches.inner_b());
    };
    if (!together)
      batches.for_runs(0, batches.runs(),
                       [&](Index r, Index ia, Index ib) { run(r * batches.inner(), ia, ib, batches.inner()); });
    else if (batches.runs() == 1)
      parallel_for(batches.inner(), 1, [&](Index begin, Index end) {
        run(begin, begin * batches.inner_a(), begin * batches.inner_b(), end - begin);
      });
    else
      parallel_for(batches.runs(), 1, [&](Index begin, Index end) {
        batches.for_runs(begin, end,
                         [&](Index r, Index ia, Index ib) { run(r * batches.inner(), ia, ib, batches.inner()); });
      });
  };
  const auto y = op.result(shape);
  MultiplyAdds::add(y.size(), k);
  const S *pa = a.data(), *pb = b.data();
  S* py = op.data(y);
  if (k == 0)
    std::fill_n(py, y.size(), S(0));
  else if (!ta && element_count(batch_b) == 1)  // one matrix for all: a is one tall matrix
    gemm<S>(side_a, side_b, batches.size * m, n, k, 1, pa, lda, pb, ldb, 0, py, n);
  else
    each(true, [&](Index i, Index ia, Index ib) {
      gemm<S>(side_a, side_b, m, n, k, 1, pa + ia * m * k, lda, pb + ib * k * n, ldb, 0, py + i * m * n, n);
    });
  if (op.records()) {
    const Slot da = op.slot(a), db = op.slot(b);
    op.record(
        y, [=, dy = op.slot(y), ka = op.keep(a, db.differentiable), kb = op.keep(b, da.differentiable)](Pass<S>& pass) {
          const S* g = pass.of(dy);
          // dA = G op(B)^T, dB = op(A)^T G, transposed where the operand is
          const auto sum = [&](const Slot& x) {  // of one term, or of several where a batch axis repeats
            return repeats ? Accumulator<S>{pass.add_to(x)} : pass.accumulate(x);
          };
          if (const auto d = sum(da))
            each(!repeats, [&](Index i, Index ia, Index ib) {
              const S *gi = g + i * m * n, *bi = kb.get() + ib * k * n;
              if (ta)
                gemm<S>(side_b, Side::transposed, k, m, n, 1, bi, ldb, gi, n, d.beta(), d.to + ia * m * k, lda);
              else
                gemm<S>(Side::plain, tb ? Side::plain : Side::transposed, m, k, n, 1, gi, n, bi, ldb, d.beta(),
                        d.to + ia * m * k, lda);
            });
          if (const auto d = sum(db))
            each(!repeats, [&](Index i, Index ia, Index ib) {
              const S *gi = g + i * m * n, *ai = ka.get() + ia * m * k;
              if (tb)
                gemm<S>(Side::transposed, side_a, n, k, m, 1, gi, n, ai, lda, d.beta(), d.to + ib * k * n, ldb);
              else
                gemm<S>(ta ? Side::plain : Side::transposed, Side::plain, k, n, m, 1, ai, lda, gi, n, d.beta(),
                        d.to + ib * k * n, ldb);
            });
        });
  }
  return y;
}

ATTEND_END
