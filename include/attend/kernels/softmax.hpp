/// Softmax over the middle axis of (outer, n, inner), forward beside backward. Backward adds.
#ifndef ATTEND_KERNELS_SOFTMAX
#define ATTEND_KERNELS_SOFTMAX
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/vector.hpp"

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

/// A row of contiguous numbers, whose last vector is filled up: f(vector, At) with `fill` in the lanes behind the end.
template <class S, class F>
ATTEND_INLINE void for_each_filled(Index n, const S* x, S fill, const F& f) {
  using V = simd::Vector<S>;
  Index i = 0;
  for (; i + simd::lanes<S> <= n; i += simd::lanes<S>) f(simd::load(x + i), simd::At<S>{i, n - i});
  if (i == n) return;
  S rest[simd::lanes<S>];
  std::fill(std::copy(x + i, x + n, rest), rest + simd::lanes<S>, fill);
  f(V(simd::load(rest)), simd::At<S>{i, n - i});
}
/// The largest of one row; a NaN may be passed over: the sum of exponentials tells of it.
template <class S>
ATTEND_INLINE S maximum_of_row(Index n, const S* x) {
  using V = simd::Vector<S>;
  constexpr S lowest = -std::numeric_limits<S>::infinity();
  V top[4];
  for (V& t : top) t = simd::all<V>(lowest);
  Index i = 0;
  for (; i + 4 * simd::lanes<S> <= n; i += 4 * simd::lanes<S>)
    for (int k = 0; k < 4; ++k) {
      const V v = simd::load(x + i + k * simd::lanes<S>);
      top[k] = v > top[k] ? v : top[k];
    }
  for_each_filled(n - i, x + i, lowest, [&](const V& v, const auto&) { top[0] = v > top[0] ? v : top[0]; });
  for (int k = 1; k < 4; ++k) top[0] = top[k] > top[0] ? top[k] : top[0];
  S lane[simd::lanes<S>], best = lowest;
  simd::store(lane, top[0]);
  for (const S v : lane) best = v > best ? v : best;
  return best;
}

/// Sum of f(vector, At) over a row as above, a few vectors at a time: the error hardly grows with n.
template <class S, class F>
ATTEND_INLINE S sum_of_row(Index n, const S* x, S fill, const F& f) {
  simd::Vector<S> total{}, part{};
  for_each_filled(n, x, fill, [&](const auto& v, const auto& at) {
    if (at.i % (32 * simd::lanes<S>) == 0) {
      total += part;
      part = simd::Vector<S>{};
    }
    part += f(v, at);
  });
  return simd::sum_of_lanes(total + part);
}

constexpr Index softmax_columns = 256;
/// Calls f(first element of a slab's block of columns, columns) for all slabs (n, inner), softmax_columns at most.
template <class F>
void for_each_columns(Index outer, Index n, Index inner, const F& f) {
  parallel_for(outer, softmax_grain(n, inner), [&](Index begin, Index end) {
    for (Index o = begin; o < end; ++o)
      for (Index c = 0; c < inner; c += softmax_columns) f(o * n * inner + c, std::min(softmax_columns, inner - c));
  });
}
/// The maximum of each column and the sum of exp(x - maximum). A column of -inf, or with a NaN or +inf, has NaN for its
/// sum.
template <class S>
void column_statistics(Index n, Index inner, Index columns, const S* x, S* top, S* sum) {
  std::fill_n(top, columns, -std::numeric_limits<S>::infinity());
  std::fill_n(sum, columns, S(0));
  const S* const highest = top;
  for (Index j = 0; j < n; ++j)
    simd::map(
        columns, top, [](const auto& t, const auto& v) { return v > t ? v : t; }, highest, x + j * inner);
  for (Index j = 0; j < n; ++j)
    simd::map_add(
        columns, sum, [](const auto& t, const auto& v) { return simd::exp_nonpositive(v - t); }, highest,
        x + j * inner);
}

/// The exponentials of a row into `to`, and their sum; meanwhile beside(At) for each vector.
template <class S, class F>
ATTEND_INLINE S exponentials_of_row(Index n, const S* x, S* to, const F& beside) {
  const S top = maximum_of_row(n, x);
  // behind the end stands what exp makes 0
  return sum_of_row(n, x, -std::numeric_limits<S>::infinity(), [&](const auto& v, const auto& at) {
    const simd::Vector<S> e = simd::exp_nonpositive(v - top);
    at.put(to, e);
    __builtin_prefetch(x + n + at.i);  // the next row: the hardware starts anew with each page
    beside(at);
    return e;
  });
}

/// Rows [begin, end) past the caches: while the exponentials of a row are made, the row before, which waits beside y, is
/// divided and written, so that memory is busy all the time.
template <class S>
void softmax_rows_far(Index begin, Index end, Index n, const S* x, S* y) {
  constexpr Index lanes = simd::lanes<S>;
  const auto both = make_buffer<S>(2 * n);
  S *made = both.get(), *before = both.get() + n;
  S inverse = 0;
  const auto times = [](S factor) { return [factor](const auto& e) { return e * factor; }; };
  for (Index o = begin; o < end; ++o, std::swap(made, before)) {
    const auto divided = times(inverse);
    S* const to = o > begin ? y + (o - 1) * n : nullptr;
    const Index first = to ? simd::before_aligned(to, n) : n;  // from here on by whole vectors
    const S sum = exponentials_of_row(n, x + o * n, made, [&](const auto& at) {
      if (const Index i = first + at.i; i + lanes <= n) simd::stream(to + i, divided(simd::load(before + i)));
    });
    if (to) {
      const Index last = first + (n - first) / lanes * lanes;
      simd::map(first, to, divided, static_cast<const S*>(before));
      simd::map(n - last, to + last, divided, static_cast<const S*>(before + last));
    }
    inverse = 1 / sum;
  }
  simd::map_far(n, y + (end - 1) * n, times(inverse), static_cast<const S*>(before));
  simd::end_stream();
}

}  // namespace detail

