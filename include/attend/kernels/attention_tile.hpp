/// The one product inside the fused attention kernels: small, on panels that stay in the first-level cache.
#ifndef ATTEND_KERNELS_ATTENTION_TILE
#define ATTEND_KERNELS_ATTENTION_TILE
#include <cstring>

#include "attend/core/tensor.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_tile.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

constexpr int tile_vector_bytes = static_cast<int>(simd::widest_bytes);
constexpr int tile_rows = tile_vector_bytes == 64 ? 8 : 4;

/// Which operand's zeros are weights that must not touch the other operand, NaN or not.
enum class TileZeros { multiplied, of_a, of_b };

template <class S, int rows, int vectors, TileZeros zeros>
inline void tile_product_block(bool adds, Index k, const S* a, Index a_row, Index a_column, const S* b, Index ldb, S* c,
                               Index ldc) {
  typedef S Vector __attribute__((vector_size(tile_vector_bytes)));
  constexpr Index lanes = static_cast<Index>(sizeof(Vector) / sizeof(S));
  Vector sum[rows][vectors];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      sum[r][v] = Vector{};
      if (adds) std::memcpy(&sum[r][v], c + r * ldc + v * lanes, sizeof(Vector));
    }
  for (Index l = 0; l < k; ++l) {
    Vector x[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) std::memcpy(&x[v], b + l * ldb + v * lanes, sizeof(Vector));
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const S factor = a[r * a_row + l * a_column];
      if (zeros == TileZeros::of_a && factor == S(0)) continue;
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        const Vector added = simd::multiply_add(x[v], simd::all<Vector>(factor), sum[r][v]);
        if (zeros == TileZeros::of_b)
          sum[r][v] = x[v] != Vector{} ? added : sum[r][v];
        else
          sum[r][v] = added;
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) std::memcpy(c + r * ldc + v * lanes, &sum[r][v], sizeof(Vector));
}

template <class S, int rows, TileZeros zeros>
inline void tile_product_rows(bool adds, Index n, Index k, const S* a, Index a_row, Index a_column, const S* b,
                              Index ldb, S* c, Index ldc) {
  constexpr Index lanes = static_cast<Index>(tile_vector_bytes / sizeof(S));
  Index j = 0;
  for (; j + 2 * lanes <= n; j += 2 * lanes)
    tile_product_block<S, rows, 2, zeros>(adds, k, a, a_row, a_column, b + j, ldb, c + j, ldc);
  if (j < n) tile_product_block<S, rows, 1, zeros>(adds, k, a, a_row, a_column, b + j, ldb, c + j, ldc);
}

template <class S, TileZeros zeros>
inline void tile_product_all(bool adds, Index m, Index n, Index k, const S* a, Index a_row, Index a_column, const S* b,
                             Index ldb, S* c, Index ldc) {
  Index i = 0;
  for (; i + tile_rows <= m; i += tile_rows)
    tile_product_rows<S, tile_rows, zeros>(adds, n, k, a + i * a_row, a_row, a_column, b, ldb, c + i * ldc, ldc);
  if (zeros == TileZeros::multiplied)
    for (; i + 4 <= m; i += 4)
      tile_product_rows<S, 4, zeros>(adds, n, k, a + i * a_row, a_row, a_column, b, ldb, c + i * ldc, ldc);
  for (; i < m; ++i)
    tile_product_rows<S, 1, zeros>(adds, n, k, a + i * a_row, a_row, a_column, b, ldb, c + i * ldc, ldc);
}

/// C = A B, or C += A B if it `adds`.  A(i, l) = a[i a_row + l a_column], any strides;  B: (k, n), C: (m, n), rows of
/// ldb and ldc, n a multiple of `tile_lanes`. Each entry is summed over l in order whatever m, n and `zeros` are.
template <class S>
inline void tile_product(TileZeros zeros, bool adds, Index m, Index n, Index k, const S* a, Index a_row, Index a_column,
                         const S* b, Index ldb, S* c, Index ldc) {
  if (zeros == TileZeros::multiplied)
    tile_product_all<S, TileZeros::multiplied>(adds, m, n, k, a, a_row, a_column, b, ldb, c, ldc);
  else if (zeros == TileZeros::of_a)
    tile_product_all<S, TileZeros::of_a>(adds, m, n, k, a, a_row, a_column, b, ldb, c, ldc);
  else
    tile_product_all<S, TileZeros::of_b>(adds, m, n, k, a, a_row, a_column, b, ldb, c, ldc);
}
template <class S>
constexpr Index tile_lanes = static_cast<Index>(tile_vector_bytes / sizeof(S));

/// `rows` rows of `columns` numbers, all finite?
template <class S>
inline bool all_finite(const S* x, Index rows, Index columns, Index stride) {
  S sum = 0;
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) sum += x[i * stride + j] * S(0);
  return sum == S(0);
}

}  // namespace detail

ATTEND_END_ISA
#endif
