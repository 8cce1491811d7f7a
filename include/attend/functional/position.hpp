#pragma once
#include <cmath>

#include "attend/autograd/operation.hpp"

ATTEND_BEGIN

/// The table of sinusoidal positions (Vaswani et al. 2017, section 3.5):
///
///     table(p, 2i) = sin(p / base^(2i/dim)),  table(p, 2i + 1) = cos(p / base^(2i/dim))
///
/// for p = offset ... offset + length - 1. Returns (length, dim); an odd dim ends with a sine. Angles are computed in
/// double.
/// Throws OptionError if length, dim or offset is negative, or base is not above 0.
template <class S>
Tensor<S, 2> sinusoidal_positions(Index length, Index dim, Index offset = 0, double base = 10000) {
  require<OptionError>(length >= 0 && dim >= 0 && offset >= 0 && base > 0, "sinusoidal_positions", [&] {
    return message("length = ", length, ", dim = ", dim, ", offset = ", offset, ", base = ", base,
                   "; none may be negative, and base must be above 0");
  });
  element_count(Shape<2>{length, dim});
  Tensor<S, 2> table(length, dim);
  for (Index d = 0; d < dim; ++d) {
    const double frequency = std::pow(base, -double(d - d % 2) / double(dim));
    for (Index p = 0; p < length; ++p) {
      const double angle = double(p + offset) * frequency;
      table(p, d) = S(d % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
  return table;
}

/// y(b, l, :) = x(b, l, :) + table(offset + l, :): the same rows for every sample.
///
/// x: (batch, length, dim)  table: (positions, dim)  ->  (batch, length, dim). Saves nothing.
/// Throws ShapeError if the dims differ, or if offset + length exceeds the table.
template <class S>
Variable<S, 3> add_positions(const Variable<S, 3>& x, const Variable<S, 2>& table, Index offset = 0) {
  Operation<S> op("add_positions", x, table);
  op.require(table.dim(1) == x.dim(2),
             [&] { return message("x has shape ", x.shape(), "; its last axis must be the table's ", table.dim(1)); });
  op.require(offset >= 0 && x.dim(1) <= table.dim(0) - offset, [&] {
    return message("x has shape ", x.shape(), "; its length with offset = ", offset,
                   " must be at most the number of positions, ", table.dim(0));
  });
  const auto y = op.result(x.shape());
  const Index batch = x.dim(0), row = x.dim(1) * x.dim(2), start = offset * x.dim(2);
  for (Index b = 0; b < batch; ++b)
    for (Index i = 0; i < row; ++i) op.data(y)[b * row + i] = x.data()[b * row + i] + table.data()[start + i];
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), dt = op.slot(table)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(dx))
        for (Index i = 0; i < dx.size; ++i) d[i] += g[i];
      if (S* d = pass.add_to(dt))
        for (Index b = 0; b < batch; ++b)
          for (Index i = 0; i < row; ++i) d[start + i] += g[b * row + i];
    });
  return y;
}

ATTEND_END
