#pragma once
#include "attend/kernels/depthwise_convolution.hpp"
#include "attend/kernels/gather_transposed_product.hpp"
#include "attend/kernels/gemm.hpp"
#include "attend/kernels/winograd.hpp"

ATTEND_BEGIN
namespace detail {

/// Output channels in a task that goes over weights, `each` of them for one.
inline Index weight_grain(Index each) { return std::max<Index>(1, 16384 / std::max<Index>(1, each)); }

inline Gather convolution_gather(const ConvolutionShape& s) {
  Gather g;
  g.batch = s.batch, g.height = s.height, g.width = s.width;
  g.channels = s.group_in(), g.pixel = s.in_channels;
  g.rows_h = s.out_height, g.rows_w = s.out_width;
  g.step_h = s.stride.height, g.step_w = s.stride.width;
  g.taps_h = TapRange::forward(s.kernel.height, s.dilation.height, s.pad_top);
  g.taps_w = TapRange::forward(s.kernel.width, s.dilation.width, s.pad_left);
  return g;
}

}  // namespace detail

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
  if (s.winograd > 0) return winograd::pack(s.winograd, in, out, weight, 9, 9 * in, false, packed);
  if (s.depthwise()) {
    for (Index t = 0; t < taps; ++t)
      for (Index c = 0; c < s.out_channels; ++c) packed[t * s.out_channels + c] = weight[c * taps + t];
    return;
  }
  const detail::Scratch<S> turned(taps == 1 ? 0 : out * columns);
  for (Index g = 0; g < s.groups; ++g, weight += out * columns, packed += packed_size<S>(columns, out)) {
    if (taps > 1)
      parallel_for(out, detail::weight_grain(columns), [&](Index begin, Index end) {
        for (Index o = begin; o < end; ++o)
          for (Index t = 0; t < taps; ++t)
            for (Index i = 0; i < in; ++i) turned.get()[o * columns + t * in + i] = weight[(o * in + i) * taps + t];
      });
    pack_b(Side::transposed, columns, out, taps > 1 ? turned.get() : weight, columns, packed);
  }
}

/// Every pixel of y (pixels, channels) = bias: what the products add to.
template <class S>
void fill_pixels(Index pixels, Index channels, const S* bias, S* y) {
  parallel_for(pixels, std::max<Index>(1, 16384 / std::max<Index>(channels, 1)), [&](Index begin, Index end) {
    for (Index p = begin; p < end; ++p) std::copy_n(bias, channels, y + p * channels);
  });
}

/// y[b, oh, ow, o] = sum over taps (t, u) and channels c of o's group of
///                   weight[o, c, t, u] x[b, oh stride + t dilation - pad, ow stride + u dilation - pad, c]
/// and then what `epilogue` says (its residual has the layout of y).
/// x: (batch, height, width, in)  packed: pack_convolution  y: (batch, out_height, out_width, out)
template <class S>
void convolution_forward(const ConvolutionShape& s, const S* x, const S* packed, const GemmEpilogue<S>& epilogue,
                         S* y) {
  if (s.winograd > 0) return winograd::convolve(s.winograd, s, x, packed, epilogue, false, y);
  if (s.depthwise()) return depthwise_forward(s, x, packed, epilogue, y);
  const detail::Gather gather = detail::convolution_gather(s);
  const Index in = s.group_in(), out = s.group_out();
  for (Index g = 0; g < s.groups; ++g, packed += packed_size<S>(gather.columns(), out))
    detail::gather_product(gather, x + g * in, packed, out, S(0), y + g * out, s.out_channels, epilogue.at(0, g * out));
}

namespace detail {

/// To dx: the convolution of dy with the taps turned by half a circle.
template <class S>
void winograd_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, Accumulator<S> dx) {
  ConvolutionShape turned = s;
  turned.height = s.out_height, turned.width = s.out_width, turned.in_channels = s.out_channels;
  turned.out_height = s.height, turned.out_width = s.width, turned.out_channels = s.in_channels;
  turned.pad_top = 2 - s.pad_top, turned.pad_left = 2 - s.pad_left;
  const Scratch<S> packed(winograd::packed_size<S>(s.winograd, turned.in_channels, turned.out_channels));
  winograd::pack(s.winograd, turned.in_channels, turned.out_channels, weight, 9 * s.in_channels, 9, true, packed.get());
  winograd::convolve(s.winograd, turned, dy, packed.get(), GemmEpilogue<S>(), !dx.empty, dx.to);
}

