/// Softmax over the middle axis of (outer, n, inner), forward beside backward. Backward adds.
#ifndef ATTEND_KERNELS_SOFTMAX
#define ATTEND_KERNELS_SOFTMAX
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/math.hpp"

#define ATTEND_KERNELS "attend/kernels/softmax.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(softmax_forward)
ATTEND_DISPATCH(softmax_backward)
ATTEND_DISPATCH(log_softmax_forward)
ATTEND_DISPATCH(log_softmax_backward)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

inline Index softmax_grain(Index n, Index inner) { return std::max<Index>(1, 8192 / std::max<Index>(1, n * inner)); }

/// Calls f(first element, maximum, sum) for each (n, inner) slab, where the maxima and the sums of exp(x - maximum) are
/// (inner). A column of -inf, or with a NaN or +inf, has NaN for its sum.
template <class S, class F>
void softmax_statistics(Index outer, Index n, Index inner, const S* x, const F& f) {
  parallel_for(outer, softmax_grain(n, inner), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(2 * inner);
    S *const top = memory.get(), *const sum = top + inner;
    for (Index o = begin; o < end; ++o) {
      const S* slab = x + o * n * inner;
      std::fill_n(top, inner, -std::numeric_limits<S>::infinity());
      std::fill_n(sum, inner, S(0));
      for (Index j = 0; j < n; ++j)
        for (Index c = 0; c < inner; ++c) top[c] = slab[j * inner + c] > top[c] ? slab[j * inner + c] : top[c];
      for (Index j = 0; j < n; ++j)
        for (Index c = 0; c < inner; ++c) sum[c] += simd::exp(slab[j * inner + c] - top[c]);
      f(o * n * inner, top, sum);
    }
  });
}

/// Element sums of sixteen interleaved lanes, folded by halves.
template <class S, class Term>
S sum_of_row(Index n, const Term& term) {
  S lane[16] = {};
  Index j = 0;
  for (; j + 16 <= n; j += 16)
    for (Index c = 0; c < 16; ++c) lane[c] += term(j + c);
  for (Index c = 0; j < n; ++j, ++c) lane[c] += term(j);
  for (Index half = 8; half > 0; half /= 2)
    for (Index c = 0; c < half; ++c) lane[c] += lane[c + half];
  return lane[0];
}
/// The largest of one contiguous row; a NaN may be passed over: the sum of exponentials tells of it.
template <class S>
S maximum_of_row(Index n, const S* x) {
  S lane[16];
  std::fill_n(lane, 16, -std::numeric_limits<S>::infinity());
  Index j = 0;
  for (; j + 16 <= n; j += 16)
    for (Index c = 0; c < 16; ++c) lane[c] = x[j + c] > lane[c] ? x[j + c] : lane[c];
  for (Index c = 0; j < n; ++j, ++c) lane[c] = x[j] > lane[c] ? x[j] : lane[c];
  for (Index half = 8; half > 0; half /= 2)
    for (Index c = 0; c < half; ++c) lane[c] = lane[c + half] > lane[c] ? lane[c + half] : lane[c];
  return lane[0];
}

}  // namespace detail

/// y_j = exp(x_j) / sum_l exp(x_l).
template <class S>
void softmax_forward(Index outer, Index n, Index inner, const S* x, S* y) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S* from = x + o * n;
        S* to = y + o * n;
        const S top = detail::maximum_of_row(n, from);
        for (Index j = 0; j < n; ++j) to[j] = simd::exp(from[j] - top);
        const S inverse = 1 / detail::sum_of_row<S>(n, [to](Index j) { return to[j]; });
        for (Index j = 0; j < n; ++j) to[j] *= inverse;
      }
    });
  detail::softmax_statistics(outer, n, inner, x, [&](Index at, const S* top, const S* sum) {
    for (Index j = 0; j < n; ++j, at += inner)
      for (Index c = 0; c < inner; ++c) y[at + c] = simd::exp(x[at + c] - top[c]) / sum[c];
  });
}

/// y_j = x_j - log sum_l exp(x_l).
template <class S>
void log_softmax_forward(Index outer, Index n, Index inner, const S* x, S* y) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S* from = x + o * n;
        S* to = y + o * n;
        const S top = detail::maximum_of_row(n, from);
        S e[64], sum = 0;
        for (Index first = 0; first < n; first += 64) {
          const Index count = std::min<Index>(64, n - first);
          for (Index j = 0; j < count; ++j) e[j] = simd::exp(from[first + j] - top);
          sum += detail::sum_of_row<S>(count, [&e](Index j) { return e[j]; });
        }
        const S log_sum = simd::log(sum);
        for (Index j = 0; j < n; ++j) to[j] = (from[j] - top) - log_sum;
      }
    });
  detail::softmax_statistics(outer, n, inner, x, [&](Index at, const S* top, const S* sum) {
    for (Index j = 0; j < n; ++j, at += inner)
      for (Index c = 0; c < inner; ++c) y[at + c] = (x[at + c] - top[c]) - simd::log(sum[c]);
  });
}

/// dx_j += y_j (dy_j - sum_l y_l dy_l); where y_j is zero dy_j takes no part, NaN or not.
template <class S>
void softmax_backward(Index outer, Index n, Index inner, const S* y, const S* dy, S* dx) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S *w = y + o * n, *g = dy + o * n;
        S* to = dx + o * n;
        const S mean =
            detail::sum_of_row<S>(n, [w, g](Index j) { return simd::select(w[j] != S(0), w[j] * g[j], S(0)); });
        for (Index j = 0; j < n; ++j) to[j] += simd::select(w[j] != S(0), w[j] * (g[j] - mean), S(0));
      }
    });
  parallel_for(outer, detail::softmax_grain(n, inner), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(inner);
    S* const mean = memory.get();
    for (Index o = begin; o < end; ++o) {
      std::fill_n(mean, inner, S(0));
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) mean[c] += simd::select(y[at + c] != S(0), y[at + c] * dy[at + c], S(0));
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c)
          dx[at + c] += simd::select(y[at + c] != S(0), y[at + c] * (dy[at + c] - mean[c]), S(0));
    }
  });
}

/// dx_j += dy_j - exp(y_j) sum_l dy_l.
template <class S>
void log_softmax_backward(Index outer, Index n, Index inner, const S* y, const S* dy, S* dx) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S *v = y + o * n, *g = dy + o * n;
        S* to = dx + o * n;
        const S total = detail::sum_of_row<S>(n, [g](Index j) { return g[j]; });
        for (Index j = 0; j < n; ++j) to[j] += g[j] - simd::exp(v[j]) * total;
      }
    });
  parallel_for(outer, detail::softmax_grain(n, inner), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(inner);
    S* const total = memory.get();
    for (Index o = begin; o < end; ++o) {
      std::fill_n(total, inner, S(0));
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) total[c] += dy[at + c];
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) dx[at + c] += dy[at + c] - simd::exp(y[at + c]) * total[c];
    }
  });
}

ATTEND_END_ISA
#endif
