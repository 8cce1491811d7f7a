#pragma once
/// Rows of a table by number, forward beside backward. A table is (outer, rows, inner); what is read or written is
/// (outer, count, inner). Numbers are checked by the caller. Compiled once: moving memory is the work.
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN

/// y[o, i, :] = table[o, ids[i], :]
template <class S, class Id>
void gather_rows(Index outer, Index rows, Index inner, Index count, const Id* ids, const S* table, S* y) {
  parallel_for(
      outer * count, std::max<Index>(1, (Index(1) << 14) / std::max<Index>(inner, 1)), [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i)
          std::copy_n(table + (i / count * rows + static_cast<Index>(ids[i % count])) * inner, inner, y + i * inner);
      });
}

/// dtable[o, ids[i], :] += dy[o, i, :], but for ids[i] == skipped (-1: none). Rows may meet: each element of the table
/// is added to in order of i, by one thread that has its columns.
template <class S, class Id>
void gather_rows_backward(Index outer, Index rows, Index inner, Index count, const Id* ids, Index skipped, const S* dy,
                          S* dtable) {
  constexpr Index columns = 32;
  const Index blocks = (inner + columns - 1) / columns;
  parallel_for(outer * blocks, std::max<Index>(1, (Index(1) << 14) / (columns * std::max<Index>(count, 1))),
               [&](Index begin, Index end) {
                 for (Index task = begin; task < end; ++task) {
                   const Index o = task / blocks, first = task % blocks * columns, n = std::min(columns, inner - first);
                   for (Index i = 0; i < count; ++i) {
                     const Index id = static_cast<Index>(ids[i]);
                     if (id == skipped) continue;
                     const S* from = dy + (o * count + i) * inner + first;
                     S* to = dtable + (o * rows + id) * inner + first;
                     for (Index c = 0; c < n; ++c) to[c] += from[c];
                   }
                 }
               });
}

ATTEND_END
