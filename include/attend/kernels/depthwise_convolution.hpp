#ifndef ATTEND_KERNELS_DEPTHWISE_CONVOLUTION
#define ATTEND_KERNELS_DEPTHWISE_CONVOLUTION
#include <cstdint>

#include "attend/core/recycler.hpp"
#include "attend/kernels/convolution_shape.hpp"
#include "attend/kernels/gemm_tile.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/depthwise_convolution.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(depthwise_forward)
ATTEND_DISPATCH(depthwise_backward_input)
ATTEND_DISPATCH(depthwise_backward_weight)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace depthwise {

/// One line of results: y[j y_step] = sum over rows t and columns u of taps of w[t, u] x[t, j x_step + offset u],
/// channel by channel.
template <class S>
struct Line {
  Index channels;
  const S* x;  // cell 0 of the source line of the first row of taps
  Index x_row, x_width, x_step;
  const S* w;  // of the first row and column
  Index w_row, w_column;
  Index rows;  // of taps inside the source
  detail::TapRange columns;
  S* y;
  Index y_step, count;
  bool adds;                 // to what y holds
  GemmEpilogue<S> epilogue;  // of this line
};

/// Results j ... j + n - 1, whose columns [u0, u1) of taps lie inside: they share the loads of the taps, and where `slides`
/// (three columns side by side, a step of one) those of x.
template <int n, bool slides, class S>
ATTEND_OUT_OF_LINE void columns(const Line<S>& line, Index j, Index u0, Index u1) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  const Index pixel = line.channels, next = line.x_step * pixel, next_y = line.y_step * pixel;
  const S *const x = line.x + (j * line.x_step + line.columns.offset + u0 * line.columns.offset_step) * pixel,
                 *const w = line.w + u0 * line.w_column;
  const Index x_column = line.columns.offset_step * pixel;
  S* const y = line.y + j * next_y;
  const auto run = [&](Index c, const auto& load, const auto& store) {
    V sum[n] = {};
    for (Index t = 0; t < line.rows; ++t) {
      const S *from = x + t * line.x_row + c, *tap = w + t * line.w_row + c;
      if constexpr (slides) {
        const V factor[3] = {load(tap), load(tap + line.w_column), load(tap + 2 * line.w_column)};
#pragma GCC unroll 8
        for (int q = 0; q < n + 2; ++q) {
          const V v = load(from + q * pixel);
#pragma GCC unroll 8
          for (int u = 0; u < 3; ++u)
            if (q >= u && q - u < n) sum[q - u] = simd::multiply_add(factor[u], v, sum[q - u]);
        }
      } else
        for (Index u = u0; u < u1; ++u, from += x_column, tap += line.w_column) {
          const V factor = load(tap);
#pragma GCC unroll 8
          for (int q = 0; q < n; ++q) sum[q] = simd::multiply_add(factor, load(from + q * next), sum[q]);
        }
    }
    const V bias = line.epilogue.bias ? load(line.epilogue.bias + c) : V{};
    const V scale = line.epilogue.scale ? load(line.epilogue.scale + c) : simd::all<V>(S(1));
#pragma GCC unroll 8
    for (int q = 0; q < n; ++q) {
      S* const to = y + q * next_y + c;
      sum[q] = simd::multiply_add(sum[q], scale, bias);
      if (line.adds) sum[q] += load(to);
      if (line.epilogue.residual) sum[q] += load(line.epilogue.residual + (to - line.y));
      if (line.epilogue.relu) sum[q] = simd::select(sum[q] < S(0), V{}, sum[q]);
      store(to, sum[q]);
    }
  };
  // A vector of 64 bytes that is not aligned lies in two lines, and most loads are of x: the first channels, up to where x
  // is aligned, go alone.
  constexpr Index bytes = lanes * static_cast<Index>(sizeof(S));
  const Index lead = bytes == 64 && pixel % lanes == 0
                         ? (bytes - static_cast<Index>(reinterpret_cast<std::uintptr_t>(x) % bytes)) % bytes /
                               static_cast<Index>(sizeof(S))
                         : 0;
  for (Index c = 0, count; c < pixel; c += count) {
    count = std::min(c == 0 && lead > 0 ? lead : lanes, pixel - c);
    if (count == lanes)
      run(
          c, [&](const S* p) { return simd::load(p); }, [&](S* p, V v) { simd::store(p, v); });
    else
      run(
          c, [count](const S* p) { return simd::load_part(p, count); },
          [count](S* p, V v) { simd::store_part(p, v, count); });
  }
}

