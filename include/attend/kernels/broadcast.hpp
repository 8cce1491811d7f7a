#pragma once
/// Element-wise work on two operands of which each axis is as long as the result's, or 1 and then repeated (NumPy's
/// rule). Axes that behave alike are merged first, so that most cases are one or two flat loops.
#include "attend/core/inline.hpp"
#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN

/// How the merged axes step through the result (row-major) and both operands; the last axis steps by 1 or, repeated, by
/// 0.
struct Broadcast {
  static constexpr int most_axes = 8;
  int axes = 0;
  Index size = 1;  ///< of the result
  std::array<Index, most_axes> extent{}, step_a{}, step_b{};

  template <std::size_t R>
  Broadcast(const std::array<Index, R>& a, const std::array<Index, R>& b) {
    static_assert(R <= most_axes, "attend: broadcasting takes up to 8 axes");
    // from the last axis to the first, merging an axis into the one after it where both operands continue their pattern
    Index next_a = 1, next_b = 1;
    for (std::size_t i = R; i-- > 0;) {
      const Index n = a[i] == 1 ? b[i] : a[i];
      size *= n;
      const Index sa = a[i] == 1 ? 0 : next_a, sb = b[i] == 1 ? 0 : next_b;
      next_a *= a[i];
      next_b *= b[i];
      if (n == 1) continue;
      if (axes > 0) {
        const auto inner = static_cast<std::size_t>(axes - 1);
        const auto continues = [&](Index outer, Index step) { return outer == (step == 0 ? 0 : step * extent[inner]); };
        if (continues(sa, step_a[inner]) && continues(sb, step_b[inner])) {
          extent[inner] *= n;
          continue;
        }
      }
      const auto k = static_cast<std::size_t>(axes++);
      extent[k] = n, step_a[k] = sa, step_b[k] = sb;
    }
    if (axes == 0) axes = 1, extent[0] = 1, step_a[0] = step_b[0] = 1;
    std::reverse(extent.begin(), extent.begin() + axes);
    std::reverse(step_a.begin(), step_a.begin() + axes);
    std::reverse(step_b.begin(), step_b.begin() + axes);
  }
  Index inner() const { return extent[static_cast<std::size_t>(axes - 1)]; }
  Index inner_a() const { return step_a[static_cast<std::size_t>(axes - 1)]; }
  Index inner_b() const { return step_b[static_cast<std::size_t>(axes - 1)]; }
  /// Runs along the last axis.
  Index runs() const { return size == 0 ? 0 : size / inner(); }

  /// Calls f(run, offset in a, offset in b) for the runs [begin, end).
  template <class F>
  void for_runs(Index begin, Index end, const F& f) const {
    std::array<Index, most_axes> at{};
    Index a = 0, b = 0, rest = begin;
    for (int k = axes - 2; k >= 0; --k) {
      const auto i = static_cast<std::size_t>(k);
      at[i] = rest % extent[i], rest /= extent[i];
      a += at[i] * step_a[i], b += at[i] * step_b[i];
    }
    for (Index run = begin; run < end; ++run) {
      f(run, a, b);
      for (int k = axes - 2; k >= 0; --k) {
        const auto i = static_cast<std::size_t>(k);
        a += step_a[i], b += step_b[i];
        if (++at[i] < extent[i]) break;
        a -= at[i] * step_a[i], b -= at[i] * step_b[i];
        at[i] = 0;
      }
    }
  }
};

/// f(i, element of a, element of b) for every element i of the result, each once. A single long run is cut in pieces.
template <class F>
void for_each_broadcast(const Broadcast& s, const F& f) {
  constexpr Index grain = 1 << 14;
  const Index n = s.inner(), sa = s.inner_a(), sb = s.inner_b();
  if (s.runs() == 1) {
    parallel_for(n, grain, [&](Index begin, Index end) { f(begin, begin * sa, begin * sb, end - begin); });
  } else {
    parallel_for(s.runs(), std::max<Index>(1, grain / std::max<Index>(n, 1)), [&](Index begin, Index end) {
      s.for_runs(begin, end, [&](Index run, Index a, Index b) { f(run * n, a, b, n); });
    });
  }
}

/// y = f(a, b)
template <class S, class F>
void broadcast_forward(const Broadcast& s, const F& f, const S* a, const S* b, S* y) {
  const Index sa = s.inner_a(), sb = s.inner_b();
  for_each_broadcast(s, [&](Index i, Index ia, Index ib, Index n) {
    const S *pa = a + ia, *pb = b + ib;
    S* to = y + i;
    if (sa == 1 && sb == 1) {
      for (Index j = 0; j < n; ++j) to[j] = f.value(pa[j], pb[j]);
    } else if (sa == 1) {
      const S fixed = *pb;
      for (Index j = 0; j < n; ++j) to[j] = f.value(pa[j], fixed);
    } else {
      const S fixed = *pa;
      for (Index j = 0; j < n; ++j) to[j] = f.value(fixed, pb[j]);
    }
  });
}

