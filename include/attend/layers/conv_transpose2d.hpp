#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/convolution.hpp"

ATTEND_BEGIN

struct ConvTranspose2dOptions {
  Index in_channels = 0;
  Index out_channels = 0;
  Pair kernel_size = 0;
  Pair stride = 1;          ///< output cells from one input to the next
  Pair padding = 0;         ///< output cells cut off at each side
  Pair output_padding = 0;  ///< output cells added at the bottom and right; less than stride or dilation
  Pair dilation = 1;
  Index groups = 1;
  bool bias = true;
};

/// Transposed convolution, a learned enlargement; formula and sizes at `conv_transpose2d`.
///
///     x: (batch, height, width, in_channels)  ->  (batch, out height, out width, out_channels)
///
/// weight: (in_channels, out_channels/groups, kernel height, kernel width)  bias: (out_channels)
/// Both start uniform in +-1/sqrt(out_channels/groups kernel height kernel width), as torch.nn.ConvTranspose2d.
template <class S>
class ConvTranspose2d : public Layer<ConvTranspose2d<S>> {
 public:
  ConvTranspose2d(const ConvTranspose2dOptions& options, Rng& rng)
      : options_(checked(options)),
        weight_({options.in_channels, options.out_channels / options.groups, options.kernel_size.height,
                 options.kernel_size.width},
                rng, bound(options)) {
    if (options.bias) bias_.emplace(Shape<1>{options.out_channels}, rng, bound(options));
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const ConvTranspose2dOptions& o = options_;
    return conv_transpose2d(x, weight_.on(x), on(bias_, x),
                            {o.stride, o.padding, o.output_padding, o.dilation, o.groups});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    if (self.bias_) visit("bias", *self.bias_);
  }
  const ConvTranspose2dOptions& options() const { return options_; }
  /// Write access for a block that draws its weights in another way.
  Parameter<S, 4>& weight() { return weight_; }
  std::optional<Parameter<S, 1>>& bias() { return bias_; }

 private:
  static const ConvTranspose2dOptions& checked(const ConvTranspose2dOptions& o) {
    detail::check_convolution("ConvTranspose2d", o.kernel_size, o.stride, o.padding, o.dilation, o.groups);
    detail::check_channels("ConvTranspose2d", o.in_channels, o.out_channels, o.groups);
    detail::check_output_padding("ConvTranspose2d", o.output_padding, o.stride, o.dilation);
    return o;
  }
  static double bound(const ConvTranspose2dOptions& o) {
    return 1 / std::sqrt(static_cast<double>(o.out_channels / o.groups) * static_cast<double>(o.kernel_size.height) *
                         static_cast<double>(o.kernel_size.width));
  }

  ConvTranspose2dOptions options_;
  Parameter<S, 4> weight_;
  std::optional<Parameter<S, 1>> bias_;
};

ATTEND_END
