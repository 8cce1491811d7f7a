/// The inner loop of every matrix product: a tile of C, held in registers, gathers products over one block of k. What
/// stands around it (gemm_packed.hpp, gemm.hpp) is compiled once, and calls the kernels of an instruction set through a
/// table.
///
/// Whatever the tile's shape, an element of C goes through the same operations in the same order: acc = fma(a, b, acc)
/// over the block, then c += alpha acc, always in vector registers. So its bits do not depend on where it lies, on how
/// m and n are cut into tiles, or on the number of threads. Where a block is folded, acc is the sum over its first terms
/// plus the sum over the others, and has 0.7 times the rounding error.
#ifndef ATTEND_KERNELS_GEMM_TILE
#define ATTEND_KERNELS_GEMM_TILE
#include <cstring>
#include <limits>

#include "attend/core/tensor.hpp"
#include "attend/simd/transpose.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
enum class Side { plain, transposed };

/// A part of A that lies in line: of plain rows `length` elements from `offset` on, of transposed ones as many rows; for
/// the `passed` rows of B before them A has zeros.
struct GemmPiece {
  Index offset, length, passed = 0;
};

/// What becomes of the elements of C when they are complete: c scale[column] + bias[column] + residual[row residual_ld +
/// column], then max(., 0), then `activation`, which replaces numbers that lie in line. What is null or false is left out.
template <class S>
struct GemmEpilogue {
  const S* bias = nullptr;
  const S* residual = nullptr;
  Index residual_ld = 0;
  bool relu = false;
  const S* scale = nullptr;
  void (*activation)(Index count, S* values) = nullptr;
  bool nothing() const { return !bias && !residual && !relu && !scale && !activation; }
  /// Of the part of C that starts at (row, column).
  GemmEpilogue at(Index row, Index column) const {
    return {bias ? bias + column : nullptr,
            residual ? residual + row * residual_ld + column : nullptr,
            residual_ld,
            relu,
            scale ? scale + column : nullptr,
            activation};
  }
  /// The last step, of rows that are written.
  void activate(Index rows, Index columns, S* c, Index ldc) const {
    for (Index i = 0; activation && i < rows; ++i) activation(columns, c + i * ldc);
  }
};

namespace gemm_tile {

constexpr Index tile_vectors = 3;  // the widest tile, in vectors
constexpr Index most_rows = 8;     // of a tile, in any instruction set
template <class S>
constexpr Index line = 64 / sizeof(S);  // numbers in a line of the cache, and at most in a vector

/// What a tile reads and writes. Element (i, l) of A is a[i lda + l] (plain) or a[l lda + i] (transposed); in pieces,
/// a + offset stands for a, piece after piece. Row l of B starts at b + l ldb. All `height` rows of A and `width` vectors
/// of B are read, `rows` and `cols` of C written.
template <class S>
struct Tile {
  Index depth;
  const S *a, *b;
  S* c;
  Index lda, ldb, ldc, rows, cols;
  S alpha;
  bool adds;              // c += alpha acc; otherwise c = alpha acc
  bool fetches;           // ahead: A comes from far away
  bool finishes = false;  // the sums are complete: `epilogue`, of this part of C, follows
  GemmEpilogue<S> epilogue = {};
  const GemmPiece* pieces = nullptr;  // or all of a row in line
  Index piece_count = 1;
  Index fold = 0;  // pieces whose sums are put aside until the others are complete; of plain rows, a whole tile or one
  S* aside = nullptr;       // where: `height` times `width` vectors
  Index repeated = 0;       // rows that an earlier tile has written: they come first, C starts behind them
  const S* next = nullptr;  // what B goes on with: `lines` cache lines of it are asked for with each line of A
  Index lines = 0;
  /// B goes on at `from` when `tiles` tiles are done, this one among them: each asks for its share.
  void fetch(const S* from, Index tiles, Index tile) {
    lines = (ldb + tiles - 1) / tiles;
    next = from + tile * (depth / line<S>)*lines * line<S>;
  }
  /// C is asked for, where the sums are too few to hide where it comes from.
  void fetch_result() const {
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; j += line<S>) __builtin_prefetch(c + i * ldc + j, 1);
  }
};

/// The kernels of an instruction set.
template <class S>
struct Kernels {
  using Run = void (*)(const Tile<S>&);
  Index lanes;      // of a vector
  Index tile_rows;  // of a whole tile
  Run whole[2][3];  // of either side; 1, 2 or 3 vectors
  Run four[2][3];   // rows
  Run one[4];       // row in line; 1, 2, 3 or 6 vectors
  Run skipping[4];  // the zeros of one row
  /// Columns [col, col + cols) of one block of k of B as a strip of vectors, `width` numbers, zeros beyond.
  void (*pack_strip)(Side side, Index depth, Index cols, Index width, const S* b, Index ld, S* out);

