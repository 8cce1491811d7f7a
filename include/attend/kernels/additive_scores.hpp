/// Scores by addition (Bahdanau et al. 2015), forward beside backward: scores_ij = sum_d v_d tanh(q_id + k_jd).
#ifndef ATTEND_KERNELS_ADDITIVE_SCORES
#define ATTEND_KERNELS_ADDITIVE_SCORES
#include "attend/core/threads.hpp"
#include "attend/kernels/attention_problem.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/additive_scores.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(additive_scores_forward)
ATTEND_DISPATCH(additive_scores_backward)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// Of the problem's queries and keys; v (dim).
template <class S>
void additive_scores_forward(const AttentionProblem<S>& p, const S* v, S* scores) {
  parallel_for(p.batch * p.heads, 1, [&](Index begin, Index end) {
    for (Index unit = begin; unit < end; ++unit) {
      const Index b = unit / p.heads, h = unit % p.heads;
      for (Index i = 0; i < p.queries; ++i)
        for (Index j = 0; j < p.keys; ++j) {
          const S *x = p.query.at(b, i, h), *y = p.key.at(b, j, p.key_head(h));
          simd::Vector<S> sum{};
          simd::for_each_vector<S>(p.dim, [&](const auto& at) { sum += at(v) * simd::tanh(at(x) + at(y)); });
          scores[(unit * p.queries + i) * p.keys + j] = simd::sum_of_lanes(sum);
        }
    }
  });
}
/// Recomputes tanh. A unit of work is the heads that share a key head; dv is summed per sample and head, then in order.
template <class S>
void additive_scores_backward(const AttentionProblem<S>& p, const S* v, const S* scores_gradient, const HeadRows<S>& dq,
                              const HeadRows<S>& dk, S* dv) {
  const Index D = p.dim, units = p.batch * p.heads, group = p.heads / std::max<Index>(1, p.key_heads);
  const auto partial = make_buffer<S>(units * D, S(0));
  parallel_for(units / std::max<Index>(1, group), 1, [&](Index begin, Index end) {
    for (Index unit = begin * group; unit < end * group; ++unit) {
      const Index b = unit / p.heads, h = unit % p.heads, kh = p.key_head(h);
      S* const sum = partial.get() + unit * D;
      for (Index i = 0; i < p.queries; ++i)
        for (Index j = 0; j < p.keys; ++j) {
          const S g = scores_gradient[(unit * p.queries + i) * p.keys + j];
          if (g == S(0)) continue;
          const S *x = p.query.at(b, i, h), *y = p.key.at(b, j, kh);
          S *to_q = dq ? dq.at(b, i, h) : nullptr, *to_k = dk ? dk.at(b, j, kh) : nullptr;
          simd::for_each_vector<S>(D, [&](const auto& at) {
            const simd::Vector<S> t = simd::tanh(at(x) + at(y)), inner = g * at(v) * (S(1) - t * t);
            at.put(sum, at(sum) + g * t);
            if (to_q) at.put(to_q, at(to_q) + inner);
            if (to_k) at.put(to_k, at(to_k) + inner);
          });
        }
    }
  });
  for (Index u = 0; dv && u < units; ++u)
    simd::map_add(
        D, dv, [](const auto& part) { return part; }, static_cast<const S*>(partial.get() + u * D));
}

ATTEND_END_ISA
#endif
