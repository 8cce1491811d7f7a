#pragma once
/// Attention in differentiable steps: scores, bias, alignment, weighted sum. A user's own score or alignment is written
/// with these; `scaled_dot_product_attention` does them at once.
#include "attend/autograd/operation.hpp"
#include "attend/functional/attention_mask.hpp"
#include "attend/kernels/attention_scores.hpp"

// Legend: query (B, Lq, H, D)  key (B, Lk, Hkv, D)  value (B, Lk, Hkv, Dv)  scores, weights (B, H, Lq, Lk); Hkv divides
// H
ATTEND_BEGIN
namespace detail {
/// Distances in memory of a contiguous tensor that broadcasts its axes of extent 1.
inline Shape<4> broadcast_strides(const Shape<4>& shape) {
  const Shape<4> full{shape[1] * shape[2] * shape[3], shape[2] * shape[3], shape[3], 1};
  Shape<4> stride{};
  for (std::size_t i = 0; i < 4; ++i) stride[i] = shape[i] == 1 ? 0 : full[i];
  return stride;
}
template <class S>
AttentionProblem<S> score_problem(const Operation<S>& op, const Variable<S, 4>& q, const Variable<S, 4>& k, S scale) {
  op.require(q.dim(2) > 0 && q.dim(3) > 0,
             [&] { return "query has shape " + to_string(q.shape()) + "; heads and head_dim must be at least 1"; });
  op.require(k.dim(0) == q.dim(0) && k.dim(3) == q.dim(3) && k.dim(2) > 0 && q.dim(2) % k.dim(2) == 0, [&] {
    return "key has shape " + to_string(k.shape()) + "; batch and head_dim must be those of query " +
           to_string(q.shape()) + " and its heads divide query's";
  });
  AttentionProblem<S> p;
  p.batch = q.dim(0), p.queries = q.dim(1), p.keys = k.dim(1), p.heads = q.dim(2), p.key_heads = k.dim(2),
  p.dim = q.dim(3);
  p.scale = scale;
  return p;
}
}  // namespace detail

/// scores = scale q k^T.  Saves q and k. A zero gradient of a score (a masked key) touches neither.
template <class S>
Variable<S, 4> dot_scores(const Variable<S, 4>& q, const Variable<S, 4>& k, S scale) {
  Operation<S> op("dot_scores", q, k);
  const auto p = detail::score_problem(op, q, k, scale);
  const auto y = op.result(Shape<4>{p.batch, p.heads, p.queries, p.keys});
  dot_scores_forward(p, q.data(), k.data(), op.data(y));
  if (op.records()) {
    const Slot dq = op.slot(q), dk = op.slot(k);
    op.record(
        y, [=, dy = op.slot(y), qs = op.keep(q, dk.differentiable), ks = op.keep(k, dq.differentiable)](Pass<S>& pass) {
          dot_scores_backward(p, qs.get(), ks.get(), pass.of(dy), pass.add_to(dq), pass.add_to(dk));
        });
  }
  return y;
}

/// scores_ij = sum_d v_d tanh(q_id + k_jd)  (Bahdanau et al. 2015).  v (D).  Saves q, k and v; recomputes tanh.
template <class S>
Variable<S, 4> additive_scores(const Variable<S, 4>& q, const Variable<S, 4>& k, const Variable<S, 1>& v) {
  Operation<S> op("additive_scores", q, k, v);
  const auto p = detail::score_problem(op, q, k, S(1));
  op.require(v.dim(0) == p.dim, [&] {
    return "v has shape " + to_string(v.shape()) + "; it must be (" + std::to_string(p.dim) +
           "), the head_dim of query " + to_string(q.shape());
  });
  const auto y = op.result(Shape<4>{p.batch, p.heads, p.queries, p.keys});
  additive_scores_forward(p, q.data(), k.data(), v.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dq = op.slot(q), dk = op.slot(k), dv = op.slot(v), qs = op.keep(q),
                  ks = op.keep(k), vs = op.keep(v)](Pass<S>& pass) {
      additive_scores_backward(p, qs.get(), ks.get(), vs.get(), pass.of(dy), pass.add_to(dq), pass.add_to(dk),
                               pass.add_to(dv));
    });
  return y;
}

