#pragma once
#include "attend/functional/pooling.hpp"
#include "attend/kernels/global_pooling.hpp"

ATTEND_BEGIN

/// Mean over all pixels.  x: (batch, height, width, channels)  ->  (batch, channels). Saves nothing. Throws ShapeError
/// without pixels. torch: x.mean((2, 3)) in channels-first order.
template <class S>
Variable<S, 2> global_average_pool(const Variable<S, 4>& x) {
  Operation<S> op("global_average_pool", x);
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  op.require(pixels >= 1, [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  const auto y = op.result(Shape<2>{batch, channels});
  global_mean_max_forward(batch, pixels, channels, x.data(), op.data(y), static_cast<S*>(nullptr));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) global_average_backward(batch, pixels, channels, pass.of(dy), d);
    });
  return y;
}

/// Largest of all pixels; the first of equals gets the gradient, NaN counts as larger than everything. Shapes as
/// global_average_pool. Saves the winners' numbers. torch: adaptive_max_pool2d(x, 1)
template <class S>
Variable<S, 2> global_max_pool(const Variable<S, 4>& x) {
  Operation<S> op("global_max_pool", x);
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  op.require(pixels >= 1, [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  detail::check_pixels(op, x);
  const auto y = op.result(Shape<2>{batch, channels});
  const auto where = make_buffer<std::int32_t>(y.size());
  global_max_forward(batch, pixels, channels, x.data(), op.data(y), where.get());
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) max_pool_backward(batch, pixels, Index(1), channels, pass.of(dy), where.get(), d);
    });
  return y;
}

namespace detail {
/// sqrt(sum (x - centre)^2 / divisor) of each channel; centre: (batch, channels), or null for zero.
template <class S>
Variable<S, 2> global_root_square(Operation<S>& op, const Variable<S, 4>& x, double divisor,
                                  const Shared<const S>& centre) {
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  const auto y = op.result(Shape<2>{batch, channels});
  global_root_square_forward(batch, pixels, channels, divisor, centre.get(), x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), xs = op.keep(x), ys = op.keep(y)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx))
        global_root_square_backward(batch, pixels, channels, divisor, centre.get(), xs.get(), ys.get(), pass.of(dy), d);
    });
  return y;
}
}  // namespace detail

/// Euclidean norm over all pixels; where it is 0, so is its gradient.  Shapes as global_average_pool. Saves x and the
/// norms. torch: x.norm(p=2, dim=(2, 3))
template <class S>
Variable<S, 2> global_norm_pool(const Variable<S, 4>& x) {
  Operation<S> op("global_norm_pool", x);
  return detail::global_root_square<S>(op, x, 1, nullptr);
}

/// Standard deviation over all pixels, sqrt(mean((x - mean)^2)); where it is 0, so is its gradient.  Shapes as
/// global_average_pool. Saves x, the means and the deviations. Throws ShapeError without pixels.
/// torch: x.std((2, 3), unbiased=False)
template <class S>
Variable<S, 2> global_deviation_pool(const Variable<S, 4>& x) {
  Operation<S> op("global_deviation_pool", x);
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  op.require(pixels >= 1, [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  const auto mean = make_buffer<S>(batch * channels);
  global_mean_max_forward(batch, pixels, channels, x.data(), mean.get(), static_cast<S*>(nullptr));
  return detail::global_root_square<S>(op, x, static_cast<double>(pixels), mean);
}

/// global_average_pool and global_max_pool of the same x; in one pass where nothing is recorded.
template <class S>
std::pair<Variable<S, 2>, Variable<S, 2>> global_mean_max_pool(const Variable<S, 4>& x) {
  Operation<S> op("global_mean_max_pool", x);
  if (op.records()) return {global_average_pool(x), global_max_pool(x)};
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  op.require(pixels >= 1, [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  const auto mean = op.result(Shape<2>{batch, channels}), most = op.result(Shape<2>{batch, channels});
  global_mean_max_forward(batch, pixels, channels, x.data(), op.data(mean), op.data(most));
  return {mean, most};
}

/// Generalised-mean pooling, between the mean (p = 1) and the maximum (p large):
///
///     y[b, c] = (mean over the pixels of max(x[b, ., ., c], eps)^p)^(1/p)
///
///     x: (batch, height, width, channels)  p: (1)  ->  (batch, channels)
/// Saves x, p and y. Throws ShapeError without pixels, OptionError for eps <= 0.
/// Radenovic, Tolias and Chum 2018, "Fine-tuning CNN image retrieval with no human annotation", arXiv:1711.02512,
/// eq. 3.
template <class S>
Variable<S, 2> generalised_mean_pool(const Variable<S, 4>& x, const Variable<S, 1>& p, double eps = 1e-6) {
  attend::require<OptionError>(eps > 0, "generalised_mean_pool",
                               [&] { return message("eps is ", eps, "; it must be positive"); });
  Operation<S> op("generalised_mean_pool", x, p);
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  op.require(pixels >= 1, [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  op.require(p.dim(0) == 1, [&] { return message("p has shape ", p.shape(), "; it must be one number, (1)"); });
  const auto y = op.result(Shape<2>{batch, channels});
  generalised_mean_forward(batch, pixels, channels, *p.data(), static_cast<S>(eps), x.data(), op.data(y));
  if (op.records()) {
    const Slot dx = op.slot(x), dp = op.slot(p);
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x), ps = op.keep(p), ys = op.keep(y)](Pass<S>& pass) {
      S* to_x = pass.add_to(dx);
      S* to_p = pass.add_to(dp);
      generalised_mean_backward(batch, pixels, channels, *ps, static_cast<S>(eps), xs.get(), ys.get(), pass.of(dy),
                                to_x, to_p);
    });
  }
  return y;
}

ATTEND_END
