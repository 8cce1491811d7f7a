#pragma once
#include <cmath>
#include <string>

#include "attend/autograd/variable.hpp"

ATTEND_BEGIN

/// Training went wrong: the loss, or a gradient, is NaN or infinite.
struct TrainingError : Error {
  using Error::Error;
};

/// Throws TrainingError unless the loss is a finite number; `step` is for the message. Call it before `optimizer.step`,
/// so that the model keeps its last good values.
inline void require_finite(double loss, Index step) {
  require<TrainingError>(std::isfinite(loss), "train", [&] {
    return message(
        "the loss of step ", step, " is ", loss,
        "; the model is as the step before left it (a lower learning rate, clip_grad_norm or a look at the data "
        "may help)");
  });
}
/// The same for the norm of the gradients, as clip_grad_norm gives it: they can overflow where the loss does not.
inline void require_finite_gradients(double norm, Index step) {
  require<TrainingError>(std::isfinite(norm), "train", [&] {
    return message("the gradients of step ", step, " have the norm ", norm,
                   "; the model is as the step before left it (a lower learning rate or a look at the data may help)");
  });
}
template <class S>
void require_finite(const Variable<S, 0>& loss, Index step) {
  require_finite(static_cast<double>(loss.item()), step);
}

ATTEND_END
