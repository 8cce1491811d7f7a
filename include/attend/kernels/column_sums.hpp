#pragma once
#include <algorithm>
#include <vector>

#include "attend/core/recycler.hpp"
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN
namespace detail {

/// sums[j] = sum over the rows, by halves: the error grows with the logarithm of the number of rows. `scratch` holds
/// columns numbers for every halving, 64 of them at most.
template <class S>
void pairwise_column_sums(const S* x, Index rows, Index columns, Index stride, S* sums, S* scratch) {
  if (rows <= 16) {
    std::fill_n(sums, columns, S(0));
    for (Index i = 0; i < rows; ++i, x += stride)
      for (Index j = 0; j < columns; ++j) sums[j] += x[j];
    return;
  }
  const Index half = rows / 2;
  pairwise_column_sums(x, half, columns, stride, sums, scratch + columns);
  pairwise_column_sums(x + half * stride, rows - half, columns, stride, scratch, scratch + columns);
  for (Index j = 0; j < columns; ++j) sums[j] += scratch[j];
}

/// Scratch that pairwise_column_sums needs for this many rows.
inline Index pairwise_scratch(Index rows, Index columns) {
  Index levels = 1;
  while (rows > 16) rows = (rows + 1) / 2, ++levels;
  return levels * columns;
}

}  // namespace detail

/// sums[j] += sum_i x[i, j];  x: (rows, columns), row-major. Summed by halves within fixed blocks of rows, the blocks
/// in order, so the result does not depend on the number of threads.
template <class S>
void add_column_sums(const S* x, Index rows, Index columns, S* sums) {
  if (rows == 0 || columns == 0) return;
  constexpr Index block = 1024;
  const Index blocks = (rows + block - 1) / block;
  const auto partial = make_buffer<S>(blocks * columns);
  parallel_for(rows, block, [&](Index begin, Index end) {
    const auto scratch = make_buffer<S>(detail::pairwise_scratch(block, columns));
    detail::pairwise_column_sums(x + begin * columns, end - begin, columns, columns,
                                 partial.get() + begin / block * columns, scratch.get());
  });
  const auto scratch = make_buffer<S>(detail::pairwise_scratch(blocks, columns) + columns);
  detail::pairwise_column_sums(partial.get(), blocks, columns, columns, scratch.get(), scratch.get() + columns);
  for (Index j = 0; j < columns; ++j) sums[j] += scratch.get()[j];
}

ATTEND_END
