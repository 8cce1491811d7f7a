#pragma once
/// Attention in steps, with scores and weights (batch, heads, queries, keys) in memory: what alignments other than
/// softmax, scores other than dot products, and gradients through returned weights go through. Forward beside backward;
/// backward adds. A weight of exactly zero (a masked key) touches neither value nor gradient.
#include "attend/kernels/attention.hpp"
#include "attend/kernels/gemm.hpp"
#include "attend/kernels/softmax.hpp"

ATTEND_BEGIN
namespace detail {
/// Calls f(score offset, query offset, key offset) for each sample and head; units are those that share a key head.
/// Offsets into contiguous (batch, length, heads, width) of widths `query_width` and `key_width`.
template <class S, class F>
void for_each_head(const AttentionProblem<S>& p, Index query_width, Index key_width, const F& f) {
  const Index group = p.heads / std::max<Index>(1, p.key_heads);
  parallel_for(p.batch * p.key_heads, 1, [&](Index begin, Index end) {
    for (Index unit = begin; unit < end; ++unit)
      for (Index h = unit % p.key_heads * group; h < (unit % p.key_heads + 1) * group; ++h) {
        const Index b = unit / p.key_heads;
        f((b * p.heads + h) * p.queries * p.keys, (b * p.queries * p.heads + h) * query_width,
          (b * p.keys * p.key_heads + p.key_head(h)) * key_width);
      }
  });
}
}  // namespace detail

/// scores = scale q k^T
template <class S>
void dot_scores_forward(const AttentionProblem<S>& p, const S* q, const S* k, S* scores) {
  const Index Q = p.queries, K = p.keys, D = p.dim, q_row = p.heads * D, k_row = p.key_heads * D;
  detail::for_each_head(p, D, D, [&](Index s, Index i, Index j) {
    gemm<S>(Side::plain, Side::transposed, Q, K, D, p.scale, q + i, q_row, k + j, k_row, S(0), scores + s, K);
  });
}
template <class S>
void dot_scores_backward(const AttentionProblem<S>& p, const S* q, const S* k, const S* scores_gradient, S* dq, S* dk) {
  const Index Q = p.queries, K = p.keys, D = p.dim, q_row = p.heads * D, k_row = p.key_heads * D;
  detail::for_each_head(p, D, D, [&](Index s, Index i, Index j) {
    const S* g = scores_gradient + s;
    if (dq)
      gemm<S>(Side::plain, Side::plain, Q, D, K, p.scale, g, K, k + j, k_row, S(1), dq + i, q_row, Zeros::skipped);
    if (dk)
      gemm<S>(Side::transposed, Side::plain, K, D, Q, p.scale, g, K, q + i, q_row, S(1), dk + j, k_row, Zeros::skipped);
  });
}

