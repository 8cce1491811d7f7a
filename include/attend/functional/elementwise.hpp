#pragma once
#include "attend/autograd/operation.hpp"

ATTEND_BEGIN

/// y = a + b, equal shapes.
template <class S, int R> Variable<S, R> operator+(const Variable<S, R>& a, const Variable<S, R>& b) {
  Operation<S> op("add", a, b);
  op.require(a.shape() == b.shape(), [&] { return "b has shape " + to_string(b.shape()) + "; it must equal a's " + to_string(a.shape()); });
  const auto y = op.result(a.shape());
  for (Index i = 0; i < y.size(); ++i) op.data(y)[i] = a.data()[i] + b.data()[i];
  if (op.records()) op.record(y, [dy = op.slot(y), da = op.slot(a), db = op.slot(b)](Pass<S>& pass) {
    for (const Slot& d : {da, db})
      if (S* g = pass.add_to(d)) for (Index i = 0; i < d.size; ++i) g[i] += pass.of(dy)[i];
  });
  return y;
}

/// Inner product of all elements: (...), (...) -> ().
template <class S, int R> Variable<S, 0> dot(const Variable<S, R>& a, const Variable<S, R>& b) {
  Operation<S> op("dot", a, b);
  op.require(a.shape() == b.shape(), [&] { return "b has shape " + to_string(b.shape()) + "; it must equal a's " + to_string(a.shape()); });
  const auto y = op.result(Shape<0>{});
  *op.data(y) = std::inner_product(a.data(), a.data() + a.size(), b.data(), S(0));
  if (op.records()) {
    const Slot da = op.slot(a), db = op.slot(b);
    op.record(y, [=, dy = op.slot(y), as = op.keep(a, db.differentiable), bs = op.keep(b, da.differentiable)](Pass<S>& pass) {
      const S g = *pass.of(dy);
      if (S* d = pass.add_to(da)) for (Index i = 0; i < da.size; ++i) d[i] += g * bs.get()[i];
      if (S* d = pass.add_to(db)) for (Index i = 0; i < db.size; ++i) d[i] += g * as.get()[i];
    });
  }
  return y;
}

/// On a training tape, zeroes with probability p and scales the rest by 1 / (1 - p). Saves nothing: drawn again by counter.
template <class S, int R> Variable<S, R> dropout(const Variable<S, R>& x, double p) {
  Operation<S> op("dropout", x);
  if (!op.training() || p == 0) return x;
  const auto keep = [stream = op.tape()->rng().split(), p](Index i) { return stream.uniform_at(static_cast<std::uint64_t>(i)) < p ? S(0) : S(1 / (1 - p)); };
  const auto y = op.result(x.shape());
  for (Index i = 0; i < y.size(); ++i) op.data(y)[i] = x.data()[i] * keep(i);
  if (op.records()) op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
    S* g = pass.add_to(dx);
    for (Index i = 0; i < dx.size; ++i) g[i] += pass.of(dy)[i] * keep(i);
  });
  return y;
}

/// The same rows for every sample: (1, ...) -> (batch, ...).
template <class S, int R> Variable<S, R> repeat_batch(const Variable<S, R>& x, Index batch) {
  Operation<S> op("repeat_batch", x);
  op.require(x.dim(0) == 1, [&] { return "x has shape " + to_string(x.shape()) + "; its first axis must be 1"; });
  auto shape = x.shape();
  shape[0] = batch;
  const auto y = op.result(shape);
  const Index row = x.size();
  for (Index b = 0; b < batch; ++b) std::copy_n(x.data(), row, op.data(y) + b * row);
  if (op.records()) op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
    S* g = pass.add_to(dx);
    for (Index i = 0; i < dy.size; ++i) g[i % row] += pass.of(dy)[i];
  });
  return y;
}

ATTEND_END
