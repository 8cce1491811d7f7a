#pragma once
#include "attend/core/threads.hpp"
#include "attend/kernels/window.hpp"

ATTEND_BEGIN

/// The sizes of one convolution. Padding at the bottom and right is what out_height and out_width imply.
struct ConvolutionShape {
  Index batch = 0, height = 0, width = 0, in_channels = 0;
  Index out_height = 0, out_width = 0, out_channels = 0;
  Pair kernel, stride = 1, dilation = 1;
  Index pad_top = 0, pad_left = 0, groups = 1;
  Index group_in() const { return in_channels / groups; }
  Index group_out() const { return out_channels / groups; }
  /// One input channel for each output channel: no product, but a loop over channels.
  bool depthwise() const { return groups > 1 && groups == in_channels && in_channels == out_channels; }
};

namespace detail {

/// Taps [first, second) of a window that starts at `start`, `dilation` apart, inside [0, extent).
inline std::pair<Index, Index> taps_inside(Index start, Index kernel, Index dilation, Index extent) {
  const Index first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  const Index last = start >= extent ? 0 : (extent - start + dilation - 1) / dilation;
  return {std::min(first, kernel), std::max(std::min(first, kernel), std::min(last, kernel))};
}

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
