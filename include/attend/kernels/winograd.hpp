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
#ifndef ATTEND_KERNELS_WINOGRAD
#define ATTEND_KERNELS_WINOGRAD
#include "attend/kernels/convolution_shape.hpp"
#include "attend/kernels/gemm_packed.hpp"

#define ATTEND_KERNELS "attend/kernels/winograd.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace winograd {

using simd::all;
using simd::multiply_add;

/// The three transforms along one axis, of vectors.
template <int m>
struct Transform;

template <>
struct Transform<2> {
  template <class V>
  ATTEND_INLINE static void input(const V (&d)[4], V (&t)[4]) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  template <class V>
  ATTEND_INLINE static void weight(const V (&g)[3], V (&t)[4]) {
    const V half = all<V>(simd::Scalar<V>(0.5)), even = g[0] + g[2];
    t[0] = g[0];
    t[1] = half * (even + g[1]);
    t[2] = half * (even - g[1]);
    t[3] = g[2];
  }
  template <class V>
  ATTEND_INLINE static void output(const V (&t)[4], V (&y)[2]) {
    y[0] = t[0] + (t[1] + t[2]);
    y[1] = (t[1] - t[2]) + t[3];
  }
};

template <>
struct Transform<4> {
  static constexpr double a = 0.70710678118654752440, b = 1.41421356237309504880;  // the points; a a = 1/2, b b = 2
  template <class V>
  ATTEND_INLINE static V times(double factor, V x) {
    return all<V>(simd::Scalar<V>(factor)) * x;
  }
  template <class V>
  ATTEND_INLINE static V add(double factor, V x, V to) {  // to + factor x
    return multiply_add(all<V>(simd::Scalar<V>(factor)), x, to);
  }
  template <class V>
  ATTEND_INLINE static void input(const V (&d)[6], V (&t)[6]) {
    const V even_a = add(-2, d[2], d[4]), odd_a = add(-2, d[1], d[3]);
    const V even_b = add(-0.5, d[2], d[4]), odd_b = add(-0.5, d[1], d[3]);
    t[0] = add(-2.5, d[2], d[0] + d[4]);
    t[1] = add(a, odd_a, even_a);
    t[2] = add(-a, odd_a, even_a);
    t[3] = add(b, odd_b, even_b);
    t[4] = add(-b, odd_b, even_b);
    t[5] = add(-2.5, d[3], d[1] + d[5]);
  }
  template <class V>
  ATTEND_INLINE static void weight(const V (&g)[3], V (&t)[6]) {
    const V even_a = add(0.5, g[2], g[0]), even_b = add(2, g[2], g[0]);
    t[0] = g[0];
    t[1] = times(-2.0 / 3, add(a, g[1], even_a));
    t[2] = times(-2.0 / 3, add(-a, g[1], even_a));
    t[3] = times(1.0 / 6, add(b, g[1], even_b));
    t[4] = times(1.0 / 6, add(-b, g[1], even_b));
    t[5] = g[2];
  }
  template <class V>
  ATTEND_INLINE static void output(const V (&t)[6], V (&y)[4]) {
    const V sum_a = t[1] + t[2], sum_b = t[3] + t[4], odd_a = t[1] - t[2], odd_b = t[3] - t[4];
    y[0] = t[0] + (sum_a + sum_b);
    y[1] = add(b, odd_b, times(a, odd_a));
    y[2] = add(2, sum_b, times(0.5, sum_a));
    y[3] = add(2 * b, odd_b, add(a / 2, odd_a, t[5]));
  }
};

/// planes[p][c] = element p of B^T d B, for `channels` (a multiple of a vector) of the pixels d[i row + j column].
template <int m, class S>
ATTEND_OUT_OF_LINE void transform_input(const S* d, Index row, Index column, Index channels, S* planes, Index plane) {
  constexpr int n = m + 2;
  using V = simd::Vector<S>;
  for (Index c = 0; c < channels; c += simd::lanes<S>) {
    V half[n][n], line[n], t[n];
#pragma GCC unroll 8
    for (int j = 0; j < n; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) line[i] = simd::load(d + i * row + j * column + c);
      Transform<m>::input(line, t);
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) half[i][j] = t[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) {
      Transform<m>::input(half[i], t);
#pragma GCC unroll 8
      for (int j = 0; j < n; ++j) simd::store(planes + (i * n + j) * plane + c, t[j]);
    }
  }
}

