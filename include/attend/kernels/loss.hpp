#pragma once
/// Cross-entropy, binary cross-entropy and squared error over flat memory, forward beside backward. A forward function
/// returns the unscaled sum (in double, in fixed order); a backward function adds `scale` times its derivative. None
/// exponentiates a positive number, so logits of any finite size are safe.
#include <algorithm>
#include <cmath>
#include <limits>

#include "attend/core/shape.hpp"
#include "attend/kernels/chunked_sum.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace loss_kernels {

/// Rows per unit of work: a function of the row's length alone.
inline Index row_grain(Index classes) { return std::max<Index>(1, 8192 / std::max<Index>(1, classes)); }
inline constexpr Index element_grain = 8192;

/// f(vector of x) for all n numbers; the last vector is filled up with -inf, whose exp is 0.
template <class S, class F>
ATTEND_INLINE void for_each_vector(Index n, const S* x, const F& f) {
  Index i = 0;
  for (; i + simd::lanes<S> <= n; i += simd::lanes<S>) f(simd::load(x + i));
  if (i == n) return;
  S rest[simd::lanes<S>];
  std::fill(rest, rest + simd::lanes<S>, -std::numeric_limits<S>::infinity());
  std::copy(x + i, x + n, rest);
  f(simd::load(rest));
}

/// x: (rows, classes).  stats: (rows, 2), the maximum m of each row and log sum_c exp(x_c - m), kept apart because
/// their sum would lose the second behind a large first. A NaN in a row gives NaN.
template <class S>
void log_sum_exp(Index rows, Index classes, const S* x, S* stats) {
  using simd::all;
  using V = simd::Vector<S>;
  parallel_for(rows, row_grain(classes), [=](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      V tops = all<V>(-std::numeric_limits<S>::infinity()), sums = all<V>(S(0));
      for_each_vector(classes, x + r * classes,
                      [&](const V& v) { tops = simd::select((v > tops) | (v != v), v, tops); });
      S top = tops[0], sum = 0;
      for (Index l = 1; l < simd::lanes<S>; ++l) top = tops[l] > top || tops[l] != tops[l] ? tops[l] : top;
      for_each_vector(classes, x + r * classes, [&](const V& v) { sums += simd::exp(v - top); });
      for (Index l = 0; l < simd::lanes<S>; ++l) sum += sums[l];
      stats[2 * r] = top;
      stats[2 * r + 1] = attend::log(sum);
    }
  });
}

/// What the cross-entropies share. `weights`: one per class, or null for ones.
template <class S>
struct CrossEntropy {
  Index rows, classes;
  const S* x;
  const S* stats;
  const S* weights;
  double smoothing;

  S weight(Index c) const { return weights ? weights[c] : S(1); }
  S minus_log_probability(Index r, Index c) const { return stats[2 * r + 1] - (x[r * classes + c] - stats[2 * r]); }
  S probability(Index r, Index c) const { return exp(-minus_log_probability(r, c)); }
  double total_weight() const {
    double sum = 0;
    for (Index c = 0; c < classes; ++c) sum += weight(c);
    return sum;
  }
};

/// Sum over the rows of  (1 - e) w_y nll_y + e / C sum_c w_c nll_c,  nll = -log softmax(x), y the row's label.
/// Rows labelled `ignored` count nothing.
template <class S, class Label>
double cross_entropy_of_labels(const CrossEntropy<S>& f, const Label* labels, Index ignored) {
  return chunked_sum(f.rows, row_grain(f.classes), [&](Index begin, Index end) {
    double sum = 0;
    for (Index r = begin; r < end; ++r) {
      const Index y = static_cast<Index>(labels[r]);
      if (y == ignored) continue;
      sum += (1 - f.smoothing) * f.weight(y) * f.minus_log_probability(r, y);
      if (f.smoothing == 0) continue;
      double smooth = 0;
      for (Index c = 0; c < f.classes; ++c) smooth += f.weight(c) * f.minus_log_probability(r, c);
      sum += f.smoothing / static_cast<double>(f.classes) * smooth;
    }
    return sum;
  });
}
template <class S, class Label>
void cross_entropy_of_labels_backward(const CrossEntropy<S>& f, const Label* labels, Index ignored, S scale, S* dx) {
  const S smooth = S(f.smoothing / static_cast<double>(f.classes)), smooth_all = S(smooth * f.total_weight());
  parallel_for(f.rows, row_grain(f.classes), [&, smooth, smooth_all](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const Index y = static_cast<Index>(labels[r]);
      if (y == ignored) continue;
      const S own = S(1 - f.smoothing) * f.weight(y), all = scale * (own + smooth_all), even = scale * smooth;
      const S top = f.stats[2 * r], log_sum = f.stats[2 * r + 1];
      S* d = dx + r * f.classes;
      const S* row = f.x + r * f.classes;
      const auto softmax = [=](const auto& v) { return all * simd::exp((v - top) - log_sum); };
      if (f.weights)
        simd::map(
            f.classes, d, [=](auto g, auto v, auto w) { return g + (softmax(v) - even * w); }, d, row, f.weights);
      else
        simd::map(
            f.classes, d, [=](auto g, auto v) { return g + (softmax(v) - even); }, d, row);
      d[y] -= scale * own;
    }
  });
}

