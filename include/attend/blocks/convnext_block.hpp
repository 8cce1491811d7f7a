#pragma once
#include "attend/attention/channel/global_response_norm.hpp"
#include "attend/autograd/draw_normal.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/any_layer.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct ConvNeXtBlockOptions {
  Index channels = 0;
  Index kernel_size = 7;      ///< of the depthwise convolution, odd
  Index expansion = 4;        ///< hidden channels to channels
  bool response_norm = true;  ///< global response normalisation of the hidden channels: ConvNeXt V2
  double layer_scale = 0;     ///< what a factor for each channel of the branch starts from: 1e-6 in ConvNeXt; 0: none
  bool conv_mlp = true;       ///< mlp.fc1 and fc2 are stored as 1x1 convolutions, as in timm's small networks
  double drop_path = 0;       ///< probability of dropping the branch of a sample, in training
};

/// ConvNeXt block (Liu et al. 2022; V2 with global response normalisation: Woo et al. 2023, section 3; timm's
/// ConvNeXtBlock):
///
///   y = x + drop_path([gamma] fc2 [grn] gelu(fc1 norm(conv_dw x)))
///
/// x: (batch, height, width, channels)  ->  the same shape. conv_dw.weight (channels, 1, kernel, kernel)  conv_dw.bias
/// norm.*  mlp.fc1.*  [mlp.grn.*]  mlp.fc2.*  [gamma (channels)]. Throws OptionError for sizes that are not positive and
/// an even kernel.
template <class S>
class ConvNeXtBlock : public Layer<ConvNeXtBlock<S>> {
 public:
  ConvNeXtBlock(const ConvNeXtBlockOptions& o, Rng& rng)
      : drop_path_(checked(o).drop_path),
        conv_dw_(depthwise(o), rng),
        norm_(channel_norm(o.channels)),
        fc1_(map(o, o.channels, o.expansion * o.channels, rng)),
        fc2_(map(o, o.expansion * o.channels, o.channels, rng)) {
    detail::draw_normal(conv_dw_.weight(), 0.02, rng);
    conv_dw_.bias()->edit_flat().setZero();
    if (o.response_norm) {
      GlobalResponseNormOptions grn;
      grn.channels = o.expansion * o.channels;
      grn_.emplace(grn);
    }
    if (o.layer_scale != 0) gamma_.emplace(Shape<1>{o.channels}, S(o.layer_scale));
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    auto y = gelu(fc1_(norm_(conv_dw_(x))));
    if (grn_) y = (*grn_)(y);
    y = fc2_(y);
    if (gamma_) y = y * gamma_->on(x).reshape(Shape<4>{1, 1, 1, x.dim(3)});
    return x + drop_path(y, drop_path_);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv_dw", self.conv_dw_);
    visit("norm", self.norm_);
    visit("mlp.fc1", self.fc1_);
    if (self.grn_) visit("mlp.grn", *self.grn_);
    visit("mlp.fc2", self.fc2_);
    if (self.gamma_) visit("gamma", *self.gamma_);
  }
  /// timm's LayerNorm2d: over the channels.
  static LayerNormOptions<1> channel_norm(Index channels) {
    LayerNormOptions<1> norm;
    norm.normalized_shape = channels, norm.eps = 1e-6;
    return norm;
  }

 private:
  static const ConvNeXtBlockOptions& checked(const ConvNeXtBlockOptions& o) {
    require<OptionError>(o.channels > 0 && o.kernel_size > 0 && o.kernel_size % 2 == 1 && o.expansion > 0,
                         "ConvNeXtBlock", [&] {
                           return message("channels = ", o.channels, " and expansion = ", o.expansion,
                                          " must be above 0, kernel_size = ", o.kernel_size, " odd");
                         });
    require<OptionError>(o.drop_path >= 0 && o.drop_path <= 1, "ConvNeXtBlock",
                         [&] { return message("drop_path = ", o.drop_path, " must lie in [0, 1]"); });
    return o;
  }
  static Conv2dOptions depthwise(const ConvNeXtBlockOptions& o) {
    Conv2dOptions conv;
    conv.in_channels = conv.out_channels = conv.groups = o.channels;
    conv.kernel_size = o.kernel_size, conv.padding = o.kernel_size / 2;
    return conv;
  }
  template <class Map>
  static AnyLayer<S, 4> started(Map map, Rng& rng) {
    detail::draw_normal(map.weight(), 0.02, rng);
    map.bias()->edit_flat().setZero();
    return map;
  }
  static AnyLayer<S, 4> map(const ConvNeXtBlockOptions& o, Index in, Index out, Rng& rng) {
    if (o.conv_mlp) return started(PointwiseConv<S>({in, out, true}, rng), rng);
    return started(Dense<S>({in, out, true}, rng), rng);
  }
  double drop_path_;
  Conv2d<S> conv_dw_;
  LayerNorm<S> norm_;
  AnyLayer<S, 4> fc1_, fc2_;
  std::optional<GlobalResponseNorm<S>> grn_;
  std::optional<Parameter<S, 1>> gamma_;
};

ATTEND_END
