/// Pooling over windows, forward beside backward.
#ifndef ATTEND_KERNELS_POOLING
#define ATTEND_KERNELS_POOLING
#include <cmath>
#include <cstdint>
#include <limits>

#include "attend/kernels/convolution_shape.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN

/// The sizes of one pooling. Windows may reach over the end by what out_height and out_width imply.
struct PoolShape {
  Index batch = 0, height = 0, width = 0, channels = 0;
  Index out_height = 0, out_width = 0;
  Pair kernel, stride, padding = 0, dilation = 1;
  /// Cells of a window that can lie on the input.
  Index cells() const { return std::min(kernel.height, height) * std::min(kernel.width, width); }
};

namespace detail {

/// Calls f(output pixel, sample, oh, ow) for every output pixel, in parallel.
template <class F>
void for_each_pixel(Index batch, Index height, Index width, Index work_per_pixel, const F& f) {
  const Index grain = std::max<Index>(1, 16384 / std::max<Index>(1, work_per_pixel));
  parallel_for(batch * height * width, grain, [&](Index begin, Index end) {
    Index ow = begin % width, oh = begin / width % height, b = begin / (width * height);
    for (Index pixel = begin; pixel < end; ++pixel) {
      f(pixel, b, oh, ow);
      if (++ow == width) {
        ow = 0;
        if (++oh == height) oh = 0, ++b;
      }
    }
  });
}

}  // namespace detail

/// What an average divides by.
struct AverageDivisor {
  bool count_include_pad = true;  ///< the window's cells on the input and its padding; otherwise those on the input
  Index override_with = 0;        ///< this number instead, unless 0
};

namespace detail {

struct AverageWindow {
  Index h0, h1, w0, w1, divisor;
};
inline AverageWindow average_window(const PoolShape& s, const AverageDivisor& divisor, Index oh, Index ow) {
  AverageWindow window{};
  const Index top = oh * s.stride.height - s.padding.height, left = ow * s.stride.width - s.padding.width;
  const Index bottom = std::min(top + s.kernel.height, s.height + s.padding.height);
  const Index right = std::min(left + s.kernel.width, s.width + s.padding.width);
  window.h0 = std::max<Index>(top, 0), window.h1 = std::min(bottom, s.height);
  window.w0 = std::max<Index>(left, 0), window.w1 = std::min(right, s.width);
  const Index inside = std::max<Index>(0, window.h1 - window.h0) * std::max<Index>(0, window.w1 - window.w0);
  window.divisor = divisor.override_with != 0  ? divisor.override_with
                   : divisor.count_include_pad ? (bottom - top) * (right - left)
                                               : inside;
  return window;
}
/// Cells [first, second) that adaptive pooling gives to output o of `out`: floor(o in / out) to ceil((o + 1) in / out).
inline std::pair<Index, Index> adaptive_cells(Index o, Index in, Index out) {
  return {o * in / out, ((o + 1) * in + out - 1) / out};
}
inline AverageWindow adaptive_window(const PoolShape& s, Index oh, Index ow) {
  const auto [h0, h1] = adaptive_cells(oh, s.height, s.out_height);
  const auto [w0, w1] = adaptive_cells(ow, s.width, s.out_width);
  return {h0, h1, w0, w1, (h1 - h0) * (w1 - w0)};
}
}  // namespace detail
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/pooling.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(max_pool_forward)
ATTEND_DISPATCH(average_pool_forward)
ATTEND_DISPATCH(average_pool_backward)
ATTEND_DISPATCH(adaptive_average_forward)
ATTEND_DISPATCH(adaptive_average_backward)
ATTEND_DISPATCH(adaptive_max_forward)

