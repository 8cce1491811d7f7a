#pragma once
#include <memory>
#include <vector>

#include "attend/functional/arithmetic.hpp"

ATTEND_BEGIN

/// Which row of a bias table each pair of query and key reads.
struct BiasIndex {
  Index queries = 0, keys = 0;
  std::vector<Index> rows;  ///< queries * keys of them, row-major
};

/// bias(0, h, i, j) = table(row of (i, j), h): a learned bias shared by pairs at the same relative position.
///
/// table: (rows, heads)  ->  (1, heads, queries, keys). Saves the index, by reference. Throws ShapeError if the index
/// has another number of entries than queries * keys or names a row beyond the table, OptionError if it is null.
template <class S>
Variable<S, 4> bias_from_table(const Variable<S, 2>& table, const Shared<const BiasIndex>& index) {
  Operation<S> op("bias_from_table", table);
  require<OptionError>(index != nullptr, "bias_from_table", [] { return "index is null; it must name rows"; });
  const Index heads = table.dim(1), pairs = element_count(Shape<2>{index->queries, index->keys});
  op.require(Index(index->rows.size()) == pairs, [&] {
    return message("index has ", index->rows.size(), " entries; it must have queries * keys = ", pairs);
  });
  for (const Index row : index->rows)
    op.require(row >= 0 && row < table.dim(0),
               [&] { return message("table has shape ", table.shape(), "; the index asks for row ", row); });
  const auto bias = op.result(Shape<4>{1, heads, index->queries, index->keys});
  for (Index h = 0; h < heads; ++h)
    for (Index p = 0; p < pairs; ++p)
      op.data(bias)[h * pairs + p] = table.data()[index->rows[std::size_t(p)] * heads + h];
  if (op.records())
    op.record(bias, [=, dy = op.slot(bias), dt = op.slot(table)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      S* d = pass.add_to(dt);
      for (Index h = 0; h < heads; ++h)
        for (Index p = 0; p < pairs; ++p) d[index->rows[std::size_t(p)] * heads + h] += g[h * pairs + p];
    });
  return bias;
}

/// y = scores + bias, the bias (1, heads, queries, keys) being the same for every sample of scores (batch, heads,
/// queries, keys). Saves nothing.
template <class S>
Variable<S, 4> add_relative_bias(const Variable<S, 4>& scores, const Variable<S, 4>& bias) {
  auto expected = scores.shape();
  expected[0] = 1;
  require(bias.shape() == expected, "add_relative_bias", [&] {
    return message("scores has shape ", scores.shape(), "; its bias must have shape ", expected, ", not ",
                   bias.shape());
  });
  return scores + bias;
}

ATTEND_END
