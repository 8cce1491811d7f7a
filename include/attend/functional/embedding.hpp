#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/gather_rows.hpp"

ATTEND_BEGIN

namespace detail {
/// Every id must name a row; found before anything is written.
template <class S, class Id>
void check_ids(const Operation<S>& op, const Id* ids, Index count, Index rows) {
  static_assert(std::is_integral_v<Id> && !std::is_same_v<Id, bool>, "attend: ids are integers");
  for (Index i = 0; i < count; ++i)
    op.require(ids[i] >= Id(0) && static_cast<std::uint64_t>(ids[i]) < static_cast<std::uint64_t>(rows),
               [&] { return message("ids holds ", ids[i], " at position ", i, "; each must lie in [0, ", rows, ")"); });
}
}  // namespace detail

/// y[..., :] = table[ids[...], :].  ids: (...), integers in [0, rows)  table: (rows, dim)  ->  (..., dim).
/// The row padding_idx, if not negative, gets no gradient.  Saves ids.  Throws ShapeError for an id that names no row.
/// torch.nn.functional.embedding
template <class S, class Id, int R>
Variable<S, R + 1> embedding(const Variable<Id, R>& ids, const Variable<S, 2>& table, Index padding_idx = -1) {
  Operation<S> op("embedding", ids, table);
  const Index rows = table.dim(0), dim = table.dim(1), count = ids.size();
  op.require(padding_idx < rows, [&] {
    return message("table has shape ", table.shape(), "; padding_idx must be below ", rows, ", but is ", padding_idx);
  });
  detail::check_ids(op, ids.data(), count, rows);
  Shape<R + 1> shape{};
  std::copy(ids.shape().begin(), ids.shape().end(), shape.begin());
  shape.back() = dim;
  const auto y = op.result(shape);
  gather_rows(1, rows, dim, count, ids.data(), table.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dt = op.slot(table), kept = op.keep(ids)](Pass<S>& pass) {
      if (S* d = pass.add_to(dt)) gather_rows_backward(1, rows, dim, count, kept.get(), padding_idx, pass.of(dy), d);
    });
  return y;
}

/// y[..., i, ...] = x[..., ids[i], ...]: elements of an axis by number, in any order, also repeatedly.
/// x: (..., n, ...)  ids: (count), integers in [0, n)  ->  (..., count, ...).
/// Saves ids.  Throws ShapeError for an axis that x lacks and an id that names no element.  torch.index_select
template <class S, class Id, int R>
Variable<S, R> index_select(const Variable<S, R>& x, const Variable<Id, 1>& ids, int axis) {
  Operation<S> op("index_select", x, ids);
  op.require(axis >= -R && axis < R, [&] {
    return message("x has shape ", x.shape(), "; the axis must lie in [", -R, ", ", R, "), but is ", axis);
  });
  const auto a = static_cast<std::size_t>(axis < 0 ? axis + R : axis);
  const Index rows = x.shape()[a], count = ids.size();
  detail::check_ids(op, ids.data(), count, rows);
  Index outer = 1, inner = 1;
  for (std::size_t i = 0; i < x.shape().size(); ++i) (i < a ? outer : inner) *= i == a ? 1 : x.shape()[i];
  auto shape = x.shape();
  shape[a] = count;
  const auto y = op.result(shape);
  if (y.size() > 0) gather_rows(outer, rows, inner, count, ids.data(), x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), kept = op.keep(ids)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx))
        gather_rows_backward(outer, rows, inner, count, kept.get(), Index(-1), pass.of(dy), d);
    });
  return y;
}

ATTEND_END