/// dx[where] += dy, for a pooling with `outputs` pixels and `inputs` pixels per sample.
template <class S>
void max_pool_backward(Index batch, Index inputs, Index outputs, Index channels, const S* dy, const std::int32_t* where,
                       S* dx) {
  detail::for_each_channel_block(batch, channels, [&](Index b, Index c0, Index c1) {
    S* to = dx + b * inputs * channels;
    for (Index p = b * outputs; p < (b + 1) * outputs; ++p)
      for (Index c = c0; c < c1; ++c)
        if (const Index cell = where[p * channels + c]; cell >= 0) to[cell * channels + c] += dy[p * channels + c];
  });
}
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace detail {
/// The cells of a window: rows of `columns` cells; the first at `first`, the next one `step` cells on, the next row
/// `row_step` cells on.
struct Cells {
  Index rows, columns, first, step, row_step;
};
/// Of each channel the largest cell and, unless null, its number; the first of equals wins, NaN is larger than everything.
template <class S>
ATTEND_INLINE void largest_of_cells(const Cells& cells, Index channels, const S* x, S* y, std::int32_t* where) {
  using V = simd::Vector<S>;
  using Word = typename simd::Lanes<V>::Word;
  const auto for_each_cell = [&cells](const auto& f) ATTEND_INLINED {
    for (Index r = 0; r < cells.rows; ++r)
      for (Index c = 0; c < cells.columns; ++c) f(cells.first + r * cells.row_step + c * cells.step);
  };
  simd::for_each_vector<S>(channels, [&](const auto& at) {
    V best = at(x + cells.first * channels);
    if (!where) {  // the plain instruction passes a NaN over: the sum tells of it
      const V first = best;
      V sum{};
      for_each_cell([&](Index cell) ATTEND_INLINED {
        const V v = at(x + cell * channels);
        best = simd::at_least(v, best);
        sum += v;
      });
      if (!simd::any(sum != sum)) return at.put(y, best);
      best = first;
    }
    simd::Bits<V> number = simd::Bits<V>{} + static_cast<Word>(cells.first);
    for_each_cell([&](Index cell) ATTEND_INLINED {
      const V v = at(x + cell * channels);
      const auto keep = (best >= v) | (best != best);
      best = keep ? best : v;
      number = keep ? number : simd::Bits<V>{} + static_cast<Word>(cell);
    });
    at.put(y, best);
    if (!where) return;
    if constexpr (sizeof(Word) == sizeof(*where))
      if (at.whole()) return static_cast<void>(std::memcpy(where + at.i, &number, sizeof(number)));
    for (Index k = 0; k < std::min(simd::lanes<S>, at.left); ++k)
      where[at.i + k] = static_cast<std::int32_t>(number[k]);
  });
}
}  // namespace detail

/// y = the largest cell of each window; cells outside the input do not take part, NaN is larger than everything. The
/// first of equal cells wins. `where`, unless null, gets the winner's pixel number in its sample (height * width +
/// column). x: (batch, height, width, channels)  y, where: (batch, out_height, out_width, channels)
template <class S>
void max_pool_forward(const PoolShape& s, const S* x, S* y, std::int32_t* where) {
  const Index c_all = s.channels;
  detail::for_each_pixel(
      s.batch, s.out_height, s.out_width, c_all * s.cells(), [&](Index pixel, Index b, Index oh, Index ow) {
        const Index top = oh * s.stride.height - s.padding.height, left = ow * s.stride.width - s.padding.width;
        const auto [t0, t1] = detail::taps_inside(top, s.kernel.height, s.dilation.height, s.height);
        const auto [u0, u1] = detail::taps_inside(left, s.kernel.width, s.dilation.width, s.width);
        S* best = y + pixel * c_all;
        std::int32_t* at = where ? where + pixel * c_all : nullptr;
        if (t0 == t1 || u0 == u1) {
          std::fill_n(best, c_all, -std::numeric_limits<S>::infinity());
          if (at) std::fill_n(at, c_all, -1);
          return;
        }
        const detail::Cells cells{t1 - t0, u1 - u0,
                                  (top + t0 * s.dilation.height) * s.width + left + u0 * s.dilation.width,
                                  s.dilation.width, s.dilation.height * s.width};
        detail::largest_of_cells(cells, c_all, x + b * s.height * s.width * c_all, best, at);
      });
}

