#pragma once
#include "attend/autograd/operation.hpp"

ATTEND_BEGIN

/// y[..., :] = table[ids[...], :].  ids: (...)  table: (rows, dim)  ->  (..., dim).  Saves ids.
template <class S, class Id, int R> Variable<S, R + 1> embedding(const Variable<Id, R>& ids, const Variable<S, 2>& table) {
  Operation<S> op("embedding", ids, table);
  const Index rows = table.dim(0), dim = table.dim(1), count = ids.size();
  Shape<R + 1> shape{};
  std::copy(ids.shape().begin(), ids.shape().end(), shape.begin());
  shape.back() = dim;
  const auto y = op.result(shape);
  for (Index i = 0; i < count; ++i) {
    const Index id = static_cast<Index>(ids.data()[i]);
    op.require(id >= 0 && id < rows, [&] { return "ids holds " + std::to_string(id) + " at position " + std::to_string(i) + "; ids must lie in [0, " + std::to_string(rows) + ")"; });
    std::copy_n(table.data() + id * dim, dim, op.data(y) + i * dim);
  }
  if (op.records()) op.record(y, [=, dy = op.slot(y), dt = op.slot(table), kept = op.keep(ids)](Pass<S>& pass) {
    S* g = pass.add_to(dt);
    for (Index i = 0; i < count; ++i)
      for (Index c = 0; c < dim; ++c) g[static_cast<Index>(kept.get()[i]) * dim + c] += pass.of(dy)[i * dim + c];
  });
  return y;
}

ATTEND_END
