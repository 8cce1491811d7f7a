/// Sums over the rows of a matrix.
#ifndef ATTEND_KERNELS_COLUMN_SUMS
#define ATTEND_KERNELS_COLUMN_SUMS
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace detail {
/// Scratch that pairwise_column_sums needs for this many rows.
inline Index pairwise_scratch(Index rows, Index columns) {
  Index levels = 1;
  while (rows > 16) rows = (rows + 1) / 2, ++levels;
  return levels * columns;
}
}  // namespace detail
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/column_sums.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(add_column_sums)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace detail {

/// sums[j] = sum over the rows, by halves: the error grows with the logarithm of the number of rows. `scratch` holds
/// columns numbers for every halving, 64 of them at most.
template <class S>
void pairwise_column_sums(const S* x, Index rows, Index columns, Index stride, S* sums, S* scratch) {
  if (rows > 16) {
    const Index half = rows / 2;
    pairwise_column_sums(x, half, columns, stride, sums, scratch + columns);
    pairwise_column_sums(x + half * stride, rows - half, columns, stride, scratch, scratch + columns);
    return simd::map_add(
        columns, sums, [](const auto& v) { return v; }, static_cast<const S*>(scratch));
  }
  // four rows at a time; fetched ahead by 16 KiB, in order of memory, without which one core waits for memory
  constexpr Index lanes = simd::lanes<S>;
  const Index ahead = std::max<Index>(4, 16384 / static_cast<Index>(sizeof(S)) / stride) * stride;
  for (Index i = 0; i < rows; i += 4) {
    const S* const from = x + i * stride;
    Index c = 0;
    if (rows - i >= 4)
      for (; c + lanes <= columns; c += lanes) {
        for (Index r = 0; r < 4; ++r) __builtin_prefetch(from + ahead + 4 * c + r * lanes);
        const S* const at = from + c;
        const auto sum =
            (simd::load(at) + simd::load(at + stride)) + (simd::load(at + 2 * stride) + simd::load(at + 3 * stride));
        simd::store(sums + c, i == 0 ? sum : simd::load(sums + c) + sum);
      }
    for (; c < columns; c += lanes) {
      const simd::At<S> at{c, columns - c};
      auto sum = at(from);
      if (rows - i >= 4)
        sum = (sum + at(from + stride)) + (at(from + 2 * stride) + at(from + 3 * stride));
      else
        for (Index r = 1; r < rows - i; ++r) sum += at(from + r * stride);
      at.put(sums, i == 0 ? sum : at(sums) + sum);
    }
  }
  if (rows == 0) std::fill_n(sums, columns, S(0));
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
  detail::pairwise_column_sums(static_cast<const S*>(partial.get()), blocks, columns, columns, scratch.get(),
                               scratch.get() + columns);
  simd::map_add(
      columns, sums, [](const auto& v) { return v; }, static_cast<const S*>(scratch.get()));
}

ATTEND_END_ISA
#endif
