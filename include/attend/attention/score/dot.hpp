#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/attention_scores.hpp"

// A score is a layer: query (B, Lq, H, D), key (B, Lk, H, D)  ->  scores (B, H, Lq, Lk). One that is a dot product
// says so by `dot_type` and `scale(head_dim)`, and if it maps the query first, by `project(query)`: attention by
// softmax then runs in the fused kernel and never makes the scores.
ATTEND_BEGIN
namespace score {

/// q k^T (Luong et al. 2015, "dot").
template <class S>
class Dot : public Layer<Dot<S>> {
 public:
  static constexpr bool dot_type = true;
  static double scale(Index) { return 1; }
  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key) const {
    return dot_scores(query, key, S(1));
  }
};

}  // namespace score
ATTEND_END
