/// The one product inside the fused attention kernels: small, on panels that stay in the first-level cache.
///
/// Whatever the shape of the register tile, an element goes through the same operations in the same order: fused
/// multiply-adds over l from 0 on, then once what lies in C. So its bits do not depend on how a panel is cut.
#ifndef ATTEND_KERNELS_ATTENTION_TILE
#define ATTEND_KERNELS_ATTENTION_TILE
#include <limits>

#include "attend/kernels/fetch_queue.hpp"
#include "attend/kernels/finite.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
/// Which operand's zeros are weights that must not touch the other operand, NaN or not.
enum class TileZeros { multiplied, of_a, of_b };
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/attention_tile.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

#if ATTEND_LEVEL == 3 || defined(__aarch64__)
constexpr int tile_rows = 8;  // times 3 vectors of accumulators: 24 of 32 registers
#else
constexpr int tile_rows = 4;  // 12 of 16
#endif
constexpr Index tile_vectors = 3;

/// C = A B, or C = C keep + A B.
template <class S>
struct TileProduct {
  const S* a;  // A(i, l) = a[i a_row + l a_column]
  Index a_row, a_column;
  const S* b;  // (depth, whole vectors), rows of ldb
  Index ldb;
  S* c;  // rows of ldc
  Index ldc;
  Index depth;
  const S* keep = nullptr;      // a factor of each column; none: C is written over
  S* top = nullptr;             // of each column: raised to the largest element of C
  FetchQueue* fetch = nullptr;  // asked between the tiles of registers
};

template <int rows, int vectors, class S>
ATTEND_OUT_OF_LINE void tile_product_rows(const TileProduct<S>& t, Index first, Index last, Index column) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  for (Index i = first; i < last; i += rows) {
    if (t.fetch) t.fetch->ask();
    V sum[rows][vectors] = {};
    const S *a = t.a + i * t.a_row, *b = t.b + column;
    const Index a_row = t.a_row, a_column = t.a_column, ldb = t.ldb;
    for (Index l = t.depth; l > 0; --l, a += a_column, b += ldb) {
      V x[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) x[v] = simd::load(b + v * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const V factor = a[r * a_row] - V{};
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) sum[r][v] = simd::multiply_add(factor, x[v], sum[r][v]);
      }
    }
    S* const c = t.c + i * t.ldc + column;
    if (t.keep) {
      V keep[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) keep[v] = simd::load(t.keep + column + v * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
          sum[r][v] = simd::multiply_add(simd::load(c + r * t.ldc + v * lanes), keep[v], sum[r][v]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) simd::store(c + r * t.ldc + v * lanes, sum[r][v]);
    if (!t.top) continue;
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      V top = simd::load(t.top + column + v * lanes);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) top = simd::select(sum[r][v] > top, sum[r][v], top);  // a NaN is passed over
      simd::store(t.top + column + v * lanes, top);
    }
  }
}
template <int vectors, class S>
void tile_product_columns(const TileProduct<S>& t, Index rows, Index column) {
  const Index whole = rows / tile_rows * tile_rows;
  if (whole > 0) tile_product_rows<tile_rows, vectors>(t, 0, whole, column);
  Index i = whole;
  if (tile_rows > 4 && i + 4 <= rows) {
    tile_product_rows<4, vectors>(t, i, i + 4, column);
    i += 4;
  }
  if (i < rows) tile_product_rows<1, vectors>(t, i, rows, column);
}

/// Skips the zeros that `zeros` names. Slow: for the tiles that hide something beside a NaN or an infinity.
template <class S>
ATTEND_OUT_OF_LINE void careful_tile_product(const TileProduct<S>& t, Index rows, Index columns, TileZeros zeros) {
  using V = simd::Vector<S>;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; j += simd::lanes<S>) {
      V sum = {};
      for (Index l = 0; l < t.depth; ++l) {
        const S a = t.a[i * t.a_row + l * t.a_column];
        const V b = simd::load(t.b + l * t.ldb + j), added = simd::multiply_add(simd::all<V>(a), b, sum);
        if (zeros == TileZeros::of_a)
          sum = a == S(0) ? sum : added;
        else
          sum = simd::select(b == V{}, sum, added);
      }
      S* const c = t.c + i * t.ldc + j;
      simd::store(c, t.keep ? simd::multiply_add(simd::load(c), simd::load(t.keep + j), sum) : sum);
    }
}

/// `rows` rows of C; columns: a multiple of the lanes. A careful product has no `top`.
template <class S>
void tile_product(const TileProduct<S>& t, Index rows, Index columns, TileZeros zeros = TileZeros::multiplied) {
  if (zeros != TileZeros::multiplied) return careful_tile_product(t, rows, columns, zeros);
  constexpr Index lanes = simd::lanes<S>;
  for (Index column = 0; column < columns;) {
    const Index left = (columns - column) / lanes;
    if (left == 3 || left > 4) {  // four are two and two
      tile_product_columns<3>(t, rows, column);
      column += 3 * lanes;
    } else if (left >= 2) {
      tile_product_columns<2>(t, rows, column);
      column += 2 * lanes;
    } else {
      tile_product_columns<1>(t, rows, column);
      column += lanes;
    }
  }
}

}  // namespace detail

ATTEND_END_ISA
#endif
