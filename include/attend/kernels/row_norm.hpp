#pragma once
/// Normalisation of each row of (rows, n) by itself: layer norm, and RMS norm, which leaves the mean. Sums are taken in
/// double in sixteen lanes, two passes: no cancellation however large the mean. A row's result depends on that row
/// alone.
#include <cmath>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace row_norm {

enum class Centre { mean, none };  ///< layer norm, RMS norm

namespace detail {
/// Sum of term(at, i) over all i in [0, n); a term is of elements i, i + 1, ... and reads them by at(pointer).
template <class Term>
ATTEND_INLINE double sum(Index n, const Term& term) {
  constexpr Index lanes = simd::lanes<double>, vectors = 16 / lanes;
  simd::Vector<double> sums[vectors] = {};
  Index i = 0, v = 0;
  for (; i + 16 <= n; i += 16)
    for (Index k = 0; k < vectors; ++k) sums[k] += term(simd::Whole(), i + k * lanes);
  for (; i + lanes <= n; i += lanes, ++v) sums[v] += term(simd::Whole(), i);
  double lane[16] = {};
  for (Index k = 0; k < vectors; ++k) simd::store(lane + k * lanes, sums[k]);
  if (i < n) {
    double rest[lanes];
    simd::store(rest, term(simd::Part{n - i}, i));
    for (Index k = 0; k < n - i; ++k) lane[v * lanes + k] += rest[k];
  }
  for (Index half = 8; half > 0; half /= 2)
    for (Index j = 0; j < half; ++j) lane[j] += lane[j + half];
  return lane[0];
}
inline Index row_grain(Index n) { return std::max<Index>(1, (Index(1) << 14) / std::max<Index>(n, 1)); }
}  // namespace detail

/// y = (x - mean) rstd weight + bias;  weight, bias: (n) or null;  mean, rstd: (rows), the row's own, computed here.
/// The mean enters in two parts, so that x - mean is exact in float as well.
template <class S>
void forward(Centre centre, Index rows, Index n, double eps, const S* x, const S* weight, const S* bias, S* y,
             double* mean, double* rstd) {
  parallel_for(rows, detail::row_grain(n), [&](Index begin, Index end) {
    const double count = static_cast<double>(n);
    for (Index r = begin; r < end; ++r) {
      const S* v = x + r * n;
      const double m = centre == Centre::none ? 0 : detail::sum(n, [v](auto at, Index i) { return at(v + i); }) / count;
      const double square = detail::sum(n, [v, m](auto at, Index i) {
        const auto d = at(v + i) - m;
        return d * d;
      });
      mean[r] = m;
      rstd[r] = 1 / std::sqrt(square / count + eps);
      const S high = S(m), low = S(m - static_cast<double>(high)), scale = S(rstd[r]);
      if (weight && bias)
        simd::map(
            n, y + r * n, [=](auto a, auto w, auto b) { return ((a - high) - low) * scale * w + b; }, v, weight, bias);
      else if (weight)
        simd::map(
            n, y + r * n, [=](auto a, auto w) { return ((a - high) - low) * scale * w; }, v, weight);
      else if (bias)
        simd::map(
            n, y + r * n, [=](auto a, auto b) { return ((a - high) - low) * scale + b; }, v, bias);
      else
        simd::map(
            n, y + r * n, [=](auto a) { return ((a - high) - low) * scale; }, v);
    }
  });
}

/// Adds into dx, dweight and dbias, each of which may be null.
template <class S>
void backward(Centre centre, Index rows, Index n, const S* x, const double* mean, const double* rstd, const S* weight,
              const S* dy, S* dx, S* dweight, S* dbias) {
  // at most 64 units of work: each keeps one sum per weight
  const Index grain = std::max(detail::row_grain(n), (rows + 63) / 64),
              chunks = rows > 0 ? (rows + grain - 1) / grain : 0;
  const bool sums = dweight || dbias;
  const auto partial = make_buffer<double>(sums ? chunks * 2 * n : 0, 0.0);
  parallel_for(rows, grain, [&](Index begin, Index end) {
    double *of_weight = sums ? partial.get() + begin / grain * 2 * n : nullptr, *of_bias = of_weight + (sums ? n : 0);
    const double count = static_cast<double>(n);
    for (Index r = begin; r < end; ++r) {
      const S *v = x + r * n, *g = dy + r * n;
      const double m = mean[r], factor = rstd[r];
      const auto add = [&](auto at, Index i) {  // to what row r adds to the parameters' gradients
        const auto up = at(g + i);
        return std::pair(at(of_weight + i) + up * ((at(v + i) - m) * factor), at(of_bias + i) + up);
      };
      constexpr Index lanes = simd::lanes<double>;
      Index i = sums ? 0 : n;
      for (; i + lanes <= n; i += lanes) {
        const auto both = add(simd::Whole(), i);
        simd::store(of_weight + i, both.first);
        simd::store(of_bias + i, both.second);
      }
      if (i < n) {
        const auto both = add(simd::Part{n - i}, i);
        simd::store_part(of_weight + i, both.first, n - i);
        simd::store_part(of_bias + i, both.second, n - i);
      }
      if (!dx) continue;
      const auto gradient = [g, weight](auto at, Index k) { return weight ? at(g + k) * at(weight + k) : at(g + k); };
      const double product = detail::sum(n, [&](auto at, Index k) { return gradient(at, k) * (at(v + k) - m); });
      const S shift = centre == Centre::none ? S(0) : S(detail::sum(n, gradient) / count),
              slope = S(product * factor * factor / count), high = S(m), low = S(m - static_cast<double>(high)),
              scale = S(factor);
      S* d = dx + r * n;
      const S* to = d;
      if (weight)
        simd::map(
            n, d,
            [=](auto t, auto up, auto a, auto w) { return t + scale * (up * w - shift - ((a - high) - low) * slope); },
            to, g, v, weight);
      else
        simd::map(
            n, d, [=](auto t, auto up, auto a) { return t + scale * (up - shift - ((a - high) - low) * slope); }, to, g,
            v);
    }
  });
  for (Index chunk = 1; sums && chunk < chunks; ++chunk) {
    const double* from = partial.get() + chunk * 2 * n;
    for (Index i = 0; i < 2 * n; ++i) partial.get()[i] += from[i];
  }
  for (Index i = 0; chunks > 0 && i < n; ++i) {
    if (dweight) dweight[i] += S(partial.get()[i]);
    if (dbias) dbias[i] += S(partial.get()[n + i]);
  }
}

}  // namespace row_norm
ATTEND_END
