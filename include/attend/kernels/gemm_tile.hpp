/// The inner loop of every matrix product: a tile of C, held in registers, gathers products over one block of k.
///
/// Whatever the tile's shape, an element of C goes through the same operations in the same order: acc = fma(a, b, acc)
/// over the block, then c += alpha acc, always in vector registers. So its bits do not depend on where it lies, on how
/// m and n are cut into tiles, or on the number of threads.
#ifndef ATTEND_KERNELS_GEMM_TILE
#define ATTEND_KERNELS_GEMM_TILE
#include <cstring>

#include "attend/core/tensor.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
enum class Side { plain, transposed };
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/gemm_tile.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace gemm_tile {

constexpr Index tile_rows = ATTEND_LEVEL == 3 ? 8 : 4;  // times 3 vectors of accumulators: 24 of 32 registers, 12 of 16
constexpr Index tile_vectors = 3;                       // the widest tile, in vectors

using simd::lanes;
using simd::Vector;

/// What a tile reads and writes. Element (i, l) of A is a[i lda + l] (plain) or a[l lda + i] (transposed); row l of B
/// starts at b + l ldb. All `height` rows of A and `width` vectors of B are read, `rows` and `cols` of C written.
template <class S>
struct Tile {
  Index depth;
  const S *a, *b;
  S* c;
  Index lda, ldb, ldc, rows, cols;
  S alpha;
  bool adds;     // c += alpha acc; otherwise c = alpha acc
  bool fetches;  // ahead: A comes from far away
};

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
  constexpr Index line = 64 / sizeof(S);
  Index left = tile.depth;
  if (side == Side::plain && tile.fetches)
    for (; left >= line; left -= line) {
      for (int i = 0; i < height; ++i)
        __builtin_prefetch(a + (height + i) * lda);  // of the next tile: too many streams for the hardware
      for (Index l = 0; l < line; ++l) step();
    }
  for (; left > 0; --left) step();
  const V alpha = tile.alpha - V{};
  const auto update = [&tile, alpha](V& c, const V& acc) {
    c = tile.adds ? simd::multiply_add(alpha, acc, c) : alpha * acc;
  };
  if (tile.rows == height && tile.cols == width * lanes<S>) {
#pragma GCC unroll 8
    for (int i = 0; i < height; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < width; ++j) {
        V c = simd::load(tile.c + i * tile.ldc + j * lanes<S>);
        update(c, sum[i][j]);
        simd::store(tile.c + i * tile.ldc + j * lanes<S>, c);
      }
    }
    return;
  }
  const std::size_t bytes = static_cast<std::size_t>(tile.cols) * sizeof(S);
  for (Index i = 0; i < tile.rows; ++i) {  // part of a tile: through a whole row, by the same operations
    V row[width] = {};
    std::memcpy(row, tile.c + i * tile.ldc, bytes);
    for (int j = 0; j < width; ++j) update(row[j], sum[i][j]);
    std::memcpy(tile.c + i * tile.ldc, row, bytes);
  }
}

}  // namespace gemm_tile

ATTEND_END_ISA
#endif