namespace detail {

/// y = sum over the window / divisor, for any rule `window(oh, ow)`.
template <class S, class Window>
void average_forward(const PoolShape& s, const S* x, S* y, Index work, const Window& window) {
  const Index c_all = s.channels;
  for_each_pixel(s.batch, s.out_height, s.out_width, work, [&](Index pixel, Index b, Index oh, Index ow) {
    const AverageWindow at = window(oh, ow);
    const S* sample = x + b * s.height * s.width * c_all;
    simd::for_each_vector<S>(c_all, [&](const auto& to) {
      simd::Vector<S> sum{};
      for (Index h = at.h0; h < at.h1; ++h)
        for (Index w = at.w0; w < at.w1; ++w) sum += to(sample + (h * s.width + w) * c_all);
      const bool none = at.h0 >= at.h1 || at.w0 >= at.w1;
      to.put(y + pixel * c_all, sum / static_cast<S>(none ? 1 : at.divisor));
    });
  });
}
template <class S, class Window>
void average_backward(const PoolShape& s, const S* dy, S* dx, const Window& window) {
  const Index c_all = s.channels;
  for_each_channel_block(s.batch, c_all, [&](Index b, Index c0, Index c1) {
    for (Index oh = 0; oh < s.out_height; ++oh)
      for (Index ow = 0; ow < s.out_width; ++ow) {
        const AverageWindow at = window(oh, ow);
        const S* from = dy + ((b * s.out_height + oh) * s.out_width + ow) * c_all;
        for (Index h = at.h0; h < at.h1; ++h)
          for (Index w = at.w0; w < at.w1; ++w) {
            simd::map_add(
                c1 - c0, dx + ((b * s.height + h) * s.width + w) * c_all + c0,
                [divisor = static_cast<S>(at.divisor)](const auto& v) { return v / divisor; }, from + c0);
          }
      }
  });
}

}  // namespace detail

/// y = sum of each window's cells on the input / divisor; a window that lies outside gives 0.
template <class S>
void average_pool_forward(const PoolShape& s, const AverageDivisor& divisor, const S* x, S* y) {
  detail::average_forward(s, x, y, s.channels * s.cells(),
                          [&](Index oh, Index ow) { return detail::average_window(s, divisor, oh, ow); });
}
template <class S>
void average_pool_backward(const PoolShape& s, const AverageDivisor& divisor, const S* dy, S* dx) {
  detail::average_backward(s, dy, dx, [&](Index oh, Index ow) { return detail::average_window(s, divisor, oh, ow); });
}

/// Windows that cover the input evenly: cell o of `out` averages cells floor(o in / out) to ceil((o + 1) in / out).
template <class S>
void adaptive_average_forward(const PoolShape& s, const S* x, S* y) {
  const Index cells = s.height * s.width / std::max<Index>(1, s.out_height * s.out_width);
  detail::average_forward(s, x, y, s.channels * std::max<Index>(1, cells),
                          [&](Index oh, Index ow) { return detail::adaptive_window(s, oh, ow); });
}
template <class S>
void adaptive_average_backward(const PoolShape& s, const S* dy, S* dx) {
  detail::average_backward(s, dy, dx, [&](Index oh, Index ow) { return detail::adaptive_window(s, oh, ow); });
}

/// The largest cell of those windows; ties, NaN and `where` as max_pool_forward.
template <class S>
void adaptive_max_forward(const PoolShape& s, const S* x, S* y, std::int32_t* where) {
  const Index c_all = s.channels;
  detail::for_each_pixel(s.batch, s.out_height, s.out_width, c_all, [&](Index pixel, Index b, Index oh, Index ow) {
    const detail::AverageWindow at = detail::adaptive_window(s, oh, ow);
    const detail::Cells cells{at.h1 - at.h0, at.w1 - at.w0, at.h0 * s.width + at.w0, 1, s.width};
    detail::largest_of_cells(cells, c_all, x + b * s.height * s.width * c_all, y + pixel * c_all,
                             where + pixel * c_all);
  });
}

ATTEND_END_ISA
#endif
