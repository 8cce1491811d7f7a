#pragma once
#include "attend/autograd/multiply_adds.hpp"
#include "attend/autograd/parameter.hpp"
#include "attend/functional/absent.hpp"
#include "attend/functional/pad2d.hpp"
#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/convolution.hpp"
#include "attend/kernels/elementwise.hpp"

ATTEND_BEGIN

/// How a convolution's window moves over its input.
struct ConvolutionOptions {
  Pair stride = 1;                                ///< input cells from one output to the next
  Padding padding = 0;                            ///< cells at each side, or Padding::same (stride 1) or Padding::valid
  Pair dilation = 1;                              ///< input cells from one tap to the next
  Index groups = 1;                               ///< blocks of channels that do not see each other
  PaddingMode padding_mode = PaddingMode::zeros;  ///< what stands in the padding
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::automatic;  ///< of 3 x 3 taps at stride 1
};

/// How a transposed convolution's window moves over its output.
struct TransposedConvolutionOptions {
  Pair stride = 1;          ///< output cells from one input to the next
  Pair padding = 0;         ///< output cells cut off at each side
  Pair output_padding = 0;  ///< output cells added at the bottom and right; less than stride or dilation
  Pair dilation = 1;
  Index groups = 1;
};

namespace detail {

/// Options that no input would make right.
inline void check_convolution(const char* name, const Pair& kernel, const Pair& stride, const Padding& padding,
                              const Pair& dilation, Index groups) {
  const auto at_least = [&](Index low, const Pair& given, const char* what) {
    attend::require<OptionError>(window_options_between(low, given), name, [&] {
      return message(what, " is ", given, "; both must be at least ", low, " (and below 2^30)");
    });
  };
  at_least(1, kernel, "kernel_size");
  at_least(1, stride, "stride");
  at_least(0, padding.cells(), "padding");
  at_least(1, dilation, "dilation");
  attend::require<OptionError>(groups >= 1, name,
                               [&] { return message("groups is ", groups, "; it must be at least 1"); });
  attend::require<OptionError>(padding.rule() != Padding::same || stride == Pair(1), name, [&] {
    return message("padding is same with stride ", stride, "; same needs stride (1, 1)");
  });
}

/// Options of a layer with these channels, which groups must divide.
inline void check_channels(const char* name, Index in_channels, Index out_channels, Index groups) {
  attend::require<OptionError>(in_channels >= 1 && out_channels >= 1, name, [&] {
    return message("in_channels is ", in_channels, " and out_channels ", out_channels, "; both must be at least 1");
  });
  attend::require<OptionError>(groups >= 1 && in_channels % groups == 0 && out_channels % groups == 0, name, [&] {
    return message("groups is ", groups, "; it must divide in_channels = ", in_channels,
                   " and out_channels = ", out_channels);
  });
}

inline void check_output_padding(const char* name, const Pair& more, const Pair& stride, const Pair& dilation) {
  const Pair limit(std::max(stride.height, dilation.height), std::max(stride.width, dilation.width));
  attend::require<OptionError>(
      more.height >= 0 && more.width >= 0 && more.height < limit.height && more.width < limit.width, name, [&] {
        return message("output_padding is ", more, "; it must be at least 0 and less than stride ", stride,
                       " or dilation ", dilation);
      });
}

template <class S>
void check_bias(const Operation<S>& op, const Variable<S, 1>& bias, Index out) {
  op.require(!present(bias) || bias.dim(0) == out, [&] {
    return message("bias has shape ", bias.shape(), "; it must have out_channels = ", out, " elements, or none");
  });
}

/// The weight as the forward kernel reads it, kept by its parameter until the next version. One form for each algorithm:
/// the map's size takes part in the choice.
template <class S>
const S* packed_weight(const ConvolutionShape& s, const ParameterData<S>& weight) {
  const Index size = packed_convolution_size<S>(s);
  if (s.winograd == 2) return weight.derived(size, [s](const S* w, S* form) { pack_convolution(s, w, form); });
  if (s.winograd == 4) return weight.derived(size, [s](const S* w, S* form) { pack_convolution(s, w, form); });
  return weight.derived(size, [s](const S* w, S* form) { pack_convolution(s, w, form); });
}

}  // namespace detail