/// Sum over rows and classes of  w_c q_c nll_c,  q = (1 - e) t + e / C.  A class with q = 0 counts nothing, whatever
/// its logit.
template <class S>
double cross_entropy_of_probabilities(const CrossEntropy<S>& f, const S* targets) {
  const S keep = S(1 - f.smoothing), spread = S(f.smoothing / static_cast<double>(f.classes));
  return chunked_sum(f.rows, row_grain(f.classes), [&](Index begin, Index end) {
    double sum = 0;
    for (Index r = begin; r < end; ++r)
      for (Index c = 0; c < f.classes; ++c) {
        const S q = keep * targets[r * f.classes + c] + spread;
        if (q != S(0)) sum += f.weight(c) * q * f.minus_log_probability(r, c);
      }
    return sum;
  });
}
/// dx or dt may be null.
template <class S>
void cross_entropy_of_probabilities_backward(const CrossEntropy<S>& f, const S* targets, S scale, S* dx, S* dt) {
  const S keep = S(1 - f.smoothing), spread = S(f.smoothing / static_cast<double>(f.classes));
  parallel_for(f.rows, row_grain(f.classes), [&, keep, spread](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const S* t = targets + r * f.classes;
      S all = 0;
      for (Index c = 0; c < f.classes; ++c) all += f.weight(c) * (keep * t[c] + spread);
      for (Index c = 0; c < f.classes; ++c) {
        if (dx) dx[r * f.classes + c] += scale * (f.probability(r, c) * all - f.weight(c) * (keep * t[c] + spread));
        if (dt) dt[r * f.classes + c] += scale * keep * f.weight(c) * f.minus_log_probability(r, c);
      }
    }
  });
}

/// log(1 + e^-x)
template <class S>
S softplus_of_minus(S x) {
  return std::log1p(exp(-std::abs(x))) + std::max(-x, S(0));
}
/// 1 / (1 + e^x)
template <class S>
S sigmoid_of_minus(S x) {
  const S e = exp(-std::abs(x));
  return (x < S(0) ? S(1) : e) / (S(1) + e);
}

/// Element i:  w_i ((1 - t) x + (1 + (p - 1) t) log(1 + e^-x)) with p = positive[i % channels].
/// `positive` and `weights` may be null (ones); weights has an entry per element.
template <class S>
struct BinaryCrossEntropy {
  Index size, channels;
  const S* x;
  const S* positive;
  const S* weights;

  S factor(Index i) const { return weights ? weights[i] : S(1); }
  S extra(Index i) const { return positive ? positive[i % channels] - S(1) : S(0); }
};
template <class S, class Target>
double binary_cross_entropy(const BinaryCrossEntropy<S>& f, const Target* targets) {
  return chunked_sum(f.size, element_grain, [&](Index begin, Index end) {
    double sum = 0;
    for (Index i = begin; i < end; ++i) {
      const S t = static_cast<S>(targets[i]);
      sum += f.factor(i) * ((S(1) - t) * f.x[i] + (S(1) + f.extra(i) * t) * softplus_of_minus(f.x[i]));
    }
    return sum;
  });
}
/// dx or dt may be null.
template <class S, class Target>
void binary_cross_entropy_backward(const BinaryCrossEntropy<S>& f, const Target* targets, S scale, S* dx, S* dt) {
  parallel_for(f.size, element_grain, [&, scale](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const S t = static_cast<S>(targets[i]), by = scale * f.factor(i);
      if (dx) dx[i] += by * ((S(1) - t) - (S(1) + f.extra(i) * t) * sigmoid_of_minus(f.x[i]));
      if (dt) dt[i] += by * (f.extra(i) * softplus_of_minus(f.x[i]) - f.x[i]);
    }
  });
}

/// Sum of (x - t)^2.
template <class S>
double squared_error(Index size, const S* x, const S* t) {
  return chunked_sum(size, element_grain, [=](Index begin, Index end) {
    double sum = 0;
    for (Index i = begin; i < end; ++i) {
      const double difference = static_cast<double>(x[i]) - static_cast<double>(t[i]);
      sum += difference * difference;
    }
    return sum;
  });
}
/// dx or dt may be null.
template <class S>
void squared_error_backward(Index size, const S* x, const S* t, S scale, S* dx, S* dt) {
  parallel_for(size, element_grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const S d = 2 * scale * (x[i] - t[i]);
      if (dx) dx[i] += d;
      if (dt) dt[i] -= d;
    }
  });
}

}  // namespace loss_kernels
ATTEND_END