  Index widest() const { return tile_vectors * lanes; }  // columns of a strip
  Index padded(Index n) const { return (n + lanes - 1) / lanes * lanes; }
  Run of(Index height, Side side, int vectors) const {
    if (height == 1) return one[of_one_row(vectors)];
    return (height == tile_rows ? whole : four)[side == Side::transposed][vectors - 1];
  }
  static int of_one_row(int vectors) { return vectors == 6 ? 3 : vectors - 1; }
};

}  // namespace gemm_tile
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/gemm_tile.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_OF(gemm_kernels)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace gemm_tile {

#if ATTEND_LEVEL == 3 || defined(__aarch64__)
constexpr int tile_rows = 8;  // times 3 vectors of accumulators: 24 of 32 registers
#else
constexpr int tile_rows = 4;  // 12 of 16
#endif
static_assert(tile_rows <= attend::gemm_tile::most_rows, "attend: drivers have room for most_rows");

using attend::gemm_tile::Kernels;
using attend::gemm_tile::line;
using attend::gemm_tile::Tile;
using attend::gemm_tile::tile_vectors;
using simd::lanes;
using simd::Vector;

/// Parts of tiles, and ends: from sums in memory, `ld` apart, by the operations of whole tiles.
template <class S>
ATTEND_OUT_OF_LINE void write(const Tile<S>& tile, const S* sums, Index ld) {
  using V = Vector<S>;
  const V alpha = tile.alpha - V{};
  for (Index i = 0; i < tile.rows; ++i)
    for (Index j = 0; j < tile.cols; j += lanes<S>) {
      S* const to = tile.c + i * tile.ldc + j;
      const Index count = std::min(lanes<S>, tile.cols - j);
      const auto load = [count](const S* p) { return count == lanes<S> ? simd::load(p) : simd::load_part(p, count); };
      const V sum = simd::load(sums + i * ld + j);
      V c = tile.adds ? simd::multiply_add(alpha, sum, load(to)) : alpha * sum;
      if (tile.finishes) {
        const GemmEpilogue<S>& end = tile.epilogue;
        const V bias = end.bias ? load(end.bias + j) : V{};
        c = end.scale ? simd::multiply_add(c, load(end.scale + j), bias) : c + bias;
        if (end.residual) c += load(end.residual + i * end.residual_ld + j);
        if (end.relu) c = simd::select(c < S(0), V{}, c);
      }
      if (count == lanes<S>)
        simd::store(to, c);
      else
        simd::store_part(to, c, count);
    }
}

template <int height, int width, Side side, bool skips_zeros, class S>
ATTEND_OUT_OF_LINE void run(const Tile<S>& tile) {
  using V = Vector<S>;
  V sum[height][width] = {};
  const S *a = tile.a, *b = tile.b;
  const Index lda = tile.lda, ldb = tile.ldb;
  const auto step = [&] {
    V row[width];
#pragma GCC unroll 8
    for (int j = 0; j < width; ++j) row[j] = simd::load(b + j * lanes<S>);
#pragma GCC unroll 8
    for (int i = 0; i < height; ++i) {
      const S element = side == Side::plain ? a[i * lda] : a[i];
      if (skips_zeros && element == S(0)) continue;
      const V factor = element - V{};
#pragma GCC unroll 8
      for (int j = 0; j < width; ++j) sum[i][j] = simd::multiply_add(factor, row[j], sum[i][j]);
    }
    a += side == Side::plain ? 1 : lda;
    b += ldb;
  };
  const S* next = tile.next;
  constexpr bool folds = side == Side::plain && !skips_zeros && (height == tile_rows || height == 1);
  for (Index p = 0; p < tile.piece_count; ++p) {
    Index left = tile.depth;
    if (tile.pieces) {
      a = tile.a + tile.pieces[p].offset, left = tile.pieces[p].length;
      if (side == Side::transposed) b += tile.pieces[p].passed * ldb;
    }
    for (; left >= line<S>; left -= line<S>) {
      if (side == Side::plain && tile.fetches)
        for (int i = 0; i < height; ++i)
          __builtin_prefetch(a + (height + i) * lda);  // of the next tile: too many streams for the hardware
      for (Index i = 0; i < tile.lines; ++i, next += line<S>)
        __builtin_prefetch(next, 0, 2);  // the second level: the first holds this strip
      for (Index l = 0; l < line<S>; ++l) step();
    }
    for (; left > 0; --left) step();
    if (folds && p + 1 == tile.fold) {
#pragma GCC unroll 8
      for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < width; ++j) {
          simd::store(tile.aside + (i * width + j) * lanes<S>, sum[i][j]);
          sum[i][j] = V{};
        }
      }
    }
  }
  if (folds && tile.fold > 0) {
#pragma GCC unroll 8
    for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < width; ++j) sum[i][j] += simd::load(tile.aside + (i * width + j) * lanes<S>);
    }
  }
  const bool whole = tile.rows == height && tile.cols == width * lanes<S>;
  constexpr bool ends = height == tile_rows && width > 1 && side == Side::plain && !skips_zeros;
  const V alpha = tile.alpha - V{};
  if (whole && (ends || !tile.finishes)) {
#pragma GCC unroll 8
    for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < width; ++j)
        sum[i][j] = tile.adds ? simd::multiply_add(alpha, sum[i][j], simd::load(tile.c + i * tile.ldc + j * lanes<S>))
                              : alpha * sum[i][j];
    }
    if constexpr (ends)
      if (tile.finishes) {  // as `write`, in registers
        const GemmEpilogue<S>& end = tile.epilogue;
        const V least = simd::all<V>(end.relu ? S(0) : -std::numeric_limits<S>::infinity());
#pragma GCC unroll 8
        for (int j = 0; j < width; ++j) {
          const V bias = end.bias ? simd::load(end.bias + j * lanes<S>) : V{};
          const V scale = end.scale ? simd::load(end.scale + j * lanes<S>) : simd::all<V>(S(1));
#pragma GCC unroll 8
          for (int i = 0; i < height; ++i) {
            V c = simd::multiply_add(sum[i][j], scale, bias);
            if (end.residual) c += simd::load(end.residual + i * end.residual_ld + j * lanes<S>);
            sum[i][j] = simd::at_least(least, c);
          }
        }
      }
