#pragma once
/// Softmax over the middle axis of (outer, n, inner), forward beside backward. Backward adds.
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN
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
        for (Index c = 0; c < inner; ++c) sum[c] += attend::exp(slab[j * inner + c] - top[c]);
      f(o * n * inner, top, sum);
    }
  });
}

/// For one contiguous row of length n: its maximum and the sum of exp(x - maximum), in eight partial sums.
template <class S>
void softmax_row_statistics(Index n, const S* x, S& top, S& sum) {
  constexpr Index lanes = 16;
  S tops[lanes], sums[lanes] = {};
  std::fill_n(tops, lanes, -std::numeric_limits<S>::infinity());
  Index j = 0;
  for (; j + lanes <= n; j += lanes)
    for (Index c = 0; c < lanes; ++c) tops[c] = x[j + c] > tops[c] ? x[j + c] : tops[c];
  for (; j < n; ++j) tops[j % lanes] = x[j] > tops[j % lanes] ? x[j] : tops[j % lanes];
  top = *std::max_element(tops, tops + lanes);
  for (j = 0; j + lanes <= n; j += lanes)
    for (Index c = 0; c < lanes; ++c) sums[c] += attend::exp(x[j + c] - top);
  for (; j < n; ++j) sums[j % lanes] += attend::exp(x[j] - top);
  sum = 0;
  for (S s : sums) sum += s;
}

}  // namespace detail

/// y_j = exp(x_j) / sum_l exp(x_l).
template <class S>
void softmax_forward(Index outer, Index n, Index inner, const S* x, S* y) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        S top, sum;
        detail::softmax_row_statistics(n, x + o * n, top, sum);
        const S inverse = 1 / sum;
        for (Index j = o * n; j < (o + 1) * n; ++j) y[j] = attend::exp(x[j] - top) * inverse;
      }
    });
  detail::softmax_statistics(outer, n, inner, x, [&](Index at, const S* top, const S* sum) {
    for (Index j = 0; j < n; ++j, at += inner)
      for (Index c = 0; c < inner; ++c) y[at + c] = attend::exp(x[at + c] - top[c]) / sum[c];
  });
}

/// y_j = x_j - log sum_l exp(x_l).
template <class S>
void log_softmax_forward(Index outer, Index n, Index inner, const S* x, S* y) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        S top, sum;
        detail::softmax_row_statistics(n, x + o * n, top, sum);
        const S log_sum = attend::log(sum);
        for (Index j = o * n; j < (o + 1) * n; ++j) y[j] = (x[j] - top) - log_sum;
      }
    });
  detail::softmax_statistics(outer, n, inner, x, [&](Index at, const S* top, const S* sum) {
    for (Index j = 0; j < n; ++j, at += inner)
      for (Index c = 0; c < inner; ++c) y[at + c] = (x[at + c] - top[c]) - attend::log(sum[c]);
  });
}

/// dx_j += y_j (dy_j - sum_l y_l dy_l); where y_j is zero dy_j takes no part, NaN or not.
template <class S>
void softmax_backward(Index outer, Index n, Index inner, const S* y, const S* dy, S* dx) {
  parallel_for(outer, detail::softmax_grain(n, inner), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(inner);
    S* const mean = memory.get();
    for (Index o = begin; o < end; ++o) {
      std::fill_n(mean, inner, S(0));
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) mean[c] += y[at + c] != S(0) ? y[at + c] * dy[at + c] : S(0);
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) dx[at + c] += y[at + c] != S(0) ? y[at + c] * (dy[at + c] - mean[c]) : S(0);
    }
  });
}

/// dx_j += dy_j - exp(y_j) sum_l dy_l.
template <class S>
void log_softmax_backward(Index outer, Index n, Index inner, const S* y, const S* dy, S* dx) {
  parallel_for(outer, detail::softmax_grain(n, inner), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(inner);
    S* const total = memory.get();
    for (Index o = begin; o < end; ++o) {
      std::fill_n(total, inner, S(0));
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) total[c] += dy[at + c];
      for (Index j = 0, at = o * n * inner; j < n; ++j, at += inner)
        for (Index c = 0; c < inner; ++c) dx[at + c] += dy[at + c] - attend::exp(y[at + c]) * total[c];
    }
  });
}

ATTEND_END
