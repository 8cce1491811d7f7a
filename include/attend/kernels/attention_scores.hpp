/// Attention in steps, with scores and weights (batch, heads, queries, keys) in memory: what alignments other than
/// softmax, scores other than dot products, and gradients through returned weights go through. Forward beside backward;
/// backward adds. A weight of exactly zero (a masked key) touches neither value nor gradient.
#ifndef ATTEND_KERNELS_ATTENTION_SCORES
#define ATTEND_KERNELS_ATTENTION_SCORES
#include "attend/kernels/attention.hpp"
#include "attend/kernels/gemm.hpp"
#include "attend/kernels/softmax.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_scores.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(dot_scores_forward)
ATTEND_DISPATCH(dot_scores_backward)
ATTEND_DISPATCH(add_bias_forward)
ATTEND_DISPATCH(add_bias_backward)
ATTEND_DISPATCH(masked_softmax_forward)
ATTEND_DISPATCH(weighted_sum_forward)
ATTEND_DISPATCH(weighted_sum_backward)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {
/// Calls f(b, h, score offset) for each sample and head; a unit of work is those that share a key head.
template <class S, class F>
void for_each_head(const AttentionProblem<S>& p, const F& f) {
  const Index group = p.heads / std::max<Index>(1, p.key_heads);
  parallel_for(p.batch * p.key_heads, 1, [&](Index begin, Index end) {
    for (Index unit = begin; unit < end; ++unit)
      for (Index h = unit % p.key_heads * group; h < (unit % p.key_heads + 1) * group; ++h)
        f(unit / p.key_heads, h, (unit / p.key_heads * p.heads + h) * p.queries * p.keys);
  });
}
/// Multiplies scores [number, number + count) with their dropout factors, on this thread.
template <class S>
void drop(const AttentionDropout<S>& dropout, Index number, Index count, S* x) {
  S factor[dropout_unit];
  for (Index i = 0; i < count; i += dropout_unit) {
    const Index n = std::min(dropout_unit, count - i);
    dropout_factors(dropout.stream, dropout.p, number + i, number + i + n, factor);
    for (Index j = 0; j < n; ++j) x[i + j] *= factor[j];
  }
}
}  // namespace detail

/// scores = scale q k^T
template <class S>
void dot_scores_forward(const AttentionProblem<S>& p, S* scores) {
  const Index Q = p.queries, K = p.keys, D = p.dim;
  detail::for_each_head(p, [&](Index b, Index h, Index s) {
    gemm<S>(Side::plain, Side::transposed, Q, K, D, p.scale, p.query.at(b, 0, h), p.query.position,
            p.key.at(b, 0, p.key_head(h)), p.key.position, S(0), scores + s, K);
  });
}
template <class S>
void dot_scores_backward(const AttentionProblem<S>& p, const S* scores_gradient, const HeadRows<S>& dq,
                         const HeadRows<S>& dk) {
  const Index Q = p.queries, K = p.keys, D = p.dim;
  detail::for_each_head(p, [&](Index b, Index h, Index s) {
    const S* g = scores_gradient + s;
    const Index kh = p.key_head(h);
    if (dq)
      gemm<S>(Side::plain, Side::plain, Q, D, K, p.scale, g, K, p.key.at(b, 0, kh), p.key.position, S(1),
              dq.at(b, 0, h), dq.position, Zeros::skipped);
    if (dk)
      gemm<S>(Side::transposed, Side::plain, K, D, Q, p.scale, g, K, p.query.at(b, 0, h), p.query.position, S(1),
              dk.at(b, 0, kh), dk.position, Zeros::skipped);
  });
}

/// scores += bias on the ordinary keys, by stride
template <class S>
void add_bias_forward(const AttentionProblem<S>& p, const Shape<4>& stride, const S* bias, S* scores) {
  const Index rows = p.batch * p.heads * p.queries;
  for (Index r = 0; r < rows; ++r) {
    const S* from =
        bias + r / (p.heads * p.queries) * stride[0] + r / p.queries % p.heads * stride[1] + r % p.queries * stride[2];
    for (Index j = 0; j < p.mask.keys; ++j) scores[r * p.keys + j] += from[j * stride[3]];
  }
}
template <class S>
void add_bias_backward(const AttentionProblem<S>& p, const Shape<4>& stride, const S* scores_gradient,
                       S* bias_gradient) {
  const Index rows = p.batch * p.heads * p.queries;
  for (Index r = 0; r < rows; ++r) {
    S* to = bias_gradient + r / (p.heads * p.queries) * stride[0] + r / p.queries % p.heads * stride[1] +
            r % p.queries * stride[2];
    for (Index j = 0; j < p.mask.keys; ++j) to[j * stride[3]] += scores_gradient[r * p.keys + j];
  }
}

