#pragma once
#include <cmath>

#include "attend/attention/score/dot.hpp"

ATTEND_BEGIN
namespace score {

/// q k^T / sqrt(D) (Vaswani et al. 2017, eq. 1): for queries and keys of unit variance the product has variance D, the
/// score 1.
template <class S>
class ScaledDot : public Layer<ScaledDot<S>> {
 public:
  static constexpr bool dot_type = true;
  static double scale(Index head_dim) { return 1 / std::sqrt(static_cast<double>(head_dim)); }
  Variable<S, 4> forward(const Variable<S, 4>& query, const Variable<S, 4>& key) const {
    return dot_scores(query, key, static_cast<S>(scale(query.dim(3))));
  }
};

}  // namespace score
ATTEND_END
