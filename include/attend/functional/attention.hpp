#pragma once
#include <optional>
#include <tuple>

#include "attend/autograd/layer.hpp"
#include "attend/autograd/multiply_adds.hpp"
#include "attend/functional/attention_mask.hpp"
#include "attend/functional/attention_scores.hpp"
#include "attend/functional/attention_statistics.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/kernels/attention.hpp"
#include "attend/kernels/attention_decode.hpp"

// Legend: query (B, Lq, H, D)  key (B, Lk, Hkv, D)  value (B, Lk, Hkv, Dv)  bias (B|1, H|1, Lq|1, Lk|1)
//         output (B, Lq, H, Dv)  weights (B, H, Lq, Lk)
ATTEND_BEGIN

/// Output and weights of an attention. `Of` is Variable or Tensor.
template <template <class, int> class Of, class S, int OutputRank = 4, int WeightsRank = 4>
struct Attended {
  template <template <class, int> class Other>
  using of = Attended<Other, S, OutputRank, WeightsRank>;
  Of<S, OutputRank> output;
  Of<S, WeightsRank> weights;
  template <class Visit>
  auto members(Visit&& visit) const {
    return visit(output, weights);
  }
};

namespace detail {

/// Throws unless query, key, value and bias fit together. Returns the shape of the scores (B, H, Lq, Lk).
template <class S>
Shape<4> check_attention(const char* name, const Shape<4>& q, const Shape<4>& k, const Shape<4>& v,
                         const Variable<S, 4>* bias, Index appended = 0) {
  const auto check = [&](bool ok, const char* argument, const Shape<4>& shape, const auto& rule) {
    attend::require(ok, name, [&] { return message(argument, " has shape ", shape, "; ", rule()); });
  };
  check(q[2] > 0 && q[3] > 0, "query", q, [] { return std::string("heads and head_dim must be at least 1"); });
  check(k[0] == q[0] && k[3] == q[3], "key", k, [&] {
    return message("batch and head_dim must be those of query ", q, ": (", q[0], ", keys, key heads, ", q[3], ")");
  });
  check(k[2] > 0 && q[2] % k[2] == 0, "key", k,
        [&] { return message("its heads, ", k[2], ", must divide the ", q[2], " heads of query ", q); });
  check(v[0] == k[0] && v[1] == k[1] && v[2] == k[2], "value", v, [&] {
    return message("batch, length and heads must be those of key ", k, ": (", k[0], ", ", k[1], ", ", k[2],
                   ", value dim)");
  });
  check(v[3] > 0, "value", v, [] { return std::string("its last axis must be at least 1"); });
  if (bias) {
    const Shape<4> full{q[0], q[2], q[1], k[1] - appended};
    for (std::size_t i = 0; i < 4; ++i)
      check(bias->shape()[i] == 1 || bias->shape()[i] == full[i], "bias", bias->shape(),
            [&] { return message("each axis must be 1 or that of the scores ", full); });
  }
  return {q[0], q[2], q[1], k[1]};
}

template <class S>
struct AttentionResult {
  Variable<S, 4> output;
  std::optional<Variable<S, 4>> weights;  ///< before dropout, if asked for
  AttentionDropout<S> dropout;            ///< what the output's weights were multiplied with
};

template <class S>
AttentionDropout<S> draw_attention_dropout(Tape<S>* tape, double p) {
  if (!tape || tape->mode() != Mode::training || p == 0) return {};
  return {tape->rng().split(), p};
}

/// output = dropout(softmax(scale q k^T + bias)) v without a score matrix; saves q, k, v and, unless there are few
/// queries, the output and two numbers per row. Asked for weights, it computes them from tiles beside the same output,
/// and saves them: its backward pass then goes through them, so that gradients that reach the weights go on to q, k and
/// the bias.
/// `statistics` is an AttentionStatistics<S>, or asks for none.
template <class S, class Modifier = AttentionModifier<>, class Statistics = NoAttentionStatistics>
AttentionResult<S> fused_attention(const char* name, const HeadView<S>& q, const HeadView<S>& k, const HeadView<S>& v,
                                   const Variable<S, 4>* bias, const MayAttend& may_attend, double scale,
                                   double dropout, bool weights_wanted, const Modifier& modifier = {},
                                   const Statistics& statistics = {}) {
  auto op =
      bias ? Operation<S>(name, q.source, k.source, v.source, *bias) : Operation<S>(name, q.source, k.source, v.source);
  if (weights_wanted && op.tape() && op.tape()->recording())
    op.depend_on({0, 0, true});  // the gradient of the weights may be asked for, if of nothing else
  AttentionProblem<S> p;
  p.batch = q.source.dim(0), p.queries = q.source.dim(1), p.keys = k.source.dim(1);
  p.heads = q.heads, p.key_heads = k.heads, p.dim = q.dim, p.value_dim = v.dim;
  const HeadLayout ql = q.layout(), kl = k.layout(), vl = v.layout();
  p.query = ql.rows(q.source.data()), p.key = kl.rows(k.source.data()), p.value = vl.rows(v.source.data());
  p.scale = static_cast<S>(scale);
  p.mask = may_attend.kernel();
  if (bias) {
    p.bias = bias->data();
    p.bias_stride = broadcast_strides(bias->shape());
  }
  p.dropout = draw_attention_dropout(op.tape(), dropout);

  const Index rows = p.batch * p.heads * p.queries;
  constexpr bool plain = std::is_same_v<Modifier, AttentionModifier<>>;
  const bool few = plain && p.few_queries();
  std::optional<Variable<S, 4>> weights;
  if (weights_wanted) weights = op.result(Shape<4>{p.batch, p.heads, p.queries, p.keys});
  const auto y = op.result(Shape<4>{p.batch, p.queries, p.heads, p.value_dim});
  MultiplyAdds::add(rows, p.keys, p.dim + p.value_dim);
  const auto output = head_rows(op.data(y), p.queries, p.heads, p.value_dim);
  Shared<S> maximum, inverse_sum;
  const auto make_statistics = [rows] { return std::pair(make_buffer<S>(rows), make_buffer<S>(rows)); };
  if (!few || weights || Statistics::asked) {
    std::tie(maximum, inverse_sum) = make_statistics();
    attention_forward(p, output, maximum.get(), inverse_sum.get(), modifier, statistics);
    if (weights) attention_weights(p, maximum.get(), inverse_sum.get(), op.data(*weights));
  }
  if constexpr (plain)  // in any case: what is asked beside the output does not change it
    if (few) attention_decode(p, output);
  if (!op.records()) return {y, weights, p.dropout};
  constexpr bool differentiable = HasScoreBackward<std::decay_t<decltype(modifier.score)>, S>::value;
  attend::require<OptionError>(differentiable, name, [] {
    return "score_mod has no backward(score, gradient, index), which training needs: the gradient of the score it is "
           "given, from that of the one it returns";
  });

  const Slot dq = op.slot(q.source), dk = op.slot(k.source), dv = op.slot(v.source), dy = op.slot(y);
  const Slot db = bias ? op.slot(*bias) : Slot{};
  /// The problem again, on what the tape keeps.
  const auto kept = [=, qs = op.keep(q.source), ks = op.keep(k.source), vs = op.keep(v.source),
                     bs = bias && !weights ? op.keep(*bias) : nullptr, may = may_attend] {
    AttentionProblem<S> again = p;
    again.query = ql.rows(qs.get()), again.key = kl.rows(ks.get()), again.value = vl.rows(vs.get());
    again.bias = bs.get(), again.mask = may.kernel();
    return again;
  };
  if (weights) {
    const Slot dw = op.slot(*weights);
    const auto ws = op.keep(*weights);
    op.record(*weights, [=](Pass<S>& pass) {
      const auto scores = make_buffer<S>(dw.size, S(0));
      softmax_backward(rows, p.keys, Index(1), ws.get(), pass.of(dw), scores.get());
      dot_scores_backward(kept(), scores.get(), ql.rows(pass.add_to(dq)), kl.rows(pass.add_to(dk)));
      if (S* g = pass.add_to(db)) add_bias_backward(p, p.bias_stride, scores.get(), g);
    });
    op.record(y, [=](Pass<S>& pass) {
      weighted_sum_backward(kept(), ws.get(), head_rows(pass.of(dy), p.queries, p.heads, p.value_dim), pass.add_to(dw),
                            vl.rows(pass.add_to(dv)));
    });
  } else {
    op.record(y, [=, ys = op.keep(y, !few)](Pass<S>& pass) {
      const auto [tops, inverse_sums] = few ? make_statistics() : std::pair(maximum, inverse_sum);
      const AttentionProblem<S> again = kept();
      Shared<const S> outputs = ys;
      if (few) {  // by tiles again: the gradients of large scores need output and weights that err alike
        const auto made = make_buffer<S>(dy.size);
        attention_forward(again, head_rows(made.get(), p.queries, p.heads, p.value_dim), tops.get(), inverse_sums.get(),
                          modifier);
        outputs = made;
      }
      AttentionGradients<S> g;
      g.output = head_rows(outputs.get(), p.queries, p.heads, p.value_dim);
      g.output_gradient = head_rows(pass.of(dy), p.queries, p.heads, p.value_dim);
      g.maximum = tops.get(), g.inverse_sum = inverse_sums.get();
      const auto to = accumulate_heads<S>(pass, {HeadSlot{dq, ql}, HeadSlot{dk, kl}, HeadSlot{dv, vl}});
      g.query = to[0], g.key = to[1], g.value = to[2];
      g.bias = pass.add_to(db);
      if constexpr (differentiable) attention_backward(again, g, modifier);
    });
  }
  return {y, weights, p.dropout};
}

}  // namespace detail

