#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/pooling.hpp"

ATTEND_BEGIN

struct MaxPoolOptions {
  Pair kernel_size = 0;    ///< cells of a window
  Pair stride = 0;         ///< from one window to the next; 0: kernel_size
  Pair padding = 0;        ///< cells of -infinity at each side, at most half of the window
  Pair dilation = 1;       ///< from one cell of a window to the next
  bool ceil_mode = false;  ///< a last partial window counts
};

struct AvgPoolOptions {
  Pair kernel_size = 0;
  Pair stride = 0;  ///< 0: kernel_size
  Pair padding = 0;
  bool ceil_mode = false;
  bool count_include_pad = true;  ///< padding counts in the divisor
  Index divisor_override = 0;     ///< this divisor instead, unless 0
};

namespace detail {

/// Checks the options and returns them with the stride that they mean; OptionError.
inline PoolShape pool_shape(const char* name, const Pair& kernel, const Pair& stride, const Pair& padding,
                            const Pair& dilation) {
  PoolShape s;
  s.kernel = kernel, s.padding = padding, s.dilation = dilation;
  s.stride = stride == Pair(0) ? kernel : stride;
  const auto at_least = [&](Index low, const Pair& given, const char* what) {
    attend::require<OptionError>(window_options_between(low, given), name, [&] {
      return message(what, " is ", given, "; both must be at least ", low, " (and below 2^30)");
    });
  };
  at_least(1, kernel, "kernel_size");
  at_least(1, s.stride, "stride");
  at_least(0, padding, "padding");
  at_least(1, dilation, "dilation");
  const Pair most((dilation.height * (kernel.height - 1) + 1) / 2, (dilation.width * (kernel.width - 1) + 1) / 2);
  attend::require<OptionError>(padding.height <= most.height && padding.width <= most.width, name, [&] {
    return message("padding is ", padding, "; for kernel_size ", kernel, " and dilation ", dilation,
                   " it must be at most ", most);
  });
  return s;
}
template <class S>
void fill_pool_shape(const Operation<S>& op, PoolShape& s, const Variable<S, 4>& x, bool ceil_mode) {
  s.batch = x.dim(0), s.height = x.dim(1), s.width = x.dim(2), s.channels = x.dim(3);
  s.out_height =
      pool_positions(s.height, s.padding.height, s.kernel.height, s.stride.height, s.dilation.height, ceil_mode);
  s.out_width = pool_positions(s.width, s.padding.width, s.kernel.width, s.stride.width, s.dilation.width, ceil_mode);
  op.require(s.height >= 1 && s.width >= 1 && s.out_height >= 1 && s.out_width >= 1, [&] {
    return message("x has shape ", x.shape(), "; with padding ", s.padding,
                   " it must be at least as large as kernel_size ", s.kernel, " with dilation ", s.dilation);
  });
}
/// Pixel numbers are kept in 32 bits.
template <class S>
void check_pixels(const Operation<S>& op, const Variable<S, 4>& x) {
  op.require(x.dim(1) == 0 || x.dim(2) <= std::numeric_limits<std::int32_t>::max() / x.dim(1),
             [&] { return message("x has shape ", x.shape(), "; it must have less than 2^31 pixels in a sample"); });
}
/// Sizes of an adaptive pooling; 0 keeps the input's extent.
template <class S>
PoolShape adaptive_shape(const Operation<S>& op, const Variable<S, 4>& x, const Pair& size) {
  PoolShape s;
  s.batch = x.dim(0), s.height = x.dim(1), s.width = x.dim(2), s.channels = x.dim(3);
  s.out_height = size.height == 0 ? s.height : size.height;
  s.out_width = size.width == 0 ? s.width : size.width;
  op.require(s.height >= 1 && s.width >= 1,
             [&] { return message("x has shape ", x.shape(), "; there must be pixels to pool"); });
  return s;
}
inline void check_output_size(const char* name, const Pair& size) {
  attend::require<OptionError>(window_options_between(0, size), name, [&] {
    return message("output_size is ", size, "; both must be at least 1, or 0 for the input's extent (and below 2^30)");
  });
}

}  // namespace detail

/// y[b, i, j, c] = largest x[b, ., ., c] in the window that starts at (i, j) stride - padding.
///
///     x: (batch, height, width, channels)  ->  (batch, out height, out width, channels)
///     out = floor((extent + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; in ceil mode rounded up, less a last
///     window that would start behind the input
/// The first of equal cells gets the gradient; NaN counts as larger than everything. Saves the winners' numbers.
/// Throws ShapeError for a window larger than the padded input, OptionError for padding above half of it.
/// torch.nn.functional.max_pool2d
template <class S>
Variable<S, 4> max_pool2d(const Variable<S, 4>& x, const MaxPoolOptions& options) {
  PoolShape s =
      detail::pool_shape("max_pool2d", options.kernel_size, options.stride, options.padding, options.dilation);
  Operation<S> op("max_pool2d", x);
  detail::fill_pool_shape(op, s, x, options.ceil_mode);
  detail::check_pixels(op, x);
  const auto y = op.result(Shape<4>{s.batch, s.out_height, s.out_width, s.channels});
  const auto where = op.records() ? make_buffer<std::int32_t>(y.size()) : nullptr;
  max_pool_forward(s, x.data(), op.data(y), where.get());
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx))
        max_pool_backward(s.batch, s.height * s.width, s.out_height * s.out_width, s.channels, pass.of(dy), where.get(),
                          d);
    });
  return y;
}

