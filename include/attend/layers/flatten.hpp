#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/shape.hpp"

ATTEND_BEGIN

/// Axes From, From + 1, ... as one: (batch, height, width, channels) -> (batch, height width channels).
/// torch.nn.Flatten, but for the order: PyTorch flattens (batch, channels, height, width).
template <int From = 1>
class Flatten : public Layer<Flatten<From>> {
 public:
  template <class S, int R>
  Variable<S, From + 1> forward(const Variable<S, R>& x) const {
    return flatten<From>(x);
  }
};

ATTEND_END
