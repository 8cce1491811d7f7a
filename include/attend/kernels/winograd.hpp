/// Convolution by Winograd's minimal filtering: 3 x 3 taps, stride 1, no dilation, one group. A tile of m x m outputs
/// costs (m + 2)^2 multiplications for each pair of channels instead of 9 m^2:
///
///     Y = A^T [ sum over channels of (G g G^T) * (B^T d B) ] A
///
/// with g the 3 x 3 taps, d the (m + 2) x (m + 2) inputs around the tile, and * element by element, which over the
/// channels and tiles is one matrix product for each of the (m + 2)^2 elements. (Winograd 1980; Lavin and Gray 2016.)
/// The polynomials meet at 0, 1, -1 for m = 2 and at 0, +-1/sqrt 2, +-sqrt 2 for m = 4, where the factors stay closest
/// to 1 (Barabasz et al. 2020 on the error of such points).
///
/// A block of tiles goes through all three steps while it is in the second-level cache. Tiles lie on a grid of their
/// own in each sample, so a sample alone has the bits that it has in a batch. A NaN or infinity in a pixel reaches all
/// outputs of the tiles that read it.
#pragma once
#include "attend/kernels/convolution_shape.hpp"
#include "attend/kernels/gemm_packed.hpp"
#include "attend/kernels/winograd_transforms.hpp"

