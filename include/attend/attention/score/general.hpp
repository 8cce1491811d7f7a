#pragma once
#include <cmath>

#include "attend/attention/score/dot.hpp"
#include "attend/functional/dense.hpp"

ATTEND_BEGIN
namespace score {

/// k^T W q (Luong et al. 2015, "general"; OpenNMT's linear_in).
/// weight: W (D, D), shared by the heads, uniform in [-1 / sqrt(D), 1 / sqrt(D)] at first.
template <class S>
class General : public Layer<General<S>> {
 public:
  static constexpr bool dot_type = true;
  General(Index head_dim, Rng& rng)
      : weight_({head_dim, head_dim}, rng, 1 / std::sqrt(static_cast<double>(head_dim))) {}
  static double scale(Index) { return 1; }
  Variable<S, 4> project(const Variable<S, 4>& query) const {
    const Index dim = weight_.shape()[0];
    return dense(query, weight_.on(query), absent<S, 1>(), PackedDense<S>::of(weight_, dim, dim));
  }
  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key) const {
    return dot_scores(project(query), key, S(1));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
  }

 private:
  Parameter<S, 2> weight_;
};

}  // namespace score
ATTEND_END
