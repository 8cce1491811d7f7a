#pragma once
/// Sums, means and extremes over all axes, `sum(x)`, over some, `sum(x, {1, 2})`, or over some that stay with extent 1,
/// `sum(x, {1, 2}, keep_dims)`. Axes count from 0, or from -1 backwards. Sums are taken in double and in an order that
/// depends on the shape alone. Over an empty axis a sum is 0, a mean NaN, and an extreme throws. Throws ShapeError for
/// an axis that x lacks or that is named twice.
#include "attend/autograd/operation.hpp"
#include "attend/kernels/reduction.hpp"

ATTEND_BEGIN

/// Reduced axes stay, with extent 1.
struct KeepDims {};
inline constexpr KeepDims keep_dims{};

namespace detail {
/// The shape with the axes' extents 1.
template <class S, int R, std::size_t N>
Shape<R> reduced_shape(const Operation<S>& op, const Variable<S, R>& x, const int (&axes)[N]) {
  static_assert(N <= R, "attend: a reduction names at most as many axes as x has");
  Shape<R> shape = x.shape();
  std::array<bool, R> named{};
  for (const int axis : axes) {
    const int a = axis < 0 ? axis + R : axis;
    op.require(a >= 0 && a < R && !named[static_cast<std::size_t>(a)], [&] {
      return message("x has shape ", x.shape(), "; each axis must lie in [", -R, ", ", R,
                     ") and be named once, but one is ", axis);
    });
    named[static_cast<std::size_t>(a)] = true;
    shape[static_cast<std::size_t>(a)] = 1;
  }
  return shape;
}
/// The shape without the named axes, none of which is named twice.
template <int R, std::size_t N>
Shape<R - static_cast<int>(N)> dropped_shape(const Shape<R>& shape, const int (&axes)[N]) {
  Shape<R - static_cast<int>(N)> rest{};
  std::size_t k = 0;
  for (int i = 0; i < R; ++i)
    if (std::none_of(std::begin(axes), std::end(axes), [i](int a) { return (a < 0 ? a + R : a) == i; }))
      rest[k++] = shape[static_cast<std::size_t>(i)];
  return rest;
}

enum class Reduction { sum, mean, max, min };

template <class S, int R, std::size_t N>
Variable<S, R> reduce(const char* name, Reduction kind, const Variable<S, R>& x, const int (&axes)[N]) {
  Operation<S> op(name, x);
  const Shape<R> shape = reduced_shape(op, x, axes);
  const Broadcast steps(shape, x.shape());
  const auto y = op.result(shape);
  const Index size = y.size(), count = size == 0 ? 0 : x.size() / size;
  if (kind == Reduction::sum || kind == Reduction::mean) {
    const double divisor = kind == Reduction::sum ? 1 : static_cast<double>(count);
    std::fill_n(op.data(y), size, S(0));
    broadcast_sum(steps, size, x.data(), op.data(y), divisor);
    if (count == 0 && kind == Reduction::mean) std::fill_n(op.data(y), size, std::numeric_limits<S>::quiet_NaN());
    if (op.records())
      op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
        if (S* d = pass.add_to(dx)) broadcast_add(steps, divisor, pass.of(dy), d);
      });
    return y;
  }
  op.require(size == 0 || count > 0, [&] {
    return message("x has shape ", x.shape(), "; an extreme needs at least one element along the reduced axes");
  });
  const auto place = make_buffer<Index>(size);
  reduce_extreme(steps, kind == Reduction::max ? 1 : -1, size, x.data(), op.data(y), place.get());
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) reduce_extreme_backward(size, place.get(), pass.of(dy), d);
    });
  return y;
}
template <class S, int R>
Variable<S, 0> reduce_all(const char* name, Reduction kind, const Variable<S, R>& x) {
  return reduce(name, kind, x.reshape(Shape<1>{x.size()}), {0}).reshape(Shape<0>{});
}
}  // namespace detail

/// Sum of all elements: (...) -> ()
template <class S, int R>
Variable<S, 0> sum(const Variable<S, R>& x) {
  return detail::reduce_all("sum", detail::Reduction::sum, x);
}
template <class S, int R, std::size_t N>
Variable<S, R> sum(const Variable<S, R>& x, const int (&axes)[N], KeepDims) {
  return detail::reduce("sum", detail::Reduction::sum, x, axes);
}
template <class S, int R, std::size_t N>
Variable<S, R - static_cast<int>(N)> sum(const Variable<S, R>& x, const int (&axes)[N]) {
  return sum(x, axes, keep_dims).reshape(detail::dropped_shape<R>(x.shape(), axes));
}

/// Mean of all elements: (...) -> ()
template <class S, int R>
Variable<S, 0> mean(const Variable<S, R>& x) {
  return detail::reduce_all("mean", detail::Reduction::mean, x);
}
template <class S, int R, std::size_t N>
Variable<S, R> mean(const Variable<S, R>& x, const int (&axes)[N], KeepDims) {
  return detail::reduce("mean", detail::Reduction::mean, x, axes);
}
template <class S, int R, std::size_t N>
Variable<S, R - static_cast<int>(N)> mean(const Variable<S, R>& x, const int (&axes)[N]) {
  return mean(x, axes, keep_dims).reshape(detail::dropped_shape<R>(x.shape(), axes));
}

/// The largest element, NaN if there is one; the gradient goes to the first of equals, as torch.max(dim)'s.  Saves
/// where it stood.
template <class S, int R>
Variable<S, 0> max(const Variable<S, R>& x) {
  return detail::reduce_all("max", detail::Reduction::max, x);
}
template <class S, int R, std::size_t N>
Variable<S, R> max(const Variable<S, R>& x, const int (&axes)[N], KeepDims) {
  return detail::reduce("max", detail::Reduction::max, x, axes);
}
template <class S, int R, std::size_t N>
Variable<S, R - static_cast<int>(N)> max(const Variable<S, R>& x, const int (&axes)[N]) {
  return max(x, axes, keep_dims).reshape(detail::dropped_shape<R>(x.shape(), axes));
}

/// The smallest element, NaN if there is one; the gradient goes to the first of equals, as torch.min(dim)'s.  Saves
/// where it stood.
template <class S, int R>
Variable<S, 0> min(const Variable<S, R>& x) {
  return detail::reduce_all("min", detail::Reduction::min, x);
}
template <class S, int R, std::size_t N>
Variable<S, R> min(const Variable<S, R>& x, const int (&axes)[N], KeepDims) {
  return detail::reduce("min", detail::Reduction::min, x, axes);
}
template <class S, int R, std::size_t N>
Variable<S, R - static_cast<int>(N)> min(const Variable<S, R>& x, const int (&axes)[N]) {
  return min(x, axes, keep_dims).reshape(detail::dropped_shape<R>(x.shape(), axes));
}

ATTEND_END
