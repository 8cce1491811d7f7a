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

struct Sums {
  double of_values, of_squares;
};
/// Sums of x - shift and of its square, in double, in 16 lanes and then by halves.
template <class S>
ATTEND_INLINE Sums shifted_sums(Index n, const S* x, double shift) {
  constexpr Index lanes = simd::lanes<double>, vectors = 16 / lanes;
  using V = simd::Vector<double>;
  V values[vectors] = {}, squares[vectors] = {};
  const auto add = [&](const S* p) {
    for (Index k = 0; k < vectors; ++k) {
      const V d = simd::Whole()(p + k * lanes) - shift;
      values[k] += d;
      squares[k] = simd::multiply_add(d, d, squares[k]);
    }
  };
  Index i = 0;
  for (; i + 16 <= n; i += 16) add(x + i);
  if (i < n) {
    S rest[16];
    std::fill(std::copy(x + i, x + n, rest), rest + 16, S(shift));
    add(rest);
  }
  for (Index k = 1; k < vectors; ++k) values[0] += values[k], squares[0] += squares[k];
  return {simd::sum_of_lanes(values[0]), simd::sum_of_lanes(squares[0])};
}
inline Index row_grain(Index n) { return std::max<Index>(1, (Index(1) << 14) / std::max<Index>(n, 1)); }

/// The values, or `otherwise` n times.
template <class S>
std::shared_ptr<const S> values_or(const S* values, Index n, S otherwise) {
  if (values) return {std::shared_ptr<const S>(), values};
  return make_buffer<S>(n, otherwise);
}

}  // namespace detail

/// y = (x - mean) rstd weight + bias;  weight, bias: (n) or null;  mean, rstd: (rows), the row's own, computed here. With a
/// residual (rows, n), x + residual takes the place of x and is left in `sum`, which may be y.
///
/// One pass sums differences to the row's first element in double: the variance is at least their mean square over n, so
/// nothing cancels however large the mean. The mean enters in two parts, so that x - mean is exact in float as well.
template <class S>
void forward(Centre centre, Index rows, Index n, double eps, const S* x, const S* residual, S* sum, const S* weight,
             const S* bias, S* y, double* mean, double* rstd) {
  const auto scales = detail::values_or(weight, n, S(1)), shifts = detail::values_or(bias, n, S(0));
  parallel_for(rows, detail::row_grain(n), [&](Index begin, Index end) {
    const double count = static_cast<double>(n);
    for (Index r = begin; r < end; ++r) {
      const S* v = x + r * n;
      if (residual) {
        simd::map(
            n, sum + r * n, [](const auto& a, const auto& b) { return a + b; }, v, residual + r * n);
        v = sum + r * n;
      }
      const double first = centre == Centre::none ? 0 : static_cast<double>(v[0]);
      const detail::Sums sums = detail::shifted_sums(n, v, first);
      const double difference = centre == Centre::none ? 0 : sums.of_values / count;
      const double m = first + difference;
      mean[r] = m;
      rstd[r] = 1 / std::sqrt(std::max(sums.of_squares - sums.of_values * difference, 0.0) / count + eps);
      const S high = S(m), low = S(m - static_cast<double>(high)), scale = S(rstd[r]);
      simd::map(
          n, y + r * n,
          [=](const auto& a, const auto& w, const auto& b) {
            return simd::multiply_add(((a - high) - low) * scale, w, b);
          },
          v, scales.get(), shifts.get());
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
      simd::map_add(
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