/// To dweight (out, in, taps): product (taps, in, out). By blocks, which lie in the cache while they are turned.
template <class S>
void accumulate_taps_last(Index out, Index in, Index taps, const S* product, Accumulator<S> dweight) {
  constexpr Index most_outs = 64, most_numbers = 128, ld = most_outs + 1;  // odd: columns spread over the cache
  const Index ins = std::max<Index>(1, most_numbers / taps), blocks = (out + most_outs - 1) / most_outs;
  parallel_for(blocks, weight_grain(most_outs * taps * in), [&](Index begin, Index end) {
    const Scratch<S> block(ins * taps * ld);
    for (Index o0 = begin * most_outs; o0 < std::min(out, end * most_outs); o0 += most_outs)
      for (Index i0 = 0; i0 < in; i0 += ins) {
        const Index outs = std::min(most_outs, out - o0), numbers = std::min(ins, in - i0) * taps;
        for (Index t = 0; t < taps; ++t)
          for (Index i = t; i < numbers; i += taps)
            std::copy_n(product + (t * in + i0 + i / taps) * out + o0, outs, block.get() + i * ld);
        for (Index o = 0; o < outs; ++o) {
          S* const to = dweight.to + ((o0 + o) * in + i0) * taps;
          const S* const from = block.get() + o;
          if (dweight.empty)
            for (Index i = 0; i < numbers; ++i) to[i] = from[i * ld];
          else
            for (Index i = 0; i < numbers; ++i) to[i] += from[i * ld];
        }
      }
  });
}

template <class S>
void pointwise_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, Accumulator<S> dx) {
  const Index in = s.group_in(), out = s.group_out(), rows = s.batch * s.height * s.width;
  for (Index g = 0; g < s.groups; ++g)
    gemm<S>(Side::plain, Side::plain, rows, in, out, S(1), dy + g * out, s.out_channels, weight + g * out * in, in,
            dx.beta(), dx.to + g * in, s.in_channels);
}
template <class S>
void pointwise_backward_weight(const ConvolutionShape& s, const S* x, const S* dy, Accumulator<S> dweight) {
  const Index in = s.group_in(), out = s.group_out();
  Gather gather;  // of dy
  gather.batch = s.batch, gather.height = gather.rows_h = s.height, gather.width = gather.rows_w = s.width;
  gather.channels = out, gather.pixel = s.out_channels;
  gather.taps_h = gather.taps_w = TapRange::forward(1, 1, 0);
  for (Index g = 0; g < s.groups; ++g)
    gather_transposed_product(gather, dy + g * out, x + g * in, s.in_channels, in, dweight + g * out * in);
}

}  // namespace detail

