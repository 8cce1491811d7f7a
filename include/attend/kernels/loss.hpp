/// Cross-entropy, binary cross-entropy and squared error over flat memory, forward beside backward. A forward function
/// returns the unscaled sum (in double, in fixed order); a backward function adds `scale` times its derivative. None
/// exponentiates a positive number, so logits of any finite size are safe.
#ifndef ATTEND_KERNELS_LOSS
#define ATTEND_KERNELS_LOSS
#include <algorithm>
#include <cmath>
#include <limits>

#include "attend/core/shape.hpp"
#include "attend/kernels/chunked_sum.hpp"
#include "attend/kernels/softmax.hpp"

ATTEND_BEGIN
namespace loss_kernels {

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
  double total_weight() const {
    double sum = 0;
    for (Index c = 0; c < classes; ++c) sum += weight(c);
    return sum;
  }
};

/// Element i:  w_i ((1 - t) x + (1 + (p - 1) t) log(1 + e^-x)) with p = positive[i % channels].
/// `positive` and `weights` may be null (ones); weights has an entry per element.
template <class S>
struct BinaryCrossEntropy {
  Index size, channels;
  const S* x;
  const S* positive;
  const S* weights;
};

}  // namespace loss_kernels
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/loss.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(loss_kernels::log_sum_exp)
ATTEND_COMPILED_KERNEL(loss_kernels::cross_entropy_of_probabilities)
ATTEND_COMPILED_KERNEL(loss_kernels::cross_entropy_of_probabilities_backward)
ATTEND_COMPILED_KERNEL(loss_kernels::squared_error)
ATTEND_COMPILED_KERNEL(loss_kernels::squared_error_backward)
namespace loss_kernels {
ATTEND_DISPATCH_IN(loss_kernels, log_sum_exp)
ATTEND_DISPATCH_IN(loss_kernels, cross_entropy_of_labels)
ATTEND_DISPATCH_IN(loss_kernels, cross_entropy_of_labels_backward)
ATTEND_DISPATCH_IN(loss_kernels, cross_entropy_of_probabilities)
ATTEND_DISPATCH_IN(loss_kernels, cross_entropy_of_probabilities_backward)
ATTEND_DISPATCH_IN(loss_kernels, binary_cross_entropy)
ATTEND_DISPATCH_IN(loss_kernels, binary_cross_entropy_backward)
ATTEND_DISPATCH_IN(loss_kernels, squared_error)
ATTEND_DISPATCH_IN(loss_kernels, squared_error_backward)
}  // namespace loss_kernels
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace loss_kernels {
using attend::loss_kernels::BinaryCrossEntropy;
using attend::loss_kernels::CrossEntropy;

/// Rows per unit of work: a function of the row's length alone.
inline Index row_grain(Index classes) { return std::max<Index>(1, 8192 / std::max<Index>(1, classes)); }
constexpr Index element_grain = 8192, block = 512;

/// x: (rows, classes).  stats: (rows, 2), the maximum m of each row and log sum_c exp(x_c - m), kept apart because
/// their sum would lose the second behind a large first. A NaN in a row gives NaN.
template <class S>
void log_sum_exp(Index rows, Index classes, const S* x, S* stats) {
  parallel_for(rows, row_grain(classes), [=](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const S* row = x + r * classes;
      const S top = detail::maximum_of_row(classes, row);
      stats[2 * r] = top;
      stats[2 * r + 1] =
          simd::log(detail::sum_of_row(classes, row, -std::numeric_limits<S>::infinity(),
                                       [&](const auto& v, const auto&) { return simd::exp_nonpositive(v - top); }));
    }
  });
}

/// Sum over the classes of row r of term(nll, weight, At), -log softmax and the class's weight. In double.
template <class S, class Term>
ATTEND_INLINE double sum_over_classes(const CrossEntropy<S>& f, Index r, const Term& term) {
  using V = simd::Vector<S>;
  const S *row = f.x + r * f.classes, top = f.stats[2 * r], log_sum = f.stats[2 * r + 1];
  S place[block];
  double sum = 0;
  for (Index first = 0; first < f.classes; first += block) {
    const Index n = std::min(block, f.classes - first);
    simd::for_each_vector<S>(n, [&](const auto& to) {
      const simd::At<S> at{first + to.i, to.left};
      const V weight = f.weights ? at(f.weights) : simd::all<V>(1), nll = log_sum - (at(row) - top);
      to.put(place, term(nll, weight, at));
    });
    sum += simd::sum_as_doubles(n, place);
  }
  return sum;
}

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
      const double smooth = sum_over_classes(f, r, [](const auto& nll, const auto& w, const auto&) { return w * nll; });
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
      sum += sum_over_classes(f, r, [&](const auto& nll, const auto& w, const auto& at) {
        const simd::Vector<S> q = keep * at(targets + r * f.classes) + spread;
        return simd::select(q != S(0), w * q * nll, simd::Vector<S>{});
      });
    return sum;
  });
}
/// dx or dt may be null.
template <class S>
void cross_entropy_of_probabilities_backward(const CrossEntropy<S>& f, const S* targets, S scale, S* dx, S* dt) {
  using V = simd::Vector<S>;
  const S keep = S(1 - f.smoothing), spread = S(f.smoothing / static_cast<double>(f.classes));
  parallel_for(f.rows, row_grain(f.classes), [&, keep, spread](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const S *t = targets + r * f.classes, *row = f.x + r * f.classes, top = f.stats[2 * r],
              log_sum = f.stats[2 * r + 1];
      const auto wanted = [&](const auto& at) -> V {
        const V q = keep * at(t) + spread;
        return f.weights ? at(f.weights) * q : q;
      };
      S all = 0;
      for (Index c = 0; c < f.classes; ++c) all += f.weight(c) * (keep * t[c] + spread);
      simd::for_each_vector<S>(f.classes, [&](const auto& at) {
        const V log_probability = (at(row) - top) - log_sum;
        if (S* d = dx ? dx + r * f.classes : nullptr)
          at.put(d, at(d) + scale * (simd::exp(log_probability) * all - wanted(at)));
        if (S* d = dt ? dt + r * f.classes : nullptr)
          at.put(d, at(d) - scale * keep * (f.weights ? at(f.weights) * log_probability : log_probability));
      });
    }
  });
}