/// What scaled_dot_product_attention can be told.
struct ScaledDotProductAttentionOptions {
  Causal causal = Causal::none;  ///< true, Causal::top_left or Causal::bottom_right
  KeyLengths keys = {};          ///< valid keys of each sample
  AttendMask mask = {};          ///< true = may attend
  PaddingMask padding = {};      ///< true = ignore the key
  Window window = {};            ///< sliding window {left, right}
  double scale = 0;              ///< factor of q k^T; 0: 1 / sqrt(D)
  double dropout = 0;            ///< of the weights, on training tapes only
  AttentionMasks masks() const { return {causal, keys, mask, padding, window}; }
};

namespace detail {
/// A call of scaled_dot_product_attention; ask(shape of the scores) gives the statistics it leaves.
template <class S, class Modifier, class Ask>
AttentionResult<S> scaled_dot_product(const Variable<S, 4>& q, const Variable<S, 4>& k, const Variable<S, 4>& v,
                                      const Variable<S, 4>* bias, const ScaledDotProductAttentionOptions& o,
                                      bool weights_wanted, const Modifier& modifier, const Ask& ask) {
  constexpr const char* name = "scaled_dot_product_attention";
  const auto scores = check_attention(name, q.shape(), k.shape(), v.shape(), bias);
  check_probability(name, o.dropout, "dropout");
  attend::require<OptionError>(std::isfinite(o.scale), name,
                               [&] { return message("scale is ", o.scale, "; it must be finite"); });
  const double scale = o.scale == 0 ? 1 / std::sqrt(static_cast<double>(q.dim(3))) : o.scale;
  return fused_attention<S>(name, q, k, v, bias, MayAttend(name, o.masks(), scores), scale, o.dropout, weights_wanted,
                            modifier, ask(name, scores));
}
template <bool with_weights, class Modifier = AttentionModifier<>>
struct ScaledDotProductAttention : Layer<ScaledDotProductAttention<with_weights, Modifier>> {
  using CallOptions = ScaledDotProductAttentionOptions;
  Modifier modifier;
  template <class S>
  auto compute(const Variable<S, 4>& q, const Variable<S, 4>& k, const Variable<S, 4>& v, const Variable<S, 4>* bias,
               const ScaledDotProductAttentionOptions& o) const {
    const auto r = scaled_dot_product(q, k, v, bias, o, with_weights, modifier,
                                      [](const char*, const Shape<4>&) { return NoAttentionStatistics(); });
    if constexpr (with_weights)
      return Attended<Variable, S>{r.output, *r.weights};
    else
      return r.output;
  }
  template <class S>
  auto forward(const Variable<S, 4>& q, const Variable<S, 4>& k, const Variable<S, 4>& v,
               const ScaledDotProductAttentionOptions& options) const {
    return compute<S>(q, k, v, nullptr, options);
  }
  template <class S>
  auto forward(const Variable<S, 4>& q, const Variable<S, 4>& k, const Variable<S, 4>& v, const Variable<S, 4>& bias,
               const ScaledDotProductAttentionOptions& options) const {
    return compute<S>(q, k, v, &bias, options);
  }
};
struct ScaledDotProductStatistics : Layer<ScaledDotProductStatistics> {
  using CallOptions = ScaledDotProductAttentionOptions;
  const AttentionStatisticsRequest& request;
  explicit ScaledDotProductStatistics(const AttentionStatisticsRequest& the_request) : request(the_request) {}
  template <class S>
  AttentionWithStatistics<Variable, S> compute(const Variable<S, 4>& q, const Variable<S, 4>& k,
                                               const Variable<S, 4>& v, const Variable<S, 4>* bias,
                                               const ScaledDotProductAttentionOptions& o) const {
    std::optional<AttentionStatisticsResult<S>> statistics;
    const auto r = scaled_dot_product(q, k, v, bias, o, false, AttentionModifier<>(),
                                      [&](const char* name, const Shape<4>& scores) {
                                        return statistics.emplace(name, scores, Index(0), request).kernel();
                                      });
    return statistics->beside(r.output);
  }
  template <class S>
  AttentionWithStatistics<Variable, S> forward(const Variable<S, 4>& q, const Variable<S, 4>& k,
                                               const Variable<S, 4>& v,
                                               const ScaledDotProductAttentionOptions& options) const {
    return compute<S>(q, k, v, nullptr, options);
  }
  template <class S>
  AttentionWithStatistics<Variable, S> forward(const Variable<S, 4>& q, const Variable<S, 4>& k,
                                               const Variable<S, 4>& v, const Variable<S, 4>& bias,
                                               const ScaledDotProductAttentionOptions& options) const {
    return compute<S>(q, k, v, &bias, options);
  }
};
}  // namespace detail

