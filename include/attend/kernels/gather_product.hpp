/// Products whose left matrix is read out of a feature map: convolution as a matrix product without the matrix.
#pragma once
#include <algorithm>

#include "attend/kernels/gather_block.hpp"

ATTEND_BEGIN
namespace detail {

/// A pixel grid inside a feature map: row (b, i, j) is pixel (b, first_h + i step_h, first_w + j step_w).
struct Scatter {
  Index height = 0, width = 0;
  Index pixel = 0;  // numbers from one pixel to the next
  Index first_h = 0, first_w = 0;
  Index step_h = 1, step_w = 1;
};

/// Tiles of rows of G in one line of a sample: read where they lie; or at the borders, with zeros around, from a copy of
/// the window that they see together, if that is smaller than the rows.
template <class S>
struct GatherInPlace {
  using Pieces = RowsInPieces<S>;
  const Gather& g;
  const S* source;
  Index window_width(Index rows) const { return ((rows - 1) * g.step_w + g.taps_w.span() + 1) * g.channels; }
  static const S* tile(const void* self, Index row, Index rows, S* scratch, Index capacity,
                       typename Pieces::Place& place) {
    const auto& [g, source] = *static_cast<const GatherInPlace*>(self);
    const Index j = row % g.rows_w, i = row / g.rows_w % g.rows_h, b = row / (g.rows_w * g.rows_h);
    const Index top = i * g.step_h + g.taps_h.offset, left = j * g.step_w + g.taps_w.offset;
    const Index width = static_cast<const GatherInPlace*>(self)->window_width(rows), pixels = width / g.channels;
    place = Pieces::elsewhere;
    if (j + rows > g.rows_w) return nullptr;
    const S* const sample = source + b * g.height * g.width * g.pixel;
    if (top >= 0 && top + g.taps_h.span() < g.height && left >= 0 && left + pixels <= g.width) {
      place = Pieces::in_place;
      return sample + (top * g.width + left) * g.pixel;
    }
    if (g.taps_h.count * width > capacity) return nullptr;
    place = Pieces::copied;
    gather_window(g, sample, top, left, pixels, scratch);
    return scratch;
  }
  static Index cut(const void* self, typename Pieces::Place place, Index rows, Index k0, Index depth,
                   GemmPiece* pieces) {
    const auto& [g, source] = *static_cast<const GatherInPlace*>(self);
    const bool copied = place == Pieces::copied,
               runs = copied ? g.taps_w.count == 1 || g.taps_w.offset_step == 1 : g.runs();
    const Index unit = runs ? g.taps_w.count * g.channels : g.channels,
                line = copied ? static_cast<const GatherInPlace*>(self)->window_width(rows)
                              : g.taps_h.offset_step * g.width * g.pixel,
                column = g.taps_w.offset_step * (copied ? g.channels : g.pixel);
    Index all = 0;
    for (Index k = k0; k < k0 + depth; k += pieces[all++].length) {
      const Index number = k / unit, first = k % unit;
      pieces[all] = {(runs ? number * line : number / g.taps_w.count * line + number % g.taps_w.count * column) + first,
                     std::min(unit - first, k0 + depth - k)};
    }
    return all;
  }
};

/// target = beta target + G B, where row r of the target is n numbers at target + r ld;  packed: B (g.columns(), n) by
/// pack_b. `epilogue` as of gemm_packed.
template <class S>
void gather_product(const Gather& g, const S* source, const S* packed, Index n, S beta, S* target, Index ld,
                    const GemmEpilogue<S>& epilogue = {}) {
  if (g.plain())
    return gemm_packed(g.rows(), n, g.columns(), S(1), PlainRows<S>{source, g.pixel}, packed, beta, target, ld,
                       epilogue);
  const auto patches = made_rows<S>([&](Index row, Index count, Index k0, Index depth, S* out, Index block_ld) {
    gather_block(g, source, row, count, k0, depth, out, block_ld);
  });
  const GatherInPlace<S> in_place{g, source};
  const RowsInPieces<S> pieces{
      &in_place, GatherInPlace<S>::tile, GatherInPlace<S>::cut, {0, g.step_w * g.pixel, g.step_w * g.channels}};
  gemm_packed(g.rows(), n, g.columns(), S(1), patches, packed, beta, target, ld, epilogue, &pieces);
}

/// To the pixels (b, i, j) of the target, which is not empty unless they are all: G B.
template <class S>
void add_gather_product(const Gather& g, const S* source, const S* packed, Index n, const Scatter& to,
                        Accumulator<S> target) {
  if (to.step_h == 1 && to.step_w == 1 && to.height == g.rows_h && to.width == g.rows_w)
    return gather_product(g, source, packed, n, target.beta(), target.to, to.pixel);
  const Scratch<S> product(g.rows() * n);
  gather_product(g, source, packed, n, S(0), product.get(), n);
  const S* values = product.get();
  for (Index b = 0; b < g.batch; ++b)
    for (Index i = 0; i < g.rows_h; ++i)
      for (Index j = 0; j < g.rows_w; ++j, values += n) {
        S* pixel = target.to +
                   ((b * to.height + to.first_h + i * to.step_h) * to.width + to.first_w + j * to.step_w) * to.pixel;
        for (Index l = 0; l < n; ++l) pixel[l] += values[l];
      }
}

}  // namespace detail
ATTEND_END
