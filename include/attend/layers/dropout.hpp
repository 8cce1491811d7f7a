#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/dropout.hpp"

ATTEND_BEGIN

/// On a training tape, each element is 0 with probability p, else divided by 1 - p; elsewhere x itself. Any rank and
/// scalar. Dropout(0.1).  Throws OptionError unless 0 <= p <= 1.  torch.nn.Dropout
class Dropout : public Layer<Dropout> {
 public:
  explicit Dropout(double p = 0.5) : p_(p) { detail::check_probability("Dropout", p); }
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return dropout(x, p_);
  }

 private:
  double p_;
};

/// The same for whole channels of a sample.  x: (batch, height, width, channels), or any rank from 3 on.
/// torch.nn.Dropout2d
class Dropout2d : public Layer<Dropout2d> {
 public:
  explicit Dropout2d(double p = 0.5) : p_(p) { detail::check_probability("Dropout2d", p); }
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return channel_dropout(x, p_);
  }

 private:
  double p_;
};

/// The same for whole samples: for the branch of a residual block.  x: (batch, ...).  timm's DropPath
class DropPath : public Layer<DropPath> {
 public:
  explicit DropPath(double p = 0) : p_(p) { detail::check_probability("DropPath", p); }
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return drop_path(x, p_);
  }

 private:
  double p_;
};

ATTEND_END