/// Two-dimensional convolution (cross-correlation):
///
///     y[b, i, j, o] = bias[o] + sum_{t, u, c} weight[o, c, t, u] x[b, i' + t dilation, j' + u dilation, c]
///
/// with i' = i stride - pad and j' = j stride - pad; c runs over the in/groups channels of o's group.
///
///     x: (batch, height, width, in)  weight: (out, in/groups, kernel height, kernel width), as PyTorch has it
///     bias: (out), or absent<S, 1>()  ->  (batch, out height, out width, out)
///     out = floor((extent + padding - dilation (kernel - 1) - 1) / stride) + 1
///
/// Saves x (padded, unless with zeros) and weight. `parameter`, if given, is where weight comes from, and keeps its
/// packed form for the next calls. options.algorithm also decides how the gradient of x is computed. `epilogue`, if
/// given, follows in the same kernel, with its bias instead of `bias` and `residual`, of the result's shape or null,
/// instead of its own; it has no gradient, so nothing may be recorded.
/// Throws ShapeError for channels that do not fit, a kernel larger than the padded input and a residual of another shape;
/// OptionError for options that fit no input and for an epilogue on a tape.
/// torch.nn.functional.conv2d; padding modes as torch.nn.Conv2d.
template <class S>
Variable<S, 4> conv2d(const Variable<S, 4>& input, const Variable<S, 4>& weight, const Variable<S, 1>& bias,
                      const ConvolutionOptions& options = {}, const ParameterData<S>* parameter = nullptr,
                      GemmEpilogue<S> epilogue = {}, const Variable<S, 4>* residual = nullptr) {
  const Pair kernel(weight.dim(2), weight.dim(3));
  detail::check_convolution("conv2d", kernel, options.stride, options.padding, options.dilation, options.groups);
  Pads pads = options.padding.pads(kernel, options.dilation);
  const bool fill = options.padding_mode != PaddingMode::zeros;
  const Variable<S, 4> x = fill ? pad2d(input, pads, options.padding_mode) : input;
  if (fill) pads = {};
  Operation<S> op("conv2d", x, weight, bias);
  ConvolutionShape s;
  s.batch = x.dim(0), s.height = x.dim(1), s.width = x.dim(2), s.in_channels = x.dim(3);
  s.out_channels = weight.dim(0), s.groups = options.groups;
  s.kernel = kernel, s.stride = options.stride, s.dilation = options.dilation;
  s.pad_top = pads.top, s.pad_left = pads.left;
  op.require(s.out_channels >= 1 && s.out_channels % s.groups == 0, [&] {
    return message("weight has shape ", weight.shape(), "; its first axis must be a multiple of groups = ", s.groups);
  });
  op.require(weight.dim(1) >= 1 && s.in_channels % s.groups == 0 && s.in_channels / s.groups == weight.dim(1), [&] {
    return message("x has shape ", input.shape(), "; with weight of shape ", weight.shape(), " and groups = ", s.groups,
                   " its last axis must be in_channels = ", weight.dim(1) * s.groups);
  });
  detail::check_bias(op, bias, s.out_channels);
  s.out_height =
      detail::window_positions(s.height, pads.top + pads.bottom, kernel.height, s.stride.height, s.dilation.height);
  s.out_width =
      detail::window_positions(s.width, pads.left + pads.right, kernel.width, s.stride.width, s.dilation.width);
  op.require(s.out_height >= 1 && s.out_width >= 1 && s.height >= 1 && s.width >= 1, [&] {
    return message("x has shape ", x.shape(), "; with padding ", pads, " it must be at least as large as kernel_size ",
                   kernel, " with dilation ", s.dilation);
  });
  s.winograd = winograd_tile(s, options.algorithm);
  const Shape<4> shape{s.batch, s.out_height, s.out_width, s.out_channels};
  if (residual) {
    op.require(residual->shape() == shape, [&] {
      return message("residual has shape ", residual->shape(), "; it must be ", shape, ", as the result");
    });
    epilogue.residual = residual->data(), epilogue.residual_ld = s.out_channels;
  }
  const auto y = op.result(shape);
  const detail::Scratch<S> made(parameter ? 0 : packed_convolution_size<S>(s));
  if (!parameter) pack_convolution(s, weight.data(), made.get());
  const S* packed = parameter ? detail::packed_weight(s, *parameter) : made.get();
  attend::require<OptionError>(epilogue.nothing() || !op.records(), "conv2d",
                               [] { return "an epilogue is given on a tape; it has no gradient"; });
  const GemmEpilogue<S> with_bias{present(bias) ? bias.data() : nullptr};
  MultiplyAdds::add(y.size(), kernel.height, kernel.width, weight.dim(1));
  convolution_forward(s, x.data(), packed, epilogue.nothing() ? with_bias : epilogue, op.data(y));
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = op.slot(bias);
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dw.differentiable),
                  ws = op.keep(weight, dx.differentiable)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(db)) add_column_sums(g, s.batch * s.out_height * s.out_width, s.out_channels, d);
      if (const auto d = pass.accumulate(dw)) convolution_backward_weight(s, xs.get(), g, d);
      if (const auto d = pass.accumulate(dx)) convolution_backward_input(s, g, ws.get(), d);
    });
  }
  return y;
}

