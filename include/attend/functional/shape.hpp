#pragma once
/// Slices, transpositions and their like. Axes count from 0, or from -1 backwards. All copy, but flatten (and
/// Variable::reshape), which shares memory. Nothing is saved for backward.  Throws ShapeError for an axis that x lacks.
#include <vector>

#include "attend/autograd/operation.hpp"
#include "attend/kernels/strided.hpp"

ATTEND_BEGIN

namespace detail {
template <class S, int R>
std::size_t axis_of(const Operation<S>& op, const Variable<S, R>& x, int axis) {
  op.require(axis >= -R && axis < R, [&] {
    return message("x has shape ", x.shape(), "; the axis must lie in [", -R, ", ", R, "), but is ", axis);
  });
  return static_cast<std::size_t>(axis < 0 ? axis + R : axis);
}
/// y = the part of x at `place`, in order.
template <class S, int R, std::size_t Q>
Variable<S, static_cast<int>(Q)> gather_part(const Operation<S>& op, const Variable<S, R>& x,
                                             const std::array<Index, Q>& shape, const Strided& place) {
  const auto y = op.result(shape);
  strided_gather(place, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) strided_scatter_add(place, pass.of(dy), d);
    });
  return y;
}
}  // namespace detail

/// As the end of a slice: all the rest.
inline constexpr Index to_end = std::numeric_limits<Index>::max();

/// Elements begin, begin + step, ... before end of an axis; begin and end below 0 count from the end.
/// x: (..., n, ...)  ->  (..., ceil((end - begin) / step), ...).  Throws ShapeError unless 0 <= begin <= end <= n
/// (after counting), OptionError unless step >= 1.  x[..., begin:end:step, ...] in Python
template <class S, int R>
Variable<S, R> slice(const Variable<S, R>& x, Index begin, Index end, int axis, Index step = 1) {
  Operation<S> op("slice", x);
  const std::size_t a = detail::axis_of(op, x, axis);
  const Index n = x.shape()[a], first = begin < 0 ? begin + n : begin,
              last = end == to_end ? n
                     : end < 0     ? end + n
                                   : end;
  op.require(first >= 0 && first <= last && last <= n, [&] {
    return message("x has shape ", x.shape(), "; a slice of axis ", a, " must lie in [0, ", n, "), but is [", first,
                   ", ", last, ")");
  });
  require<OptionError>(step >= 1, "slice",
                       [&] { return message("step is ", step, "; it must be at least 1 (flip reverses)"); });
  auto shape = x.shape(), steps = row_major_steps(x.shape());
  const Index offset = first * steps[a];
  shape[a] = last == first ? 0 : (last - first - 1) / step + 1;
  if (shape[a] <= 1) step = 1;  // one step beyond could not be counted
  steps[a] *= step;
  return detail::gather_part(op, x, shape, Strided(shape, steps, offset));
}

/// One index of an axis, which disappears: (..., n, ...) -> (..., ...).  x.select(axis, index) in PyTorch
template <class S, int R>
Variable<S, R - 1> select(const Variable<S, R>& x, Index index, int axis) {
  static_assert(R >= 1, "attend: select needs an axis");
  Operation<S> op("select", x);
  const std::size_t a = detail::axis_of(op, x, axis);
  const Index n = x.shape()[a], at = index < 0 ? index + n : index;
  op.require(at >= 0 && at < n, [&] {
    return message("x has shape ", x.shape(), "; the index into axis ", a, " must lie in [", -n, ", ", n, "), but is ",
                   index);
  });
  const auto all = row_major_steps(x.shape());
  Shape<R - 1> shape{}, steps{};
  for (std::size_t i = 0, k = 0; i < static_cast<std::size_t>(R); ++i)
    if (i != a) shape[k] = x.shape()[i], steps[k++] = all[i];
  return detail::gather_part(op, x, shape, Strided(shape, steps, at * all[a]));
}

