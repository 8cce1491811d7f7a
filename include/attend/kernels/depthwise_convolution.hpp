#ifndef ATTEND_KERNELS_DEPTHWISE_CONVOLUTION
#define ATTEND_KERNELS_DEPTHWISE_CONVOLUTION
#include "attend/core/recycler.hpp"
#include "attend/kernels/convolution_shape.hpp"

#define ATTEND_KERNELS "attend/kernels/depthwise_convolution.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// y[.., c] = bias[c] + sum over taps of w[tap, c] x[.., c];  w: (kh, kw, channels)
template <class S>
void depthwise_forward(const ConvolutionShape& s, const S* x, const S* w, const S* bias, S* y) {
  const Index c_all = s.out_channels;
  const Index grain =
      std::max<Index>(1, 16384 / std::max<Index>(1, s.out_width * c_all * s.kernel.height * s.kernel.width));
  parallel_for(s.batch * s.out_height, grain, [&](Index begin, Index end) {
    for (Index line = begin; line < end; ++line) {
      const Index b = line / s.out_height, top = line % s.out_height * s.stride.height - s.pad_top;
      const auto [t0, t1] = detail::taps_inside(top, s.kernel.height, s.dilation.height, s.height);
      for (Index ow = 0; ow < s.out_width; ++ow) {
        const Index left = ow * s.stride.width - s.pad_left;
        const auto [u0, u1] = detail::taps_inside(left, s.kernel.width, s.dilation.width, s.width);
        S* out = y + (line * s.out_width + ow) * c_all;
        const auto block = [&, t0 = t0, t1 = t1, u0 = u0, u1 = u1](Index c, auto count) {
          S sum[detail::channel_block];
          for (Index i = 0; i < count; ++i) sum[i] = bias ? bias[c + i] : S(0);
          for (Index t = t0; t < t1; ++t)
            for (Index u = u0; u < u1; ++u) {
              const S* from =
                  x + ((b * s.height + top + t * s.dilation.height) * s.width + left + u * s.dilation.width) * c_all +
                  c;
              const S* weight = w + (t * s.kernel.width + u) * c_all + c;
              for (Index i = 0; i < count; ++i) sum[i] += from[i] * weight[i];
            }
          for (Index i = 0; i < count; ++i) out[c + i] = sum[i];
        };
        Index c = 0;
        for (; c + detail::channel_block <= c_all; c += detail::channel_block)
          block(c, std::integral_constant<Index, detail::channel_block>());
        if (c < c_all) block(c, c_all - c);
      }
    }
  });
}

/// dx += the transpose;  weight: (channels, 1, kh, kw)
template <class S>
void depthwise_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, S* dx) {
  const Index c_all = s.out_channels, taps = s.kernel.height * s.kernel.width;
  const auto w = make_buffer<S>(taps * c_all);
  for (Index t = 0; t < taps; ++t)
    for (Index c = 0; c < c_all; ++c) w.get()[t * c_all + c] = weight[c * taps + t];
  detail::for_each_channel_block(s.batch, c_all, [&](Index b, Index c0, Index c1) {
    for (Index oh = 0; oh < s.out_height; ++oh) {
      const Index top = oh * s.stride.height - s.pad_top;
      const auto [t0, t1] = detail::taps_inside(top, s.kernel.height, s.dilation.height, s.height);
      for (Index ow = 0; ow < s.out_width; ++ow) {
        const Index left = ow * s.stride.width - s.pad_left;
        const auto [u0, u1] = detail::taps_inside(left, s.kernel.width, s.dilation.width, s.width);
        const S* from = dy + ((b * s.out_height + oh) * s.out_width + ow) * c_all;
        for (Index t = t0; t < t1; ++t)
          for (Index u = u0; u < u1; ++u) {
            S* to = dx + ((b * s.height + top + t * s.dilation.height) * s.width + left + u * s.dilation.width) * c_all;
            const S* tap = w.get() + (t * s.kernel.width + u) * c_all;
            for (Index c = c0; c < c1; ++c) to[c] += from[c] * tap[c];
          }
      }
    }
  });
}

/// dweight (channels, 1, kh, kw) += sum over samples and pixels of dy x, within fixed units of output lines, then over
/// them in order.
template <class S>
void depthwise_backward_weight(const ConvolutionShape& s, const S* x, const S* dy, S* dweight) {
  const Index c_all = s.out_channels, taps = s.kernel.height * s.kernel.width, lines = s.batch * s.out_height;
  if (lines == 0) return;
  const Index unit = std::max<Index>(1, 1024 / std::max<Index>(1, s.out_width)), units = (lines + unit - 1) / unit;
  const auto partial = make_buffer<S>(units * taps * c_all);
  parallel_for(lines, unit, [&](Index begin, Index end) {
    S* sums = partial.get() + begin / unit * taps * c_all;
    std::fill_n(sums, taps * c_all, S(0));
    for (Index line = begin; line < end; ++line) {
      const Index b = line / s.out_height, top = line % s.out_height * s.stride.height - s.pad_top;
      const auto [t0, t1] = detail::taps_inside(top, s.kernel.height, s.dilation.height, s.height);
      for (Index ow = 0; ow < s.out_width; ++ow) {
        const Index left = ow * s.stride.width - s.pad_left;
        const auto [u0, u1] = detail::taps_inside(left, s.kernel.width, s.dilation.width, s.width);
        const S* d = dy + (line * s.out_width + ow) * c_all;
        for (Index t = t0; t < t1; ++t)
          for (Index u = u0; u < u1; ++u) {
            const S* from =
                x + ((b * s.height + top + t * s.dilation.height) * s.width + left + u * s.dilation.width) * c_all;
            S* sum = sums + (t * s.kernel.width + u) * c_all;
            for (Index c = 0; c < c_all; ++c) sum[c] += d[c] * from[c];
          }
      }
    }
  });
  for (Index c = 0; c < c_all; ++c)
    for (Index t = 0; t < taps; ++t) {
      S sum = 0;
      for (Index u = 0; u < units; ++u) sum += partial.get()[(u * taps + t) * c_all + c];
      dweight[c * taps + t] += sum;
    }
}

ATTEND_END_ISA
#endif
