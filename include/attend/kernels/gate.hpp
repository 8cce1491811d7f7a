#pragma once
/// A feature map times a gate, forward beside backward. x, y: (batch, pixels, channels).
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN
namespace gating {

/// Rows handled at a time: depends on the width alone.
inline Index grain(Index channels) { return std::max<Index>(1, 16384 / std::max<Index>(1, channels)); }

/// y = x g(b, c): one number per sample and channel.  g: (batch, channels)
template <class S>
void channels_forward(Index batch, Index pixels, Index channels, const S* x, const S* g, S* y) {
  parallel_for(batch * pixels, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const S *from = x + row * channels, *scale = g + row / pixels * channels;
      S* to = y + row * channels;
      for (Index c = 0; c < channels; ++c) to[c] = from[c] * scale[c];
    }
  });
}
/// dx += dy g,  dg(b, c) += sum over pixels of dy x, summed in runs of 64 pixels. Either may be null.
template <class S>
void channels_backward(Index batch, Index pixels, Index channels, const S* x, const S* g, const S* dy, S* dx, S* dg) {
  if (dx)
    parallel_for(batch * pixels, grain(channels), [&](Index begin, Index end) {
      for (Index row = begin; row < end; ++row) {
        const S *up = dy + row * channels, *scale = g + row / pixels * channels;
        S* to = dx + row * channels;
        for (Index c = 0; c < channels; ++c) to[c] += up[c] * scale[c];
      }
    });
  if (!dg) return;
  parallel_for(batch, 1, [&](Index begin, Index end) {
    const auto run = make_buffer<S>(channels);
    for (Index b = begin; b < end; ++b)
      for (Index first = 0; first < pixels; first += 64) {
        std::fill_n(run.get(), channels, S(0));
        for (Index p = first; p < std::min(pixels, first + 64); ++p) {
          const S *from = x + (b * pixels + p) * channels, *up = dy + (b * pixels + p) * channels;
          for (Index c = 0; c < channels; ++c) run.get()[c] += up[c] * from[c];
        }
        for (Index c = 0; c < channels; ++c) dg[b * channels + c] += run.get()[c];
      }
  });
}

/// y = x g(row): one number per pixel.  g: (rows), rows = batch * pixels
template <class S>
void pixels_forward(Index rows, Index channels, const S* x, const S* g, S* y) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      for (Index i = row * channels; i < (row + 1) * channels; ++i) y[i] = x[i] * g[row];
  });
}
/// dx += dy g,  dg(row) += sum over channels of dy x. Either may be null.
template <class S>
void pixels_backward(Index rows, Index channels, const S* x, const S* g, const S* dy, S* dx, S* dg) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      S sum = 0;
      for (Index i = row * channels; i < (row + 1) * channels; ++i) {
        if (dx) dx[i] += dy[i] * g[row];
        sum += dy[i] * x[i];
      }
      if (dg) dg[row] += sum;
    }
  });
}

/// y(row) = mean and largest over the channels, NaN being the largest of all; `where` gets the first largest's channel.
template <class S>
void mean_max_forward(Index rows, Index channels, const S* x, S* y, Index* where) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const S* from = x + row * channels;
      S sum = from[0], best = from[0];
      Index at = 0;
      for (Index c = 1; c < channels; ++c) {
        sum += from[c];
        const bool keep = best >= from[c] || best != best;
        best = keep ? best : from[c];
        at = keep ? at : c;
      }
      y[2 * row] = sum / S(channels);
      y[2 * row + 1] = best;
      where[row] = at;
    }
  });
}
template <class S>
void mean_max_backward(Index rows, Index channels, const Index* where, const S* dy, S* dx) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const S share = dy[2 * row] / S(channels);
      S* to = dx + row * channels;
      for (Index c = 0; c < channels; ++c) to[c] += share;
      to[where[row]] += dy[2 * row + 1];
    }
  });
}

}  // namespace gating
ATTEND_END
