#pragma once
#include "attend/autograd/layer.hpp"

ATTEND_BEGIN

/// Gives what it is given.  torch.nn.Identity
class Identity : public Layer<Identity> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return x;
  }
};

ATTEND_END