/// log(1 + e^-x), as in Kahan's note on log1p: exact where w rounds.
template <class V>
ATTEND_INLINE V softplus_of_minus(V x) {
  using S = simd::Scalar<V>;
  const V u = simd::exp_nonpositive(-simd::absolute(x)), w = u + S(1);
  const V log1p = simd::select(w == S(1), u, simd::log(w) * (u / (w - S(1))));
  return log1p + simd::select(x < S(0), -x, simd::all<V>(0));
}
/// 1 / (1 + e^x)
template <class V>
ATTEND_INLINE V sigmoid_of_minus(V x) {
  using S = simd::Scalar<V>;
  const V e = simd::exp_nonpositive(-simd::absolute(x));
  return simd::select(x < S(0), simd::all<V>(1), e) / (S(1) + e);
}

/// f(At, targets, weights, pos_weight - 1) for all elements of [begin, end), block by block; put() and operator() of At
/// are given pointers to the first element of the block.
template <class S, class Target, class F>
ATTEND_INLINE void for_each_element(const BinaryCrossEntropy<S>& f, const Target* targets, Index begin, Index end,
                                    const F& each) {
  using V = simd::Vector<S>;
  for (Index first = begin; first < end; first += block) {
    const Index n = std::min(block, end - first);
    S target[block], extra[block];
    for (Index i = 0; i < n; ++i) {
      target[i] = static_cast<S>(targets[first + i]);
      extra[i] = f.positive ? f.positive[(first + i) % f.channels] - S(1) : S(0);
    }
    each(first, n, [&](const auto& at, const auto& use) {
      use(at(target), f.weights ? at(f.weights + first) : simd::all<V>(1), at(extra));
    });
  }
}
template <class S, class Target>
double binary_cross_entropy(const BinaryCrossEntropy<S>& f, const Target* targets) {
  using V = simd::Vector<S>;
  return chunked_sum(f.size, element_grain, [&](Index begin, Index end) {
    double sum = 0;
    for_each_element(f, targets, begin, end, [&](Index first, Index n, const auto& values) {
      S place[block];
      simd::for_each_vector<S>(n, [&](const auto& at) {
        const V x = at(f.x + first);
        values(at, [&](const V& t, const V& weight, const V& extra) {
          at.put(place, weight * ((S(1) - t) * x + (S(1) + extra * t) * softplus_of_minus(x)));
        });
      });
      sum += simd::sum_as_doubles(n, place);
    });
    return sum;
  });
}
/// dx or dt may be null.
template <class S, class Target>
void binary_cross_entropy_backward(const BinaryCrossEntropy<S>& f, const Target* targets, S scale, S* dx, S* dt) {
  using V = simd::Vector<S>;
  parallel_for(f.size, element_grain, [&, scale](Index begin, Index end) {
    for_each_element(f, targets, begin, end, [&](Index first, Index n, const auto& values) {
      simd::for_each_vector<S>(n, [&](const auto& at) {
        const V x = at(f.x + first);
        values(at, [&](const V& t, const V& weight, const V& extra) {
          const V by = scale * weight;
          if (S* d = dx ? dx + first : nullptr)
            at.put(d, at(d) + by * ((S(1) - t) - (S(1) + extra * t) * sigmoid_of_minus(x)));
          if (S* d = dt ? dt + first : nullptr) at.put(d, at(d) + by * (extra * softplus_of_minus(x) - x));
        });
      });
    });
  });
}

/// Sum of (x - t)^2.
template <class S>
double squared_error(Index size, const S* x, const S* t) {
  return chunked_sum(size, element_grain, [=](Index begin, Index end) {
    double place[block], sum = 0;
    constexpr Index lanes = simd::lanes<double>;
    for (Index first = begin; first < end; first += block) {
      const Index n = std::min(block, end - first);
      const auto square = [&](const auto& at, Index i) {
        const auto d = at(x + first + i) - at(t + first + i);
        return d * d;
      };
      Index i = 0;
      for (; i + lanes <= n; i += lanes) simd::store(place + i, square(simd::Whole(), i));
      if (i < n) simd::store(place + i, square(simd::Part{n - i}, i));  // the block is a multiple of the lanes
      sum += simd::sum_as_doubles(n, place);
    }
    return sum;
  });
}
/// dx or dt may be null.
template <class S>
void squared_error_backward(Index size, const S* x, const S* t, S scale, S* dx, S* dt) {
  parallel_for(size, element_grain, [=](Index begin, Index end) {
    for (const auto& [to, sign] : {std::pair(dx, S(2)), std::pair(dt, S(-2))})
      if (to)
        simd::map_add(
            end - begin, to + begin, [by = sign * scale](const auto& a, const auto& b) { return by * (a - b); },
            x + begin, t + begin);
  });
}

}  // namespace loss_kernels
ATTEND_END_ISA
#endif
