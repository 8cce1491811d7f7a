#pragma once
/// Attention in differentiable steps: scores, bias, alignment, weighted sum. A user's own score or alignment is written
/// with these; `scaled_dot_product_attention` does them at once.
#include "attend/autograd/multiply_adds.hpp"
#include "attend/autograd/operation.hpp"
#include "attend/functional/attention_mask.hpp"
#include "attend/functional/head_view.hpp"
#include "attend/kernels/additive_scores.hpp"
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
             [&] { return message("query has shape ", q.shape(), "; heads and head_dim must be at least 1"); });
  op.require(k.dim(0) == q.dim(0) && k.dim(3) == q.dim(3) && k.dim(2) > 0 && q.dim(2) % k.dim(2) == 0, [&] {
    return message("key has shape ", k.shape(), "; batch and head_dim must be those of query ", q.shape(),
                   " and its heads divide query's");
  });
  AttentionProblem<S> p;
  p.batch = q.dim(0), p.queries = q.dim(1), p.keys = k.dim(1), p.heads = q.dim(2), p.key_heads = k.dim(2),
  p.dim = q.dim(3);
  p.query = head_rows(q.data(), p.queries, p.heads, p.dim);
  p.key = head_rows(k.data(), p.keys, p.key_heads, p.dim);
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
  MultiplyAdds::add(y.size(), p.dim);
  dot_scores_forward(p, op.data(y));
  if (op.records()) {
    const Slot dq = op.slot(q), dk = op.slot(k);
    op.record(
        y, [=, dy = op.slot(y), qs = op.keep(q, dk.differentiable), ks = op.keep(k, dq.differentiable)](Pass<S>& pass) {
          AttentionProblem<S> again = p;
          again.query.data = qs.get(), again.key.data = ks.get();
          dot_scores_backward(again, pass.of(dy), head_rows(pass.add_to(dq), p.queries, p.heads, p.dim),
                              head_rows(pass.add_to(dk), p.keys, p.key_heads, p.dim));
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
    return message("v has shape ", v.shape(), "; it must be (", p.dim, "), the head_dim of query ", q.shape());
  });
  const auto y = op.result(Shape<4>{p.batch, p.heads, p.queries, p.keys});
  MultiplyAdds::add(y.size(), p.dim);
  additive_scores_forward(p, v.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dq = op.slot(q), dk = op.slot(k), dv = op.slot(v), qs = op.keep(q),
                  ks = op.keep(k), vs = op.keep(v)](Pass<S>& pass) {
      AttentionProblem<S> again = p;
      again.query.data = qs.get(), again.key.data = ks.get();
      additive_scores_backward(again, vs.get(), pass.of(dy), head_rows(pass.add_to(dq), p.queries, p.heads, p.dim),
                               head_rows(pass.add_to(dk), p.keys, p.key_heads, p.dim), pass.add_to(dv));
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
      return message("bias has shape ", bias.shape(), "; each axis must be 1 or that of the scores ", full);
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
  op.require(scores.shape() == may_attend.scores(), [&] {
    return message("scores has shape ", scores.shape(), "; the masks are made for ", may_attend.scores());
  });
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
Variable<S, 4> weighted_sum(const Variable<S, 4>& weights, const HeadView<S>& value,
                            const AttentionDropout<S>& dropout = {}) {
  Operation<S> op("weighted_sum", weights, value.source);
  const auto shape = value.shape();
  op.require(
      shape[0] == weights.dim(0) && shape[1] == weights.dim(3) && shape[2] > 0 && weights.dim(1) % shape[2] == 0, [&] {
        return message("value has shape ", shape,
                       "; batch, length and heads must fit weights (batch, heads, queries, keys) ", weights.shape());
      });
  AttentionProblem<S> p;
  p.batch = weights.dim(0), p.heads = weights.dim(1), p.queries = weights.dim(2), p.keys = weights.dim(3);
  p.key_heads = shape[2], p.value_dim = shape[3], p.dropout = dropout;
  const HeadLayout layout = value.layout();
  p.value = layout.rows(value.source.data());
  const auto y = op.result(Shape<4>{p.batch, p.queries, p.heads, p.value_dim});
  MultiplyAdds::add(weights.size(), p.value_dim);
  weighted_sum_forward(p, weights.data(), head_rows(op.data(y), p.queries, p.heads, p.value_dim));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dw = op.slot(weights), dv = op.slot(value.source), ws = op.keep(weights),
                  vs = op.keep(value.source)](Pass<S>& pass) {
      AttentionProblem<S> again = p;
      again.value = layout.rows(vs.get());
      weighted_sum_backward(again, ws.get(), head_rows(pass.of(dy), p.queries, p.heads, p.value_dim), pass.add_to(dw),
                            layout.rows(pass.add_to(dv)));
    });
  return y;
}
template <class S>
Variable<S, 4> weighted_sum(const Variable<S, 4>& weights, const Variable<S, 4>& value,
                            const AttentionDropout<S>& dropout = {}) {
  return weighted_sum(weights, HeadView<S>(value), dropout);
}

