#pragma once
#include "attend/attention/alignment/softmax.hpp"
#include "attend/attention/score/scaled_dot.hpp"
#include "attend/attention/with_weights.hpp"
#include "attend/autograd/recording.hpp"

ATTEND_BEGIN

struct AttentionOptions {
  Index head_dim = 0;  ///< of query and key; needed by scores that have parameters
  double dropout = 0;  ///< probability of zeroing a weight, in training
};

namespace detail {
template <class Score, class = void>
struct IsDotType : std::false_type {};
template <class Score>
struct IsDotType<Score, std::enable_if_t<Score::dot_type>> : std::true_type {};
template <class Score, class Query, class = void>
struct Projects : std::false_type {};
template <class Score, class Query>
struct Projects<Score, Query, std::void_t<decltype(std::declval<const Score&>().project(std::declval<const Query&>()))>>
    : std::true_type {};
}  // namespace detail

/// weights = align(score(query, key) + bias), output = dropout(weights) value: one choice per axis of the survey of
/// Brauwers & Frasincar 2023 (arXiv 2203.14263, eq. 23-25).
///
/// query (B, Lq, H, D)  key (B, Lk, Hkv, D)  value (B, Lk, Hkv, Dv)  [bias (B|1, H|1, Lq|1, Lk|1)]  ->  (B, Lq, H, Dv);
/// Hkv divides H. Masks are call options:
///
///     Attention<float, score::Additive> attention({.head_dim = 64}, rng);
///     Tensor<float, 4> context = attention(q, k, v, {.keys = lengths});
///     auto [output, weights] = attention.with_weights(q, k, v);          // weights (B, H, Lq, Lk)
///     auto r = attention.with_statistics({.top_keys = 3}, q, k, v);      // of the weights, without making them
///
/// A score is a layer from query and key to scores (B, H, Lq, Lk); it is made with (head_dim, rng), or without anything
/// if it has no parameters, or handed in. One of dot type with softmax alignment runs in the fused kernel, which makes
/// no scores; all others share one path that does. Offers "weights", before dropout, to recordings. Throws ShapeError
/// and OptionError.
template <class S, template <class> class Score = score::ScaledDot, class Alignment = alignment::Softmax>
class Attention : public Layer<Attention<S, Score, Alignment>>, public WithWeights<Attention<S, Score, Alignment>> {
 public:
  using CallOptions = AttentionCall;
  static constexpr bool fused = detail::IsDotType<Score<S>>::value && std::is_same_v<Alignment, alignment::Softmax>;

