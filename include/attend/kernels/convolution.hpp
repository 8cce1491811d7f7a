#ifndef ATTEND_KERNELS_CONVOLUTION
#define ATTEND_KERNELS_CONVOLUTION
#include "attend/kernels/depthwise_convolution.hpp"
#include "attend/kernels/gather_product.hpp"
#include "attend/kernels/winograd.hpp"

ATTEND_BEGIN
namespace detail {

inline Gather convolution_gather(const ConvolutionShape& s) {
  Gather g;
  g.batch = s.batch, g.height = s.height, g.width = s.width;
  g.channels = s.group_in(), g.pixel = s.in_channels;
  g.rows_h = s.out_height, g.rows_w = s.out_width;
  g.step_h = s.stride.height, g.step_w = s.stride.width;
  for (Index t = 0; t < s.kernel.height; ++t) g.offset_h.push_back(t * s.dilation.height - s.pad_top);
  for (Index t = 0; t < s.kernel.width; ++t) g.offset_w.push_back(t * s.dilation.width - s.pad_left);
  return g;
}

/// The input cells first, first + stride, ... along one axis, all reached by the same taps; `offset` is where a tap's
/// output lies relative to the cell's number. Taps descend, so that offsets ascend.
struct ConvolutionPhase {
  Index first = 0, count = 0;
  std::vector<Index> taps, offsets;
};
inline ConvolutionPhase convolution_phase(Index first, Index extent, Index kernel, Index stride, Index dilation,
                                          Index pad) {
  ConvolutionPhase phase;
  phase.first = first;
  phase.count = first < extent ? (extent - first + stride - 1) / stride : 0;
  for (Index t = kernel - 1; t >= 0; --t)
    if ((first + pad - t * dilation) % stride == 0) {
      phase.taps.push_back(t);
      phase.offsets.push_back((first + pad - t * dilation) / stride);
    }
  return phase;
}

}  // namespace detail
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/convolution.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_OF(packed_convolution_size)
ATTEND_DISPATCH(pack_convolution)
ATTEND_DISPATCH(fill_pixels)
ATTEND_DISPATCH(convolution_forward)
ATTEND_DISPATCH(convolution_backward_input)
ATTEND_DISPATCH(convolution_backward_weight)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// Numbers in the packed form of a convolution's weight.
template <class S>
Index packed_convolution_size(const ConvolutionShape& s) {
  const Index taps = s.kernel.height * s.kernel.width;
  if (s.winograd > 0) return winograd::packed_size<S>(s.winograd, s.in_channels, s.out_channels);
  return s.depthwise() ? taps * s.out_channels : s.groups * packed_size<S>(taps * s.group_in(), s.group_out());
}

/// weight (out, in/groups, kh, kw) -> for each group (kh, kw, in/groups, out/groups) by pack_b; of a depthwise
/// convolution (kh, kw, channels); with s.winograd by winograd::pack.
template <class S>
void pack_convolution(const ConvolutionShape& s, const S* weight, S* packed) {
  const Index in = s.group_in(), out = s.group_out(), taps = s.kernel.height * s.kernel.width, columns = taps * in;
  if (s.winograd == 2) return winograd::pack<2>(in, out, weight, 9, 9 * in, false, packed);
  if (s.winograd == 4) return winograd::pack<4>(in, out, weight, 9, 9 * in, false, packed);
  if (s.depthwise()) {
    for (Index t = 0; t < taps; ++t)
      for (Index c = 0; c < s.out_channels; ++c) packed[t * s.out_channels + c] = weight[c * taps + t];
    return;
  }
  const detail::Scratch<S> turned(taps == 1 ? 0 : out * columns);
  for (Index g = 0; g < s.groups; ++g, weight += out * columns, packed += packed_size<S>(columns, out)) {
    for (Index o = 0; o < out && taps > 1; ++o)
      for (Index i = 0; i < in; ++i)
        for (Index t = 0; t < taps; ++t) turned.get()[o * columns + t * in + i] = weight[(o * in + i) * taps + t];
    pack_b(Side::transposed, columns, out, taps > 1 ? turned.get() : weight, columns, packed);
  }
}

/// Every pixel of y (pixels, channels) = bias, or zeros without one: what the products add to.
template <class S>
void fill_pixels(Index pixels, Index channels, const S* bias, S* y) {
  parallel_for(pixels, std::max<Index>(1, 16384 / std::max<Index>(channels, 1)), [&](Index begin, Index end) {
    if (!bias) {
      std::fill_n(y + begin * channels, (end - begin) * channels, S(0));
      return;
    }
    for (Index p = begin; p < end; ++p) std::copy_n(bias, channels, y + p * channels);
  });
}

/// y[b, oh, ow, o] = bias[o] + sum over taps (t, u) and channels c of o's group of
///                   weight[o, c, t, u] x[b, oh stride + t dilation - pad, ow stride + u dilation - pad, c]
/// x: (batch, height, width, in)  packed: pack_convolution  bias: (out) or null  y: (batch, out_height, out_width, out)
template <class S>
void convolution_forward(const ConvolutionShape& s, const S* x, const S* packed, const S* bias, S* y) {
  if (s.winograd == 2) return winograd::convolve<2>(s, x, packed, bias, false, y);
  if (s.winograd == 4) return winograd::convolve<4>(s, x, packed, bias, false, y);
  if (s.depthwise()) return depthwise_forward(s, x, packed, bias, y);
  const detail::Gather gather = detail::convolution_gather(s);
  const Index in = s.group_in(), out = s.group_out();
  for (Index g = 0; g < s.groups; ++g, packed += packed_size<S>(gather.columns(), out))
    if (bias)
      detail::gather_product(gather, x + g * in, packed, out, S(0), y + g * out, s.out_channels,
                             [b = bias + g * out](Index, Index rows, Index col, Index cols, S* c, Index ld) {
                               for (Index i = 0; i < rows; ++i)
                                 for (Index j = 0; j < cols; ++j) c[i * ld + j] += b[col + j];
                             });
    else
      detail::gather_product(gather, x + g * in, packed, out, S(0), y + g * out, s.out_channels);
}

