#pragma once
/// Reductions over any axes, forward beside backward. `s` is Broadcast(shape of the result with extents 1, shape of x).
#include "attend/kernels/broadcast.hpp"

ATTEND_BEGIN

/// y = sum of x over the axes that y lacks / divisor; sums in double.
template <class S>
void reduce_sum(const Broadcast& s, Index size_y, double divisor, const S* x, S* y) {
  std::fill_n(y, size_y, S(0));
  broadcast_reduce(
      s, size_y, y, [x](Index i, Index, Index) { return x[i]; }, divisor);
}

/// dx += dy / divisor, repeated
template <class S>
void reduce_sum_backward(const Broadcast& s, double divisor, const S* dy, S* dx) {
  const Index step = s.inner_a();
  for_each_broadcast(s, [&](Index i, Index iy, Index, Index n) {
    for (Index j = 0; j < n; ++j) dx[i + j] += dy[iy + j * step] / S(divisor);
  });
}

/// y = the largest (sign = 1) or smallest (sign = -1) element and `place` where in x it stands: the first of equals, or
/// the first NaN. No reduced axis may be empty.
template <class S>
void reduce_extreme(const Broadcast& s, int sign, Index size_y, const S* x, S* y, Index* place) {
  if (s.size == 0) return;
  std::fill_n(place, size_y, Index(-1));
  const Index n = s.inner(), step = s.inner_a(), first = s.extent[0], runs_each = s.axes > 1 ? s.runs() / first : 1;
  const auto better = [sign](S candidate, S best) { return sign > 0 ? candidate > best : candidate < best; };
  const auto runs = [&](Index begin, Index end) {
    s.for_runs(begin, end, [&](Index run, Index iy, Index) {
      for (Index j = 0; j < n; ++j) {
        const Index i = run * n + j, to = iy + j * step;
        const S value = x[i];
        if (place[to] < 0 || better(value, y[to]) || (value != value && y[to] == y[to])) y[to] = value, place[to] = i;
      }
    });
  };
  // indices of a first axis that y keeps are independent of each other
  if (s.axes > 1 && s.step_a[0] != 0)
    parallel_for(first, std::max<Index>(1, (Index(1) << 14) / (runs_each * n)),
                 [&](Index begin, Index end) { runs(begin * runs_each, end * runs_each); });
  else
    runs(0, s.runs());
}

/// dx[place] += dy
template <class S>
void reduce_extreme_backward(Index size_y, const Index* place, const S* dy, S* dx) {
  for (Index i = 0; i < size_y; ++i) dx[place[i]] += dy[i];
}

ATTEND_END
