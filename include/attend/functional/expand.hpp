#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/broadcast.hpp"

ATTEND_BEGIN

/// Axes of extent 1 repeated to the extents of `shape`.  x: extents 1 or as in shape  ->  shape.  Saves nothing; the
/// gradient is summed over the repetition, in double.  Throws ShapeError where an extent is neither.
/// torch.Tensor.expand (which shares memory)
template <class S, int R>
Variable<S, R> expand(const Variable<S, R>& x, const Shape<R>& shape) {
  Operation<S> op("expand", x);
  for (std::size_t i = 0; i < shape.size(); ++i)
    op.require(x.shape()[i] == shape[i] || (x.shape()[i] == 1 && shape[i] >= 0), [&] {
      return message("x has shape ", x.shape(), "; to become ", shape, ", its axis ", i, " must be 1 or ", shape[i]);
    });
  const auto y = op.result(shape);
  const Broadcast steps(x.shape(), shape);
  const S* from = x.data();
  S* to = op.data(y);
  const Index step = steps.inner_a();
  for_each_broadcast(steps, [=](Index i, Index ix, Index, Index n) {
    if (step == 1)
      std::copy_n(from + ix, n, to + i);
    else
      std::fill_n(to + i, n, from[ix]);
  });
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(dx)) broadcast_sum(steps, dx.size, g, d, 1.0);
    });
  return y;
}

/// The same for every sample: (1, ...) -> (batch, ...).  Throws ShapeError unless the first axis is 1.
template <class S, int R>
Variable<S, R> repeat_batch(const Variable<S, R>& x, Index batch) {
  require(x.dim(0) == 1, "repeat_batch",
          [&] { return message("x has shape ", x.shape(), "; its first axis must be 1"); });
  Shape<R> shape = x.shape();
  shape[0] = batch;
  return expand(x, shape);
}

/// The whole of x, counts[i] times along axis i: (n, ...) -> (counts[0] n, ...).  Throws OptionError for a negative
/// count. torch.Tensor.repeat, numpy.tile
template <class S, int R>
Variable<S, R> repeat(const Variable<S, R>& x, const Shape<R>& counts) {
  static_assert(R <= 4, "attend: repeat takes up to 4 axes");
  Shape<2 * R> one{}, many{};
  Shape<R> shape{};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    require<OptionError>(counts[i] >= 0, "repeat",
                         [&] { return message("counts are ", counts, "; each must be 0 or more"); });
    one[2 * i] = 1, many[2 * i] = counts[i];
    one[2 * i + 1] = many[2 * i + 1] = x.shape()[i];
    shape[i] = element_count(Shape<2>{counts[i], x.shape()[i]});
  }
  return expand(x.reshape(one), many).reshape(shape);
}

ATTEND_END
