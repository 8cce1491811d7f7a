#pragma once
/// Scores of a query with the embedding of each key's relative row and column, forward beside backward. Keys lie on a
/// grid (height, width), queries on one of at most its size. Shapes: q (batch, queries, heads, dim); `along` holds, for
/// each query and head, its product with the 2 height - 1 row embeddings and then with the 2 width - 1 column
/// embeddings; logits (batch, heads, queries, keys).
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN
namespace grid_logits {

struct Problem {
  Index batch, height, width, heads, dim, query_height, query_width;
  Index keys() const { return height * width; }
  Index queries() const { return query_height * query_width; }
  Index rows() const { return batch * queries() * heads; }
  Index table() const { return 2 * height + 2 * width - 2; }
  /// Where the products of query i of head h in sample b lie.
  Index row(Index b, Index h, Index i) const { return ((b * queries() + i) * heads + h) * table(); }
};

/// logits(b, h, i, j) = scale q_i (height_rel[j's row - i's row + height - 1] + width_rel[j's column - i's column +
/// width - 1])
template <class S>
void forward(const Problem& p, S scale, const S* q, const S* height_rel, const S* width_rel, S* logits) {
  const Index H = 2 * p.height - 1, W = 2 * p.width - 1, table = p.table(), n = p.queries(), keys = p.keys();
  const auto along = make_buffer<S>(p.rows() * table);
  gemm<S>(Side::plain, Side::transposed, p.rows(), H, p.dim, scale, q, p.dim, height_rel, p.dim, 0, along.get(), table);
  gemm<S>(Side::plain, Side::transposed, p.rows(), W, p.dim, scale, q, p.dim, width_rel, p.dim, 0, along.get() + H,
          table);
  parallel_for(p.batch * p.heads, 1, [&](Index begin, Index end) {
    for (Index bh = begin; bh < end; ++bh)
      for (Index i = 0; i < n; ++i) {
        const S* from = along.get() + p.row(bh / p.heads, bh % p.heads, i);
        const S *rows = from + p.height - 1 - i / p.query_width, *columns = from + H + p.width - 1 - i % p.query_width;
        S* to = logits + (bh * n + i) * keys;
        for (Index y = 0; y < p.height; ++y)
          for (Index x = 0; x < p.width; ++x) to[y * p.width + x] = rows[y] + columns[x];
      }
  });
}

/// Adds to dq, d_height, d_width, where not null.
template <class S>
void backward(const Problem& p, S scale, const S* q, const S* height_rel, const S* width_rel, const S* d_logits, S* dq,
              S* d_height, S* d_width) {
  const Index H = 2 * p.height - 1, W = 2 * p.width - 1, table = p.table(), n = p.queries(), keys = p.keys();
  const auto along = make_buffer<S>(p.rows() * table, S(0));
  parallel_for(p.batch * p.heads, 1, [&](Index begin, Index end) {
    for (Index bh = begin; bh < end; ++bh)
      for (Index i = 0; i < n; ++i) {
        S* to = along.get() + p.row(bh / p.heads, bh % p.heads, i);
        S *rows = to + p.height - 1 - i / p.query_width, *columns = to + H + p.width - 1 - i % p.query_width;
        const S* up = d_logits + (bh * n + i) * keys;
        for (Index y = 0; y < p.height; ++y)
          for (Index x = 0; x < p.width; ++x) {
            rows[y] += up[y * p.width + x];
            columns[x] += up[y * p.width + x];
          }
      }
  });
  if (dq) {
    gemm<S>(Side::plain, Side::plain, p.rows(), p.dim, H, scale, along.get(), table, height_rel, p.dim, 1, dq, p.dim);
    gemm<S>(Side::plain, Side::plain, p.rows(), p.dim, W, scale, along.get() + H, table, width_rel, p.dim, 1, dq,
            p.dim);
  }
  if (d_height)
    gemm<S>(Side::transposed, Side::plain, H, p.dim, p.rows(), scale, along.get(), table, q, p.dim, 1, d_height, p.dim);
  if (d_width)
    gemm<S>(Side::transposed, Side::plain, W, p.dim, p.rows(), scale, along.get() + H, table, q, p.dim, 1, d_width,
            p.dim);
}

}  // namespace grid_logits
ATTEND_END
