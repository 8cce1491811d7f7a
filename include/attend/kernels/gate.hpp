/// A feature map times a gate, forward beside backward. x, y: (batch, pixels, channels).
#ifndef ATTEND_KERNELS_GATE
#define ATTEND_KERNELS_GATE
#include <algorithm>
#include <limits>

#include "attend/core/recycler.hpp"
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/gate.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(gating::channels_forward)
ATTEND_COMPILED_KERNEL(gating::channels_backward)
ATTEND_COMPILED_KERNEL(gating::pixels_forward)
ATTEND_COMPILED_KERNEL(gating::pixels_backward)
ATTEND_COMPILED_KERNEL(gating::both_forward)
ATTEND_COMPILED_KERNEL(gating::mean_max_forward)
ATTEND_COMPILED_KERNEL(gating::mean_max_backward)
namespace gating {
ATTEND_DISPATCH_IN(gating, channels_forward)
ATTEND_DISPATCH_IN(gating, channels_backward)
ATTEND_DISPATCH_IN(gating, pixels_forward)
ATTEND_DISPATCH_IN(gating, pixels_backward)
ATTEND_DISPATCH_IN(gating, both_forward)
ATTEND_DISPATCH_IN(gating, mean_max_forward)
ATTEND_DISPATCH_IN(gating, mean_max_backward)
}  // namespace gating
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace gating {

/// Rows handled at a time: depends on the width alone.
inline Index grain(Index channels) { return std::max<Index>(1, 16384 / std::max<Index>(1, channels)); }

/// y = x g(b, c): one number per sample and channel.  g: (batch, channels). With a shortcut, as long as x, y = x g +
/// shortcut, and max(y, 0) if `relu`; else, if y is `far` from the caches, past them. Maps that fit no core's own cache go
/// from the last pixel to the first: what was read last, to find the gates, is still there.
template <class S>
void channels_forward(Index batch, Index pixels, Index channels, const S* x, const S* g, S* y,
                      const S* shortcut = nullptr, bool relu = false, bool far = false) {
  const Index rows = batch * pixels;
  const bool back = !far && pixels * channels * static_cast<Index>(sizeof(S)) > Index(1) << 21;
  // backwards nothing is fetched ahead by itself
  const Index ahead = back ? std::max(channels, 4096 / static_cast<Index>(sizeof(S))) : 0;
  const auto part = [&](Index begin, Index end) {
    const S least = relu ? S(0) : -std::numeric_limits<S>::infinity();
    for (Index i = begin; i < end; ++i) {
      const Index row = back ? begin + end - 1 - i : i;
      const S *const from = x + row * channels, *const scale = g + row / pixels * channels;
      S* const to = y + row * channels;
      if (shortcut)
        simd::map(
            channels, to,
            [least](const auto& v, const auto& by, const auto& added) {
              const auto sum = simd::multiply_add(v, by, added);
              return simd::at_least(simd::all<std::decay_t<decltype(sum)> >(least), sum);
            },
            from, scale, shortcut + row * channels);
      else if (far)
        simd::map_far(
            channels, to, [](const auto& v, const auto& by) { return v * by; }, from, scale);
      else
        simd::for_each_vector<S>(channels, [&](const auto& at) {
          if (back) __builtin_prefetch(from - ahead + at.i), __builtin_prefetch(to - ahead + at.i, 1);
          at.put(to, at(from) * at(scale));
        });
    }
    if (far) simd::end_stream();
  };
  parallel_for(rows, grain(channels), part, back);
}
/// To dx: dy g;  dg(b, c) += sum over pixels of dy x, summed in runs of 64 pixels. Either may be null.
template <class S>
void channels_backward(Index batch, Index pixels, Index channels, const S* x, const S* g, const S* dy,
                       Accumulator<S> dx, S* dg) {
  const auto product = [](const auto& a, const auto& b) { return a * b; };
  if (dx)
    parallel_for(batch * pixels, grain(channels), [&](Index begin, Index end) {
      for (Index row = begin; row < end; ++row)
        simd::accumulate(channels, dx + row * channels, product, dy + row * channels, g + row / pixels * channels);
    });
  if (!dg) return;
  parallel_for(batch, 1, [&](Index begin, Index end) {
    const auto run = make_buffer<S>(channels);
    for (Index b = begin; b < end; ++b)
      for (Index first = 0; first < pixels; first += 64) {
        std::fill_n(run.get(), channels, S(0));
        for (Index p = b * pixels + first; p < b * pixels + std::min(pixels, first + 64); ++p)
          simd::map_add(channels, run.get(), product, dy + p * channels, x + p * channels);
        simd::map_add(
            channels, dg + b * channels, [](const auto& v) { return v; }, static_cast<const S*>(run.get()));
      }
  });
}

/// y = x g(row): one number per pixel.  g: (rows), rows = batch * pixels
template <class S>
void pixels_forward(Index rows, Index channels, const S* x, const S* g, S* y) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      simd::map(
          channels, y + row * channels, [scale = g[row]](const auto& v) { return v * scale; }, x + row * channels);
  });
}
/// To dx: dy g;  dg(row) += sum over channels of dy x. Either may be null.
template <class S>
void pixels_backward(Index rows, Index channels, const S* x, const S* g, const S* dy, Accumulator<S> dx, S* dg) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const S *up = dy + row * channels, *from = x + row * channels;
      if (dg) {
        simd::Vector<S> sum{};
        simd::for_each_vector<S>(channels, [&](const auto& at) { sum += at(up) * at(from); });
        dg[row] += simd::sum_of_lanes(sum);
      }
      if (dx)
        simd::accumulate(
            channels, dx + row * channels, [scale = g[row]](const auto& v) { return v * scale; }, up);
    }
  });
}

