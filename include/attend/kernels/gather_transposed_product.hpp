/// Sums over the rows of the matrix that a convolution reads: gradients of its weights.
#pragma once
#include "attend/kernels/gather_product.hpp"

ATTEND_BEGIN
namespace detail {

/// Where a tap finds the rows [row, row + rows) of G in the source: runs of pixels, at most one for each line. Rows that
/// see no pixel add nothing to a sum over rows, and are passed over.
inline Index cut_rows(const Gather& g, Index top, Index left, Index row, Index rows, GemmPiece* pieces) {
  const Index first = left >= 0 ? 0 : (-left + g.step_w - 1) / g.step_w,
              last = left >= g.width ? 0 : std::min(g.rows_w, (g.width - left + g.step_w - 1) / g.step_w);
  Index all = 0, passed = 0;
  Index j = row % g.rows_w, i = row / g.rows_w % g.rows_h, b = row / (g.rows_w * g.rows_h);
  for (Index left_over = rows; left_over > 0;) {
    const Index count = std::min(g.rows_w - j, left_over), h = i * g.step_h + top;
    const Index from = std::clamp<Index>(first - j, 0, count),
                to = h < 0 || h >= g.height ? from : std::clamp<Index>(last - j, from, count);
    if (to > from) {
      const Index offset = ((b * g.height + h) * g.width + (j + from) * g.step_w + left) * g.pixel;
      if (all > 0 && passed + from == 0 &&
          offset == pieces[all - 1].offset + pieces[all - 1].length * g.step_w * g.pixel)
        pieces[all - 1].length += to - from;
      else
        pieces[all++] = {offset, to - from, passed + from};
      passed = count - to;
    } else {
      passed += count;
    }
    left_over -= count, j = 0;
    if (++i == g.rows_h) i = 0, ++b;
  }
  return all;
}

/// To product (g.columns(), n): G^T D over the rows [begin, begin + rows) of G, read where they lie. The channels of a tap
/// are whole tiles, `packed` is D by pack_b.
template <class S>
void transposed_product_in_place(const Gather& g, const S* source, Index begin, Index rows, const S* packed, Index n,
                                 Accumulator<S> product) {
  const auto& kernels = *gemm_kernels<S>();
  const Index tile_rows = kernels.tile_rows;
  const KBlocks blocks(rows);
  const Index taps = g.taps(), most = blocks.depth / g.rows_w + 2;  // pieces of a tap in a block
  const Index block_count = (rows + blocks.depth - 1) / blocks.depth;
  const Scratch<GemmPiece> pieces(block_count * taps * most);
  const Scratch<Index> piece_count(block_count * taps);
  for (Index block = 0, k0 = 0; block < block_count; ++block, k0 = blocks.end(k0))
    for (Index tap = 0; tap < taps; ++tap)
      piece_count.get()[block * taps + tap] =
          cut_rows(g, g.taps_h.offset + tap / g.taps_w.count * g.taps_h.offset_step,
                   g.taps_w.offset + tap % g.taps_w.count * g.taps_w.offset_step, begin + k0, blocks.end(k0) - k0,
                   pieces.get() + (block * taps + tap) * most);

  Strips<S> strips;
  strips.packed = packed, strips.packed_cols = kernels.padded(n);
  const Index tiles = g.channels / tile_rows;
  const bool worth_threads = static_cast<double>(g.columns() * n) * static_cast<double>(rows) > 2e6;
  parallel_for(tiles, worth_threads ? 1 : tiles, [&](Index first, Index last) {
    for (Index c = first * tile_rows; c < last * tile_rows; c += tile_rows)
      for (Index block = 0, k0 = 0; block < block_count; ++block, k0 = blocks.end(k0)) {
        const Index depth = blocks.end(k0) - k0;
        for (Index j = 0; j < strips.packed_cols;) {
          const int vectors = strip_vectors((strips.packed_cols - j) / kernels.lanes);
          const Index width = vectors * kernels.lanes;
          const auto kernel = kernels.of(tile_rows, Side::transposed, vectors);
          Index strip_ld = 0;
          const S* const strip = strips.at(k0, depth, j, width, strip_ld);
          for (Index tap = 0; tap < taps; ++tap) {  // they read almost the same pixels
            gemm_tile::Tile<S> tile{depth,
                                    source + c,
                                    strip,
                                    product.to + (tap * g.channels + c) * n + j,
                                    g.step_w * g.pixel,
                                    strip_ld,
                                    n,
                                    tile_rows,
                                    std::min(width, n - j),
                                    S(1),
                                    k0 > 0 || !product.empty,
                                    false};
            tile.pieces = pieces.get() + (block * taps + tap) * most;
            tile.piece_count = piece_count.get()[block * taps + tap];
            kernel(tile);
          }
          j += width;
        }
      }
  });
}

/// To product (g.columns(), n): G^T D, where row r of D is the n numbers at d + r pixel. Sums within fixed units of rows,
/// whose size the layer decides, then over the units in order.
template <class S>
void gather_transposed_product(const Gather& g, const S* source, const S* d, Index pixel, Index n,
                               Accumulator<S> product) {
  const Index k = g.columns(), rows = g.rows();
  if (k == 0 || n == 0) return;
  const Index unit = std::max<Index>(2048, (k * n / 128 + 255) / 256 * 256), units = (rows + unit - 1) / unit;
  if (units != 1 && product.empty) std::fill_n(product.to, k * n, S(0));
  const Scratch<S> partial(units > 1 ? units * k * n : 0);
  const bool plain = g.plain(), in_place = g.channels % gemm_kernels<S>()->tile_rows == 0;
  parallel_for(rows, unit, [&](Index begin, Index end) {
    const Index m = end - begin;
    const Accumulator<S> sum = units > 1 ? Accumulator<S>{partial.get() + begin / unit * k * n, true} : product;
    const Scratch<S> packed(packed_size<S>(m, n));
    pack_b(Side::plain, m, n, d + begin * pixel, pixel, packed.get());
    if (in_place)
      transposed_product_in_place(g, source, begin, m, packed.get(), n, sum);
    else if (plain)
      gemm_packed(k, n, m, S(1), TransposedRows<S>{source + begin * g.pixel, g.pixel}, packed.get(), sum.beta(), sum.to,
                  n);
    else
      gemm_packed(
          k, n, m, S(1),
          made_rows<S, Side::transposed>([&](Index column, Index columns, Index r0, Index depth, S* out, Index ld) {
            gather_block(g, source, begin + r0, depth, column, columns, out, ld);
          }),
          packed.get(), sum.beta(), sum.to, n);
  });
  if (units == 1) return;
  parallel_for(k * n, 4096, [&](Index begin, Index end) {
    for (Index u = 0; u < units; ++u) {
      const S* sum = partial.get() + u * k * n;
      for (Index i = begin; i < end; ++i) product.to[i] += sum[i];
    }
  });
}

}  // namespace detail
ATTEND_END
