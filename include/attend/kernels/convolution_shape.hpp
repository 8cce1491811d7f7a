#pragma once
#include <numeric>

#include "attend/core/threads.hpp"
#include "attend/kernels/window.hpp"

ATTEND_BEGIN

/// How convolutions of 3 x 3 taps with stride 1, no dilation and one group are computed; all others are sums of products
/// as in the formula. Which algorithm runs depends on the layer and the map's size alone.
enum class ConvolutionAlgorithm {
  automatic,  ///< Winograd's F(2 x 2, 3 x 3) where it is faster: rounding errors up to 4 times those of `exact`
  fast,       ///< F(4 x 4, 3 x 3) where it is faster: errors up to 1e-5 of the largest result, in float
  exact       ///< sums of products; a NaN or infinity reaches only the results whose windows hold it
};

/// The sizes of one convolution. Padding at the bottom and right is what out_height and out_width imply.
struct ConvolutionShape {
  Index batch = 0, height = 0, width = 0, in_channels = 0;
  Index out_height = 0, out_width = 0, out_channels = 0;
  Pair kernel, stride = 1, dilation = 1;
  Index pad_top = 0, pad_left = 0, groups = 1;
  Index winograd = 0;  // outputs of a tile along either axis, 2 or 4 (kernels/winograd.hpp); 0: sums of products
  Index group_in() const { return in_channels / groups; }
  Index group_out() const { return out_channels / groups; }
  /// A product of each pixel with a matrix.
  bool pointwise() const {
    return kernel == Pair(1) && stride == Pair(1) && pad_top == 0 && pad_left == 0 && out_height == height &&
           out_width == width;
  }
  /// One input channel for each output channel: no product, but a loop over channels.
  bool depthwise() const { return groups > 1 && groups == in_channels && in_channels == out_channels; }
};

/// The tile of Winograd's algorithm for this convolution, 0 for none. Tiles reach over the edges of small maps; few
/// channels do not pay for the transforms, and the 36 matrices of F(4 x 4) of very many do not fit the caches.
inline Index winograd_tile(const ConvolutionShape& s, ConvolutionAlgorithm algorithm) {
  if (algorithm == ConvolutionAlgorithm::exact || s.kernel != Pair(3) || s.stride != Pair(1) || s.dilation != Pair(1) ||
      s.groups != 1 || s.in_channels < 16 || s.out_channels < 16)
    return 0;
  const auto products = [&s](Index m) {
    return (s.out_height + m - 1) / m * ((s.out_width + m - 1) / m) * (m + 2) * (m + 2);
  };
  if (algorithm == ConvolutionAlgorithm::fast && s.in_channels * s.out_channels <= 131072 &&
      5 * products(4) <= 4 * products(2))
    return 4;
  return 3 * products(2) <= 2 * 9 * s.out_height * s.out_width ? 2 : 0;
}

namespace detail {

/// Taps [first, second) of a window that starts at `start`, `dilation` apart, inside [0, extent).
inline std::pair<Index, Index> taps_inside(Index start, Index kernel, Index dilation, Index extent) {
  const Index first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  const Index last = start >= extent ? 0 : (extent - start + dilation - 1) / dilation;
  return {std::min(first, kernel), std::max(std::min(first, kernel), std::min(last, kernel))};
}

/// The taps along one axis that reach the cells of a grid, in ascending order of the source: tap + i tap_step is read
/// at source cell j step + offset + i offset_step for cell j of the grid.
struct TapRange {
  Index count = 0, tap = 0, tap_step = 1, offset = 0, offset_step = 1;

  Index span() const { return (count - 1) * offset_step; }
  /// Of cell j, the taps [first, second) inside the source.
  std::pair<Index, Index> inside(Index j, Index step, Index extent) const {
    return taps_inside(j * step + offset, count, offset_step, extent);
  }
  /// All taps, from a grid of outputs to the inputs.
  static TapRange forward(Index kernel, Index dilation, Index pad) { return {kernel, 0, 1, -pad, dilation}; }
  /// From the grid of inputs first, first + stride, ... to the outputs that read them.
  static TapRange backward(Index first, Index kernel, Index stride, Index dilation, Index pad) {
    const Index common = std::gcd(stride, dilation), tap_step = stride / common;
    TapRange range{0, 0, -tap_step, 0, dilation / common};
    for (Index t = 0; t < std::min(kernel, tap_step); ++t)
      if ((first + pad - t * dilation) % stride == 0) {
        range.count = (kernel - t + tap_step - 1) / tap_step;
        range.tap = t + (range.count - 1) * tap_step;
        range.offset = (first + pad - range.tap * dilation) / stride;
      }
    return range;
  }
};

constexpr Index channel_block = 32;  // channels that a loop over taps keeps in registers

/// Calls f(sample, first channel, last channel) for fixed blocks of channels, in parallel: how sums scatter into one
/// sample without meeting each other.
template <class F>
void for_each_channel_block(Index batch, Index channels, const F& f) {
  const Index blocks = (channels + 2 * channel_block - 1) / (2 * channel_block);
  parallel_for(batch * blocks, 1, [&](Index begin, Index end) {
    for (Index unit = begin; unit < end; ++unit) {
      const Index c = unit % blocks * 2 * channel_block;
      f(unit / blocks, c, std::min(channels, c + 2 * channel_block));
    }
  });
}

}  // namespace detail

ATTEND_END
