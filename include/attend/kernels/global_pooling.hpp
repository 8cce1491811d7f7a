#pragma once
#include <cmath>
#include <cstdint>

#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/convolution_shape.hpp"

ATTEND_BEGIN

/// y[b, c] = mean over the pixels of x[b, :, c], summed by halves.  x: (batch, pixels, channels)  y: (batch, channels)
template <class S>
void global_average_forward(Index batch, Index pixels, Index channels, const S* x, S* y) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    S scratch[64 * 2 * detail::channel_block];
    detail::pairwise_column_sums(x + b * pixels * channels + c0, pixels, c1 - c0, channels, y + b * channels + c0,
                                 scratch);
    for (Index c = c0; c < c1; ++c) y[b * channels + c] /= static_cast<S>(pixels);
  });
}
template <class S>
void global_average_backward(Index batch, Index pixels, Index channels, const S* dy, S* dx) {
  const Index grain = std::max<Index>(1, 16384 / std::max<Index>(1, pixels * channels));
  parallel_for(batch, grain, [&](Index begin, Index end) {
    const auto share = make_buffer<S>(channels);
    for (Index b = begin; b < end; ++b) {
      for (Index c = 0; c < channels; ++c) share.get()[c] = dy[b * channels + c] / static_cast<S>(pixels);
      for (Index p = b * pixels; p < (b + 1) * pixels; ++p)
        for (Index c = 0; c < channels; ++c) dx[p * channels + c] += share.get()[c];
    }
  });
}

/// y[b, c] = largest over the pixels; NaN is larger than everything, the first of equals wins, `where` gets its pixel.
template <class S>
void global_max_forward(Index batch, Index pixels, Index channels, const S* x, S* y, std::int32_t* where) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    S* best = y + b * channels;
    std::int32_t* at = where + b * channels;
    for (Index p = 0; p < pixels; ++p) {
      const S* from = x + (b * pixels + p) * channels;
      for (Index c = c0; c < c1; ++c) {
        const bool keep = p > 0 && (best[c] >= from[c] || best[c] != best[c]);
        best[c] = keep ? best[c] : from[c];
        at[c] = keep ? at[c] : static_cast<std::int32_t>(p);
      }
    }
  });
}

/// Generalised mean (GeM; Radenovic, Tolias and Chum 2018, arXiv:1711.02512, eq. 3):
///     y[b, c] = (mean over the pixels of max(x, eps)^p)^(1/p)
/// computed as m (mean (max(x, eps) / m)^p)^(1/p) with m the channel's largest, so that no power overflows.
/// x: (batch, pixels, channels)  y: (batch, channels)
template <class S>
void generalised_mean_forward(Index batch, Index pixels, Index channels, S p, S eps, const S* x, S* y) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    const S* sample = x + b * pixels * channels;
    S largest[2 * detail::channel_block], sum[2 * detail::channel_block];
    const Index n = c1 - c0;
    std::fill_n(largest, n, eps);
    std::fill_n(sum, n, S(0));
    for (Index q = 0; q < pixels; ++q)
      for (Index i = 0; i < n; ++i)
        largest[i] = largest[i] >= sample[q * channels + c0 + i] ? largest[i] : sample[q * channels + c0 + i];
    for (Index q = 0; q < pixels; ++q)
      for (Index i = 0; i < n; ++i) {
        const S v = sample[q * channels + c0 + i];
        sum[i] += std::pow((v < eps ? eps : v) / largest[i], p);
      }
    for (Index i = 0; i < n; ++i)
      y[b * channels + c0 + i] = largest[i] * std::pow(sum[i] / static_cast<S>(pixels), 1 / p);
  });
}
/// With z = max(x, eps):  dx += dy (z / y)^(p - 1) / pixels where x >= eps
///                        dp += sum over b, c of dy y / p (mean((z/y)^p ln(z/y)) )
/// (the mean of (z/y)^p is 1, which makes the usual quotient this one term). dx or dp may be null.
template <class S>
void generalised_mean_backward(Index batch, Index pixels, Index channels, S p, S eps, const S* x, const S* y,
                               const S* dy, S* dx, S* dp) {
  const auto partial = make_buffer<S>(batch * channels);
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    const S* sample = x + b * pixels * channels;
    S* to = dx ? dx + b * pixels * channels : nullptr;
    for (Index c = c0; c < c1; ++c) {
      const S mean = y[b * channels + c], d = dy[b * channels + c];
      S sum = 0;
      for (Index q = 0; q < pixels; ++q) {
        const S v = sample[q * channels + c], ratio = (v < eps ? eps : v) / mean, power = std::pow(ratio, p);
        sum += power * std::log(ratio);
        if (to && !(v < eps)) to[q * channels + c] += d * power / ratio / static_cast<S>(pixels);
      }
      partial.get()[b * channels + c] = d * mean * sum / static_cast<S>(pixels) / p;
    }
  });
  if (dp) add_column_sums(partial.get(), batch * channels, 1, dp);
}

ATTEND_END