template <class S>
void run(const Line<S>& line) {
  const detail::TapRange& taps = line.columns;
  const auto whole = [&](Index j) {  // all columns of taps inside the source
    return j * line.x_step + taps.offset >= 0 && j * line.x_step + taps.offset + taps.span() < line.x_width;
  };
  const bool slides = taps.count == 3 && taps.offset_step == 1 && line.x_step == 1;
  for (Index j = 0; j < line.count;) {
    if (j + 6 <= line.count && whole(j) && whole(j + 5)) {
      slides ? columns<6, true>(line, j, 0, 3) : columns<6, false>(line, j, 0, taps.count);
      j += 6;
    } else {
      const auto [u0, u1] = taps.inside(j, line.x_step, line.x_width);
      columns<1, false>(line, j++, u0, u1);
    }
  }
  line.epilogue.activate(line.count, line.channels, line.y, line.y_step * line.channels);
}

inline Index grain(Index line) { return std::max<Index>(1, 32768 / std::max<Index>(1, line)); }

}  // namespace depthwise

/// y[.., c] = sum over taps of w[tap, c] x[.., c], then `epilogue`;  w: (kh, kw, channels)
template <class S>
void depthwise_forward(const ConvolutionShape& s, const S* x, const S* w, const GemmEpilogue<S>& epilogue, S* y) {
  const Index channels = s.out_channels, width = s.width * channels;
  const auto rows = detail::TapRange::forward(s.kernel.height, s.dilation.height, s.pad_top);
  const auto columns = detail::TapRange::forward(s.kernel.width, s.dilation.width, s.pad_left);
  const Index lines = s.batch * s.out_height;  // of many some together: neighbours read the same lines of x
  parallel_for(
      lines,
      std::max(depthwise::grain(s.out_width * channels * s.kernel.height * s.kernel.width),
               std::min<Index>(4, lines / 16)),
      [&](Index begin, Index end) {
        for (Index l = begin; l < end; ++l) {
          const Index b = l / s.out_height, i = l % s.out_height, first = i * s.stride.height + rows.offset;
          const auto [t0, t1] = rows.inside(i, s.stride.height, s.height);
          depthwise::run(depthwise::Line<S>{
              channels, x + (b * s.height + first + t0 * s.dilation.height) * width, s.dilation.height * width, s.width,
              s.stride.width, w + t0 * s.kernel.width * channels, s.kernel.width * channels, channels, t1 - t0, columns,
              y + l * s.out_width * channels, 1, s.out_width, false, epilogue.at(l * s.out_width, 0)});
        }
      });
}

/// To dx: the transpose;  weight: (channels, 1, kh, kw)
template <class S>
void depthwise_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, Accumulator<S> dx) {
  const Index channels = s.out_channels, taps = s.kernel.height * s.kernel.width, width = s.out_width * channels;
  const auto turned = make_buffer<S>(taps * channels);
  S* const w = turned.get();
  for (Index c = 0; c < channels; ++c)
    for (Index t = 0; t < taps; ++t) w[t * channels + c] = weight[c * taps + t];
  parallel_for(s.batch * s.height, depthwise::grain(s.width * channels * taps), [&](Index begin, Index end) {
    for (Index l = begin; l < end; ++l) {
      const Index b = l / s.height, h = l % s.height, i = h / s.stride.height;
      const auto rows = detail::TapRange::backward(h % s.stride.height, s.kernel.height, s.stride.height,
                                                   s.dilation.height, s.pad_top);
      const auto [t0, t1] = rows.inside(i, 1, s.out_height);
      if (t0 == t1) {
        if (dx.empty) std::fill_n(dx.to + l * s.width * channels, s.width * channels, S(0));
        continue;
      }
      for (Index first = 0; first < std::min(s.stride.width, s.width); ++first) {
        const auto columns =
            detail::TapRange::backward(first, s.kernel.width, s.stride.width, s.dilation.width, s.pad_left);
        const Index tap = (rows.tap + t0 * rows.tap_step) * s.kernel.width + columns.tap;
        depthwise::run(depthwise::Line<S>{channels,
                                          dy + (b * s.out_height + i + rows.offset + t0 * rows.offset_step) * width,
                                          rows.offset_step * width,
                                          s.out_width,
                                          1,
                                          w + tap * channels,
                                          rows.tap_step * s.kernel.width * channels,
                                          columns.tap_step * channels,
                                          t1 - t0,
                                          columns,
                                          dx.to + (l * s.width + first) * channels,
                                          s.stride.width,
                                          (s.width - first + s.stride.width - 1) / s.stride.width,
                                          !dx.empty,
                                          {}});
      }
    }
  });
}

