#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/resize.hpp"

ATTEND_BEGIN

/// Two factors, height then width, or one for both: `2`, `0.5` and `{2, 1.5}`.
struct ScaleFactor {
  double height = 0;
  double width = 0;
  constexpr ScaleFactor() = default;
  constexpr ScaleFactor(double both) : height(both), width(both) {}
  constexpr ScaleFactor(double h, double w) : height(h), width(w) {}
};

/// Give `size` or `scale_factor`, not both.
struct InterpolateOptions {
  Pair size = 0;                                ///< of the result
  ScaleFactor scale_factor = 0;                 ///< of the result to the input; the size is rounded down
  Interpolation mode = Interpolation::nearest;  ///< nearest, nearest_exact or bilinear
  bool align_corners = false;                   ///< bilinear: the corner centres of input and result coincide
};

namespace detail {
inline void check_interpolate(const char* name, const InterpolateOptions& o) {
  const bool size = !(o.size == Pair(0)), factor = o.scale_factor.height != 0 || o.scale_factor.width != 0;
  const auto given = [&] {
    return message("size is ", o.size, " and scale_factor (", o.scale_factor.height, ", ", o.scale_factor.width, ")");
  };
  attend::require<OptionError>(size != factor, name, [&] { return message(given(), "; give one of them"); });
  attend::require<OptionError>(!size || window_options_between(1, o.size), name,
                               [&] { return message(given(), "; both sizes must be at least 1 (and below 2^30)"); });
  attend::require<OptionError>(!factor || (o.scale_factor.height > 0 && o.scale_factor.width > 0 &&
                                           o.scale_factor.height <= 1e6 && o.scale_factor.width <= 1e6),
                               name,
                               [&] { return message(given(), "; both factors must be positive (and at most 1e6)"); });
  attend::require<OptionError>(!o.align_corners || o.mode == Interpolation::bilinear, name,
                               [] { return "align_corners is true; that needs mode bilinear"; });
}
}  // namespace detail

/// Resizes a feature map.  x: (batch, height, width, channels)  ->  (batch, size.height, size.width, channels)
///
/// Output o of an axis reads the input at
///     nearest        floor(o s)                   nearest_exact  floor((o + 1/2) s)
///     bilinear       max((o + 1/2) s - 1/2, 0)    with align_corners  o (in - 1) / (out - 1)
/// with s = in / size, or 1 / scale_factor where that was given (also if rounding the size made them differ: PyTorch's
/// recompute_scale_factor = None); bilinear weighs the two neighbours along each axis. Nothing is smoothed when
/// shrinking. Saves nothing. Throws OptionError for size and factor both or neither, ShapeError for an empty map.
/// torch.nn.functional.interpolate
template <class S>
Variable<S, 4> interpolate(const Variable<S, 4>& x, const InterpolateOptions& options) {
  detail::check_interpolate("interpolate", options);
  Operation<S> op("interpolate", x);
  const ResizeShape s{x.dim(0), x.dim(1), x.dim(2), x.dim(3)};
  const auto extent = [&](Index size, Index in, double factor) {
    if (factor == 0) return size;
    const double scaled = std::floor(static_cast<double>(in) * factor);
    op.require(scaled <= static_cast<double>(detail::largest_window_option), [&] {
      return message("x has shape ", x.shape(), "; enlarged ", factor, " times it must stay below 2^30");
    });
    return static_cast<Index>(scaled);
  };
  const Index height = extent(options.size.height, s.height, options.scale_factor.height);
  const Index width = extent(options.size.width, s.width, options.scale_factor.width);
  op.require(s.height >= 1 && s.width >= 1 && height >= 1 && width >= 1, [&] {
    return message("x has shape ", x.shape(), "; it cannot be resized to ", height, " by ", width,
                   ", both must have pixels");
  });
  const auto y = op.result(Shape<4>{s.batch, height, width, s.channels});
  const Interpolation mode = options.mode;
  const ResizeAxis<S> rows(s.height, height, options.scale_factor.height, mode, options.align_corners);
  const ResizeAxis<S> columns(s.width, width, options.scale_factor.width, mode, options.align_corners);
  resize_forward(s, rows, columns, mode, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) resize_backward(s, rows, columns, mode, pass.of(dy), d);
    });
  return y;
}

ATTEND_END
