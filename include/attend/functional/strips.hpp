#pragma once
#include "attend/functional/arithmetic.hpp"
#include "attend/kernels/strips.hpp"

ATTEND_BEGIN

/// The means of the rows, then those of the columns, of a feature map, in one pass over it.
/// x: (batch, height, width, channels)  ->  (batch, height + width, channels). Saves nothing. Throws ShapeError
/// without pixels.  torch: cat([x.mean(3), x.mean(2)], 2) in channels-first order
template <class S>
Variable<S, 3> strip_means(const Variable<S, 4>& x) {
  Operation<S> op("strip_means", x);
  const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2), channels = x.dim(3);
  op.require(height > 0 && width > 0,
             [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  const auto y = op.result(Shape<3>{batch, height + width, channels});
  if (x.size() > 0) strip_means_forward(batch, height, width, channels, x.data(), op.data(y));
  if (op.records() && x.size() > 0)
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) strip_means_backward(batch, height, width, channels, pass.of(dy), d);
    });
  return y;
}

/// y(b, i, j, c) = x(b, i, j, c) columns(b, 0, j, c) rows(b, i, 0, c), in one pass where nothing is recorded.
/// x: (batch, height, width, channels)  rows: (batch, height, 1, channels)  columns: (batch, 1, width, channels)  ->  as
/// x. Throws ShapeError unless the gates fit.
template <class S>
Variable<S, 4> gate_strips(const Variable<S, 4>& x, const Variable<S, 4>& rows, const Variable<S, 4>& columns) {
  Operation<S> op("gate_strips", x, rows, columns);
  const auto check = [&](const char* name, const Variable<S, 4>& gate, const Shape<4>& expected) {
    op.require(gate.shape() == expected, [&] {
      return message("x has shape ", x.shape(), "; its ", name, " must have shape ", expected, ", not ", gate.shape());
    });
  };
  const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2), channels = x.dim(3);
  check("rows", rows, {batch, height, 1, channels});
  check("columns", columns, {batch, 1, width, channels});
  if (op.records()) return x * columns * rows;
  const auto y = op.result(x.shape());
  if (x.size() > 0)
    gate_strips_forward(batch, height, width, channels, x.data(), rows.data(), columns.data(), op.data(y));
  return y;
}

ATTEND_END