/// Consecutive parts of these extents along an axis.  Throws ShapeError unless they add up to it.  torch.split
template <class S, int R>
std::vector<Variable<S, R>> split(const Variable<S, R>& x, const std::vector<Index>& extents, int axis) {
  Operation<S> op("split", x);
  const Index n = x.shape()[detail::axis_of(op, x, axis)];
  Index rest = n;
  bool fits = true;
  for (const Index extent : extents) {
    fits = fits && extent >= 0 && extent <= rest;
    if (fits) rest -= extent;
  }
  op.require(fits && rest == 0,
             [&] { return message("x has shape ", x.shape(), "; the parts ", extents, " must add up to ", n); });
  std::vector<Variable<S, R>> parts;
  Index begin = 0;
  for (const Index extent : extents) {
    parts.push_back(slice(x, begin, begin + extent, axis));
    begin += extent;
  }
  return parts;
}

/// `count` equal parts along an axis.  Throws ShapeError unless count divides it.  (torch.chunk makes the last one
/// shorter.)
template <class S, int R>
std::vector<Variable<S, R>> chunk(const Variable<S, R>& x, Index count, int axis) {
  Operation<S> op("chunk", x);
  const Index n = x.shape()[detail::axis_of(op, x, axis)];
  op.require(count > 0 && n % count == 0, [&] {
    return message("x has shape ", x.shape(), "; axis ", axis, " must be divisible into ", count, " parts");
  });
  return split(x, std::vector<Index>(static_cast<std::size_t>(count), n / count), axis);
}

/// Axis i of the result is axis order[i] of x.  Throws ShapeError unless order names each axis once.  torch.permute
template <class S, int R>
Variable<S, R> transpose(const Variable<S, R>& x, const std::array<int, static_cast<std::size_t>(R)>& order) {
  Operation<S> op("transpose", x);
  const auto all = row_major_steps(x.shape());
  Shape<R> shape{}, steps{};
  std::array<bool, static_cast<std::size_t>(R)> named{};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const int axis = order[i] < 0 ? order[i] + R : order[i];
    op.require(axis >= 0 && axis < R && !named[static_cast<std::size_t>(axis)], [&] {
      return message("x has shape ", x.shape(), "; the order ", order, " must name each of its axes once");
    });
    named[static_cast<std::size_t>(axis)] = true;
    shape[i] = x.dim(axis), steps[i] = all[static_cast<std::size_t>(axis)];
  }
  return detail::gather_part(op, x, shape, Strided(shape, steps));
}

/// An axis in reverse order.  torch.flip
template <class S, int R>
Variable<S, R> flip(const Variable<S, R>& x, int axis) {
  Operation<S> op("flip", x);
  const std::size_t a = detail::axis_of(op, x, axis);
  auto steps = row_major_steps(x.shape());
  const Index offset = (std::max<Index>(x.shape()[a], 1) - 1) * steps[a];
  steps[a] = -steps[a];
  return detail::gather_part(op, x, x.shape(), Strided(x.shape(), steps, offset));
}

/// Axes From, From + 1, ... as one; the same memory and gradient: (B, H, W, C) -> (B, H W C). Channels-last order:
/// PyTorch flattens (B, C, H, W), so a dense layer after it has its weight's columns in another order.
template <int From = 1, class S, int R>
Variable<S, From + 1> flatten(const Variable<S, R>& x) {
  static_assert(From >= 0 && From < R, "attend: flatten starts at an axis of x");
  Shape<From + 1> shape{};
  std::copy_n(x.shape().begin(), From, shape.begin());
  shape.back() = 1;
  for (int axis = From; axis < R; ++axis) shape.back() *= x.dim(axis);
  return x.reshape(shape);
}

/// An axis with `before` and `after` more elements at its ends, all `value`.  torch.nn.functional.pad(mode='constant')
template <class S, int R>
Variable<S, R> pad(const Variable<S, R>& x, Index before, Index after, int axis, double value = 0) {
  Operation<S> op("pad", x);
  const std::size_t a = detail::axis_of(op, x, axis);
  require<OptionError>(before >= 0 && after >= 0, "pad", [&] {
    return message("before is ", before, " and after ", after, "; both must be 0 or more (slice shortens)");
  });
  auto shape = x.shape();
  shape[a] += element_count(Shape<1>{before}) + element_count(Shape<1>{after});  // each far below overflow
  const auto y = op.result(shape);
  const auto steps = row_major_steps(shape);
  const Strided place(x.shape(), steps, before * steps[a]);
  std::fill_n(op.data(y), y.size(), S(value));
  strided_scatter(place, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) strided_gather_add(place, pass.of(dy), d);
    });
  return y;
}

ATTEND_END
