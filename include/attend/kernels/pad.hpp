#pragma once
/// Padding, forward beside backward. Compiled once: moving memory is the work.
#include <vector>

#include "attend/kernels/pooling.hpp"

ATTEND_BEGIN
namespace detail {

/// Of one axis: the source cell of every padded cell, or -1 for the constant.
inline std::vector<Index> pad_sources(Index extent, Index before, Index after, PaddingMode mode) {
  std::vector<Index> from(static_cast<std::size_t>(std::max<Index>(0, extent + before + after)));
  for (std::size_t o = 0; o < from.size(); ++o) {
    Index i = static_cast<Index>(o) - before;
    if (i < 0 || i >= extent) {
      if (mode == PaddingMode::zeros)
        i = -1;
      else if (mode == PaddingMode::reflect)
        i = i < 0 ? -i : 2 * (extent - 1) - i;
      else if (mode == PaddingMode::replicate)
        i = i < 0 ? 0 : extent - 1;
      else
        i = i < 0 ? i + extent : i - extent;
    }
    from[o] = i;
  }
  return from;
}

}  // namespace detail

/// y[b, i, j] = x[b, rows[i], columns[j]], or `value` where either is -1.
template <class S>
void pad_forward(Index batch, Index height, Index width, Index channels, const std::vector<Index>& rows,
                 const std::vector<Index>& columns, S value, const S* x, S* y) {
  detail::for_each_pixel(batch, static_cast<Index>(rows.size()), static_cast<Index>(columns.size()), channels,
                         [&](Index pixel, Index b, Index oh, Index ow) {
                           const Index h = rows[static_cast<std::size_t>(oh)],
                                       w = columns[static_cast<std::size_t>(ow)];
                           if (h < 0 || w < 0)
                             std::fill_n(y + pixel * channels, channels, value);
                           else
                             std::copy_n(x + ((b * height + h) * width + w) * channels, channels, y + pixel * channels);
                         });
}
template <class S>
void pad_backward(Index batch, Index height, Index width, Index channels, const std::vector<Index>& rows,
                  const std::vector<Index>& columns, const S* dy, S* dx) {
  const Index out_w = static_cast<Index>(columns.size()), out_pixels = static_cast<Index>(rows.size()) * out_w;
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    for (Index p = 0; p < out_pixels; ++p) {
      const Index h = rows[static_cast<std::size_t>(p / out_w)], w = columns[static_cast<std::size_t>(p % out_w)];
      if (h < 0 || w < 0) continue;
      const S* d = dy + (b * out_pixels + p) * channels;
      S* to = dx + ((b * height + h) * width + w) * channels;
      for (Index c = c0; c < c1; ++c) to[c] += d[c];
    }
  });
}

ATTEND_END
