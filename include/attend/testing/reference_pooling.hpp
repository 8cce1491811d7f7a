#pragma once
/// Pooling and resizing as their definitions read: slow, plain loops to compare the kernels with. No checks.
#include <algorithm>
#include <cmath>
#include <vector>

#include "attend/functional/global_pooling.hpp"
#include "attend/functional/interpolate.hpp"

ATTEND_BEGIN
namespace testing {

/// Window positions, found by walking: in ceil mode a window counts if it starts on the input or the padding before it
/// and if the one before it did not already reach the end.
inline std::vector<Index> reference_pool_starts(Index extent, Index kernel, Index stride, Index padding, Index dilation,
                                                bool ceil_mode) {
  std::vector<Index> starts;
  for (Index start = -padding;; start += stride) {
    const Index end = start + dilation * (kernel - 1) + 1;
    const bool fits = end <= extent + padding, reaches = end - stride < extent + padding && start < extent;
    if (!(fits || (ceil_mode && reaches))) return starts;
    starts.push_back(start);
  }
}

/// Every window's value by `reduce(cells, window cells on input and padding)`; cells in reading order.
template <class S, class Reduce>
Tensor<S, 4> reference_pool2d(const Tensor<S, 4>& x, const Pair& kernel, const Pair& stride, const Pair& padding,
                              const Pair& dilation, bool ceil_mode, const Reduce& reduce) {
  const Index height = x.dimension(1), width = x.dimension(2);
  const auto rows =
      reference_pool_starts(height, kernel.height, stride.height, padding.height, dilation.height, ceil_mode);
  const auto columns =
      reference_pool_starts(width, kernel.width, stride.width, padding.width, dilation.width, ceil_mode);
  Tensor<S, 4> y(x.dimension(0), static_cast<Index>(rows.size()), static_cast<Index>(columns.size()), x.dimension(3));
  for (Index b = 0; b < y.dimension(0); ++b)
    for (Index i = 0; i < y.dimension(1); ++i)
      for (Index j = 0; j < y.dimension(2); ++j)
        for (Index c = 0; c < y.dimension(3); ++c) {
          std::vector<S> cells;
          Index padded = 0;
          for (Index t = 0; t < kernel.height; ++t)
            for (Index u = 0; u < kernel.width; ++u) {
              const Index h = rows[static_cast<std::size_t>(i)] + t * dilation.height,
                          w = columns[static_cast<std::size_t>(j)] + u * dilation.width;
              if (h < height + padding.height && w < width + padding.width) ++padded;
              if (h >= 0 && h < height && w >= 0 && w < width) cells.push_back(x(b, h, w, c));
            }
          y(b, i, j, c) = reduce(cells, padded);
        }
  return y;
}

template <class S>
Tensor<S, 4> reference_max_pool2d(const Tensor<S, 4>& x, const MaxPoolOptions& o) {
  return reference_pool2d(
      x, o.kernel_size, o.stride == Pair(0) ? o.kernel_size : o.stride, o.padding, o.dilation, o.ceil_mode,
      [](const std::vector<S>& cells, Index) { return *std::max_element(cells.begin(), cells.end()); });
}

template <class S>
Tensor<S, 4> reference_avg_pool2d(const Tensor<S, 4>& x, const AvgPoolOptions& o) {
  return reference_pool2d(x, o.kernel_size, o.stride == Pair(0) ? o.kernel_size : o.stride, o.padding, 1, o.ceil_mode,
                          [&](const std::vector<S>& cells, Index padded) {
                            S sum = 0;
                            for (const S v : cells) sum += v;
                            const Index divisor = o.divisor_override    ? o.divisor_override
                                                  : o.count_include_pad ? padded
                                                                        : static_cast<Index>(cells.size());
                            return cells.empty() ? S(0) : sum / static_cast<S>(divisor);
                          });
}

/// `reduce(cells)` over floor(i extent / n) .. ceil((i + 1) extent / n), computed in floating point as the formula
/// reads.
template <class S, class Reduce>
Tensor<S, 4> reference_adaptive_pool2d(const Tensor<S, 4>& x, const Pair& size, const Reduce& reduce) {
  const auto begin = [](Index i, Index in, Index out) {
    return static_cast<Index>(std::floor(static_cast<double>(i * in) / static_cast<double>(out)));
  };
  const auto end = [](Index i, Index in, Index out) {
    return static_cast<Index>(std::ceil(static_cast<double>((i + 1) * in) / static_cast<double>(out)));
  };
  Tensor<S, 4> y(x.dimension(0), size.height, size.width, x.dimension(3));
  for (Index b = 0; b < y.dimension(0); ++b)
    for (Index i = 0; i < y.dimension(1); ++i)
      for (Index j = 0; j < y.dimension(2); ++j)
        for (Index c = 0; c < y.dimension(3); ++c) {
          std::vector<S> cells;
          for (Index h = begin(i, x.dimension(1), size.height); h < end(i, x.dimension(1), size.height); ++h)
            for (Index w = begin(j, x.dimension(2), size.width); w < end(j, x.dimension(2), size.width); ++w)
              cells.push_back(x(b, h, w, c));
          y(b, i, j, c) = reduce(cells);
        }
  return y;
}

/// interpolate, in double.
template <class S>
Tensor<S, 4> reference_interpolate(const Tensor<S, 4>& x, const InterpolateOptions& o) {
  const auto extent = [](Index in, Index size, double factor) {
    return factor > 0 ? static_cast<Index>(std::floor(static_cast<double>(in) * factor)) : size;
  };
  const auto position = [&](Index i, Index in, Index out, double factor) {
    const double step = factor > 0 ? 1 / factor : static_cast<double>(in) / static_cast<double>(out),
                 at = static_cast<double>(i);
    if (o.mode == Interpolation::nearest) return std::min(std::floor(at * step), static_cast<double>(in - 1));
    if (o.mode == Interpolation::nearest_exact)
      return std::min(std::floor((at + 0.5) * step), static_cast<double>(in - 1));
    if (o.align_corners) return out == 1 ? 0.0 : at * static_cast<double>(in - 1) / static_cast<double>(out - 1);
    return std::clamp((at + 0.5) * step - 0.5, 0.0, static_cast<double>(in - 1));
  };
  const Index height = x.dimension(1), width = x.dimension(2);
  Tensor<S, 4> y(x.dimension(0), extent(height, o.size.height, o.scale_factor.height),
                 extent(width, o.size.width, o.scale_factor.width), x.dimension(3));
  for (Index b = 0; b < y.dimension(0); ++b)
    for (Index i = 0; i < y.dimension(1); ++i)
      for (Index j = 0; j < y.dimension(2); ++j)
        for (Index c = 0; c < y.dimension(3); ++c) {
          const double h = position(i, height, y.dimension(1), o.scale_factor.height),
                       w = position(j, width, y.dimension(2), o.scale_factor.width);
          double sum = 0;  // tent functions around every cell
          for (Index p = 0; p < height; ++p)
            for (Index q = 0; q < width; ++q)
              sum += std::max(0.0, 1 - std::abs(h - static_cast<double>(p))) *
                     std::max(0.0, 1 - std::abs(w - static_cast<double>(q))) * static_cast<double>(x(b, p, q, c));
          y(b, i, j, c) = static_cast<S>(sum);
        }
  return y;
}

}  // namespace testing
ATTEND_END