/// A functor of scores or of masks, for scaled_dot_product_attention.
template <class F>
constexpr bool is_score_mod = detail::IsScoreMod<F, float>::value || detail::IsScoreMod<F, double>::value;
template <class F>
constexpr bool is_mask_mod = detail::IsMaskMod<F>::value;

/// output_i = sum_j softmax_j(scale q_i k_j + bias_ij) v_j over the keys j that query i may attend to (Vaswani et al.
/// 2017, eq. 1; PyTorch's scaled_dot_product_attention, there with heads before length).
///
/// query (B, Lq, H, D)  key (B, Lk, Hkv, D)  value (B, Lk, Hkv, Dv)  ->  (B, Lq, H, Dv), of tensors a Tensor, of
/// Variables a Variable. Hkv divides H: query head h reads key head h / (H / Hkv) (grouped-query attention, Ainslie et
/// al. 2023). bias (B|1, H|1, Lq|1, Lk|1), optional, is added to the scores and gets a gradient.
///
///     auto y = scaled_dot_product_attention(q, k, v, {.causal = true});
///     auto z = scaled_dot_product_attention(q, k, v, distances, {.keys = lengths});
///
/// Masks combine by "and". Masked keys reach no result and no gradient, even where they hold NaN; a query that may
/// attend to nothing gives zeros. A bias of -inf hides a key as well, but may multiply its value by zero. Dropout acts on
/// training tapes only, unlike PyTorch's function. Memory grows with Lq + Lk: no score matrix is made. Saves q, k, v
/// and at most the output and two numbers per row. Throws ShapeError and OptionError.
///
/// Results have the same bits for any number of threads, alone as in a batch, and without padded keys as with them. Up
/// to four queries (decoding, pooling) take a kernel of their own, unless there is dropout or a functor: that of a
/// KeyValueCache, which gives the same bits. So up to four queries, also those that are left of a padded sample without
/// its padding, give what they give among more to within rounding only.
template <class Q, class K, class V>
auto scaled_dot_product_attention(const Q& query, const K& key, const V& value,
                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<false>()(query, key, value, options);
}
template <class Q, class K, class V, class B,
          std::enable_if_t<!std::is_same_v<B, ScaledDotProductAttentionOptions> && !is_score_mod<B> && !is_mask_mod<B>,
                           int> = 0>
