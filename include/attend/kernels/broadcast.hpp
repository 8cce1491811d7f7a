/// Element-wise work on two operands of which each axis is as long as the result's, or 1 and then repeated (NumPy's
/// rule). Axes that behave alike are merged first, so that most cases are one or two flat loops.
#ifndef ATTEND_KERNELS_BROADCAST
#define ATTEND_KERNELS_BROADCAST
#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/arithmetic.hpp"

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

constexpr Index broadcast_grain = 1 << 14;  ///< elements per unit of work

/// f(i, element of a, element of b, elements) for every element i of the result, each once. A single long run is cut in pieces.
template <class F>
void for_each_broadcast(const Broadcast& s, const F& f) {
  const Index n = s.inner(), sa = s.inner_a(), sb = s.inner_b();
  if (s.runs() == 1) {
    parallel_for(n, broadcast_grain, [&](Index begin, Index end) { f(begin, begin * sa, begin * sb, end - begin); });
  } else {
    parallel_for(s.runs(), std::max<Index>(1, broadcast_grain / std::max<Index>(n, 1)), [&](Index begin, Index end) {
      s.for_runs(begin, end, [&](Index run, Index a, Index b) { f(run * n, a, b, n); });
    });
  }
}

/// The same with the operands' roles exchanged.
inline Broadcast exchanged(Broadcast s) {
  std::swap(s.step_a, s.step_b);
  return s;
}

ATTEND_END

