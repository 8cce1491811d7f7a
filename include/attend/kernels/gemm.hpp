#pragma once
#include "attend/core/tensor.hpp"

ATTEND_BEGIN

enum class Side { plain, transposed };
enum class Zeros { multiplied, skipped };  // skipped: a zero of A never touches its row of B, NaN or not

/// C = alpha op(A) op(B) + beta C;  op(A): (m, k)  op(B): (k, n)  C: (m, n), row-major with leading dimensions.
template <class S>
void gemm(Side side_a, Side side_b, Index m, Index n, Index k, S alpha, const S* a, Index lda, const S* b, Index ldb, S beta, S* c, Index ldc,
          Zeros zeros = Zeros::multiplied) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) c[i * ldc + j] = beta == S(0) ? S(0) : beta * c[i * ldc + j];
    for (Index l = 0; l < k; ++l) {
      const S factor = alpha * (side_a == Side::plain ? a[i * lda + l] : a[l * lda + i]);
      if (zeros == Zeros::skipped && factor == S(0)) continue;
      for (Index j = 0; j < n; ++j) c[i * ldc + j] += factor * (side_b == Side::plain ? b[l * ldb + j] : b[j * ldb + l]);
    }
  }
}

ATTEND_END