/// One-dimensional convolution: conv2d on a map of height 1.
///
///     x: (batch, length, in)  weight: (out, in/groups, kernel)  bias: (out), or absent  ->  (batch, out length, out)
///
/// Of the options the width counts (one number sets both). torch.nn.functional.conv1d.
template <class S>
Variable<S, 3> conv1d(const Variable<S, 3>& x, const Variable<S, 3>& weight, const Variable<S, 1>& bias,
                      const ConvolutionOptions& options = {}, const ParameterData<S>* parameter = nullptr) {
  ConvolutionOptions flat = options;
  flat.stride.height = flat.dilation.height = 1;
  if (options.padding.rule() == Padding::given) flat.padding = Padding(0, options.padding.cells().width);
  if (options.padding.rule() == Padding::same)
    attend::require<OptionError>(options.stride.width == 1, "conv1d", [&] {
      return message("padding is same with stride ", options.stride.width, "; same needs stride 1");
    });
  const auto y =
      conv2d(x.reshape(Shape<4>{x.dim(0), 1, x.dim(1), x.dim(2)}),
             weight.reshape(Shape<4>{weight.dim(0), weight.dim(1), 1, weight.dim(2)}), bias, flat, parameter);
  return y.reshape(Shape<3>{y.dim(0), y.dim(2), y.dim(3)});
}

/// Transposed convolution: the gradient of conv2d by its input, as a layer that enlarges.
///
///     x: (batch, height, width, in)  weight: (in, out/groups, kernel height, kernel width)  bias: (out), or absent
///       ->  (batch, out height, out width, out)
///     out = (extent - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1
///
/// Every x[b, i, j] adds itself times the weight around y[b, i stride - padding, j stride - padding]. Saves x and
/// weight. Throws ShapeError for channels that do not fit and an empty result; OptionError for options that fit no
/// input, such as an output_padding that is not smaller than stride or dilation. torch.nn.functional.conv_transpose2d
template <class S>
Variable<S, 4> conv_transpose2d(const Variable<S, 4>& x, const Variable<S, 4>& weight, const Variable<S, 1>& bias,
                                const TransposedConvolutionOptions& options = {}) {
  const Pair kernel(weight.dim(2), weight.dim(3)), more = options.output_padding;
  detail::check_convolution("conv_transpose2d", kernel, options.stride, options.padding, options.dilation,
                            options.groups);
  detail::check_output_padding("conv_transpose2d", more, options.stride, options.dilation);
  Operation<S> op("conv_transpose2d", x, weight, bias);
  ConvolutionShape s;  // of the convolution from y to x
  s.batch = x.dim(0), s.out_height = x.dim(1), s.out_width = x.dim(2), s.out_channels = x.dim(3);
  s.groups = options.groups, s.in_channels = weight.dim(1) * s.groups;
  s.kernel = kernel, s.stride = options.stride, s.dilation = options.dilation;
  s.pad_top = options.padding.height, s.pad_left = options.padding.width;
  op.require(s.out_channels == weight.dim(0) && s.out_channels >= 1, [&] {
    return message("x has shape ", x.shape(), "; with weight of shape ", weight.shape(),
                   " its last axis must be in_channels = ", weight.dim(0));
  });
  op.require(s.out_channels % s.groups == 0 && weight.dim(1) >= 1, [&] {
    return message("weight has shape ", weight.shape(), "; its first axis must be a multiple of groups = ", s.groups);
  });
  detail::check_bias(op, bias, s.in_channels);
  const Index limit = detail::largest_window_option;  // products with a stride cannot overflow
  op.require(s.out_height <= limit && s.out_width <= limit,
             [&] { return message("x has shape ", x.shape(), "; height and width must be below 2^30"); });
  s.height =
      (s.out_height - 1) * s.stride.height - 2 * s.pad_top + s.dilation.height * (kernel.height - 1) + more.height + 1;
  s.width =
      (s.out_width - 1) * s.stride.width - 2 * s.pad_left + s.dilation.width * (kernel.width - 1) + more.width + 1;
  op.require(s.out_height >= 1 && s.out_width >= 1 && s.height >= 1 && s.width >= 1, [&] {
    return message("x has shape ", x.shape(), "; with kernel_size ", kernel, " and padding ", options.padding,
                   " the result would be ", s.height, " by ", s.width);
  });
  const auto y = op.result(Shape<4>{s.batch, s.height, s.width, s.in_channels});
  if (present(bias)) fill_pixels(s.batch * s.height * s.width, s.in_channels, bias.data(), op.data(y));
  MultiplyAdds::add(x.size(), kernel.height, kernel.width, weight.dim(1));
  convolution_backward_input(s, x.data(), weight.data(), Accumulator<S>{op.data(y), !present(bias)});
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = op.slot(bias);
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dw.differentiable),
                  ws = op.keep(weight, dx.differentiable)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(db)) add_column_sums(g, s.batch * s.height * s.width, s.in_channels, d);
      if (const auto d = pass.accumulate(dw)) convolution_backward_weight(s, g, xs.get(), d);
      if (const auto d = pass.accumulate(dx)) {
        const auto packed = make_buffer<S>(packed_convolution_size<S>(s));
        pack_convolution(s, ws.get(), packed.get());
        const auto term = d.empty ? nullptr : make_buffer<S>(dx.size);
        convolution_forward(s, g, packed.get(), GemmEpilogue<S>(), term ? term.get() : d.to);
        if (term) add_scaled(dx.size, S(1), static_cast<const S*>(term.get()), d.to);
      }
    });
  }
  return y;
}

ATTEND_END