namespace detail {

/// dx += the convolution of dy with the taps turned by half a circle.
template <int m, class S>
void winograd_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, S* dx) {
  ConvolutionShape turned = s;
  turned.height = s.out_height, turned.width = s.out_width, turned.in_channels = s.out_channels;
  turned.out_height = s.height, turned.out_width = s.width, turned.out_channels = s.in_channels;
  turned.pad_top = 2 - s.pad_top, turned.pad_left = 2 - s.pad_left;
  const Scratch<S> packed(winograd::packed_size<S>(m, turned.in_channels, turned.out_channels));
  winograd::pack<m>(turned.in_channels, turned.out_channels, weight, 9 * s.in_channels, 9, true, packed.get());
  winograd::convolve<m>(turned, dy, packed.get(), static_cast<const S*>(nullptr), true, dx);
}

}  // namespace detail

/// dx += the transpose of the above: dy (batch, out_height, out_width, out), weight (out, in/groups, kh, kw) -> dx.
/// Input cells that the same taps reach form a phase (stride of them along each axis), and each phase is one product.
template <class S>
void convolution_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, S* dx) {
  if (s.winograd == 2) return detail::winograd_backward_input<2>(s, dy, weight, dx);
  if (s.winograd == 4) return detail::winograd_backward_input<4>(s, dy, weight, dx);
  if (s.depthwise()) return depthwise_backward_input(s, dy, weight, dx);
  const Index in = s.group_in(), out = s.group_out(), taps = s.kernel.height * s.kernel.width;
  struct Phase {
    detail::Gather gather;
    detail::Scatter to;
    std::vector<std::shared_ptr<S> > packed;  // for each group
  };
  std::vector<Phase> phases;
  for (Index first_h = 0; first_h < std::min(s.stride.height, s.height); ++first_h)
    for (Index first_w = 0; first_w < std::min(s.stride.width, s.width); ++first_w) {
      const auto rows =
          detail::convolution_phase(first_h, s.height, s.kernel.height, s.stride.height, s.dilation.height, s.pad_top);
      const auto columns =
          detail::convolution_phase(first_w, s.width, s.kernel.width, s.stride.width, s.dilation.width, s.pad_left);
      if (rows.taps.empty() || columns.taps.empty()) continue;
      Phase phase;
      detail::Gather& gather = phase.gather;
      gather.height = s.out_height, gather.width = s.out_width;
      gather.channels = out, gather.pixel = s.out_channels;
      gather.rows_h = rows.count, gather.rows_w = columns.count;
      gather.offset_h = rows.offsets, gather.offset_w = columns.offsets;
      phase.to = {s.height, s.width, s.in_channels, first_h, first_w, s.stride.height, s.stride.width};
      const detail::Scratch<S> turned(gather.columns() * in);
      for (Index g = 0; g < s.groups; ++g) {
        S* to_tap = turned.get();
        for (const Index t : rows.taps)
          for (const Index u : columns.taps)
            for (Index o = 0; o < out; ++o)
              for (Index i = 0; i < in; ++i)
                *to_tap++ = weight[((g * out + o) * in + i) * taps + t * s.kernel.width + u];
        phase.packed.push_back(make_buffer<S>(packed_size<S>(gather.columns(), in)));
        pack_b(Side::plain, gather.columns(), in, turned.get(), in, phase.packed.back().get());
      }
      phases.push_back(std::move(phase));
    }
  // Several phases meet in the same cache lines: a few samples at a time.
  const Index samples =
      phases.size() == 1 ? s.batch : std::max<Index>(1, 4096 / std::max<Index>(1, s.height * s.width));
  parallel_for(s.batch, samples, [&](Index begin, Index end) {
    for (const Phase& phase : phases) {
      detail::Gather gather = phase.gather;
      gather.batch = end - begin;
      const S* from = dy + begin * s.out_height * s.out_width * s.out_channels;
      S* to = dx + begin * s.height * s.width * s.in_channels;
      for (Index g = 0; g < s.groups; ++g)
        detail::add_gather_product(gather, from + g * out, phase.packed[static_cast<std::size_t>(g)].get(), in,
                                   phase.to, to + g * in);
    }
  });
}

/// dweight (out, in/groups, kh, kw) += sum over samples and pixels of dy x.
template <class S>
void convolution_backward_weight(const ConvolutionShape& s, const S* x, const S* dy, S* dweight) {
  if (s.depthwise()) return depthwise_backward_weight(s, x, dy, dweight);
  const Index in = s.group_in(), out = s.group_out(), taps = s.kernel.height * s.kernel.width;
  const detail::Gather gather = detail::convolution_gather(s);
  const detail::Scratch<S> product(gather.columns() * out);
  for (Index g = 0; g < s.groups; ++g) {
    detail::gather_transposed_product(gather, x + g * in, dy + g * out, s.out_channels, out, product.get());
    for (Index t = 0; t < taps; ++t)
      for (Index i = 0; i < in; ++i)
        for (Index o = 0; o < out; ++o)
          dweight[((g * out + o) * in + i) * taps + t] += product.get()[(t * in + i) * out + o];
  }
}

ATTEND_END_ISA
#endif
