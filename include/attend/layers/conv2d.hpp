#pragma once
#include <tuple>

#include "attend/autograd/layer.hpp"
#include "attend/functional/convolution.hpp"

ATTEND_BEGIN

struct Conv2dOptions {
  Index in_channels = 0;
  Index out_channels = 0;
  Pair kernel_size = 0;  ///< height and width, or one number for both
  Pair stride = 1;       ///< input cells from one output to the next
  Padding padding = 0;   ///< cells at each side, or Padding::same (stride 1) or Padding::valid
  Pair dilation = 1;     ///< input cells from one tap to the next
  Index groups = 1;      ///< blocks of channels that do not see each other; in_channels: depthwise
  PaddingMode padding_mode = PaddingMode::zeros;  ///< what stands in the padding
  bool bias = true;
  ConvolutionAlgorithm algorithm = ConvolutionAlgorithm::automatic;  ///< of 3 x 3 taps at stride 1
};

/// Two-dimensional convolution; formula and sizes at `conv2d`.
///
///     x: (batch, height, width, in_channels)  ->  (batch, out height, out width, out_channels)
///
/// weight: (out_channels, in_channels/groups, kernel height, kernel width)  bias: (out_channels)
/// Both start uniform in +-1/sqrt(in_channels/groups kernel height kernel width), as torch.nn.Conv2d.
template <class S>
class Conv2d : public Layer<Conv2d<S>> {
 public:
  Conv2d(const Conv2dOptions& options, Rng& rng)
      : options_(checked(options)),
        weight_({options.out_channels, options.in_channels / options.groups, options.kernel_size.height,
                 options.kernel_size.width},
                rng, bound(options)) {
    if (options.bias) bias_.emplace(Shape<1>{options.out_channels}, rng, bound(options));
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const Conv2dOptions& o = options_;
    return conv2d(x, weight_.on(x), on(bias_, x),
                  {o.stride, o.padding, o.dilation, o.groups, o.padding_mode, o.algorithm}, &weight_);
  }
  /// Of the result for an x of this shape; without elements if x is too small.
  Shape<4> result_shape(const Shape<4>& x) const {
    const auto& [kernel, stride, dilation] = std::tie(options_.kernel_size, options_.stride, options_.dilation);
    const Pads pads = options_.padding.pads(kernel, dilation);
    return {x[0], detail::window_positions(x[1], pads.top + pads.bottom, kernel.height, stride.height, dilation.height),
            detail::window_positions(x[2], pads.left + pads.right, kernel.width, stride.width, dilation.width),
            options_.out_channels};
  }
  /// Not recorded: the same without bias, then what `epilogue` says, in one kernel; `residual` as of conv2d.
  Variable<S, 4> inference(const Variable<S, 4>& x, const GemmEpilogue<S>& epilogue,
                           const Variable<S, 4>* residual = nullptr) const {
    const Conv2dOptions& o = options_;
    return conv2d(x, weight_.on(x), absent<S, 1>(),
                  {o.stride, o.padding, o.dilation, o.groups, o.padding_mode, o.algorithm}, &weight_, epilogue,
                  residual);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    if (self.bias_) visit("bias", *self.bias_);
  }
  const Conv2dOptions& options() const { return options_; }
  /// Write access for a block that draws its weights in another way.
  Parameter<S, 4>& weight() { return weight_; }
  std::optional<Parameter<S, 1>>& bias() { return bias_; }
  const std::optional<Parameter<S, 1>>& bias() const { return bias_; }

 private:
  static const Conv2dOptions& checked(const Conv2dOptions& o) {
    detail::check_convolution("Conv2d", o.kernel_size, o.stride, o.padding, o.dilation, o.groups);
    detail::check_channels("Conv2d", o.in_channels, o.out_channels, o.groups);
    return o;
  }
  static double bound(const Conv2dOptions& o) {
    return 1 / std::sqrt(static_cast<double>(o.in_channels / o.groups) * static_cast<double>(o.kernel_size.height) *
                         static_cast<double>(o.kernel_size.width));
  }

  Conv2dOptions options_;
  Parameter<S, 4> weight_;
  std::optional<Parameter<S, 1>> bias_;
};

ATTEND_END