/// y = x g(b, c) s(row): both gates in one pass.
template <class S>
void both_forward(Index batch, Index pixels, Index channels, const S* x, const S* g, const S* s, S* y) {
  parallel_for(batch * pixels, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      simd::map(
          channels, y + row * channels, [by = s[row]](const auto& v, const auto& scale) { return v * scale * by; },
          x + row * channels, g + row / pixels * channels);
  });
}

/// y(row) = mean and largest over the channels of `count` rows that share gates g (channels), not null: of x g. Rows side
/// by side do not wait for each other. False if there is a NaN, or may be.
template <int count, class S>
bool mean_max_of_rows(Index channels, const S* x, const S* g, S* y) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  V sum[count] = {}, best[count];
  for (V& b : best) b = simd::all<V>(-std::numeric_limits<S>::infinity());
  const Index whole = channels / lanes * lanes;
  for (Index c = 0; c < whole; c += lanes) {
    const V scale = g ? simd::load(g + c) : V{};
    for (int k = 0; k < count; ++k) {
      V v = simd::load(x + k * channels + c);
      if (g) v *= scale;
      sum[k] += v;
      best[k] = simd::at_least(v, best[k]);
    }
  }
  bool number = true;
  for (int k = 0; k < count; ++k) {
    S lane[lanes], total = simd::sum_of_lanes(sum[k]);
    simd::store(lane, best[k]);
    for (Index half = lanes / 2; half > 0; half /= 2)
      for (Index i = 0; i < half; ++i) lane[i] = lane[i + half] > lane[i] ? lane[i + half] : lane[i];
    for (Index c = whole; c < channels; ++c) {
      const S v = g ? x[k * channels + c] * g[c] : x[k * channels + c];
      total += v;
      lane[0] = v > lane[0] ? v : lane[0];
    }
    y[2 * k] = total / S(channels);
    y[2 * k + 1] = lane[0];
    number = number && total == total;
  }
  return number;
}

/// y(row) = mean and largest over the channels, NaN being the largest of all; `where`, unless null, gets the first
/// largest's channel. With gates g (batch, channels), not null: of x g(b, c).
template <class S>
void mean_max_forward(Index rows, Index pixels, Index channels, const S* x, const S* g, S* y, Index* where) {
  using V = simd::Vector<S>;
  using Word = typename simd::Lanes<V>::Word;
  constexpr Index lanes = simd::lanes<S>;
  constexpr int together = 4;
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      const S *from = x + row * channels, *scale = g ? g + row / pixels * channels : nullptr;
      if (!where) {
        const bool several = std::min(end, g ? (row / pixels + 1) * pixels : end) - row >= together;
        if (several ? mean_max_of_rows<together>(channels, from, scale, y + 2 * row)
                    : mean_max_of_rows<1>(channels, from, scale, y + 2 * row)) {
          row += several ? together - 1 : 0;
          continue;
        }
      }
      V sum{}, best = simd::all<V>(scale ? from[0] * scale[0] : from[0]);
      simd::Bits<V> at{}, number{};
      for (Index k = 0; k < lanes; ++k) number[k] = static_cast<Word>(k);
      Index c = 0;
      for (; c + lanes <= channels; c += lanes, number += static_cast<Word>(lanes)) {
        V v = simd::load(from + c);
        if (scale) v *= simd::load(scale + c);
        sum += v;
        const auto keep = (best >= v) | (best != best);
        best = keep ? best : v;
        at = keep ? at : number;
      }
      S total = simd::sum_of_lanes(sum), largest = best[0];
      Index place = static_cast<Index>(at[0]);
      const auto challenge = [&](S v, Index channel) {
        const bool wins = v > largest || (v != v && largest == largest);
        const bool earlier = (v == largest || (v != v && largest != largest)) && channel < place;
        if (wins || earlier) largest = v, place = channel;
      };
      for (Index k = 1; k < lanes; ++k) challenge(best[k], static_cast<Index>(at[k]));
      for (; c < channels; ++c) {
        const S v = scale ? from[c] * scale[c] : from[c];
        total += v;
        challenge(v, c);
      }
      y[2 * row] = total / S(channels);
      y[2 * row + 1] = largest;
      if (where) where[row] = place;
    }
  });
}
template <class S>
void mean_max_backward(Index rows, Index channels, const Index* where, const S* dy, S* dx) {
  parallel_for(rows, grain(channels), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) {
      S* to = dx + row * channels;
      simd::map_add<S>(channels, to, [share = dy[2 * row] / S(channels)] { return share; });
      to[where[row]] += dy[2 * row + 1];
    }
  });
}

}  // namespace gating
ATTEND_END_ISA
#endif
