#pragma once
/// Products whose left matrix is read out of a feature map: convolution as a matrix product without the matrix.
#include <algorithm>
#include <vector>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN
namespace detail {

/// The matrix G whose row (b, i, j) holds, one tap after another, the `channels` numbers of the source pixel
/// (b, i step_h + offset_h[t], j step_w + offset_w[u]), or zeros where that lies outside. Offsets ascend.
struct Gather {
  Index batch = 0, height = 0, width = 0;  // of the source
  Index channels = 0;                      // read per tap
  Index pixel = 0;                         // numbers from one source pixel to the next
  Index rows_h = 0, rows_w = 0;            // rows of G per sample
  Index step_h = 1, step_w = 1;
  std::vector<Index> offset_h, offset_w;

  Index rows() const { return batch * rows_h * rows_w; }
  Index taps() const { return static_cast<Index>(offset_h.size() * offset_w.size()); }
  Index columns() const { return taps() * channels; }
  /// G is the source itself.
  bool plain() const {
    return taps() == 1 && offset_h[0] == 0 && offset_w[0] == 0 && step_h == 1 && step_w == 1 && rows_h == height &&
           rows_w == width;
  }
  /// The taps of one kernel row lie side by side in memory.
  bool runs() const {
    return pixel == channels && offset_w.back() - offset_w.front() + 1 == static_cast<Index>(offset_w.size());
  }
};

/// A pixel grid inside a feature map: row (b, i, j) is pixel (b, first_h + i step_h, first_w + j step_w).
struct Scatter {
  Index height = 0, width = 0;
  Index pixel = 0;
  Index first_h = 0, first_w = 0;
  Index step_h = 1, step_w = 1;
};

template <class S>
inline void copy_run(const S* from, Index count, S* to) {
  if (count <= 16)
    for (Index i = 0; i < count; ++i) to[i] = from[i];
  else
    std::copy_n(from, count, to);
}

/// Rows [begin, end) of G.
template <class S>
void gather_rows(const Gather& g, const S* source, Index begin, Index end, S* out) {
  const Index taps_w = static_cast<Index>(g.offset_w.size()), run = taps_w * g.channels;
  const bool runs = g.runs();
  Index j = begin % g.rows_w, i = begin / g.rows_w % g.rows_h, b = begin / (g.rows_w * g.rows_h);
  for (Index r = begin; r < end; ++r) {
    for (const Index offset : g.offset_h) {
      const Index h = i * g.step_h + offset;
      if (h < 0 || h >= g.height) {
        std::fill_n(out, run, S(0));
      } else if (const S* line = source + (b * g.height + h) * g.width * g.pixel; runs) {
        const Index w = j * g.step_w + g.offset_w.front();
        const Index low = std::clamp<Index>(-w, 0, taps_w), high = std::clamp<Index>(g.width - w, low, taps_w);
        for (Index k = 0; k < low * g.channels; ++k) out[k] = S(0);
        if (low < high) copy_run(line + (w + low) * g.channels, (high - low) * g.channels, out + low * g.channels);
        for (Index k = high * g.channels; k < run; ++k) out[k] = S(0);
      } else {
        for (Index u = 0; u < taps_w; ++u) {
          const Index w = j * g.step_w + g.offset_w[static_cast<std::size_t>(u)];
          if (w < 0 || w >= g.width)
            std::fill_n(out + u * g.channels, g.channels, S(0));
          else
            copy_run(line + w * g.pixel, g.channels, out + u * g.channels);
        }
      }
      out += run;
    }
    if (++j == g.rows_w) {
      j = 0;
      if (++i == g.rows_h) i = 0, ++b;
    }
  }
}

/// Rows of G that fit the second-level cache together; depends on the layer only.
inline Index gather_block(Index columns) {
  return std::clamp<Index>(Index(65536) / std::max<Index>(columns, 1), 32, 1024);
}

/// The rows (b, i, j) of the target += G B;  B: (g.columns(), n), row-major.
template <class S>
void add_gather_product(const Gather& g, const S* source, const S* b, Index n, const Scatter& to, S* target) {
  const Index k = g.columns(), rows = g.rows(), block = gather_block(k);
  if (k == 0 || n == 0) return;
  const bool contiguous = to.first_h == 0 && to.first_w == 0 && to.step_h == 1 && to.step_w == 1 &&
                          to.height == g.rows_h && to.width == g.rows_w;
  const bool plain = g.plain();
  parallel_for(rows, block, [&](Index begin, Index end) {
    const Index m = end - begin;
    const auto gathered = plain ? nullptr : make_buffer<S>(m * k);
    if (!plain) gather_rows(g, source, begin, end, gathered.get());
    const S* a = plain ? source + begin * g.pixel : gathered.get();
    const Index lda = plain ? g.pixel : k;
    if (contiguous) {
      gemm<S>(Side::plain, Side::plain, m, n, k, 1, a, lda, b, n, 1, target + begin * to.pixel, to.pixel);
      return;
    }
    const auto product = make_buffer<S>(m * n);
    gemm<S>(Side::plain, Side::plain, m, n, k, 1, a, lda, b, n, 0, product.get(), n);
    for (Index r = begin; r < end; ++r) {
      const Index j = r % g.rows_w, i = r / g.rows_w % g.rows_h, sample = r / (g.rows_w * g.rows_h);
      S* pixel = target +
                 ((sample * to.height + to.first_h + i * to.step_h) * to.width + to.first_w + j * to.step_w) * to.pixel;
      const S* values = product.get() + (r - begin) * n;
      for (Index c = 0; c < n; ++c) pixel[c] += values[c];
    }
  });
}

/// product (g.columns(), n) = G^T D, where row r of D is the n numbers at d + r pixel. Sums within fixed units of rows,
/// then over the units in order.
template <class S>
void gather_transposed_product(const Gather& g, const S* source, const S* d, Index pixel, Index n, S* product) {
  const Index k = g.columns(), rows = g.rows(), block = gather_block(k);
  std::fill_n(product, k * n, S(0));
  if (k == 0 || n == 0 || rows == 0) return;
  const Index wanted = std::max<Index>(1024, k * n / 128), unit = (wanted + block - 1) / block * block;
  const Index units = (rows + unit - 1) / unit;
  const auto partial = make_buffer<S>(units * k * n);
  const bool plain = g.plain();
  parallel_for(rows, unit, [&](Index begin, Index end) {
    S* sum = partial.get() + begin / unit * k * n;
    const auto gathered = plain ? nullptr : make_buffer<S>(std::min(block, end - begin) * k);
    for (Index r = begin; r < end; r += block) {
      const Index m = std::min(block, end - r);
      if (!plain) gather_rows(g, source, r, r + m, gathered.get());
      gemm<S>(Side::transposed, Side::plain, k, n, m, 1, plain ? source + r * g.pixel : gathered.get(),
              plain ? g.pixel : k, d + r * pixel, pixel, r == begin ? S(0) : S(1), sum, n);
    }
  });
  parallel_for(k * n, 4096, [&](Index begin, Index end) {
    for (Index u = 0; u < units; ++u) {
      const S* sum = partial.get() + u * k * n;
      for (Index i = begin; i < end; ++i) product[i] += sum[i];
    }
  });
}

}  // namespace detail
ATTEND_END
