/// The one matrix product of the library. Every element of C has the same bits wherever it lies in the matrix, whatever
/// m, n and the number of threads: a row alone gives what it gives in a batch. Products of a few million operations use
/// the threads.
///
/// For weights packed once and for A made on the fly see kernels/gemm_packed.hpp; tiles and instructions:
/// kernels/gemm_tile.hpp.
#pragma once
#include "attend/kernels/finite.hpp"
#include "attend/kernels/gemm_packed.hpp"

ATTEND_BEGIN
enum class Zeros { multiplied, skipped };  // skipped: a zero of A never touches its row of B, NaN or not

template <class S>
void gemm(Side, Side, Index, Index, Index, S, const S*, Index, const S*, Index, S, S*, Index,
          Zeros = Zeros::multiplied);

namespace detail {

/// A result of fewer columns than half a vector, as its transpose: the same sums, a vector of rows at a time.
template <class S>
void gemm_narrow(Side side_a, Side side_b, Index m, Index n, Index k, S alpha, const S* a, Index lda, const S* b,
                 Index ldb, S beta, S* c, Index ldc) {
  const auto other = [](Side side) { return side == Side::plain ? Side::transposed : Side::plain; };
  constexpr Index rows = 512;
  parallel_for(m, m * n * k < 200000 ? m : rows, [&](Index first, Index last) {
    const Scratch<S> scratch(n * rows);
    for (Index row = first; row < last; row += rows) {
      const Index count = std::min(rows, last - row);
      S* t = scratch.get();
      if (beta != S(0))
        for (Index j = 0; j < n; ++j)
          for (Index i = 0; i < count; ++i) t[j * count + i] = c[(row + i) * ldc + j];
      gemm<S>(other(side_b), other(side_a), n, count, k, alpha, b, ldb, a + (side_a == Side::plain ? row * lda : row),
              lda, beta, t, count);
      for (Index i = 0; i < count; ++i)
        for (Index j = 0; j < n; ++j) c[(row + i) * ldc + j] = t[j * count + i];
    }
  });
}

/// Few rows times a large transposed B: each strip of it is packed and multiplied while it lies in the cache.
template <class S>
void gemm_by_strips(Side side_a, Index m, Index n, Index k, S alpha, const S* a, Index lda, const S* b, Index ldb,
                    S beta, S* c, Index ldc, Zeros zeros) {
  const Index widest = gemm_kernels<S>()->widest(), strips = (n + widest - 1) / widest;
  parallel_for(strips, n * k > 250000 ? 1 : strips, [&](Index begin, Index end) {
    for (Index col = begin * widest; col < std::min(n, end * widest); col += widest)
      gemm<S>(side_a, Side::transposed, m, std::min(n - col, widest), k, alpha, a, lda, b + col * ldb, ldb, beta,
              c + col, ldc, zeros);
  });
}

}  // namespace detail

/// C = alpha op(A) op(B) + beta C with op(A): (m, k)  op(B): (k, n)  C: (m, n), row-major with leading dimensions. beta = 0
/// ignores what C holds, alpha = 0 what A and B hold. C overlaps neither.
template <class S>
void gemm(Side side_a, Side side_b, Index m, Index n, Index k, S alpha, const S* a, Index lda, const S* b, Index ldb,
          S beta, S* c, Index ldc, Zeros zeros) {
  if (m <= 0 || n <= 0) return;
  if (alpha == S(0)) k = 0;
  const auto& kernels = *gemm_kernels<S>();
  const Index lanes = kernels.lanes;
  if (2 * n <= lanes && m >= 2 * lanes && k > 0 && zeros == Zeros::multiplied)
    return detail::gemm_narrow(side_a, side_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  if (side_b == Side::transposed && m <= 3 * kernels.tile_rows && n > kernels.widest() && n * k > 65536)
    return detail::gemm_by_strips(side_a, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, zeros);
  detail::Strips<S> strips;
  if (side_b == Side::plain && m <= 3 * kernels.tile_rows) {  // too few rows to earn back the packing
    strips.plain = b;
    strips.ld = ldb;
    const Index last = n - n / lanes * lanes;  // of the strip that is not whole
    if (last == 0)
      strips.in_place_cols = n;
    else {
      Index col = 0, all = kernels.padded(n) / lanes;
      while (true) {
        const int vectors = detail::strip_vectors(all - col / lanes);
        if (col + vectors * lanes > n) break;
        col += vectors * lanes;
      }
      strips.in_place_cols = col;
    }
  }
  strips.packed_cols = kernels.padded(n - strips.in_place_cols);
  const detail::Scratch<S> packed(k * strips.packed_cols);
  if (k > 0 && strips.packed_cols > 0)
    detail::pack_columns(kernels, side_b, k, strips.in_place_cols, n, b, ldb, packed.get());
  strips.packed = packed.get();
  const auto nothing_to_skip = [&] {  // whichever is the smaller matrix tells it sooner
    const bool plain_a = side_a == Side::plain, plain_b = side_b == Side::plain;
    return (m < n && !detail::any_zero(a, plain_a ? m : k, plain_a ? k : m, lda)) ||
           detail::all_finite(b, plain_b ? k : n, plain_b ? n : k, ldb);
  };
  const bool skips = zeros == Zeros::skipped && k > 0 && !nothing_to_skip();
  const PlainRows<S> plain{a, lda};
  const TransposedRows<S> transposed{a, lda};
  detail::multiply<S>({kernels, m, n, k, alpha,
                       side_a == Side::plain ? detail::any_rows<S>(plain) : detail::any_rows<S>(transposed), strips,
                       beta, c, ldc, GemmEpilogue<S>(), skips});
}

ATTEND_COMPILED_TEMPLATE(gemm)
ATTEND_END
