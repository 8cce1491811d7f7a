#pragma once
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/blocks/downsample.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"

ATTEND_BEGIN

struct InvertedResidualOptions {
  Index in_channels = 0, out_channels = 0;
  Index expanded_channels = 0;  ///< of the depthwise convolution; 0: in_channels, and no expansion before it
  Index kernel_size = 3;        ///< odd
  Index stride = 1;
  Activation activation = Activation::relu;
  Index squeeze_channels = 0;  ///< reduced channels of the squeeze-and-excitation; 0: none
  Activation squeeze_activation = Activation::relu;
  Activation squeeze_gate = Activation::sigmoid;
  double drop_path = 0;  ///< probability of dropping the branch of a sample, in training
};

/// The block of MobileNetV2 and V3 and EfficientNet (Sandler et al. 2018; Howard et al. 2019; Tan and Le 2019), with
/// squeeze-and-excitation between its convolutions; timm's InvertedResidual, and without an expansion its
/// DepthwiseSeparableConv:
///
///   expand   a(bn1(conv_pw x)), 1x1                 (not without an expansion, where bn1 follows the depthwise one)
///   filter   a(bn2(conv_dw ...)), depthwise, stride
///   se       squeeze-and-excitation
///   project  bn3(conv_pwl ...), 1x1, no activation
///
/// and x is added where stride and channels allow. x: (batch, height, width, in_channels)  ->  (batch, height / stride,
/// width / stride, out_channels), rounded up.  conv_pw.weight bn1.* conv_dw.weight bn2.* [se.*] conv_pwl.weight bn3.*;
/// without an expansion conv_dw.weight bn1.* [se.*] conv_pw.weight bn2.*   Throws OptionError for sizes that are not
/// positive and an even kernel.
template <class S>
class InvertedResidual : public Layer<InvertedResidual<S>> {
 public:
  InvertedResidual(const InvertedResidualOptions& o, Rng& rng)
      : options_(checked(o)),
        filter_(detail::block_conv(width(o), width(o), o.kernel_size, o.stride, 1, width(o)), rng),
        filter_norm_(detail::block_norm(width(o))),
        project_(detail::block_conv(width(o), o.out_channels, 1, 1), rng),
        project_norm_(detail::block_norm(o.out_channels)) {
    if (o.expanded_channels > 0) {
      expand_.emplace(detail::block_conv(o.in_channels, width(o), 1, 1), rng);
      expand_norm_.emplace(detail::block_norm(width(o)));
    }
    if (o.squeeze_channels > 0) {
      SqueezeExciteOptions squeeze;
      squeeze.channels = width(o), squeeze.rd_channels = o.squeeze_channels, squeeze.names = SqueezeNames::conv;
      squeeze.activation = o.squeeze_activation, squeeze.gate = o.squeeze_gate;
      squeeze_.emplace(squeeze, rng);
    }
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    auto y = expand_ ? conv_norm_act(*expand_, *expand_norm_, options_.activation, x) : x;
    y = conv_norm_act(filter_, filter_norm_, options_.activation, y);
    if (squeeze_) y = (*squeeze_)(y);
    const bool adds = options_.stride == 1 && options_.in_channels == options_.out_channels;
    if (adds && !x.link()) return conv_norm_act(project_, project_norm_, Activation::identity, y, x);
    y = conv_norm_act(project_, project_norm_, Activation::identity, y);
    return adds ? drop_path(y, options_.drop_path) + x : y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    const bool expands = self.expand_.has_value();
    if (expands) {
      visit("conv_pw", *self.expand_);
      visit("bn1", *self.expand_norm_);
    }
    visit("conv_dw", self.filter_);
    visit(expands ? "bn2" : "bn1", self.filter_norm_);
    if (self.squeeze_) visit("se", *self.squeeze_);
    visit(expands ? "conv_pwl" : "conv_pw", self.project_);
    visit(expands ? "bn3" : "bn2", self.project_norm_);
  }

 private:
  static const InvertedResidualOptions& checked(const InvertedResidualOptions& o) {
    require<OptionError>(o.in_channels > 0 && o.out_channels > 0 && o.expanded_channels >= 0 && o.stride > 0 &&
                             o.kernel_size > 0 && o.kernel_size % 2 == 1 && o.squeeze_channels >= 0,
                         "InvertedResidual", [&] {
                           return message("in_channels = ", o.in_channels, ", out_channels = ", o.out_channels,
                                          " and stride = ", o.stride, " must be above 0, kernel_size = ", o.kernel_size,
                                          " odd, expanded_channels = ", o.expanded_channels,
                                          " and squeeze_channels = ", o.squeeze_channels, " not below 0");
                         });
    require<OptionError>(o.drop_path >= 0 && o.drop_path <= 1, "InvertedResidual",
                         [&] { return message("drop_path = ", o.drop_path, " must lie in [0, 1]"); });
    return o;
  }
  static Index width(const InvertedResidualOptions& o) {
    return o.expanded_channels > 0 ? o.expanded_channels : o.in_channels;
  }
  InvertedResidualOptions options_;
  std::optional<Conv2d<S>> expand_;
  std::optional<BatchNorm<S>> expand_norm_;
  Conv2d<S> filter_;
  BatchNorm<S> filter_norm_;
  std::optional<SqueezeExcite<S>> squeeze_;
  Conv2d<S> project_;
  BatchNorm<S> project_norm_;
};

ATTEND_END