/// weights times their dropout factors: what PyTorch's MultiheadAttention returns in training.
template <class S>
Variable<S, 4> drop_weights(const Variable<S, 4>& weights, const AttentionDropout<S>& dropout) {
  if (dropout.p == 0) return weights;
  Operation<S> op("drop_weights", weights);
  const auto y = op.result(weights.shape());
  const DropoutSizes sizes{weights.size(), 1, 1};
  dropout_forward(dropout.stream, dropout.p, sizes, weights.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dw = op.slot(weights)](Pass<S>& pass) {
      if (S* to = pass.add_to(dw)) dropout_backward(dropout.stream, dropout.p, sizes, pass.of(dy), to);
    });
  return y;
}

/// The mean over heads, (B, H, Lq, Lk) -> (B, Lq, Lk). Saves nothing.
template <class S>
Variable<S, 3> mean_over_heads(const Variable<S, 4>& weights) {
  Operation<S> op("mean_over_heads", weights);
  const Index batch = weights.dim(0), heads = weights.dim(1), map = weights.dim(2) * weights.dim(3);
  const auto y = op.result(Shape<3>{batch, weights.dim(2), weights.dim(3)});
  const S share = S(1) / static_cast<S>(std::max<Index>(1, heads));
  std::fill_n(op.data(y), y.size(), S(0));
  for (Index b = 0; b < batch; ++b)
    for (Index h = 0; h < heads; ++h)
      for (Index i = 0; i < map; ++i) op.data(y)[b * map + i] += share * weights.data()[(b * heads + h) * map + i];
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dw = op.slot(weights)](Pass<S>& pass) {
      S* to = pass.add_to(dw);
      for (Index b = 0; b < batch; ++b)
        for (Index h = 0; h < heads; ++h)
          for (Index i = 0; i < map; ++i) to[(b * heads + h) * map + i] += share * pass.of(dy)[b * map + i];
    });
  return y;
}

/// Each head `times` in a row: (B, L, H, D) -> (B, L, H * times, D); PyTorch's repeat_interleave for grouped-query
/// attention. Saves nothing.
template <class S>
Variable<S, 4> repeat_heads(const Variable<S, 4>& x, Index times) {
  if (times == 1) return x;
  Operation<S> op("repeat_heads", x);
  const Index heads = x.dim(0) * x.dim(1) * x.dim(2), dim = x.dim(3);
  const auto y = op.result(Shape<4>{x.dim(0), x.dim(1), x.dim(2) * times, dim});
  for (Index h = 0; h < heads * times; ++h) std::copy_n(x.data() + h / times * dim, dim, op.data(y) + h * dim);
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      S* to = pass.add_to(dx);
      for (Index h = 0; h < heads * times; ++h)
        for (Index d = 0; d < dim; ++d) to[h / times * dim + d] += pass.of(dy)[h * dim + d];
    });
  return y;
}

ATTEND_END
