#pragma once
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"

ATTEND_BEGIN

namespace detail {
/// activation(norm(conv x) + residual) as one kernel, the residual null for none; nothing where something is recorded, the
/// norm needs statistics of x, or the arguments do not fit.
template <class S>
std::optional<Variable<S, 4>> folded_convolution(const Conv2d<S>& conv, const BatchNorm<S>& norm, Activation activation,
                                                 const Variable<S, 4>& x, const Variable<S, 4>* residual) {
  const Index channels = conv.options().out_channels;
  const Scratch<S> folded(2 * channels);
  S *const scale = folded.get(), *const shift = scale + channels;
  if (x.link() || (residual && residual->link()) || norm.options().channels != channels || !norm.fold(scale, shift))
    return std::nullopt;
  try {
    if (conv.bias())
      for (Index c = 0; c < channels; ++c) shift[c] += conv.bias()->data()[c] * scale[c];
    const bool relu = activation == Activation::relu;
    const auto in_place = relu ? nullptr : detail::in_place<S>(activation);
    const auto y = conv.inference(x, GemmEpilogue<S>{shift, nullptr, 0, relu, scale, in_place}, residual);
    return relu || in_place ? y : activate(y, activation);
  } catch (const Error&) {  // the caller's other way throws it again, with the layer's name
    return std::nullopt;
  }
}
}  // namespace detail

/// activation(norm(conv x)). Where nothing is recorded the norm with its running statistics and the activation are a part
/// of the convolution's kernel, with the same result up to rounding: what torch.nn.utils.fusion.fuse_conv_bn_eval does to
/// a model, without another model.
template <class S>
Variable<S, 4> conv_norm_act(const Conv2d<S>& conv, const BatchNorm<S>& norm, Activation activation,
                             const Variable<S, 4>& x) {
  if (const auto y = detail::folded_convolution<S>(conv, norm, activation, x, nullptr)) return *y;
  return activate(norm(conv(x)), activation);
}
/// activation(norm(conv x) + residual), the residual being of the result's shape: likewise.
template <class S>
Variable<S, 4> conv_norm_act(const Conv2d<S>& conv, const BatchNorm<S>& norm, Activation activation,
                             const Variable<S, 4>& x, const Variable<S, 4>& residual) {
  if (const auto y = detail::folded_convolution<S>(conv, norm, activation, x, &residual)) return *y;
  return activate(norm(conv(x)) + residual, activation);
}

struct ConvNormActOptions {
  Index in_channels = 0;
  Index out_channels = 0;
  Pair kernel_size = 1;  ///< odd to keep the size at stride 1
  Pair stride = 1;
  Pair dilation = 1;
  Index groups = 1;
  Activation activation = Activation::relu;  ///< identity: none
  double eps = 1e-5;                         ///< of the norm
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::automatic;
  std::optional<double> momentum = 0.1;  ///< of the norm, see BatchNormOptions
};

/// Convolution without bias, batch norm, activation (timm's ConvNormAct). The padding is timm's, (stride - 1 + dilation
/// (kernel - 1)) / 2 rounded down.
///
/// x: (batch, height, width, in_channels)  ->  (batch, out height, out width, out_channels).  conv.weight  bn.*
template <class S>
class ConvNormAct : public Layer<ConvNormAct<S>> {
 public:
  ConvNormAct(const ConvNormActOptions& options, Rng& rng)
      : activation_(options.activation), conv_(convolution(options), rng), bn_(norm_options(options)) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return conv_norm_act(conv_, bn_, activation_, x); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv_);
    visit("bn", self.bn_);
  }
  /// Write access for a block that starts from other weights.
  BatchNorm<S>& norm() { return bn_; }

 private:
  static Conv2dOptions convolution(const ConvNormActOptions& o) {
    Conv2dOptions conv;
    conv.in_channels = o.in_channels, conv.out_channels = o.out_channels;
    conv.kernel_size = o.kernel_size, conv.stride = o.stride, conv.dilation = o.dilation, conv.groups = o.groups;
    detail::check_convolution("ConvNormAct", o.kernel_size, o.stride, 0, o.dilation, o.groups);
    const auto cells = [](Index kernel, Index stride, Index dilation) {
      return (stride - 1 + dilation * (kernel - 1)) / 2;
    };
    conv.padding = Padding(cells(o.kernel_size.height, o.stride.height, o.dilation.height),
                           cells(o.kernel_size.width, o.stride.width, o.dilation.width));
    conv.bias = false, conv.algorithm = o.algorithm;
    return conv;
  }
  static BatchNormOptions norm_options(const ConvNormActOptions& o) {
    BatchNormOptions norm;
    norm.channels = o.out_channels, norm.eps = o.eps, norm.momentum = o.momentum;
    return norm;
  }
  Activation activation_;
  Conv2d<S> conv_;
  BatchNorm<S> bn_;
};

ATTEND_END