/// scores_ij = sum_d v_d tanh(q_id + k_jd)
template <class S>
void additive_scores_forward(const AttentionProblem<S>& p, const S* q, const S* k, const S* v, S* scores) {
  const Index Q = p.queries, K = p.keys, D = p.dim, q_row = p.heads * D, k_row = p.key_heads * D;
  detail::for_each_head(p, D, D, [&](Index s, Index qi, Index kj) {
    for (Index i = 0; i < Q; ++i)
      for (Index j = 0; j < K; ++j) {
        const S *x = q + qi + i * q_row, *y = k + kj + j * k_row;
        S sum = 0;
        for (Index d = 0; d < D; ++d) sum += v[d] * attend::tanh(x[d] + y[d]);
        scores[s + i * K + j] = sum;
      }
  });
}
/// Recomputes tanh. dv is summed per unit of work, then in order.
template <class S>
void additive_scores_backward(const AttentionProblem<S>& p, const S* q, const S* k, const S* v,
                              const S* scores_gradient, S* dq, S* dk, S* dv) {
  const Index Q = p.queries, K = p.keys, D = p.dim, q_row = p.heads * D, k_row = p.key_heads * D,
              units = p.batch * p.heads;
  const auto partial = make_buffer<S>(units * D, S(0));
  detail::for_each_head(p, D, D, [&](Index s, Index qi, Index kj) {
    S* const sum = partial.get() + s / std::max<Index>(1, Q * K) * D;
    for (Index i = 0; i < Q; ++i)
      for (Index j = 0; j < K; ++j) {
        const S g = scores_gradient[s + i * K + j];
        if (g == S(0)) continue;
        const S *x = q + qi + i * q_row, *y = k + kj + j * k_row;
        for (Index d = 0; d < D; ++d) {
          const S t = attend::tanh(x[d] + y[d]), inner = g * v[d] * (S(1) - t * t);
          sum[d] += g * t;
          if (dq) dq[qi + i * q_row + d] += inner;
          if (dk) dk[kj + j * k_row + d] += inner;
        }
      }
  });
  for (Index u = 0; dv && u < units; ++u)
    for (Index d = 0; d < D; ++d) dv[d] += partial.get()[u * D + d];
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
      S top, sum;
      detail::softmax_row_statistics(keys, w, top, sum);
      if (top == -std::numeric_limits<S>::infinity()) {
        bool poisoned = false;  // a visible NaN stays one
        for (Index j = 0; j < keys; ++j) poisoned = poisoned || w[j] != w[j];
        if (!poisoned) {
          std::fill_n(w, keys, S(0));
          continue;
        }
      }
      const S inverse = 1 / sum;
      for (Index j = 0; j < keys; ++j)
        w[j] = w[j] == -std::numeric_limits<S>::infinity() ? S(0) : attend::exp(w[j] - top) * inverse;
    }
  });
}

/// weights times the dropout factors; the weights themselves without dropout
template <class S>
std::shared_ptr<const S> dropped_weights(const AttentionProblem<S>& p, const S* weights) {
  const Index count = p.batch * p.heads * p.queries * p.keys;
  if (p.dropout.p == 0) return {std::shared_ptr<const S>(), weights};
  const auto dropped = copy_buffer(weights, count);
  p.dropout.multiply(0, count, 1, dropped.get());
  return dropped;
}
/// output = (weights Z) value, Z the dropout factors
template <class S>
void weighted_sum_forward(const AttentionProblem<S>& p, const S* weights, const S* value, S* output) {
  const Index Q = p.queries, K = p.keys, D = p.value_dim, o_row = p.heads * D, v_row = p.key_heads * D;
  const auto used = dropped_weights(p, weights);
  detail::for_each_head(p, D, D, [&](Index s, Index i, Index j) {
    gemm<S>(Side::plain, Side::plain, Q, D, K, S(1), used.get() + s, K, value + j, v_row, S(0), output + i, o_row,
            Zeros::skipped);
  });
}
/// dweights += Z dO V^T where the weight is not zero;  dV += (weights Z)^T dO
template <class S>
void weighted_sum_backward(const AttentionProblem<S>& p, const S* weights, const S* value, const S* output_gradient,
                           S* dw, S* dv) {
  const Index Q = p.queries, K = p.keys, D = p.value_dim, o_row = p.heads * D, v_row = p.key_heads * D;
  if (dv) {
    const auto used = dropped_weights(p, weights);
    detail::for_each_head(p, D, D, [&](Index s, Index i, Index j) {
      gemm<S>(Side::transposed, Side::plain, K, D, Q, S(1), used.get() + s, K, output_gradient + i, o_row, S(1), dv + j,
              v_row, Zeros::skipped);
    });
  }
  if (dw)
    detail::for_each_head(p, D, D, [&](Index s, Index i, Index j) {
      const auto g = make_buffer<S>(Q * K);
      gemm<S>(Side::plain, Side::transposed, Q, K, D, S(1), output_gradient + i, o_row, value + j, v_row, S(0), g.get(),
              K);
      if (p.dropout.p > 0) p.dropout.multiply(static_cast<std::uint64_t>(s), Q * K, 1, g.get());
      for (Index at = 0; at < Q * K; ++at) dw[s + at] += weights[s + at] != S(0) ? g.get()[at] : S(0);
    });
}

ATTEND_END
