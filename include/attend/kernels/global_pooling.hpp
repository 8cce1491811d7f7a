/// Pooling over all pixels, forward beside backward.
#ifndef ATTEND_KERNELS_GLOBAL_POOLING
#define ATTEND_KERNELS_GLOBAL_POOLING
#include <cmath>
#include <cstdint>

#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/convolution_shape.hpp"

#define ATTEND_KERNELS "attend/kernels/global_pooling.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(global_mean_max_forward)
ATTEND_DISPATCH(global_average_backward)
ATTEND_DISPATCH(global_max_forward)
ATTEND_DISPATCH(global_root_square_forward)
ATTEND_DISPATCH(global_root_square_backward)

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

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {
/// Pixels that one unit of work takes: what fits the first cache. It reads memory in order.
inline Index pixel_block(Index channels) { return std::max<Index>(16, 8192 / std::max<Index>(1, channels)); }

/// most[c] = the largest of the rows, NaN being larger than everything.
template <class S>
void column_maxima(const S* x, Index rows, Index columns, S* most) {
  simd::for_each_vector<S>(columns, [&](const auto& at) {
    auto best = at(x);
    for (Index i = 1; i < rows; ++i) {
      const auto v = at(x + i * columns);
      best = ((best >= v) | (best != best)) ? best : v;
    }
    at.put(most, best);
  });
}
}  // namespace detail

/// mean[b, c] = mean over the pixels of x[b, :, c], summed by halves within blocks of pixels and over the blocks.
/// most[b, c], unless null, is the largest, in the same pass.  x: (batch, pixels, channels)  mean, most: (batch, channels)
template <class S>
void global_mean_max_forward(Index batch, Index pixels, Index channels, const S* x, S* mean, S* most) {
  const Index block = detail::pixel_block(channels), blocks = (pixels + block - 1) / block;
  const auto sums = make_buffer<S>(batch * blocks * channels),
             maxima = make_buffer<S>(most ? batch * blocks * channels : 0);
  parallel_for(
      batch * blocks, std::max<Index>(1, 16384 / std::max<Index>(1, block * channels)), [&](Index begin, Index end) {
        const auto scratch = make_buffer<S>(detail::pairwise_scratch(block, channels));
        for (Index u = begin; u < end; ++u) {
          const Index first = u % blocks * block, rows = std::min(block, pixels - first);
          const S* from = x + (u / blocks * pixels + first) * channels;
          detail::pairwise_column_sums(from, rows, channels, channels, sums.get() + u * channels, scratch.get());
          if (most) detail::column_maxima(from, rows, channels, maxima.get() + u * channels);
        }
      });
  const auto scratch = make_buffer<S>(detail::pairwise_scratch(blocks, channels));
  for (Index b = 0; b < batch; ++b) {
    S* const to = mean + b * channels;
    detail::pairwise_column_sums(static_cast<const S*>(sums.get()) + b * blocks * channels, blocks, channels, channels,
                                 to, scratch.get());
    simd::map(
        channels, to, [by = static_cast<S>(pixels)](const auto& v) { return v / by; }, static_cast<const S*>(to));
    if (most)
      detail::column_maxima(static_cast<const S*>(maxima.get()) + b * blocks * channels, blocks, channels,
                            most + b * channels);
  }
}
template <class S>
void global_average_backward(Index batch, Index pixels, Index channels, const S* dy, S* dx) {
  const Index grain = std::max<Index>(1, 16384 / std::max<Index>(1, channels));
  parallel_for(batch * pixels, grain, [&](Index begin, Index end) {
    const S by = static_cast<S>(pixels);
    for (Index p = begin; p < end; ++p)
      simd::map_add(
          channels, dx + p * channels, [by](const auto& v) { return v / by; }, dy + p / pixels * channels);
  });
}