#define ATTEND_KERNELS "attend/kernels/broadcast.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_AS(broadcast_forward, broadcast_forward)
ATTEND_DISPATCH_AS(broadcast_backward, broadcast_backward)
ATTEND_COMPILED_KERNEL(detail::broadcast_sum_terms)
ATTEND_DISPATCH(broadcast_sum)
ATTEND_DISPATCH(broadcast_add)
ATTEND_DISPATCH(inner_product)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {

/// y[j] = f(a[j step_a], b[j step_b], more[j]...) on vectors, steps being 0 or 1.
template <class S, class F, class... More>
ATTEND_INLINE void map_runs(Index n, S* y, const F& f, const S* a, Index step_a, const S* b, Index step_b,
                            const More*... more) {
  constexpr Index lanes = simd::lanes<S>;
  S repeated_a[lanes], repeated_b[lanes];
  if (step_a == 0) a = std::fill_n(repeated_a, lanes, *a) - lanes;
  if (step_b == 0) b = std::fill_n(repeated_b, lanes, *b) - lanes;
  for (Index j = 0; j < n; j += lanes, a += step_a * lanes, b += step_b * lanes) {
    const bool whole = n - j >= lanes;
    const auto at = [whole, rest = n - j](const S* p) { return whole ? simd::load(p) : simd::load_part(p, rest); };
    const simd::Vector<S> v = f(at(a), at(b), at(more + j)...);
    if (whole)
      simd::store(y + j, v);
    else
      simd::store_part(y + j, v, n - j);
  }
}

/// The terms of a sum over repeated axes: those of the elements [i, i + n) of the result, ia of what is summed into and
/// ib of the other operand. They lie where `of` says, which may be `place`. (By pointer, so that the summing is compiled
/// once for all of them.)
template <class S>
struct Terms {
  static constexpr Index most = 512;
  const void* self;
  const S* (*of)(const void* self, Index i, Index ia, Index ib, Index n, S* place);
  const S* operator()(Index i, Index ia, Index ib, Index n, S* place) const { return of(self, i, ia, ib, n, place); }
};
/// The elements themselves.
template <class S>
struct PlainTerms {
  static const S* of(const void* self, Index i, Index, Index, Index, S*) { return static_cast<const S*>(self) + i; }
};
/// dy times the derivative of f by a, or by b.
template <bool by_b, class S, class F>
struct DerivativeTerms {
  const F& f;
  const S *a, *b, *dy;
  Index step_a, step_b;
  static const S* of(const void* self, Index i, Index own, Index other, Index n, S* place) {
    const auto& t = *static_cast<const DerivativeTerms*>(self);
    const S *a = t.a + (by_b ? other : own), *b = t.b + (by_b ? own : other), *dy = t.dy + i;
    if constexpr (Formula<F>::exists)
      map_runs(
          n, place,
          [&](const auto& u, const auto& v, const auto& up) {
            return up * (by_b ? Formula<F>::by_b(t.f, u, v) : Formula<F>::by_a(t.f, u, v));
          },
          a, t.step_a, b, t.step_b, dy);
    else
      for (Index j = 0; j < n; ++j) {
        const S u = a[j * t.step_a], v = b[j * t.step_b];
        place[j] = dy[j] * (by_b ? t.f.by_b(u, v) : t.f.by_a(u, v));
      }
    return place;
  }
};

/// da += 1 / divisor times the sum of the terms over the axes where a repeats (without any: the divisor is 1). Sums are
/// taken in double, in an order that depends on the shapes alone.
template <class S>
void broadcast_sum_terms(const Broadcast& s, Index size_a, S* da, const Terms<S>& terms, double divisor) {
  if (s.size == 0) return;
  constexpr Index grain = broadcast_grain, most = Terms<S>::most;
  const Index n = s.inner(), sa = s.inner_a(), sb = s.inner_b();
  if (size_a == s.size) {  // nothing repeats: element i of the result is element i of a
    for_each_broadcast(s, [&](Index i, Index ia, Index ib, Index count) {
      S place[most];
      for (Index j = 0; j < count; j += most) {
        const Index m = std::min(most, count - j);
        simd::map_add(
            m, da + ia + j, [](const auto& v) { return v; }, terms(i + j, ia + j, ib + j * sb, m, place));
      }
    });
    return;
  }
  const auto add_run = [&](Index i, Index ia, Index ib, Index count, double* to) {
    S place[most];
    double sum = 0;
    for (Index j = 0; j < count; j += most) {
      const Index m = std::min(most, count - j);
      const S* x = terms(i + j, ia + j * sa, ib + j * sb, m, place);
      if (sa == 1)
        simd::add_as_doubles(m, x, to + ia + j);
      else
        sum += simd::sum_as_doubles(m, x);
    }
    if (sa == 0) to[ia] += sum;
  };
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
    parallel_for(n, most, [&](Index begin, Index end) {
      S place[most];
      double sums[most] = {};
      for (Index run = 0; run < runs; ++run)
        simd::add_as_doubles(end - begin,
                             terms(run * n + begin, begin, run * s.step_b[0] + begin * sb, end - begin, place), sums);
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
    for (Index k = 1; k < parts; ++k) simd::add_as_doubles(size_a, sums.get() + k * size_a, sums.get());
    for (Index i = 0; i < size_a; ++i) da[i] += S(sums.get()[i] / divisor);
  }
}

}  // namespace detail

/// y = f(a, b)
template <class S, class F>
void broadcast_forward(const Broadcast& s, const F& f, const S* a, const S* b, S* y) {
  const Index sa = s.inner_a(), sb = s.inner_b();
  for_each_broadcast(s, [&, sa, sb](Index i, Index ia, Index ib, Index n) {
    if constexpr (Formula<F>::exists)
      detail::map_runs(
          n, y + i, [&f](const auto& u, const auto& v) { return Formula<F>::value(f, u, v); }, a + ia, sa, b + ib, sb);
    else
      for (Index j = 0; j < n; ++j) y[i + j] = f.value(a[ia + j * sa], b[ib + j * sb]);
  });
}

/// Adds dy f's derivatives into da and db, each of which may be null. a and b may be null where f does not use them.
template <class S, class F>
void broadcast_backward(const Broadcast& s, const F& f, const S* a, const S* b, const S* dy, Index size_a, Index size_b,
                        S* da, S* db) {
  using detail::Terms;
  const S *pa = a ? a : dy, *pb = b ? b : dy;  // dy is as long as either: read, and without effect
  const Index sa = s.inner_a(), sb = s.inner_b();
  const Terms<S> plain{dy, detail::PlainTerms<S>::of};
  if constexpr (F::one_by_a) {
    if (da) detail::broadcast_sum_terms(s, size_a, da, plain, 1);
  } else if (da) {
    const detail::DerivativeTerms<false, S, F> by_a{f, pa, pb, dy, sa, sb};
    detail::broadcast_sum_terms(s, size_a, da, Terms<S>{&by_a, by_a.of}, 1);
  }
  if constexpr (F::one_by_b) {
    if (db) detail::broadcast_sum_terms(exchanged(s), size_b, db, plain, 1);
  } else if (db) {
    const detail::DerivativeTerms<true, S, F> by_b{f, pa, pb, dy, sa, sb};
    detail::broadcast_sum_terms(exchanged(s), size_b, db, Terms<S>{&by_b, by_b.of}, 1);
  }
}

/// da += sum of dy over the axes where a repeats / divisor;  s: a and dy. Sums in double.
template <class S>
void broadcast_sum(const Broadcast& s, Index size_a, const S* dy, S* da, double divisor) {
  detail::broadcast_sum_terms(s, size_a, da, {dy, detail::PlainTerms<S>::of}, divisor);
}

/// y += a / divisor, repeated;  s: a and y
template <class S>
void broadcast_add(const Broadcast& s, double divisor, const S* a, S* y) {
  const Index step = s.inner_a();
  for_each_broadcast(s, [&, step](Index i, Index ia, Index, Index n) {
    const S by = S(divisor);
    if (step == 1)
      simd::map_add(
          n, y + i, [by](const auto& v) { return v / by; }, a + ia);
    else
      simd::map_add(n, y + i, [share = a[ia] / by] { return share; });
  });
}

/// Sum of a_i b_i, in double.
template <class S>
S inner_product(Index n, const S* a, const S* b) {
  S sum = 0;
  const arithmetic::Multiply multiply;
  const detail::DerivativeTerms<false, S, arithmetic::Multiply> products{multiply, a, b, a, 0, 1};
  detail::broadcast_sum_terms(Broadcast(std::array<Index, 1>{1}, std::array<Index, 1>{n}), 1, &sum,
                              detail::Terms<S>{&products, products.of}, 1);
  return sum;
}

ATTEND_END_ISA
#endif