/// To dx: the transpose of the above: dy (batch, out_height, out_width, out), weight (out, in/groups, kh, kw) -> dx.
/// Input cells that the same taps reach form a phase (stride of them along each axis), and each phase is one product.
template <class S>
void convolution_backward_input(const ConvolutionShape& s, const S* dy, const S* weight, Accumulator<S> dx) {
  if (s.winograd > 0) return detail::winograd_backward_input(s, dy, weight, dx);
  if (s.depthwise()) return depthwise_backward_input(s, dy, weight, dx);
  if (s.pointwise()) return detail::pointwise_backward_input(s, dy, weight, dx);
  const Index in = s.group_in(), out = s.group_out(), taps = s.kernel.height * s.kernel.width;
  const auto phases = [&](Index extent, Index stride) { return std::min(stride, extent); };
  const Index phases_w = phases(s.width, s.stride.width), all = phases(s.height, s.stride.height) * phases_w;
  // What a phase reads and writes, of one sample; its weights follow those of the phases before it.
  const auto phase = [&](Index p, detail::Gather& gather, detail::Scatter& to) {
    const Index first_h = p / phases_w, first_w = p % phases_w;
    gather.batch = 1, gather.height = s.out_height, gather.width = s.out_width;
    gather.channels = out, gather.pixel = s.out_channels;
    gather.rows_h = (s.height - first_h + s.stride.height - 1) / s.stride.height;
    gather.rows_w = (s.width - first_w + s.stride.width - 1) / s.stride.width;
    gather.taps_h = detail::TapRange::backward(first_h, s.kernel.height, s.stride.height, s.dilation.height, s.pad_top);
    gather.taps_w = detail::TapRange::backward(first_w, s.kernel.width, s.stride.width, s.dilation.width, s.pad_left);
    to = {s.height, s.width, s.in_channels, first_h, first_w, s.stride.height, s.stride.width};
  };
  detail::Gather gather;
  detail::Scatter to;
  const Index all_weights = s.groups * packed_size<S>(out * taps, in);  // every tap belongs to one phase
  const detail::Scratch<S> turned(out * taps * in), packed(all_weights);
  S* packed_to = packed.get();
  for (Index p = 0; p < all; ++p) {
    phase(p, gather, to);
    const detail::TapRange &rows = gather.taps_h, &columns = gather.taps_w;
    for (Index g = 0; g < s.groups && gather.taps() > 0; ++g, packed_to += packed_size<S>(gather.columns(), in)) {
      parallel_for(out, detail::weight_grain(taps * in), [&](Index begin, Index end) {
        for (Index o = begin; o < end; ++o)
          for (Index t = 0; t < rows.count; ++t)
            for (Index u = 0; u < columns.count; ++u) {
              const S* const taken = weight + (g * out + o) * in * taps +
                                     (rows.tap + t * rows.tap_step) * s.kernel.width + columns.tap +
                                     u * columns.tap_step;
              S* const put = turned.get() + ((t * columns.count + u) * out + o) * in;
              for (Index i = 0; i < in; ++i) put[i] = taken[i * taps];
            }
      });
      pack_b(Side::plain, gather.columns(), in, turned.get(), in, packed_to);
    }
  }
  // Several phases meet in the same cache lines: a few samples at a time. Pixels may lie in a phase without taps.
  const Index samples = all == 1 ? s.batch : std::max<Index>(1, 4096 / std::max<Index>(1, s.height * s.width));
  parallel_for(s.batch, samples, [&](Index begin, Index end) {
    const S* from = dy + begin * s.out_height * s.out_width * s.out_channels;
    const Index sample = s.height * s.width * s.in_channels;
    Accumulator<S> target = dx + begin * sample;
    if (target.empty && s.stride != Pair(1)) {
      std::fill_n(target.to, (end - begin) * sample, S(0));
      target.empty = false;
    }
    const S* weights = packed.get();
    detail::Gather source;
    detail::Scatter grid;
    for (Index p = 0; p < all; ++p) {
      phase(p, source, grid);
      source.batch = end - begin;
      for (Index g = 0; g < s.groups && source.taps() > 0; ++g, weights += packed_size<S>(source.columns(), in))
        detail::add_gather_product(source, from + g * out, weights, in, grid, target + g * in);
    }
  });
}

/// To dweight (out, in/groups, kh, kw): the sum over samples and pixels of dy x.
template <class S>
void convolution_backward_weight(const ConvolutionShape& s, const S* x, const S* dy, Accumulator<S> dweight) {
  if (s.depthwise()) return depthwise_backward_weight(s, x, dy, dweight);
  if (s.pointwise()) return detail::pointwise_backward_weight(s, x, dy, dweight);
  const Index in = s.group_in(), out = s.group_out(), taps = s.kernel.height * s.kernel.width;
  const detail::Gather gather = detail::convolution_gather(s);
  const detail::Scratch<S> product(gather.columns() * out);
  for (Index g = 0; g < s.groups; ++g) {
    detail::gather_transposed_product(gather, x + g * in, dy + g * out, s.out_channels, out,
                                      Accumulator<S>{product.get(), true});
    detail::accumulate_taps_last(out, in, taps, product.get(), dweight + g * out * in * taps);
  }
}

ATTEND_COMPILED_TEMPLATE(pack_convolution)
ATTEND_COMPILED_TEMPLATE(convolution_forward)
ATTEND_COMPILED_TEMPLATE(convolution_backward_input)
ATTEND_COMPILED_TEMPLATE(convolution_backward_weight)
ATTEND_END
