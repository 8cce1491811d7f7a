/// The largest or smallest over any axes, forward beside backward. `s` is Broadcast(shape of the result with extents 1,
/// shape of x). (Sums: broadcast_sum.)
#ifndef ATTEND_KERNELS_REDUCTION
#define ATTEND_KERNELS_REDUCTION
#include "attend/kernels/broadcast.hpp"

#define ATTEND_KERNELS "attend/kernels/reduction.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(reduce_extreme)

/// dx[place] += dy
template <class S>
void reduce_extreme_backward(Index size_y, const Index* place, const S* dy, S* dx) {
  for (Index i = 0; i < size_y; ++i) dx[place[i]] += dy[i];
}
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// y = the largest (sign = 1) or smallest (sign = -1) element and `place` where in x it stands: the first of equals, or
/// the first NaN. No reduced axis may be empty.
template <class S>
void reduce_extreme(const Broadcast& s, int sign, Index size_y, const S* x, S* y, Index* place) {
  if (s.size == 0) return;
  constexpr Index lanes = simd::lanes<S>;
  std::fill_n(place, size_y, Index(-1));
  const Index n = s.inner(), step = s.inner_a(), first = s.extent[0], runs_each = s.axes > 1 ? s.runs() / first : 1;
  const auto better = [way = S(sign)](const auto& candidate, const auto& best) {
    return (candidate * way > best * way) | ((candidate != candidate) & (best == best));
  };
  const auto runs = [&](Index begin, Index end) {
    s.for_runs(begin, end, [&](Index run, Index iy, Index) {
      for (Index j = 0; j < n; j += lanes) {
        const Index count = std::min(lanes, n - j), i = run * n + j, to = iy + j * step;
        if (count == lanes && place[to] >= 0) {  // after the first few, most elements beat nothing
          const simd::Vector<S> v = simd::load(x + i),
                                best = step == 1 ? simd::load(y + to) : simd::all<simd::Vector<S> >(y[to]);
          if (!simd::any(better(v, best))) continue;
        }
        for (Index k = 0; k < count; ++k) {
          const S value = x[i + k];
          S& best = y[to + k * step];
          Index& at = place[to + k * step];
          if (at < 0 || better(value, best)) best = value, at = i + k;
        }
      }
    });
  };
  // indices of a first axis that y keeps are independent of each other
  if (s.axes > 1 && s.step_a[0] != 0)
    parallel_for(first, std::max<Index>(1, broadcast_grain / (runs_each * n)),
                 [&](Index begin, Index end) { runs(begin * runs_each, end * runs_each); });
  else
    runs(0, s.runs());
}

ATTEND_END_ISA
#endif