/// To dweight (channels, 1, kh, kw): the sum over samples and pixels of dy x, within fixed units of output lines, then over
/// them in order.
template <class S>
void depthwise_backward_weight(const ConvolutionShape& s, const S* x, const S* dy, Accumulator<S> dweight) {
  using V = simd::Vector<S>;
  constexpr Index lanes = simd::lanes<S>;
  constexpr int vectors = 4;  // of channels together, and two sums of each: to hide the latency of an addition
  const Index channels = s.out_channels, padded = (channels + lanes - 1) / lanes * lanes,
              taps = s.kernel.height * s.kernel.width, lines = s.batch * s.out_height;
  if (lines == 0) {
    if (dweight.empty) std::fill_n(dweight.to, taps * channels, S(0));
    return;
  }
  const auto columns = detail::TapRange::forward(s.kernel.width, s.dilation.width, s.pad_left);
  const Index unit = std::max<Index>(1, 1024 / std::max<Index>(1, s.out_width)), units = (lines + unit - 1) / unit;
  const auto partial = make_buffer<S>(units * taps * padded);
  parallel_for(lines, unit, [&](Index begin, Index end) {
    S* const sums = partial.get() + begin / unit * taps * padded;
    std::fill_n(sums, taps * padded, S(0));
    for (Index line = begin; line < end; ++line) {
      const Index b = line / s.out_height, top = line % s.out_height * s.stride.height - s.pad_top;
      const auto [t0, t1] = detail::taps_inside(top, s.kernel.height, s.dilation.height, s.height);
      for (Index t = t0; t < t1; ++t)
        for (Index u = 0; u < s.kernel.width; ++u) {
          // outputs whose tap u lies inside the map
          const Index left = columns.offset + u * columns.offset_step;
          const auto [j0, j1] = detail::taps_inside(left, s.out_width, s.stride.width, s.width);
          const S* const d = dy + (line * s.out_width + j0) * channels;
          const S* const from =
              x + ((b * s.height + top + t * s.dilation.height) * s.width + left + j0 * s.stride.width) * channels;
          S* const sum = sums + (t * s.kernel.width + u) * padded;
          const Index step = s.stride.width * channels, count = j1 - j0;
          const auto add = [&](Index c, auto width, const auto& load) {
            constexpr int n = decltype(width)::value;
            V even[n] = {}, odd[n] = {};
            Index j = 0;
            for (; j + 2 <= count; j += 2)
#pragma GCC unroll 8
              for (int v = 0; v < n; ++v) {
                const S *g = d + j * channels + c + v * lanes, *p = from + j * step + c + v * lanes;
                even[v] = simd::multiply_add(load(g), load(p), even[v]);
                odd[v] = simd::multiply_add(load(g + channels), load(p + step), odd[v]);
              }
#pragma GCC unroll 8
            for (int v = 0; v < n; ++v) {
              if (j < count)
                even[v] = simd::multiply_add(load(d + j * channels + c + v * lanes),
                                             load(from + j * step + c + v * lanes), even[v]);
              S* const to = sum + c + v * lanes;
              simd::store(to, simd::load(to) + (even[v] + odd[v]));
            }
          };
          const auto whole = [&](const S* p) { return simd::load(p); };
          Index c = 0;
          for (; c + vectors * lanes <= channels; c += vectors * lanes)
            add(c, std::integral_constant<int, vectors>(), whole);
          for (; c + lanes <= channels; c += lanes) add(c, std::integral_constant<int, 1>(), whole);
          if (const Index left_over = channels - c; left_over > 0)
            add(c, std::integral_constant<int, 1>(), [left_over](const S* p) { return simd::load_part(p, left_over); });
        }
    }
  });
  for (Index u = 1; u < units; ++u)
    for (Index i = 0; i < taps * padded; i += lanes)
      simd::store(partial.get() + i, simd::load(partial.get() + i) + simd::load(partial.get() + u * taps * padded + i));
  for (Index c = 0; c < channels; ++c)
    for (Index t = 0; t < taps; ++t) {
      S& sum = dweight.to[c * taps + t];
      sum = (dweight.empty ? S(0) : sum) + partial.get()[t * padded + c];
    }
}

ATTEND_END_ISA
#endif
