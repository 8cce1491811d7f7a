#pragma once
#include "attend/functional/attention_scores.hpp"

ATTEND_BEGIN
namespace alignment {

/// weights_ij = exp(s_ij) / sum_l exp(s_il) over the keys that query i may attend to: soft, global alignment (Bahdanau
/// et al. 2015). An alignment is any type with such a `weights`: zeros where the mask forbids.
struct Softmax {
  template <class S>
  static Variable<S, 4> weights(const Variable<S, 4>& scores, const MayAttend& may_attend) {
    return masked_softmax(scores, may_attend);
  }
};

}  // namespace alignment
ATTEND_END