auto scaled_dot_product_attention(const Q& query, const K& key, const V& value, const B& bias,
                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<false>()(query, key, value, bias, options);
}

/// The same with a rule of one's own (PyTorch's flex_attention): score_mod(score, index) gives the score that the softmax
/// sees, mask_mod(index) says whether the query may attend to the key, both besides the masks of the options. index is
/// an AttentionIndex {b, h, i, j}: sample, head, query, key.
///
///     struct SoftCap {
///       template <class S>
///       S operator()(S score, AttentionIndex) const { return S(30) * attend::tanh(score / S(30)); }
///       template <class S>
///       S backward(S score, S gradient, AttentionIndex) const {  // needed for training only
///         const S t = attend::tanh(score / S(30));
///         return gradient * (S(1) - t * t);
///       }
///     };
///     auto y = scaled_dot_product_attention(q, k, v, SoftCap());
///     auto z = scaled_dot_product_attention(q, k, v, [&](AttentionIndex at) { return ids[at.i] == ids[at.j]; });
///
/// The functors are inlined into the loops over score tiles, many scores at a time: without branches, calls and tables
/// they become vector code. They are copied, and called from several threads, also for scores that are hidden. On a
/// tape, a score_mod without `backward` throws OptionError.
template <class Q, class K, class V, class F, std::enable_if_t<is_score_mod<F>, int> = 0>
auto scaled_dot_product_attention(const Q& query, const K& key, const V& value, const F& score_mod,
                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<false, AttentionModifier<F>>{{}, {score_mod, {}}}(query, key, value,
                                                                                             options);
}
template <class Q, class K, class V, class F, std::enable_if_t<is_mask_mod<F>, int> = 0>
auto scaled_dot_product_attention(const Q& query, const K& key, const V& value, const F& mask_mod,
                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<false, AttentionModifier<NoScoreMod, F>>{{}, {{}, mask_mod}}(query, key,
                                                                                                        value, options);
}
template <class Q, class K, class V, class F, class G, std::enable_if_t<is_score_mod<F> && is_mask_mod<G>, int> = 0>
auto scaled_dot_product_attention(const Q& query, const K& key, const V& value, const F& score_mod, const G& mask_mod,
                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<false, AttentionModifier<F, G>>{{}, {score_mod, mask_mod}}(query, key, value,
                                                                                                      options);
}

