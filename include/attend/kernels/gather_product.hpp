/// Products whose left matrix is read out of a feature map: convolution as a matrix product without the matrix.
#ifndef ATTEND_KERNELS_GATHER_PRODUCT
#define ATTEND_KERNELS_GATHER_PRODUCT
#include <algorithm>

#include "attend/kernels/convolution_shape.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN
namespace detail {

/// The matrix G whose row (b, i, j) holds, one tap after another, the `channels` numbers of the source pixel
/// (b, i step_h + offset of t, j step_w + offset of u), or zeros where that lies outside.
struct Gather {
  Index batch = 0, height = 0, width = 0;  // of the source
  Index channels = 0;                      // read per tap
  Index pixel = 0;                         // numbers from one source pixel to the next
  Index rows_h = 0, rows_w = 0;            // rows of G per sample
  Index step_h = 1, step_w = 1;
  TapRange taps_h, taps_w;

  Index rows() const { return batch * rows_h * rows_w; }
  Index taps() const { return taps_h.count * taps_w.count; }
  Index columns() const { return taps() * channels; }
  /// G is the source itself.
  bool plain() const {
    return taps() == 1 && taps_h.offset == 0 && taps_w.offset == 0 && step_h == 1 && step_w == 1 && rows_h == height &&
           rows_w == width;
  }
  /// The taps of one kernel row lie side by side in memory.
  bool runs() const { return pixel == channels && (taps_w.count == 1 || taps_w.offset_step == 1); }
};

/// A pixel grid inside a feature map: row (b, i, j) is pixel (b, first_h + i step_h, first_w + j step_w).
struct Scatter {
  Index height = 0, width = 0;
  Index pixel = 0;  // numbers from one pixel to the next
  Index first_h = 0, first_w = 0;
  Index step_h = 1, step_w = 1;
};

}  // namespace detail
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/gather_product.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

/// For runs of a few numbers and more: the last vector overlaps the one before.
template <int n, class S>
ATTEND_INLINE void copy_ends(const S* from, Index count, S* to) {
  std::memcpy(to, from, n * sizeof(S));
  std::memcpy(to + count - n, from + count - n, n * sizeof(S));
}
template <class S>
ATTEND_INLINE void copy_run(const S* from, Index count, S* to) {
  constexpr Index lanes = simd::lanes<S>;
  if (count >= lanes) {
    for (Index i = 0; i + lanes < count; i += lanes) simd::store(to + i, simd::load(from + i));
    simd::store(to + count - lanes, simd::load(from + count - lanes));
  } else if (count >= 8) {
    copy_ends<8>(from, count, to);
  } else if (count >= 4) {
    copy_ends<4>(from, count, to);
  } else if (count >= 2) {
    copy_ends<2>(from, count, to);
  } else if (count == 1) {
    *to = *from;
  }
}

/// Block of G: rows [row, row + rows), columns [k0, k0 + depth), into out[i ld + l].
template <class S>
void gather_block(const Gather& g, const S* source, Index row, Index rows, Index k0, Index depth, S* out, Index ld) {
  const bool runs = g.runs();
  // A piece of a row: `count` numbers from number `first` of one kernel row (runs) or of one tap.
  struct Piece {
    Index h, w, first, count;
  };
  Piece pieces[KBlocks::largest];
  Index all = 0;
  const Index unit = runs ? g.taps_w.count * g.channels : g.channels;
  for (Index k = k0; k < k0 + depth; k += pieces[all++].count) {
    const Index number = k / unit, first = k % unit;
    const Index t = runs ? number : number / g.taps_w.count, u = runs ? 0 : number % g.taps_w.count;
    pieces[all] = {g.taps_h.offset + t * g.taps_h.offset_step, g.taps_w.offset + u * g.taps_w.offset_step, first,
                   std::min(unit - first, k0 + depth - k)};
  }
  Index j = row % g.rows_w, i = row / g.rows_w % g.rows_h, b = row / (g.rows_w * g.rows_h);
  for (Index r = 0; r < rows; ++r) {
    S* to = out + r * ld;
    for (Index p = 0; p < all; ++p) {
      const Piece& piece = pieces[p];
      const Index h = i * g.step_h + piece.h, w = j * g.step_w + piece.w, count = piece.count;
      if (h < 0 || h >= g.height) {
        std::fill_n(to, count, S(0));
      } else if (const S* line = source + (b * g.height + h) * g.width * g.pixel; runs) {
        const Index start = w * g.channels + piece.first, end = g.width * g.channels;
        if (start >= 0 && start + count <= end) {
          copy_run(line + start, count, to);
        } else {
          const Index low = std::clamp<Index>(-start, 0, count), high = std::clamp<Index>(end - start, low, count);
          std::fill_n(to, low, S(0));
          copy_run(line + start + low, high - low, to + low);
          std::fill_n(to + high, count - high, S(0));
        }
      } else if (w < 0 || w >= g.width) {
        std::fill_n(to, count, S(0));
      } else {
        copy_run(line + w * g.pixel + piece.first, count, to);
      }
      to += count;
    }
    if (++j == g.rows_w) {
      j = 0;
      if (++i == g.rows_h) i = 0, ++b;
    }
  }
}

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
    for (Index t = 0; t < g.taps_h.count; ++t) {
      const Index h = top + t * g.taps_h.offset_step;
      S* const to = scratch + t * width;
      const Index first = h < 0 || h >= g.height ? pixels : std::clamp<Index>(-left, 0, pixels),
                  last = std::clamp<Index>(g.width - left, first, pixels);
      std::fill_n(to, first * g.channels, S(0));
      std::fill_n(to + last * g.channels, (pixels - last) * g.channels, S(0));
      if (first == last) continue;
      const S* const from = sample + (h * g.width + left + first) * g.pixel;
      if (g.pixel == g.channels)
        copy_run(from, (last - first) * g.channels, to + first * g.channels);
      else
        for (Index p = 0; p < last - first; ++p)
          copy_run(from + p * g.pixel, g.channels, to + (first + p) * g.channels);
    }
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

ATTEND_END_ISA
#endif
