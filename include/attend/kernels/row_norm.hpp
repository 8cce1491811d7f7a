/// Normalisation of each row of (rows, n) by itself: layer norm, and RMS norm, which leaves the mean. A row's result
/// depends on that row alone.
#ifndef ATTEND_KERNELS_ROW_NORM
#define ATTEND_KERNELS_ROW_NORM
#include <cmath>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace row_norm {
enum class Centre { mean, none };  ///< layer norm, RMS norm
}  // namespace row_norm
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/row_norm.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(row_norm::forward)
ATTEND_COMPILED_KERNEL(row_norm::backward)
namespace row_norm {
ATTEND_DISPATCH_IN(row_norm, forward)
ATTEND_DISPATCH_IN(row_norm, backward)
}  // namespace row_norm
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace row_norm {
using attend::row_norm::Centre;

namespace detail {

/// f(at) for all vectors of a row, four in a turn of the loop.
template <class S, class F>
ATTEND_INLINE void for_each_of_row(Index n, const F& f) {
  constexpr Index lanes = simd::lanes<S>;
  Index i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
#pragma GCC unroll 4
    for (Index k = 0; k < 4; ++k) f(simd::At<S>{i + k * lanes, lanes});
  for (; i < n; i += lanes) f(simd::At<S>{i, n - i});
}
/// f(sum, at) for all vectors of a row, with four sums by turns; then their sum, in double beyond 64 vectors and over the
/// lanes.
template <class S, class F>
ATTEND_INLINE double sum_of_row(Index n, const F& f) {
  constexpr Index lanes = simd::lanes<S>;
  double total = 0;
  for (Index i = 0; i < n;) {
    const Index end = std::min(n, i + 64 * lanes);
    simd::Vector<S> sums[4] = {};
    for (; i + 4 * lanes <= end; i += 4 * lanes)
#pragma GCC unroll 4
      for (Index k = 0; k < 4; ++k) f(sums[k], simd::At<S>{i + k * lanes, lanes});
    for (; i < end; i += lanes) f(sums[0], simd::At<S>{i, n - i});
    S lane[lanes];
    simd::store(lane, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    total += simd::sum_as_doubles(lanes, static_cast<const S*>(lane));
  }
  return total;
}
inline Index row_grain(Index n) { return std::max<Index>(1, (Index(1) << 14) / std::max<Index>(n, 1)); }

/// The values, or `otherwise` n times.
template <class S>
Shared<const S> values_or(const S* values, Index n, S otherwise) {
  if (values) return {Shared<const S>(), values};
  return make_buffer<S>(n, otherwise);
}

}  // namespace detail

/// y = (x - mean) rstd weight + bias;  weight, bias: (n) or null;  mean, rstd: (rows), the row's own, computed here. With a
/// residual (rows, n), x + residual takes the place of x and is left in `sum`, which may be y.
///
/// The mean is summed of differences to the row's first element, and the variance of differences to the mean, which stays
/// in two parts: nothing cancels however large the mean, in float as well.
template <class S>
void forward(Centre centre, Index rows, Index n, double eps, const S* x, const S* residual, S* sum, const S* weight,
             const S* bias, S* y, double* mean, double* rstd) {
  using V = simd::Vector<S>;
  const auto scales = detail::values_or(weight, n, S(1)), shifts = detail::values_or(bias, n, S(0));
  // Rows that the first cache holds go together through each pass: none waits for the last sum of another.
  constexpr Index most = 8;
  const Index together = std::clamp<Index>(16384 / (static_cast<Index>(sizeof(S)) * std::max<Index>(n, 1)), 1, most),
              grain = (detail::row_grain(n) + together - 1) / together * together;
  parallel_for(rows, grain, [&](Index begin, Index end) {
    const double count = static_cast<double>(n);
    const S *const w = scales.get(), *const b = shifts.get();
    const Index ahead = together * n;  // asked for: the hardware starts anew with each page
    for (Index first = begin; first < end; first += together) {
      const Index last = std::min(end, first + together);
      S high[most], low[most];
      for (Index r = first; r < last; ++r) {
        const S* v = x + r * n;
        if (residual) {
          simd::map(
              n, sum + r * n, [](const auto& a, const auto& added) { return a + added; }, v, residual + r * n);
          v = sum + r * n;
        }
        double m = 0;
        if (centre == Centre::mean) {
          const V one = simd::all<V>(v[0]);
          m = static_cast<double>(v[0]) + detail::sum_of_row<S>(n, [&](V& total, const auto& at) ATTEND_INLINED {
                                            total += at.whole() ? at(v) - one : at(v) - at.part(one);
                                          }) / count;
        }
        mean[r] = m;
        high[r - first] = S(m), low[r - first] = S(m - static_cast<double>(S(m)));
      }
      const S* const from = residual ? sum : x;
      for (Index r = first; r < last; ++r) {
        const S* const v = from + r * n;
        const double squares = detail::sum_of_row<S>(
            n, [&, h = high[r - first], l = low[r - first]](V& total, const auto& at) ATTEND_INLINED {
              V d = (at(v) - h) - l;
              if (!at.whole()) d = at.part(d);
              total = simd::multiply_add(d, d, total);
              __builtin_prefetch(v + ahead + at.i);
            });
        rstd[r] = 1 / std::sqrt(squares / count + eps);
      }
      for (Index r = first; r < last; ++r) {
        const S *const v = from + r * n, h = high[r - first], l = low[r - first], scale = S(rstd[r]);
        S* const to = y + r * n;
        detail::for_each_of_row<S>(n, [&](const auto& at) ATTEND_INLINED {
          at.put(to, simd::multiply_add(((at(v) - h) - l) * scale, at(w), at(b)));
          __builtin_prefetch(to + n + at.i, 1);
        });
      }
    }
  });
}

/// Adds into dx, dweight and dbias, each of which may be null.
template <class S>
void backward(Centre centre, Index rows, Index n, const S* x, const double* mean, const double* rstd, const S* weight,
              const S* dy, Accumulator<S> dx, S* dweight, S* dbias) {
  // at most 64 units of work: each keeps one sum per weight
  const Index grain = std::max(detail::row_grain(n), (rows + 63) / 64),
              chunks = rows > 0 ? (rows + grain - 1) / grain : 0;
  const auto partial = make_buffer<double>(chunks * 2 * n, 0.0);
  const auto scales = detail::values_or(weight, n, S(1));
  parallel_for(rows, grain, [&](Index begin, Index end) {
    constexpr Index lanes = simd::lanes<double>;
    using V = simd::Vector<double>;
    double *of_weight = partial.get() + begin / grain * 2 * n, *of_bias = of_weight + n;
    const S* w = scales.get();
    const double count = static_cast<double>(n);
    for (Index r = begin; r < end; ++r) {
      const S *v = x + r * n, *g = dy + r * n;
      const double m = mean[r], factor = rstd[r];
      V of_gradient[2] = {}, of_product[2] = {};  // of dy w, and of that times x - mean
      const auto add = [&](const auto& at, Index i, int k, V& weights, V& biases) {
        const V up = at(g + i), centred = at(v + i) - m, scaled = up * at(w + i);
        weights = at(of_weight + i) + up * (centred * factor);
        biases = at(of_bias + i) + up;
        of_gradient[k] += scaled;
        of_product[k] += scaled * centred;
      };
      V weights, biases;
      Index i = 0;
      for (int k = 0; i + lanes <= n; i += lanes, k = 1 - k) {
        add(simd::Whole(), i, k, weights, biases);
        simd::store(of_weight + i, weights);
        simd::store(of_bias + i, biases);
      }
      if (i < n) {
        add(simd::Part{n - i}, i, 0, weights, biases);
        simd::store_part(of_weight + i, weights, n - i);
        simd::store_part(of_bias + i, biases, n - i);
      }
      if (!dx) continue;
      const double product = simd::sum_of_lanes(of_product[0] + of_product[1]);
      const S shift = centre == Centre::none ? S(0) : S(simd::sum_of_lanes(of_gradient[0] + of_gradient[1]) / count),
              slope = S(product * factor * factor / count), high = S(m), low = S(m - static_cast<double>(high)),
              scale = S(factor);
      simd::accumulate(
          n, dx + r * n,
          [=](const auto& up, const auto& a, const auto& b) {
            return scale * (up * b - shift - ((a - high) - low) * slope);
          },
          g, v, w);
    }
  });
  for (Index chunk = 1; chunk < chunks; ++chunk)
    simd::map_add(
        2 * n, partial.get(), [](const auto& v) { return v; },
        static_cast<const double*>(partial.get() + chunk * 2 * n));
  for (Index i = 0; chunks > 0 && i < n; ++i) {
    if (dweight) dweight[i] += S(partial.get()[i]);
    if (dbias) dbias[i] += S(partial.get()[n + i]);
  }
}

}  // namespace row_norm
ATTEND_END_ISA
#endif