  Attention() = default;
  Attention(const AttentionOptions& options, Rng& rng) : score_(make_score(options, rng)), dropout_(options.dropout) {
    detail::check_probability("Attention", dropout_, "dropout");
  }
  explicit Attention(Score<S> score, double dropout = 0) : score_(std::move(score)), dropout_(dropout) {
    detail::check_probability("Attention", dropout_, "dropout");
  }

  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key, const Variable<S, 4>& value,
                         const AttentionCall& options) const {
    return attend(query, key, value, nullptr, options, false).output;
  }
  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key, const Variable<S, 4>& value,
                         const Variable<S, 4>& bias, const AttentionCall& options) const {
    return attend(query, key, value, &bias, options, false).output;
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 4>& query, const Variable<S, 4>& key, const Variable<S, 4>& value,
                            const AttentionCall& options) const {
    return returned<averaged>(attend(query, key, value, nullptr, options, true), options);
  }
  template <bool averaged>
  auto forward_with_weights(const Variable<S, 4>& query, const Variable<S, 4>& key, const Variable<S, 4>& value,
                            const Variable<S, 4>& bias, const AttentionCall& options) const {
    return returned<averaged>(attend(query, key, value, &bias, options, true), options);
  }
  /// The calls of with_statistics.
  AttentionWithStatistics<Variable, S> forward_with_statistics(const AttentionStatisticsRequest& request,
                                                               const Variable<S, 4>& query, const Variable<S, 4>& key,
                                                               const Variable<S, 4>& value,
                                                               const AttentionCall& options) const {
    return attend_with_statistics(request, query, key, value, nullptr, options);
  }
  AttentionWithStatistics<Variable, S> forward_with_statistics(const AttentionStatisticsRequest& request,
                                                               const Variable<S, 4>& query, const Variable<S, 4>& key,
                                                               const Variable<S, 4>& value, const Variable<S, 4>& bias,
                                                               const AttentionCall& options) const {
    return attend_with_statistics(request, query, key, value, &bias, options);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("score", self.score_);
  }

  // ---- for layers around this one ----
  /// Factor of the product of query and key, of scores that are nothing else.
  double scale(Index head_dim) const {
    static_assert(fused && !detail::Projects<Score<S>, Variable<S, 4>>::value,
                  "attend: attention with a cache needs a score of dot type without parameters, and softmax");
    return score_.scale(head_dim);
  }
  /// The last `appended` keys are beyond all masks and get no bias.
  detail::AttentionResult<S> attend(const HeadView<S>& query, const HeadView<S>& key, const HeadView<S>& value,
                                    const Variable<S, 4>* bias, const AttentionCall& options, bool weights_wanted,
                                    Index appended = 0) const {
    return checked(query, key, value, bias, options, weights_wanted, appended,
                   [](const Shape<4>&) { return NoAttentionStatistics(); });
  }
  AttentionWithStatistics<Variable, S> attend_with_statistics(const AttentionStatisticsRequest& request,
                                                              const HeadView<S>& query, const HeadView<S>& key,
                                                              const HeadView<S>& value, const Variable<S, 4>* bias,
                                                              const AttentionCall& options, Index appended = 0) const {
    static_assert(fused, "attend: statistics come from the fused kernel: a score of dot type, and softmax");
    std::optional<detail::AttentionStatisticsResult<S>> statistics;
    const auto result = checked(query, key, value, bias, options, false, appended, [&](const Shape<4>& scores) {
      return statistics.emplace("attention", scores, appended, request).kernel();
    });
    return statistics->beside(result.output);
  }
  template <bool averaged>
  static auto returned(const detail::AttentionResult<S>& result, const AttentionCall& options) {
    const auto weights =
        options.weights == Weights::after_dropout ? drop_weights(*result.weights, result.dropout) : *result.weights;
    if constexpr (averaged)
      return Attended<Variable, S, 4, 3>{result.output, mean_over_heads(weights)};
    else
      return Attended<Variable, S>{result.output, weights};
  }

 private:
  static Score<S> make_score(const AttentionOptions& options, Rng& rng) {
    if constexpr (std::is_constructible_v<Score<S>, Index, Rng&>) {
      require<OptionError>(options.head_dim > 0, "Attention", [&] {
        return message("head_dim is ", options.head_dim, "; a score with parameters needs one of at least 1");
      });
      return Score<S>(options.head_dim, rng);
    } else {
      static_assert(std::is_default_constructible_v<Score<S>>,
                    "attend: a score is constructed with (Index head_dim, Rng&), or without arguments; otherwise hand "
                    "one to the constructor");
      return Score<S>();
    }
  }
  /// ask(shape of the scores) gives the statistics that the call leaves.
  template <class Ask>
  detail::AttentionResult<S> checked(const HeadView<S>& query, const HeadView<S>& key, const HeadView<S>& value,
                                     const Variable<S, 4>* bias, const AttentionCall& options, bool weights_wanted,
                                     Index appended, const Ask& ask) const {
    constexpr const char* name = "attention";
    const auto shape = detail::check_attention(name, query.shape(), key.shape(), value.shape(), bias, appended);
    const MayAttend may_attend(name, options.masks(), shape, appended);
    const bool recorded = Recording::wants(key_of(*this));
    auto result = compute(query, key, value, bias, may_attend, weights_wanted || recorded, appended, ask(shape));
    if (fused && recorded) offer(*this, "weights", *result.weights);
    return result;
  }
  template <class Statistics>
  detail::AttentionResult<S> compute(const HeadView<S>& query, const HeadView<S>& key, const HeadView<S>& value,
                                     const Variable<S, 4>* bias, const MayAttend& may_attend, bool weights_wanted,
                                     Index appended, [[maybe_unused]] const Statistics& statistics) const {
    if constexpr (fused) {
      const double scale = score_.scale(query.dim);
      if constexpr (detail::Projects<Score<S>, Variable<S, 4>>::value)
        return detail::fused_attention<S>("attention", project(query, key), key, value, bias, may_attend, scale,
                                          dropout_, weights_wanted, AttentionModifier<>(), statistics);
      else
        return detail::fused_attention<S>("attention", query, key, value, bias, may_attend, scale, dropout_,
                                          weights_wanted, AttentionModifier<>(), statistics);
    } else {
      const auto keys = repeat_heads(take_heads(key), query.heads / key.heads);
      auto scores = score_(take_heads(query), keys);
      const Shape<4> expected{query.shape()[0], query.heads, query.shape()[1], key.shape()[1]};
      require(scores.shape() == expected, "attention", [&] {
        return message("the scores have shape ", scores.shape(),
                       "; they must be (batch, heads, queries, keys) = ", expected);
      });
      if (bias) scores = add_bias(scores, *bias, appended);
      const auto weights = Alignment::weights(scores, may_attend);
      offer(*this, "weights", weights);  // before they are used, so that their gradient can be asked for
      Tape<S>* const tape = common_tape<S>("attention", weights, value.source);
      const auto dropout = detail::draw_attention_dropout(tape, dropout_);
      return {weighted_sum(weights, value, dropout), weights, dropout};
    }
  }
  /// With parameters of the score, the query joins the key's tape as a constant if it is on none.
  HeadView<S> project(const HeadView<S>& query, const HeadView<S>& key) const {
    const auto q = take_heads(query);
    return score_.project(q.link() || !key.source.link() ? q : q.beside(key.source.link()));
  }
  Score<S> score_;
  double dropout_ = 0;
};

ATTEND_END
