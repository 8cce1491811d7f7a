#pragma once
/// Normalisation of each row of (rows, n) by itself: layer norm, and RMS norm, which leaves the mean. Sums are taken in
/// double in sixteen lanes, two passes: no cancellation however large the mean. A row's result depends on that row
/// alone.
#include <cmath>
#include <vector>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN
namespace row_norm {

enum class Centre { mean, none };  ///< layer norm, RMS norm

namespace detail {
/// term(0) + ... + term(n - 1)
template <class Term>
double sum(Index n, const Term& term) {
  double lane[16] = {};
  Index i = 0;
  for (; i + 16 <= n; i += 16)
    for (Index j = 0; j < 16; ++j) lane[j] += term(i + j);
  for (Index j = 0; i < n; ++i, ++j) lane[j] += term(i);
  for (Index half = 8; half > 0; half /= 2)
    for (Index j = 0; j < half; ++j) lane[j] += lane[j + half];
  return lane[0];
}
inline Index row_grain(Index n) { return std::max<Index>(1, (Index(1) << 14) / std::max<Index>(n, 1)); }
}  // namespace detail

/// y = (x - mean) rstd weight + bias;  weight, bias: (n) or null;  mean, rstd: (rows), the row's own, computed here.
template <class S>
void forward(Centre centre, Index rows, Index n, double eps, const S* x, const S* weight, const S* bias, S* y,
             double* mean, double* rstd) {
  parallel_for(rows, detail::row_grain(n), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const S* v = x + r * n;
      S* to = y + r * n;
      const double count = static_cast<double>(n);
      const double m =
          centre == Centre::none ? 0 : detail::sum(n, [v](Index i) { return static_cast<double>(v[i]); }) / count;
      const double square = detail::sum(n, [v, m](Index i) {
        const double d = static_cast<double>(v[i]) - m;
        return d * d;
      });
      mean[r] = m;
      rstd[r] = 1 / std::sqrt(square / count + eps);
      const S high = S(m), low = S(m - static_cast<double>(high)), scale = S(rstd[r]);
      if (weight && bias) {
        for (Index i = 0; i < n; ++i) to[i] = ((v[i] - high) - low) * scale * weight[i] + bias[i];
      } else if (weight) {
        for (Index i = 0; i < n; ++i) to[i] = ((v[i] - high) - low) * scale * weight[i];
      } else {
        for (Index i = 0; i < n; ++i) to[i] = ((v[i] - high) - low) * scale;
      }
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
    for (Index r = begin; r < end; ++r) {
      const S *v = x + r * n, *g = dy + r * n;
      const S high = S(mean[r]), low = S(mean[r] - static_cast<double>(high)), scale = S(rstd[r]);
      if (sums)
        for (Index i = 0; i < n; ++i) {
          of_weight[i] += static_cast<double>(g[i]) * static_cast<double>(((v[i] - high) - low) * scale);
          of_bias[i] += static_cast<double>(g[i]);
        }
      if (!dx) continue;
      S* d = dx + r * n;
      const auto gradient = [g, weight](Index i) { return static_cast<double>(weight ? g[i] * weight[i] : g[i]); };
      const double count = static_cast<double>(n);
      const S shift = centre == Centre::none ? S(0) : S(detail::sum(n, gradient) / count);
      const S slope =
          S(detail::sum(n, [&](Index i) { return gradient(i) * static_cast<double>(((v[i] - high) - low) * scale); }) /
            count);
      if (weight) {
        for (Index i = 0; i < n; ++i)
          d[i] += scale * (g[i] * weight[i] - shift - ((v[i] - high) - low) * scale * slope);
      } else {
        for (Index i = 0; i < n; ++i) d[i] += scale * (g[i] - shift - ((v[i] - high) - low) * scale * slope);
      }
    }
  });
  for (Index chunk = 0; sums && chunk < chunks; ++chunk) {
    const double* from = partial.get() + chunk * 2 * n;
    if (chunk > 0)
      for (Index i = 0; i < 2 * n; ++i) partial.get()[i] += from[i];
  }
  for (Index i = 0; chunks > 0 && i < n; ++i) {
    if (dweight) dweight[i] += S(partial.get()[i]);
    if (dbias) dbias[i] += S(partial.get()[n + i]);
  }
}

}  // namespace row_norm
ATTEND_END
