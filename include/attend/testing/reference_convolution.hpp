#pragma once
/// Convolution, padding and resizing as their definitions read: slow, plain loops to compare the kernels with. No
/// checks.
#include <cmath>

#include "attend/functional/convolution.hpp"

ATTEND_BEGIN
namespace testing {

/// x with pads at its sides, cell by cell.
template <class S>
Tensor<S, 4> reference_pad2d(const Tensor<S, 4>& x, const Pads& pads, PaddingMode mode, S value = S(0)) {
  const auto source = [&](Index i, Index extent) {
    while (mode != PaddingMode::zeros && (i < 0 || i >= extent)) {
      if (mode == PaddingMode::replicate) i += i < 0 ? 1 : -1;
      if (mode == PaddingMode::reflect) i = i < 0 ? -i : 2 * extent - 2 - i;
      if (mode == PaddingMode::circular) i += i < 0 ? extent : -extent;
    }
    return i;
  };
  const Index height = x.dimension(1), width = x.dimension(2);
  Tensor<S, 4> y(x.dimension(0), height + pads.top + pads.bottom, width + pads.left + pads.right, x.dimension(3));
  for (Index b = 0; b < y.dimension(0); ++b)
    for (Index i = 0; i < y.dimension(1); ++i)
      for (Index j = 0; j < y.dimension(2); ++j)
        for (Index c = 0; c < y.dimension(3); ++c) {
          const Index h = source(i - pads.top, height), w = source(j - pads.left, width);
          y(b, i, j, c) = h < 0 || h >= height || w < 0 || w >= width ? value : x(b, h, w, c);
        }
  return y;
}

/// Calls term(b, i, j, o, h, w, c, k, t, u) for every product of a convolution of zero-padded x: output (b, i, j, o) is
/// the sum of x(b, h, w, c) weight(o, k, t, u).
template <class F>
void for_each_convolution_term(const Shape<4>& x, const Shape<4>& weight, const Shape<4>& y,
                               const ConvolutionOptions& o, const F& term) {
  const Pads pads = o.padding.pads({weight[2], weight[3]}, o.dilation);
  const Index out_per_group = y[3] / o.groups;
  for (Index b = 0; b < y[0]; ++b)
    for (Index i = 0; i < y[1]; ++i)
      for (Index j = 0; j < y[2]; ++j)
        for (Index out = 0; out < y[3]; ++out)
          for (Index t = 0; t < weight[2]; ++t)
            for (Index u = 0; u < weight[3]; ++u)
              for (Index k = 0; k < weight[1]; ++k) {
                const Index h = i * o.stride.height + t * o.dilation.height - pads.top;
                const Index w = j * o.stride.width + u * o.dilation.width - pads.left;
                if (h >= 0 && h < x[1] && w >= 0 && w < x[2])
                  term(b, i, j, out, h, w, out / out_per_group * weight[1] + k, k, t, u);
              }
}

/// conv2d; `bias` may be empty.
template <class S>
Tensor<S, 4> reference_conv2d(const Tensor<S, 4>& x, const Tensor<S, 4>& weight, const Tensor<S, 1>& bias,
                              const ConvolutionOptions& options) {
  ConvolutionOptions o = options;
  Tensor<S, 4> source = x;
  if (o.padding_mode != PaddingMode::zeros) {
    source = reference_pad2d(x, o.padding.pads({weight.dimension(2), weight.dimension(3)}, o.dilation), o.padding_mode);
    o.padding = 0;
  }
  const Pads pads = o.padding.pads({weight.dimension(2), weight.dimension(3)}, o.dilation);
  const auto positions = [](Index extent, Index kernel, Index stride, Index dilation) {
    Index count = 0;
    while (count * stride + dilation * (kernel - 1) < extent) ++count;
    return count;
  };
  Tensor<S, 4> y(
      x.dimension(0),
      positions(source.dimension(1) + pads.top + pads.bottom, weight.dimension(2), o.stride.height, o.dilation.height),
      positions(source.dimension(2) + pads.left + pads.right, weight.dimension(3), o.stride.width, o.dilation.width),
      weight.dimension(0));
  for (Index p = 0; p < y.size(); ++p) y.data()[p] = bias.size() > 0 ? bias(p % y.dimension(3)) : S(0);
  for_each_convolution_term(shape_of(source), shape_of(weight), shape_of(y), o,
                            [&](Index b, Index i, Index j, Index out, Index h, Index w, Index c, Index k, Index t,
                                Index u) { y(b, i, j, out) += source(b, h, w, c) * weight(out, k, t, u); });
  return y;
}

/// Gradients of sum(dy y) for zero padding.
template <class S>
struct ReferenceConvolutionGradients {
  Tensor<S, 4> x, weight;
  Tensor<S, 1> bias;
};
template <class S>
ReferenceConvolutionGradients<S> reference_conv2d_backward(const Tensor<S, 4>& x, const Tensor<S, 4>& weight,
                                                           const Tensor<S, 4>& dy, const ConvolutionOptions& o) {
  ReferenceConvolutionGradients<S> d{Tensor<S, 4>(shape_of(x)), Tensor<S, 4>(shape_of(weight)),
                                     Tensor<S, 1>(weight.dimension(0))};
  d.x.setZero(), d.weight.setZero(), d.bias.setZero();
  for_each_convolution_term(
      shape_of(x), shape_of(weight), shape_of(dy), o,
      [&](Index b, Index i, Index j, Index out, Index h, Index w, Index c, Index k, Index t, Index u) {
        d.x(b, h, w, c) += dy(b, i, j, out) * weight(out, k, t, u);
        d.weight(out, k, t, u) += dy(b, i, j, out) * x(b, h, w, c);
      });
  for (Index p = 0; p < dy.size(); ++p) d.bias(p % dy.dimension(3)) += dy.data()[p];
  return d;
}

/// conv_transpose2d: every input cell spreads itself; `bias` may be empty.
template <class S>
Tensor<S, 4> reference_conv_transpose2d(const Tensor<S, 4>& x, const Tensor<S, 4>& weight, const Tensor<S, 1>& bias,
                                        const TransposedConvolutionOptions& o) {
  const auto extent = [](Index in, Index kernel, Index stride, Index padding, Index more, Index dilation) {
    return (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1;
  };
  const Index in_per_group = weight.dimension(0) / o.groups, out_per_group = weight.dimension(1);
  Tensor<S, 4> y(x.dimension(0),
                 extent(x.dimension(1), weight.dimension(2), o.stride.height, o.padding.height, o.output_padding.height,
                        o.dilation.height),
                 extent(x.dimension(2), weight.dimension(3), o.stride.width, o.padding.width, o.output_padding.width,
                        o.dilation.width),
                 out_per_group * o.groups);
  for (Index p = 0; p < y.size(); ++p) y.data()[p] = bias.size() > 0 ? bias(p % y.dimension(3)) : S(0);
  for (Index b = 0; b < x.dimension(0); ++b)
    for (Index i = 0; i < x.dimension(1); ++i)
      for (Index j = 0; j < x.dimension(2); ++j)
        for (Index c = 0; c < x.dimension(3); ++c)
          for (Index t = 0; t < weight.dimension(2); ++t)
            for (Index u = 0; u < weight.dimension(3); ++u)
              for (Index k = 0; k < out_per_group; ++k) {
                const Index h = i * o.stride.height + t * o.dilation.height - o.padding.height;
                const Index w = j * o.stride.width + u * o.dilation.width - o.padding.width;
                if (h >= 0 && h < y.dimension(1) && w >= 0 && w < y.dimension(2))
                  y(b, h, w, c / in_per_group * out_per_group + k) += x(b, i, j, c) * weight(c, k, t, u);
              }
  return y;
}

}  // namespace testing
ATTEND_END
