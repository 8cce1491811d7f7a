#pragma once
#include "attend/autograd/multiply_adds.hpp"
#include "attend/autograd/operation.hpp"
#include "attend/kernels/relative_logits.hpp"
#include "attend/kernels/window.hpp"

ATTEND_BEGIN

/// Decomposed relative positions on a grid (Bello et al. 2019, Attention Augmented Convolutional Networks, section 3.2;
/// BoTNet, Srinivas et al. 2021): an additive bias of attention that depends on the query and on the **key - query**
/// offset in rows and columns,
///
///   logits(b, h, i, j) = scale q(b, i, h) . (height_rel[dy + height - 1] + width_rel[dx + width - 1]).
///
/// query: (batch, queries, heads, dim)  height_rel: (2 height - 1, dim)  width_rel: (2 width - 1, dim), the tables
/// for all heads  ->  (batch, heads, queries, height width). The queries are a grid `query_grid`, by default that of
/// the keys; with a smaller one both count from their own first row and column, as a block of queries inside its halo
/// does. Saves its arguments. Throws ShapeError if the tables are no odd number of rows or do not fit the query.
template <class S>
Variable<S, 4> relative_logits(const Variable<S, 4>& query, const Variable<S, 2>& height_rel,
                               const Variable<S, 2>& width_rel, double scale = 1, Pair query_grid = 0) {
  Operation<S> op("relative_logits", query, height_rel, width_rel);
  const Index height = (height_rel.dim(0) + 1) / 2, width = (width_rel.dim(0) + 1) / 2, dim = query.dim(3);
  if (query_grid == Pair(0)) query_grid = Pair(height, width);
  op.require(
      height_rel.dim(0) % 2 == 1 && width_rel.dim(0) % 2 == 1 && height_rel.dim(1) == dim && width_rel.dim(1) == dim &&
          query_grid.height > 0 && query_grid.height <= height && query_grid.width > 0 && query_grid.width <= width &&
          query.dim(1) == query_grid.height * query_grid.width,
      [&] {
        return message("query has shape ", query.shape(), "; with height_rel ", height_rel.shape(),
                       " = (2 height - 1, dim) and width_rel ", width_rel.shape(),
                       " = (2 width - 1, dim) it must be (batch, height width, heads, dim), or as many queries as a "
                       "smaller grid has, not those of ",
                       query_grid);
      });
  const grid_logits::Problem p{query.dim(0), height, width, query.dim(2), dim, query_grid.height, query_grid.width};
  const auto y = op.result(Shape<4>{p.batch, p.heads, p.queries(), p.keys()});
  MultiplyAdds::add(query.size(), height_rel.dim(0) + width_rel.dim(0));
  grid_logits::forward(p, S(scale), query.data(), height_rel.data(), width_rel.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dq = op.slot(query), dh = op.slot(height_rel), dw = op.slot(width_rel),
                  qs = op.keep(query), hs = op.keep(height_rel), ws = op.keep(width_rel)](Pass<S>& pass) {
      grid_logits::backward(p, S(scale), qs.get(), hs.get(), ws.get(), pass.of(dy), pass.add_to(dq), pass.add_to(dh),
                            pass.add_to(dw));
    });
  return y;
}

ATTEND_END
