#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/dropout.hpp"

ATTEND_BEGIN

namespace detail {
inline void check_probability(const char* name, double p, const char* which = "the probability") {
  require<OptionError>(p >= 0 && p <= 1, name, [&] { return message(which, " is ", p, "; it must lie in [0, 1]"); });
}
template <class S, int R>
Variable<S, R> drop(const char* name, const Variable<S, R>& x, double p, const DropoutSizes& sizes) {
  check_probability(name, p);
  Operation<S> op(name, x);
  if (!op.training() || p == 0) return x;
  const Rng stream = op.tape()->rng().split();
  const auto y = op.result(x.shape());
  dropout_forward(stream, p, sizes, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) dropout_backward(stream, p, sizes, pass.of(dy), d);
    });
  return y;
}
}  // namespace detail

/// On a training tape, each element is 0 with probability p, else x / (1 - p); p = 1 gives zeros. Elsewhere x itself.
/// Saves nothing: the backward pass draws the same numbers again.  Throws OptionError unless 0 <= p <= 1, and on a
/// training tape that was made without an Rng.  Srivastava et al. 2014; torch.nn.functional.dropout
template <class S, int R>
Variable<S, R> dropout(const Variable<S, R>& x, double p) {
  return detail::drop("dropout", x, p, {x.size(), 1, 1});
}

/// The same for whole channels of a sample: (batch, ..., channels), each sample and channel dropped or kept with all
/// its positions.  Tompson et al. 2015; torch.nn.functional.dropout1d, 2d, 3d
template <class S, int R>
Variable<S, R> channel_dropout(const Variable<S, R>& x, double p) {
  static_assert(R >= 3, "attend: channel_dropout needs a batch axis, positions and, last, a channel axis");
  const Index outer = x.dim(0), channels = x.dim(-1);
  return detail::drop("channel_dropout", x, p, {outer, x.size() == 0 ? 0 : x.size() / (outer * channels), channels});
}

/// The same for whole samples: the branch of a residual block is left out for a sample with probability p, else scaled
/// by 1 / (1 - p).  x: (batch, ...).  Huang et al. 2016 (stochastic depth); timm's drop_path
template <class S, int R>
Variable<S, R> drop_path(const Variable<S, R>& x, double p) {
  static_assert(R >= 1, "attend: drop_path needs a batch axis");
  return detail::drop("drop_path", x, p, {x.dim(0), x.size() == 0 ? 0 : x.size() / x.dim(0), 1});
}

ATTEND_END
