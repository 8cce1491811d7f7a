#pragma once
/// Interpolation to another size, forward beside backward. Compiled once: it is seldom much of a network's work.
#include <cmath>
#include <vector>

#include "attend/kernels/pooling.hpp"

ATTEND_BEGIN

enum class Interpolation {
  nearest,        ///< floor(o scale): PyTorch's "nearest", shifted by half a cell
  nearest_exact,  ///< floor((o + 1/2) scale): the nearest centre, as image libraries do
  bilinear        ///< between the four centres around
};

/// Of one axis: output o reads (1 - fraction) x[low] + fraction x[high].
template <class S>
struct ResizeAxis {
  struct Cell {
    Index low, high;
    S fraction;
  };
  std::vector<Cell> cells;

  /// `factor` is the scale factor that was asked for, or 0: then out / in. As PyTorch, nearest computes its source in
  /// float whatever the scalar.
  ResizeAxis(Index in, Index out, double factor, Interpolation mode, bool align_corners) {
    for (Index o = 0; o < out; ++o) {
      if (mode == Interpolation::bilinear) {
        const S position = align_corners
                               ? static_cast<S>(o) * (out > 1 ? static_cast<S>(in - 1) / static_cast<S>(out - 1) : S(0))
                               : std::max(scale<S>(in, out, factor) * (static_cast<S>(o) + S(0.5)) - S(0.5), S(0));
        const Index low = std::min(static_cast<Index>(position), in - 1);
        const S fraction = std::clamp(position - static_cast<S>(low), S(0), S(1));
        cells.push_back({low, std::min(low + 1, in - 1), fraction});
      } else {
        const float step = scale<float>(in, out, factor);
        const float position = (static_cast<float>(o) + (mode == Interpolation::nearest_exact ? 0.5f : 0.0f)) * step;
        const Index low = std::min(static_cast<Index>(std::floor(position)), in - 1);
        cells.push_back({low, low, S(0)});
      }
    }
  }

 private:
  template <class T>
  static T scale(Index in, Index out, double factor) {
    return factor > 0 ? static_cast<T>(1 / factor) : static_cast<T>(in) / static_cast<T>(out);
  }
};

struct ResizeShape {
  Index batch = 0, height = 0, width = 0, channels = 0;
};

/// y[b, i, j, c] = the four cells around (i, j), weighed by the axes.
template <class S>
void resize_forward(const ResizeShape& s, const ResizeAxis<S>& rows, const ResizeAxis<S>& columns, Interpolation mode,
                    const S* x, S* y) {
  const Index c_all = s.channels, out_h = static_cast<Index>(rows.cells.size()),
              out_w = static_cast<Index>(columns.cells.size());
  detail::for_each_pixel(s.batch, out_h, out_w, 4 * c_all, [&](Index pixel, Index b, Index oh, Index ow) {
    const auto& h = rows.cells[static_cast<std::size_t>(oh)];
    const auto& w = columns.cells[static_cast<std::size_t>(ow)];
    const auto cell = [&](Index i, Index j) { return x + ((b * s.height + i) * s.width + j) * c_all; };
    S* out = y + pixel * c_all;
    const S* a = cell(h.low, w.low);
    if (mode != Interpolation::bilinear) {
      std::copy_n(a, c_all, out);
      return;
    }
    const S *right = cell(h.low, w.high), *below = cell(h.high, w.low), *across = cell(h.high, w.high);
    const S bottom = h.fraction, top = 1 - bottom, far = w.fraction, near = 1 - far;
    for (Index c = 0; c < c_all; ++c)
      out[c] = top * (near * a[c] + far * right[c]) + bottom * (near * below[c] + far * across[c]);
  });
}
template <class S>
void resize_backward(const ResizeShape& s, const ResizeAxis<S>& rows, const ResizeAxis<S>& columns, Interpolation mode,
                     const S* dy, S* dx) {
  const Index c_all = s.channels, out_w = static_cast<Index>(columns.cells.size());
  const Index out_pixels = static_cast<Index>(rows.cells.size()) * out_w;
  detail::for_each_channel_block(s.batch, c_all, [&](Index b, Index c0, Index c1) {
    for (Index p = 0; p < out_pixels; ++p) {
      const auto& h = rows.cells[static_cast<std::size_t>(p / out_w)];
      const auto& w = columns.cells[static_cast<std::size_t>(p % out_w)];
      const S* d = dy + (b * out_pixels + p) * c_all;
      const auto add = [&](Index i, Index j, S weight) {
        S* to = dx + ((b * s.height + i) * s.width + j) * c_all;
        for (Index c = c0; c < c1; ++c) to[c] += weight * d[c];
      };
      if (mode != Interpolation::bilinear) {
        add(h.low, w.low, S(1));
        continue;
      }
      add(h.low, w.low, (1 - h.fraction) * (1 - w.fraction));
      add(h.low, w.high, (1 - h.fraction) * w.fraction);
      add(h.high, w.low, h.fraction * (1 - w.fraction));
      add(h.high, w.high, h.fraction * w.fraction);
    }
  });
}

ATTEND_END