#pragma GCC unroll 8
    for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < width; ++j) simd::store(tile.c + i * tile.ldc + j * lanes<S>, sum[i][j]);
    }
    return;
  }
  S sums[height * width * lanes<S>];
#pragma GCC unroll 8
  for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < width; ++j) simd::store(sums + (i * width + j) * lanes<S>, sum[i][j]);
  }
  write(tile, sums + tile.repeated * width * lanes<S>, width * lanes<S>);
}

/// Columns [col, col + cols) of one block of k of B as a strip of vectors, zeros beyond.
template <class S>
void pack_strip(Side side, Index depth, Index cols, Index width, const S* b, Index ld, S* out) {
  using V = Vector<S>;
  constexpr int step = static_cast<int>(lanes<S>);
  if (side == Side::plain) {
    const Index whole = cols / step * step, bytes = (cols - whole) * static_cast<Index>(sizeof(S));
    for (Index l = 0; l < depth; ++l, b += ld, out += width) {
      V v;
      for (Index j = 0; j < whole; j += step) {
        v = simd::load(b + j);
        simd::store(out + j, v);
      }
      if (bytes == 0) continue;
      v = V{};
      std::memcpy(&v, b + whole, static_cast<std::size_t>(bytes));
      simd::store(out + whole, v);
    }
    return;
  }
  for (Index j = 0; j < width; j += step)
    for (Index l = 0; l < depth; l += step) {
      V square[step] = {};
      const Index valid = std::min<Index>(step, depth - l);
      if (valid == step && cols - j >= step) {
#pragma GCC unroll 16
        for (int i = 0; i < step; ++i) square[i] = simd::load(b + (j + i) * ld + l);
      } else {
        for (int i = 0; i < std::min<Index>(step, cols - j); ++i)
          std::memcpy(&square[i], b + (j + i) * ld + l, static_cast<std::size_t>(valid) * sizeof(S));
      }
      simd::transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < step; ++i)
        if (i < valid) simd::store(out + (l + i) * width + j, square[i]);
    }
}

template <class S>
inline constexpr Kernels<S> kernels = {
    lanes<S>,
    tile_rows,
    {{run<tile_rows, 1, Side::plain, false, S>, run<tile_rows, 2, Side::plain, false, S>,
      run<tile_rows, 3, Side::plain, false, S>},
     {run<tile_rows, 1, Side::transposed, false, S>, run<tile_rows, 2, Side::transposed, false, S>,
      run<tile_rows, 3, Side::transposed, false, S>}},
    {{run<4, 1, Side::plain, false, S>, run<4, 2, Side::plain, false, S>, run<4, 3, Side::plain, false, S>},
     {run<4, 1, Side::transposed, false, S>, run<4, 2, Side::transposed, false, S>,
      run<4, 3, Side::transposed, false, S>}},
    {run<1, 1, Side::plain, false, S>, run<1, 2, Side::plain, false, S>, run<1, 3, Side::plain, false, S>,
     run<1, 6, Side::plain, false, S>},
    {run<1, 1, Side::plain, true, S>, run<1, 2, Side::plain, true, S>, run<1, 3, Side::plain, true, S>,
     run<1, 6, Side::plain, true, S>},
    pack_strip<S>};

}  // namespace gemm_tile

template <class S>
const attend::gemm_tile::Kernels<S>* gemm_kernels() {
  return &gemm_tile::kernels<S>;
}

ATTEND_END_ISA
#endif