/// The same output, bit for bit, beside the weights (B, H, Lq, Lk) before dropout: {output, weights}. Rows of weights
/// sum to one, or are zeros where nothing may be attended to. On a tape, gradients pass through both.
template <class Q, class K, class V>
auto scaled_dot_product_attention_with_weights(const Q& query, const K& key, const V& value,
                                               const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<true>()(query, key, value, options);
}
template <class Q, class K, class V, class B,
          std::enable_if_t<!std::is_same_v<B, ScaledDotProductAttentionOptions>, int> = 0>
auto scaled_dot_product_attention_with_weights(const Q& query, const K& key, const V& value, const B& bias,
                                               const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductAttention<true>()(query, key, value, bias, options);
}

/// The same output, bit for bit, beside what the request asks of the weights, gathered in the same pass: no (Lq, Lk)
/// matrix is made. The statistics carry no gradients. A NaN among the scores of a query makes its numbers NaN.
///
///     const auto r = scaled_dot_product_attention_with_statistics({.top_keys = 3}, q, k, v, {.causal = true});
///     r.output; r.entropy(b, h, i); r.top_keys(b, h, i, 0); r.top_weights(b, h, i, 0);
///     const auto s = scaled_dot_product_attention_with_statistics({.inside = KeySet(object)}, q, k, v);
///     s.mass_inside(b, h, i);  // how much of the weights lies on the object
///
/// Throws ShapeError and OptionError.
template <class Q, class K, class V>
auto scaled_dot_product_attention_with_statistics(const AttentionStatisticsRequest& request, const Q& query,
                                                  const K& key, const V& value,
                                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductStatistics(request)(query, key, value, options);
}
template <class Q, class K, class V, class B,
          std::enable_if_t<!std::is_same_v<B, ScaledDotProductAttentionOptions>, int> = 0>
auto scaled_dot_product_attention_with_statistics(const AttentionStatisticsRequest& request, const Q& query,
                                                  const K& key, const V& value, const B& bias,
                                                  const ScaledDotProductAttentionOptions& options = {}) {
  return detail::ScaledDotProductStatistics(request)(query, key, value, bias, options);
}

ATTEND_END
