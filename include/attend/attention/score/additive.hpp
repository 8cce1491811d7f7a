#pragma once
#include <cmath>

#include "attend/autograd/layer.hpp"
#include "attend/functional/attention_scores.hpp"
#include "attend/functional/dense.hpp"

ATTEND_BEGIN
namespace score {

/// v^T tanh(W q + b + U k) (Bahdanau et al. 2015, appendix A.1.2; OpenNMT's mlp: linear_query with bias, linear_context
/// and v without).
/// query.weight: W (D, D)  query.bias: b (D)  key.weight: U (D, D)  weight: v (D), shared by the heads, all uniform in
/// [-1 / sqrt(D), 1 / sqrt(D)] at first.
template <class S>
class Additive : public Layer<Additive<S>> {
 public:
  Additive(Index head_dim, Rng& rng)
      : query_weight_({head_dim, head_dim}, rng, bound(head_dim)),
        query_bias_({head_dim}, rng, bound(head_dim)),
        key_weight_({head_dim, head_dim}, rng, bound(head_dim)),
        weight_({head_dim}, rng, bound(head_dim)) {}

  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key) const {
    const Index dim = weight_.shape()[0];
    const auto q = dense(query, query_weight_.on(query, key), query_bias_.on(query, key),
                         PackedDense<S>::of(query_weight_, dim, dim));
    const auto k = dense(key, key_weight_.on(query, key), absent<S, 1>(), PackedDense<S>::of(key_weight_, dim, dim));
    return additive_scores(q, k, weight_.on(query, key));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("query.weight", self.query_weight_);
    visit("query.bias", self.query_bias_);
    visit("key.weight", self.key_weight_);
    visit("weight", self.weight_);
  }

 private:
  static double bound(Index head_dim) { return 1 / std::sqrt(static_cast<double>(head_dim)); }
  Parameter<S, 2> query_weight_;
  Parameter<S, 1> query_bias_;
  Parameter<S, 2> key_weight_;
  Parameter<S, 1> weight_;
};

}  // namespace score
ATTEND_END