/// da += 1 / divisor times the sum over the axes where a repeats (without any: the divisor is 1) of term(i, element of
/// b, element of a), i an element of the result. Sums are taken in double, in an order that depends on the shapes
/// alone.
template <class S, class Term>
void broadcast_reduce(const Broadcast& s, Index size_a, S* da, const Term& term, double divisor = 1) {
  if (s.size == 0) return;
  const Index n = s.inner(), sa = s.inner_a(), sb = s.inner_b();
  if (size_a == s.size) {  // nothing repeats: element i of the result is element i of a
    for_each_broadcast(s, [&](Index i, Index ia, Index ib, Index count) {
      for (Index j = 0; j < count; ++j) da[ia + j] += S(term(i + j, ib + j * sb, ia + j));
    });
    return;
  }
  const auto add_run = [&](Index i, Index ia, Index ib, Index count, double* to) {
    if (sa == 1) {
      for (Index j = 0; j < count; ++j) to[ia + j] += static_cast<double>(term(i + j, ib + j * sb, ia + j));
      return;
    }
    double lane[8] = {};
    Index j = 0;
    for (; j + 8 <= count; j += 8)
      for (Index l = 0; l < 8; ++l) lane[l] += static_cast<double>(term(i + j + l, ib + (j + l) * sb, ia));
    for (Index l = 0; j < count; ++j, ++l) lane[l] += static_cast<double>(term(i + j, ib + j * sb, ia));
    to[ia] += ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
  };
  constexpr Index grain = 1 << 14;
  const Index runs = s.runs();
  if (runs == 1) {  // all of one run into one number
    const Index chunks = (n + grain - 1) / grain;
    const auto sums = make_buffer<double>(chunks, 0.0);
    parallel_for(n, grain, [&](Index begin, Index end) {
      add_run(begin, 0, begin * sb, end - begin, sums.get() + begin / grain);
    });
    for (Index k = 1; k < chunks; ++k) *sums.get() += sums.get()[k];
    *da += S(*sums.get() / divisor);
    return;
  }
  const Index first = s.extent[0], runs_each = runs / first;
  if (s.step_a[0] != 0) {  // each index of the first axis has its own part of a
    const auto sums = make_buffer<double>(size_a, 0.0);
    parallel_for(first, std::max<Index>(1, grain / (runs_each * n)), [&](Index begin, Index end) {
      s.for_runs(begin * runs_each, end * runs_each,
                 [&](Index run, Index ia, Index ib) { add_run(run * n, ia, ib, n, sums.get()); });
      for (Index i = begin * s.step_a[0]; i < end * s.step_a[0]; ++i) da[i] += S(sums.get()[i] / divisor);
    });
  } else if (s.axes == 2 && n >= 4096) {  // a few long runs on top of each other: by columns
    constexpr Index columns = 512;
    parallel_for(n, columns, [&](Index begin, Index end) {
      double sums[columns] = {};
      for (Index run = 0; run < runs; ++run)
        for (Index j = begin; j < end; ++j)
          sums[j - begin] += static_cast<double>(term(run * n + j, run * s.step_b[0] + j * sb, j));
      for (Index j = begin; j < end; ++j) da[j] += S(sums[j - begin] / divisor);
    });
  } else {  // a part of the first axis at a time, at most 16
    const Index part = std::max((first + 15) / 16, std::max<Index>(1, grain / (runs_each * n))),
                parts = (first + part - 1) / part;
    const auto sums = make_buffer<double>(parts * size_a, 0.0);
    parallel_for(first, part, [&](Index begin, Index end) {
      double* to = sums.get() + begin / part * size_a;
      s.for_runs(begin * runs_each, end * runs_each,
                 [&](Index run, Index ia, Index ib) { add_run(run * n, ia, ib, n, to); });
    });
    for (Index k = 1; k < parts; ++k)
      for (Index i = 0; i < size_a; ++i) sums.get()[i] += sums.get()[k * size_a + i];
    for (Index i = 0; i < size_a; ++i) da[i] += S(sums.get()[i] / divisor);
  }
}

/// The same with the operands' roles exchanged.
inline Broadcast exchanged(Broadcast s) {
  std::swap(s.step_a, s.step_b);
  return s;
}

/// Adds dy f's derivatives into da and db, each of which may be null. a and b may be null where f does not use them.
template <class S, class F>
void broadcast_backward(const Broadcast& s, const F& f, const S* a, const S* b, const S* dy, Index size_a, Index size_b,
                        S* da, S* db) {
  const S *pa = a ? a : dy, *pb = b ? b : dy;  // dy is as long as either: read, and without effect
  if (da) broadcast_reduce(s, size_a, da, [=](Index i, Index ib, Index ia) { return dy[i] * f.by_a(pa[ia], pb[ib]); });
  if (db)
    broadcast_reduce(exchanged(s), size_b, db,
                     [=](Index i, Index ia, Index ib) { return dy[i] * f.by_b(pa[ia], pb[ib]); });
}

ATTEND_END