/// Where a tile of results goes: `rows` x `columns` pixels, at most m each, `channels` numbers of each.
template <class S>
struct Target {
  S* y;
  Index row, column;  // numbers from one pixel to the one below, to the one on the right
  Index rows, columns, channels;
  bool adds;  // to what y holds
  GemmEpilogue<S> epilogue;
};

template <int m, class S>
ATTEND_OUT_OF_LINE void transform_output(const S* planes, Index plane, const Target<S>& to) {
  constexpr int n = m + 2;
  constexpr Index lanes = simd::lanes<S>;
  using V = simd::Vector<S>;
  for (Index c = 0; c < to.channels; c += lanes) {
    const Index count = std::min(lanes, to.channels - c);
    V half[m][n], line[n], y[m], tile[m][m];
#pragma GCC unroll 8
    for (int j = 0; j < n; ++j) {
#pragma GCC unroll 8
      for (int i = 0; i < n; ++i) line[i] = simd::load(planes + (i * n + j) * plane + c);
      Transform<m>::output(line, y);
#pragma GCC unroll 8
      for (int i = 0; i < m; ++i) half[i][j] = y[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < m; ++i) Transform<m>::output(half[i], tile[i]);
    const auto load = [count](const S* p) { return count == lanes ? simd::load(p) : simd::load_part(p, count); };
    const V bias = to.epilogue.bias ? load(to.epilogue.bias + c) : V{};
    const V scale = to.epilogue.scale ? load(to.epilogue.scale + c) : all<V>(S(1));
    for (Index i = 0; i < to.rows; ++i)
      for (Index j = 0; j < to.columns; ++j) {
        const Index at = i * to.row + j * to.column + c;
        V value = multiply_add(tile[i][j], scale, bias);
        if (to.adds) value += load(to.y + at);
        if (to.epilogue.residual) value += load(to.epilogue.residual + at);
        if (to.epilogue.relu) value = simd::select(value < S(0), V{}, value);
        if (count == lanes)
          simd::store(to.y + at, value);
        else
          simd::store_part(to.y + at, value, count);
      }
  }
}

/// Numbers in the packed form of a weight with k channels read and n made.
template <class S>
Index packed_size(Index m, Index k, Index n) {
  return (m + 2) * (m + 2) * k * detail::padded<S>(n);
}

/// taps[tap][o] of `cols` columns o, whose 9 taps start `step` apart; zeros up to `width`.
template <class S>
void take_taps(const S* weight, Index step, Index cols, Index width, const S* end, S* taps) {
  constexpr Index lanes = simd::lanes<S>;
  if constexpr (lanes > 9)
    if (cols == width && weight + (cols - 1) * step + lanes <= end) {
      for (Index o = 0; o < width; o += lanes) {
        simd::Vector<S> square[lanes];
#pragma GCC unroll 16
        for (Index i = 0; i < lanes; ++i) square[i] = simd::load(weight + (o + i) * step);
        simd::transpose(square);
#pragma GCC unroll 16
        for (Index t = 0; t < 9; ++t) simd::store(taps + t * width + o, square[t]);
      }
      return;
    }
  detail::pack_strip(Side::transposed, 9, cols, width, weight, step, taps);
}

/// Element (i, o) of the taps, i of k channels read, o of n made, starts at weight[i step_k + o step_n]; `turned` by
/// half a circle, as the backward pass needs them. Packed in the order in which `convolve` reads: strips of columns as
/// of pack_b, in each the (m + 2)^2 matrices (k, width), row after row.
template <int m, class S>
void pack(Index k, Index n, const S* weight, Index step_k, Index step_n, bool turned, S* packed) {
  constexpr int size = m + 2;
  constexpr Index lanes = simd::lanes<S>, step = gemm_tile::tile_vectors * lanes, rows = 16;
  using V = simd::Vector<S>;
  const Index all_cols = detail::padded<S>(n), row_blocks = (k + rows - 1) / rows,
              strips = std::max<Index>(1, all_cols / step - 1);  // the last task has what is left
  parallel_for(row_blocks * strips, std::max<Index>(1, 4096 / (rows * step)), [&](Index begin, Index end) {
    S taps[9 * gemm_tile::tile_vectors * lanes];
    for (Index task = begin; task < end; ++task) {
      const Index first = task / strips * rows, last = std::min(k, first + rows), strip = task % strips;
      const Index col_end = strip + 1 == strips ? all_cols : (strip + 1) * step;
      for (Index col = strip * step; col < col_end;) {
        const Index width = detail::strip_vectors((all_cols - col) / lanes) * lanes;
        for (Index i = first; i < last; ++i) {
          take_taps(weight + i * step_k + col * step_n, step_n, std::min(width, n - col), width, weight + 9 * k * n,
                    taps);
          for (Index c = 0; c < width; c += lanes) {
            V half[size][3], line[3], t[size];
#pragma GCC unroll 8
            for (int u = 0; u < 3; ++u) {
#pragma GCC unroll 8
              for (int r = 0; r < 3; ++r)
                line[r] = simd::load(taps + (turned ? 8 - (r * 3 + u) : r * 3 + u) * width + c);
              Transform<m>::weight(line, t);
#pragma GCC unroll 8
              for (int r = 0; r < size; ++r) half[r][u] = t[r];
            }
#pragma GCC unroll 8
            for (int r = 0; r < size; ++r) {
              Transform<m>::weight(half[r], t);
#pragma GCC unroll 8
              for (int u = 0; u < size; ++u)
                simd::store(packed + (col * size * size + (r * size + u) * width) * k + i * width + c, t[u]);
            }
          }
        }
        col += width;
      }
    }
  });
}

/// c (rows, width) = a (rows, k) b (k, width) for one of the matrices.
template <int width, class S>
void multiply(Index rows, Index k, const S* a, Index lda, const S* b, S* c) {
  constexpr Index cols = width * simd::lanes<S>;
  constexpr int height = static_cast<int>(gemm_tile::tile_rows);
  const KBlocks blocks(k);
  for (Index k0 = 0; k0 < k; k0 = blocks.end(k0)) {
    gemm_tile::Tile<S> tile{
        blocks.end(k0) - k0, a + k0, b + k0 * cols, c, lda, cols, cols, height, cols, S(1), k0 > 0, false};
    const Index tiles = rows / height;
    for (Index i = 0; i < tiles; ++i) {
      tile.fetch(tile.b + tile.depth * cols, tiles, i);
      gemm_tile::run<height, width, Side::plain, false>(tile);
      tile.a += height * lda;
      tile.c += height * cols;
    }
    if constexpr (height > 4)
      if (tiles * height < rows) tile.rows = 4, tile.lines = 0, gemm_tile::run<4, width, Side::plain, false>(tile);
  }
}

/// y = convolution of x, by weights packed as above, or y += it; then `epilogue`, whose residual has the layout of y.
template <int m, class S>
void convolve(const ConvolutionShape& s, const S* x, const S* packed, const GemmEpilogue<S>& epilogue, bool adds,
              S* y) {
  constexpr int size = m + 2, planes = size * size;
  constexpr Index lanes = simd::lanes<S>, step = gemm_tile::tile_vectors * lanes;
  const Index k = s.in_channels, n = s.out_channels, all_cols = detail::padded<S>(n), channels = detail::padded<S>(k),
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
          transform_input<m>(pixels + (top * s.width + left) * k, s.width * k, k, channels, in + t * lda, plane_in);
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
        transform_input<m>(patch, size * channels, channels, channels, in + t * lda, plane_in);
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
          if (vectors == 3)
            multiply<3>(rows, k, a, lda, b, c);
          else if (vectors == 2)
            multiply<2>(rows, k, a, lda, b, c);
          else
            multiply<1>(rows, k, a, lda, b, c);
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
          transform_output<m>(out + t * width, plane_out, to);
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

ATTEND_END_ISA
#endif