/// scores + bias (B|1, H|1, Lq|1, Lk|1).  The last `appended` keys get none.  Saves nothing.
template <class S>
Variable<S, 4> add_bias(const Variable<S, 4>& scores, const Variable<S, 4>& bias, Index appended = 0) {
  Operation<S> op("add_bias", scores, bias);
  const Shape<4> full{scores.dim(0), scores.dim(1), scores.dim(2), scores.dim(3) - appended};
  for (std::size_t i = 0; i < 4; ++i)
    op.require(bias.shape()[i] == 1 || bias.shape()[i] == full[i], [&] {
      return "bias has shape " + to_string(bias.shape()) + "; each axis must be 1 or that of the scores " +
             to_string(full);
    });
  AttentionProblem<S> p;
  p.batch = scores.dim(0), p.heads = scores.dim(1), p.queries = scores.dim(2), p.keys = scores.dim(3),
  p.mask.keys = full[3];
  const auto stride = detail::broadcast_strides(bias.shape());
  const auto y = op.result(scores.shape());
  std::copy_n(scores.data(), scores.size(), op.data(y));
  add_bias_forward(p, stride, bias.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), ds = op.slot(scores), db = op.slot(bias)](Pass<S>& pass) {
      if (S* g = pass.add_to(ds))
        for (Index i = 0; i < ds.size; ++i) g[i] += pass.of(dy)[i];
      if (S* g = pass.add_to(db)) add_bias_backward(p, stride, pass.of(dy), g);
    });
  return y;
}

/// weights_ij = exp(s_ij) / sum_l exp(s_il) over the keys that query i may attend to; exact zeros elsewhere, and in
/// rows without any.  Saves the weights.
template <class S>
Variable<S, 4> masked_softmax(const Variable<S, 4>& scores, const MayAttend& may_attend) {
  Operation<S> op("masked_softmax", scores);
  const auto y = op.result(scores.shape());
  masked_softmax_forward(scores.dim(0), scores.dim(1), scores.dim(2), scores.dim(3), may_attend.kernel(), scores.data(),
                         op.data(y));
  if (op.records())
    op.record(y, [rows = scores.dim(0) * scores.dim(1) * scores.dim(2), keys = scores.dim(3), dy = op.slot(y),
                  dx = op.slot(scores), ws = op.keep(y)](Pass<S>& pass) {
      softmax_backward(rows, keys, Index(1), ws.get(), pass.of(dy), pass.add_to(dx));
    });
  return y;
}

/// output = dropout(weights) value, (B, Lq, H, Dv).  Saves both; dropout factors are drawn again. A key of weight zero
/// is never multiplied.
template <class S>
Variable<S, 4> weighted_sum(const Variable<S, 4>& weights, const Variable<S, 4>& value,
                            const AttentionDropout<S>& dropout = {}) {
  Operation<S> op("weighted_sum", weights, value);
  op.require(value.dim(0) == weights.dim(0) && value.dim(1) == weights.dim(3) && value.dim(2) > 0 &&
                 weights.dim(1) % value.dim(2) == 0,
             [&] {
               return "value has shape " + to_string(value.shape()) +
                      "; batch, length and heads must fit weights (batch, heads, queries, keys) " +
                      to_string(weights.shape());
             });
  AttentionProblem<S> p;
  p.batch = weights.dim(0), p.heads = weights.dim(1), p.queries = weights.dim(2), p.keys = weights.dim(3);
  p.key_heads = value.dim(2), p.value_dim = value.dim(3), p.dropout = dropout;
  const auto y = op.result(Shape<4>{p.batch, p.queries, p.heads, p.value_dim});
  weighted_sum_forward(p, weights.data(), value.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dw = op.slot(weights), dv = op.slot(value), ws = op.keep(weights),
                  vs = op.keep(value)](Pass<S>& pass) {
      weighted_sum_backward(p, ws.get(), vs.get(), pass.of(dy), pass.add_to(dw), pass.add_to(dv));
    });
  return y;
}

ATTEND_END
