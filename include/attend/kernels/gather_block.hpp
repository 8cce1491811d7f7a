/// The matrix that a convolution reads, as parts of it are made out of a feature map.
#ifndef ATTEND_KERNELS_GATHER_BLOCK
#define ATTEND_KERNELS_GATHER_BLOCK
#include "attend/kernels/convolution_shape.hpp"
#include "attend/kernels/gemm_packed.hpp"
#include "attend/simd/vector.hpp"

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

}  // namespace detail
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/gather_block.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(detail::gather_block)
ATTEND_COMPILED_KERNEL(detail::gather_window)
namespace detail {
ATTEND_DISPATCH_IN(detail, gather_block)
ATTEND_DISPATCH_IN(detail, gather_window)
}  // namespace detail
ATTEND_END

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

/// Window of a sample that some rows of G see together: lines top ..., `pixels` from `left` on of each, zeros outside.
template <class S>
void gather_window(const Gather& g, const S* sample, Index top, Index left, Index pixels, S* out) {
  for (Index t = 0; t < g.taps_h.count; ++t) {
    const Index h = top + t * g.taps_h.offset_step;
    S* const to = out + t * pixels * g.channels;
    const Index first = h < 0 || h >= g.height ? pixels : std::clamp<Index>(-left, 0, pixels),
                last = std::clamp<Index>(g.width - left, first, pixels);
    std::fill_n(to, first * g.channels, S(0));
    std::fill_n(to + last * g.channels, (pixels - last) * g.channels, S(0));
    if (first == last) continue;
    const S* const from = sample + (h * g.width + left + first) * g.pixel;
    if (g.pixel == g.channels)
      copy_run(from, (last - first) * g.channels, to + first * g.channels);
    else
      for (Index p = 0; p < last - first; ++p) copy_run(from + p * g.pixel, g.channels, to + (first + p) * g.channels);
  }
}

}  // namespace detail

ATTEND_END_ISA
#endif