/// weights_j = exp(s_j) / sum_l exp(s_l) over the keys that may be attended to; exact zeros elsewhere, and in rows that
/// see nothing or only scores of -inf.
template <class S>
void masked_softmax_forward(Index batch, Index heads, Index queries, Index keys, const AttentionMask& mask,
                            const S* scores, S* weights) {
  parallel_for(batch * heads * queries, detail::softmax_grain(keys, 1), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const S* s = scores + r * keys;
      S* w = weights + r * keys;
      const Index b = r / (heads * queries), h = r / queries % heads, i = r % queries;
      for (Index j = 0; j < keys; ++j) w[j] = mask.may_attend(b, h, i, j) ? s[j] : -std::numeric_limits<S>::infinity();
      if (keys == 0 || std::all_of(w, w + keys, [](S x) { return x == -std::numeric_limits<S>::infinity(); })) {
        std::fill_n(w, keys, S(0));
        continue;
      }
      softmax_forward(Index(1), keys, Index(1), w, w);
      if (w[0] != w[0])  // a visible NaN or +inf: what is hidden stays zero
        for (Index j = 0; j < keys; ++j)
          if (!mask.may_attend(b, h, i, j)) w[j] = 0;
    }
  });
}

/// weights times the dropout factors; the weights themselves without dropout
template <class S>
Shared<const S> dropped_weights(const AttentionProblem<S>& p, const S* weights) {
  const Index count = p.batch * p.heads * p.queries * p.keys;
  if (p.dropout.p == 0) return {Shared<const S>(), weights};
  const auto dropped = make_buffer<S>(count);
  dropout_forward(p.dropout.stream, p.dropout.p, DropoutSizes{count, 1, 1}, weights, dropped.get());
  return dropped;
}
/// output = (weights Z) value, Z the dropout factors
template <class S>
void weighted_sum_forward(const AttentionProblem<S>& p, const S* weights, const HeadRows<S>& output) {
  const Index Q = p.queries, K = p.keys, D = p.value_dim;
  const auto used = dropped_weights(p, weights);
  detail::for_each_head(p, [&](Index b, Index h, Index s) {
    gemm<S>(Side::plain, Side::plain, Q, D, K, S(1), used.get() + s, K, p.value.at(b, 0, p.key_head(h)),
            p.value.position, S(0), output.at(b, 0, h), output.position, Zeros::skipped);
  });
}
/// dweights += Z dO V^T where the weight is not zero;  dV += (weights Z)^T dO
template <class S>
void weighted_sum_backward(const AttentionProblem<S>& p, const S* weights, const HeadRows<const S>& output_gradient,
                           S* dw, const HeadRows<S>& dv) {
  const Index Q = p.queries, K = p.keys, D = p.value_dim;
  if (dv) {
    const auto used = dropped_weights(p, weights);
    detail::for_each_head(p, [&](Index b, Index h, Index s) {
      gemm<S>(Side::transposed, Side::plain, K, D, Q, S(1), used.get() + s, K, output_gradient.at(b, 0, h),
              output_gradient.position, S(1), dv.at(b, 0, p.key_head(h)), dv.position, Zeros::skipped);
    });
  }
  if (dw)
    detail::for_each_head(p, [&](Index b, Index h, Index s) {
      const auto g = make_buffer<S>(Q * K);
      gemm<S>(Side::plain, Side::transposed, Q, K, D, S(1), output_gradient.at(b, 0, h), output_gradient.position,
              p.value.at(b, 0, p.key_head(h)), p.value.position, S(0), g.get(), K);
      if (p.dropout.p > 0) detail::drop(p.dropout, s, Q * K, g.get());
      for (Index at = 0; at < Q * K; ++at) dw[s + at] += weights[s + at] != S(0) ? g.get()[at] : S(0);
    });
}

ATTEND_END_ISA
#endif