ATTEND_BEGIN
namespace winograd {

/// Numbers in the packed form of a weight with k channels read and n made.
template <class S>
Index packed_size(Index m, Index k, Index n) {
  return (m + 2) * (m + 2) * k * gemm_kernels<S>()->padded(n);
}

/// Element (i, o) of the taps, i of k channels read, o of n made, starts at weight[i step_k + o step_n]; `turned` by
/// half a circle, as the backward pass needs them. Packed in the order in which `convolve` reads: strips of columns as
/// of pack_b, in each the (m + 2)^2 matrices (k, width), row after row.
template <class S>
void pack(Index m, Index k, Index n, const S* weight, Index step_k, Index step_n, bool turned, S* packed) {
  constexpr Index rows = 16;
  const auto& kernels = *gemm_kernels<S>();
  const auto& transforms = *winograd_transforms<S>(m);
  const Index planes = (m + 2) * (m + 2), lanes = kernels.lanes, step = kernels.widest();
  const Index all_cols = kernels.padded(n), row_blocks = (k + rows - 1) / rows,
              strips = std::max<Index>(1, all_cols / step - 1);  // the last task has what is left
  parallel_for(row_blocks * strips, std::max<Index>(1, 4096 / (rows * step)), [&](Index begin, Index end) {
    S taps[9 * gemm_tile::tile_vectors * gemm_tile::line<S>];
    for (Index task = begin; task < end; ++task) {
      const Index first = task / strips * rows, last = std::min(k, first + rows), strip = task % strips;
      const Index col_end = strip + 1 == strips ? all_cols : (strip + 1) * step;
      for (Index col = strip * step; col < col_end;) {
        const Index width = detail::strip_vectors((all_cols - col) / lanes) * lanes;
        for (Index i = first; i < last; ++i) {
          transforms.take_taps(weight + i * step_k + col * step_n, step_n, std::min(width, n - col), width,
                               weight + 9 * k * n, taps);
          transforms.weight(taps, width, turned, packed + col * planes * k + i * width, width * k);
        }
        col += width;
      }
    }
  });
}

/// c (rows, width) = a (rows, k) b (k, width) for one of the matrices; `rows` a multiple of 4.
template <class S>
void multiply(const gemm_tile::Kernels<S>& kernels, Index rows, Index k, const S* a, Index lda, const S* b, int vectors,
              S* c) {
  const Index cols = vectors * kernels.lanes, height = kernels.tile_rows, tiles = rows / height;
  const auto whole = kernels.of(height, Side::plain, vectors), four = kernels.of(4, Side::plain, vectors);
  const KBlocks blocks(k);
  for (Index k0 = 0; k0 < k; k0 = blocks.end(k0)) {
    gemm_tile::Tile<S> tile{
        blocks.end(k0) - k0, a + k0, b + k0 * cols, c, lda, cols, cols, height, cols, S(1), k0 > 0, false};
    for (Index i = 0; i < tiles; ++i) {
      tile.fetch(tile.b + tile.depth * cols, tiles, i);
      whole(tile);
      tile.a += height * lda;
      tile.c += height * cols;
    }
    if (tiles * height < rows) tile.rows = 4, tile.lines = 0, four(tile);
  }
}

/// y = convolution of x, by weights packed as above, or y += it; then `epilogue`, whose residual has the layout of y.
template <class S>
void convolve(Index m, const ConvolutionShape& s, const S* x, const S* packed, const GemmEpilogue<S>& epilogue,
              bool adds, S* y) {
  const auto& kernels = *gemm_kernels<S>();
  const auto& transforms = *winograd_transforms<S>(m);
  const Index size = m + 2, planes = size * size, lanes = kernels.lanes, step = kernels.widest();
  const Index k = s.in_channels, n = s.out_channels, all_cols = kernels.padded(n), channels = kernels.padded(k),
              lda = channels + lanes;  // rows of a tile start in different sets of the cache
  const Index tiles_h = (s.out_height + m - 1) / m, tiles_w = (s.out_width + m - 1) / m,
              tiles = s.batch * tiles_h * tiles_w;
  if (tiles == 0) return;

  // Blocks of tiles for the second-level cache, which holds the weights too, or is left to the tiles so that weights from
  // further away are read seldom; if they are few, the threads share the columns of one.
  const Index room = planes * channels * n * static_cast<Index>(sizeof(S)) > 600000 ? 655360 : 229376;
  const Index most =
      std::clamp<Index>(room / (planes * (channels + step) * static_cast<Index>(sizeof(S))) / 8 * 8, 8, 64);
  const bool threads = num_threads() > 1 && static_cast<double>(tiles * planes) * static_cast<double>(k * n) > 2e6;
  Index blocks = (tiles + most - 1) / most, groups = 1;
  const Index strips = std::max<Index>(1, (all_cols / lanes + 1) / gemm_tile::tile_vectors);
  if (threads && blocks < 2 * num_threads()) groups = std::min<Index>(num_threads(), strips);
  const Index block = ((tiles + blocks - 1) / blocks + 3) / 4 * 4, per_group = (strips + groups - 1) / groups;
  blocks = (tiles + block - 1) / block, groups = (strips + per_group - 1) / per_group;
  const Index plane_in = block * lda + lanes, plane_out = block * step + lanes;

  const auto part = [&](Index begin, Index end) {
    const detail::Scratch<S> scratch(planes * (plane_in + plane_out + channels));
    S *const in = scratch.get(), *const out = in + planes * plane_in, *const patch = out + planes * plane_out;
    for (Index task = begin; task < end; ++task) {
      const Index first = task / groups * block, count = std::min(block, tiles - first), group = task % groups,
                  rows = (count + 3) / 4 * 4;
      for (Index t = 0; t < count; ++t) {
        const Index tile = first + t, b = tile / (tiles_h * tiles_w), top = tile / tiles_w % tiles_h * m - s.pad_top,
                    left = tile % tiles_w * m - s.pad_left;
        const S* pixels = x + b * s.height * s.width * k;
        // The last vector of a pixel may read into the next pixel: its extra lanes take part in nothing.
        if (top >= 0 && left >= 0 && top + size <= s.height && left + size <= s.width &&
            (((b * s.height + top + size - 1) * s.width) + left + size - 1) * k + channels <=
                s.batch * s.height * s.width * k) {
          transforms.input(pixels + (top * s.width + left) * k, s.width * k, k, channels, in + t * lda, plane_in);
          continue;
        }
        for (Index i = 0; i < size; ++i)
          for (Index j = 0; j < size; ++j) {
            S* to = patch + (i * size + j) * channels;
            const bool inside = top + i >= 0 && top + i < s.height && left + j >= 0 && left + j < s.width;
            const Index copied = inside ? k : 0;
            if (inside) std::copy_n(pixels + ((top + i) * s.width + left + j) * k, k, to);
            std::fill_n(to + copied, channels - copied, S(0));
          }
        transforms.input(patch, size * channels, channels, channels, in + t * lda, plane_in);
      }
      for (Index t = count; t < rows; ++t)
        for (Index p = 0; p < planes; ++p) std::fill_n(in + p * plane_in + t * lda, channels, S(0));
      const Index col_end = group + 1 == groups ? all_cols : (group + 1) * per_group * step;
      for (Index col = group * per_group * step; col < col_end;) {
        const int vectors = detail::strip_vectors((all_cols - col) / lanes);
        const Index width = vectors * lanes;
        for (Index p = 0; p < planes; ++p) {
          const S *a = in + p * plane_in, *b = packed + (col * planes + p * width) * k;
          S* c = out + p * plane_out;
          multiply(kernels, rows, k, a, lda, b, vectors, c);
        }
        for (Index t = 0; t < count; ++t) {
          const Index tile = first + t, b = tile / (tiles_h * tiles_w), i = tile / tiles_w % tiles_h * m,
                      j = tile % tiles_w * m;
          GemmEpilogue<S> here = epilogue.at(0, col);
          const Index pixel = ((b * s.out_height + i) * s.out_width + j) * n;
          if (here.residual) here.residual += pixel;
          const Target<S> to{y + pixel + col,
                             s.out_width * n,
                             n,
                             std::min<Index>(m, s.out_height - i),
                             std::min<Index>(m, s.out_width - j),
                             std::min(width, n - col),
                             adds,
                             here};
          transforms.output(out + t * width, plane_out, to);
          for (Index row = 0; row < to.rows; ++row)
            here.activate(to.columns, to.channels, to.y + row * to.row, to.column);
        }
        col += width;
      }
    }
  };
  parallel_for(blocks * groups, threads ? 1 : blocks * groups, part);
}

}  // namespace winograd

ATTEND_COMPILED_TEMPLATE(winograd::pack)
ATTEND_COMPILED_TEMPLATE(winograd::convolve)
ATTEND_END