/// y_j = exp(x_j) / sum_l exp(x_l).
template <class S>
void softmax_forward(Index outer, Index n, Index inner, const S* x, S* y) {
  if (inner == 1) {
    const Index row = n * static_cast<Index>(sizeof(S));
    if (outer * row >= simd::far_bytes && n <= 32768)  // a large page at a time
      return parallel_for(outer, std::max(detail::softmax_grain(n, 1), (Index(1) << 21) / row),
                          [&](Index begin, Index end) { detail::softmax_rows_far(begin, end, n, x, y); });
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        S* const to = y + o * n;
        const S sum = detail::exponentials_of_row(n, x + o * n, to, [](const auto&) {});
        simd::map(
            n, to, [inverse = 1 / sum](const auto& e) { return e * inverse; }, static_cast<const S*>(to));
      }
    });
  }
  detail::for_each_columns(outer, n, inner, [&](Index first, Index columns) {
    S top[detail::softmax_columns], sum[detail::softmax_columns];
    detail::column_statistics(n, inner, columns, x + first, top, sum);
    for (Index j = 0; j < n; ++j)
      simd::map(
          columns, y + first + j * inner,
          [](const auto& v, const auto& t, const auto& s) { return simd::exp_nonpositive(v - t) / s; },
          x + first + j * inner, static_cast<const S*>(top), static_cast<const S*>(sum));
  });
}

/// y_j = x_j - log sum_l exp(x_l).
template <class S>
void log_softmax_forward(Index outer, Index n, Index inner, const S* x, S* y) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S* from = x + o * n;
        const S top = detail::maximum_of_row(n, from);
        const S sum = detail::sum_of_row(n, from, -std::numeric_limits<S>::infinity(),
                                         [&](const auto& v, const auto&) { return simd::exp_nonpositive(v - top); });
        simd::map(
            n, y + o * n, [top, log_sum = simd::log(sum)](const auto& v) { return (v - top) - log_sum; }, from);
      }
    });
  detail::for_each_columns(outer, n, inner, [&](Index first, Index columns) {
    S top[detail::softmax_columns], sum[detail::softmax_columns];
    detail::column_statistics(n, inner, columns, x + first, top, sum);
    simd::map(
        columns, sum, [](const auto& s) { return simd::log(s); }, static_cast<const S*>(sum));
    for (Index j = 0; j < n; ++j)
      simd::map(
          columns, y + first + j * inner, [](const auto& v, const auto& t, const auto& s) { return (v - t) - s; },
          x + first + j * inner, static_cast<const S*>(top), static_cast<const S*>(sum));
  });
}

namespace detail {
/// a b where a is not zero: a weight of zero lets nothing through, NaN or not.
template <class V>
ATTEND_INLINE V seen(V a, V b) {
  return simd::select(a != simd::Scalar<V>(0), a * b, simd::all<V>(0));
}
}  // namespace detail

/// dx_j += y_j (dy_j - sum_l y_l dy_l); where y_j is zero dy_j takes no part, NaN or not.
template <class S>
void softmax_backward(Index outer, Index n, Index inner, const S* y, const S* dy, S* dx) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S *w = y + o * n, *g = dy + o * n;
        const S mean =
            detail::sum_of_row(n, w, S(0), [&](const auto& a, const auto& at) { return detail::seen(a, at(g)); });
        simd::map_add(
            n, dx + o * n, [mean](const auto& a, const auto& b) { return detail::seen(a, b - mean); }, w, g);
      }
    });
  detail::for_each_columns(outer, n, inner, [&](Index first, Index columns) {
    S mean[detail::softmax_columns] = {};
    for (Index j = 0; j < n; ++j)
      simd::map_add(
          columns, mean, [](const auto& a, const auto& b) { return detail::seen(a, b); }, y + first + j * inner,
          dy + first + j * inner);
    for (Index j = 0; j < n; ++j)
      simd::map_add(
          columns, dx + first + j * inner,
          [](const auto& a, const auto& b, const auto& m) { return detail::seen(a, b - m); }, y + first + j * inner,
          dy + first + j * inner, static_cast<const S*>(mean));
  });
}

/// dx_j += dy_j - exp(y_j) sum_l dy_l.
template <class S>
void log_softmax_backward(Index outer, Index n, Index inner, const S* y, const S* dy, S* dx) {
  if (inner == 1)
    return parallel_for(outer, detail::softmax_grain(n, 1), [&](Index begin, Index end) {
      for (Index o = begin; o < end; ++o) {
        const S *v = y + o * n, *g = dy + o * n;
        const S total = detail::sum_of_row(n, g, S(0), [](const auto& up, const auto&) { return up; });
        simd::map_add(
            n, dx + o * n, [total](const auto& a, const auto& b) { return b - simd::exp_nonpositive(a) * total; }, v,
            g);
      }
    });
  detail::for_each_columns(outer, n, inner, [&](Index first, Index columns) {
    S total[detail::softmax_columns] = {};
    for (Index j = 0; j < n; ++j)
      simd::map_add(
          columns, total, [](const auto& up) { return up; }, dy + first + j * inner);
    for (Index j = 0; j < n; ++j)
      simd::map_add(
          columns, dx + first + j * inner,
          [](const auto& a, const auto& b, const auto& t) { return b - simd::exp_nonpositive(a) * t; },
          y + first + j * inner, dy + first + j * inner, static_cast<const S*>(total));
  });
}

ATTEND_END_ISA
#endif