namespace detail {
/// Of `count` vectors of channels from c on, of which `left` channels are to go.
template <int count, class S>
void largest_of_pixels(const S* x, Index pixels, Index channels, Index c, Index left, S* y, std::int32_t* where) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  V best[count];
  simd::Bits<V> number[count] = {};
  for (int k = 0; k < count; ++k) best[k] = simd::At<S>{c + k * lanes, left - k * lanes}(x);
  for (Index p = 1; p < pixels; ++p)
    for (int k = 0; k < count; ++k) {
      const V v = simd::At<S>{c + k * lanes, left - k * lanes}(x + p * channels);
      const auto keep = (best[k] >= v) | (best[k] != best[k]);
      best[k] = keep ? best[k] : v;
      number[k] = keep ? number[k] : simd::Bits<V>{} + static_cast<typename simd::Lanes<V>::Word>(p);
    }
  for (int k = 0; k < count; ++k) {
    simd::At<S>{c + k * lanes, left - k * lanes}.put(y, best[k]);
    for (Index i = 0; i < std::min(lanes, left - k * lanes); ++i)
      where[c + k * lanes + i] = static_cast<std::int32_t>(number[k][i]);
  }
}
}  // namespace detail

/// y[b, c] = largest over the pixels; NaN is larger than everything, the first of equals wins, `where` gets its pixel.
template <class S>
void global_max_forward(Index batch, Index pixels, Index channels, const S* x, S* y, std::int32_t* where) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    const S* sample = x + b * pixels * channels;
    constexpr Index lanes = simd::lanes<S>;
    Index c = c0;
    for (; c + 4 * lanes <= c1; c += 4 * lanes)
      detail::largest_of_pixels<4>(sample, pixels, channels, c, 4 * lanes, y + b * channels, where + b * channels);
    for (; c < c1; c += lanes)
      detail::largest_of_pixels<1>(sample, pixels, channels, c, c1 - c, y + b * channels, where + b * channels);
  });
}

/// y[b, c] = sqrt(sum over the pixels of (x - centre)^2 / divisor), summed in runs of 64 pixels, the runs in double.
/// x: (batch, pixels, channels)  centre: (batch, channels), or null for zero  y: (batch, channels)
template <class S>
void global_root_square_forward(Index batch, Index pixels, Index channels, double divisor, const S* centre, const S* x,
                                S* y) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    double sum[2 * detail::channel_block] = {};
    S run[2 * detail::channel_block], middle[2 * detail::channel_block] = {};
    const Index n = c1 - c0;
    if (centre) std::copy_n(centre + b * channels + c0, n, middle);
    for (Index first = 0; first < pixels; first += 64) {
      std::fill_n(run, n, S(0));
      for (Index p = first; p < std::min(pixels, first + 64); ++p)
        simd::map_add(
            n, run, [](const auto& v, const auto& m) { return (v - m) * (v - m); },
            x + (b * pixels + p) * channels + c0, static_cast<const S*>(middle));
      for (Index i = 0; i < n; ++i) sum[i] += static_cast<double>(run[i]);
    }
    for (Index i = 0; i < n; ++i) y[b * channels + c0 + i] = static_cast<S>(std::sqrt(sum[i] / divisor));
  });
}
/// dx += dy (x - centre) / (divisor y), nothing where y is 0. (A centre that is the mean adds nothing: the offsets from
/// it sum to zero.)
template <class S>
void global_root_square_backward(Index batch, Index pixels, Index channels, double divisor, const S* centre, const S* x,
                                 const S* y, const S* dy, S* dx) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    S share[2 * detail::channel_block], middle[2 * detail::channel_block] = {};
    const Index n = c1 - c0;
    if (centre) std::copy_n(centre + b * channels + c0, n, middle);
    for (Index i = 0; i < n; ++i) {
      const S root = y[b * channels + c0 + i];
      share[i] = root > 0 ? dy[b * channels + c0 + i] / (static_cast<S>(divisor) * root) : S(0);
    }
    for (Index p = b * pixels; p < (b + 1) * pixels; ++p)
      simd::map_add(
          n, dx + p * channels + c0, [](const auto& v, const auto& m, const auto& s) { return s * (v - m); },
          x + p * channels + c0, static_cast<const S*>(middle), static_cast<const S*>(share));
  });
}

ATTEND_END_ISA
#endif