/// y[b, i, j, c] = sum of x[b, ., ., c] in the window / divisor; sizes as max_pool2d without dilation.
///
/// The divisor is the number of the window's cells on the input and its padding (in ceil mode a window may reach
/// further; that does not count), without count_include_pad those on the input only. Saves nothing. Throws as
/// max_pool2d. torch.nn.functional.avg_pool2d
template <class S>
Variable<S, 4> avg_pool2d(const Variable<S, 4>& x, const AvgPoolOptions& options) {
  PoolShape s = detail::pool_shape("avg_pool2d", options.kernel_size, options.stride, options.padding, 1);
  Operation<S> op("avg_pool2d", x);
  detail::fill_pool_shape(op, s, x, options.ceil_mode);
  const AverageDivisor divisor{options.count_include_pad, options.divisor_override};
  const auto y = op.result(Shape<4>{s.batch, s.out_height, s.out_width, s.channels});
  average_pool_forward(s, divisor, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) average_pool_backward(s, divisor, pass.of(dy), d);
    });
  return y;
}

/// Averages over windows that cover the input evenly: output i of n takes cells floor(i extent / n) to
/// ceil((i + 1) extent / n).  x: (batch, height, width, channels)  ->  (batch, size.height, size.width, channels); a
/// size of 0 keeps the extent. Saves nothing. torch.nn.functional.adaptive_avg_pool2d
template <class S>
Variable<S, 4> adaptive_avg_pool2d(const Variable<S, 4>& x, const Pair& output_size) {
  detail::check_output_size("adaptive_avg_pool2d", output_size);
  Operation<S> op("adaptive_avg_pool2d", x);
  const PoolShape s = detail::adaptive_shape(op, x, output_size);
  const auto y = op.result(Shape<4>{s.batch, s.out_height, s.out_width, s.channels});
  adaptive_average_forward(s, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) adaptive_average_backward(s, pass.of(dy), d);
    });
  return y;
}

/// The largest cell of the same windows; ties and NaN as max_pool2d. torch.nn.functional.adaptive_max_pool2d
template <class S>
Variable<S, 4> adaptive_max_pool2d(const Variable<S, 4>& x, const Pair& output_size) {
  detail::check_output_size("adaptive_max_pool2d", output_size);
  Operation<S> op("adaptive_max_pool2d", x);
  const PoolShape s = detail::adaptive_shape(op, x, output_size);
  detail::check_pixels(op, x);
  const auto y = op.result(Shape<4>{s.batch, s.out_height, s.out_width, s.channels});
  const auto where = make_buffer<std::int32_t>(y.size());
  adaptive_max_forward(s, x.data(), op.data(y), where.get());
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx))
        max_pool_backward(s.batch, s.height * s.width, s.out_height * s.out_width, s.channels, pass.of(dy), where.get(),
                          d);
    });
  return y;
}

/// max_pool2d on a map of height 1: (batch, length, channels) -> (batch, out length, channels); of the options the
/// width counts. torch.nn.functional.max_pool1d
template <class S>
Variable<S, 3> max_pool1d(const Variable<S, 3>& x, MaxPoolOptions options) {
  options.kernel_size.height = options.dilation.height = 1;
  options.stride.height = options.stride.width == 0 ? 0 : 1;
  options.padding.height = 0;
  const auto y = max_pool2d(x.reshape(Shape<4>{x.dim(0), 1, x.dim(1), x.dim(2)}), options);
  return y.reshape(Shape<3>{y.dim(0), y.dim(2), y.dim(3)});
}

/// avg_pool2d on a map of height 1, as max_pool1d. torch.nn.functional.avg_pool1d
template <class S>
Variable<S, 3> avg_pool1d(const Variable<S, 3>& x, AvgPoolOptions options) {
  options.kernel_size.height = 1;
  options.stride.height = options.stride.width == 0 ? 0 : 1;
  options.padding.height = 0;
  const auto y = avg_pool2d(x.reshape(Shape<4>{x.dim(0), 1, x.dim(1), x.dim(2)}), options);
  return y.reshape(Shape<3>{y.dim(0), y.dim(2), y.dim(3)});
}

ATTEND_END
