#pragma once
#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/spatial/relative_attention.hpp"
#include "attend/blocks/downsample.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/conv_mlp.hpp"

ATTEND_BEGIN

/// Where the stride of a CoAtNet's convolution blocks is.
enum class CoAtNetStride { pool, depthwise };

struct CoAtNetBlockOptions {
  Index in_channels = 0, out_channels = 0;
  Index stride = 1;      ///< 1, with equal channels, or 2
  double drop_path = 0;  ///< probability of dropping a branch of a sample, in training
  // of convolution blocks
  Index expansion = 4;                              ///< of the input's channels
  CoAtNetStride stride_mode = CoAtNetStride::pool;  ///< an average pool, or the depthwise convolution
  bool pre_norm_act = true;                         ///< an activation follows the first norm
  bool squeeze_early = true;                        ///< squeeze-and-excitation before its norm, not after
  Activation squeeze_activation = Activation::relu;
  bool output_bias = false;  ///< of the last convolution and the shortcut
  // of attention blocks
  Index height = 0, width = 0;  ///< of the result
  bool shortcut_bias = false;
  double attn_drop = 0;  ///< probability of zeroing a weight of the attention, in training
  double proj_drop = 0;  ///< of zeroing a number of its result, and of the mlp before fc2, in training
};

namespace detail {
inline const CoAtNetBlockOptions& checked_coatnet(const char* block, const CoAtNetBlockOptions& o) {
  check_sizes(block, {{"in_channels", o.in_channels}, {"out_channels", o.out_channels}, {"expansion", o.expansion}});
  require<OptionError>(
      o.in_channels > 0 && o.expansion > 0 &&
          (o.stride == 2 ? o.out_channels > 0 : o.stride == 1 && o.out_channels == o.in_channels),
      block, [&] {
        return message("stride = ", o.stride, ", in_channels = ", o.in_channels, " and out_channels = ", o.out_channels,
                       ": the stride must be 2, or 1 with equal channels; expansion = ", o.expansion, " above 0");
      });
  require<OptionError>(o.drop_path >= 0 && o.drop_path <= 1, block,
                       [&] { return message("drop_path = ", o.drop_path, " must lie in [0, 1]"); });
  return o;
}
/// The mean of 2x2 cells.
template <class S>
Variable<S, 4> halved(const Variable<S, 4>& x) {
  AvgPoolOptions pool;
  pool.kernel_size = 2;
  return avg_pool2d(x, pool);
}
/// timm's Downsample2d as a shortcut: the mean of 2x2 cells, and where channels change a 1x1 convolution.
template <class S>
class HalvingShortcut : public Layer<HalvingShortcut<S>> {
 public:
  HalvingShortcut(const CoAtNetBlockOptions& o, bool bias, Rng& rng) : stride_(o.stride) {
    if (o.in_channels != o.out_channels)
      expand_.emplace(PointwiseConvOptions{o.in_channels, o.out_channels, bias}, rng);
  }
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    if (stride_ == 1) return x;
    return expand_ ? (*expand_)(halved(x)) : halved(x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.expand_) visit("expand", *self.expand_);
  }

 private:
  Index stride_;
  std::optional<PointwiseConv<S>> expand_;
};
}  // namespace detail

/// The convolution block of CoAtNet, an inverted residual that begins with its norm (timm's MbConvBlock of maxxvit):
///
///   y = drop_path(conv3(se(norm2(conv2(norm1(conv1([pool] pre_norm x))))))) + shortcut(x)
///
/// with SiLU after norm1 and norm2, squeeze-and-excitation before or after norm2.
/// x: (batch, height, width, in_channels)  ->  (batch, height / stride, width / stride, out_channels).
/// [shortcut.expand.*]  pre_norm.*  conv1_1x1.weight  norm1.*  conv2_kxk.weight  se_early.* or se.*  norm2.*
/// conv3_1x1.*
template <class S>
class CoAtNetConvBlock : public Layer<CoAtNetConvBlock<S>> {
 public:
  CoAtNetConvBlock(const CoAtNetBlockOptions& o, Rng& rng)
      : options_(detail::checked_coatnet("CoAtNetConvBlock", o)),
        shortcut_(o, o.output_bias, rng),
        pre_norm_(detail::block_norm(o.in_channels)),
        conv1_(detail::block_conv(o.in_channels, inner(o), 1, 1), rng),
        norm1_(detail::block_norm(inner(o))),
        conv2_(
            detail::block_conv(inner(o), inner(o), 3, o.stride_mode == CoAtNetStride::pool ? 1 : o.stride, 1, inner(o)),
            rng),
        se_(squeeze(o), rng),
        norm2_(detail::block_norm(inner(o))),
        conv3_({inner(o), o.out_channels, o.output_bias}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    auto y = pre_norm_(x);
    if (options_.pre_norm_act) y = silu(y);
    if (options_.stride == 2 && options_.stride_mode == CoAtNetStride::pool) y = detail::halved(y);
    y = conv_norm_act(conv1_, norm1_, Activation::silu, y);
    y = options_.squeeze_early ? silu(norm2_(se_(conv2_(y)))) : se_(conv_norm_act(conv2_, norm2_, Activation::silu, y));
    return drop_path(conv3_(y), options_.drop_path) + shortcut_(x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("shortcut", self.shortcut_);
    visit("pre_norm", self.pre_norm_);
    visit("conv1_1x1", self.conv1_);
    visit("norm1", self.norm1_);
    visit("conv2_kxk", self.conv2_);
    visit(self.options_.squeeze_early ? "se_early" : "se", self.se_);
    visit("norm2", self.norm2_);
    visit("conv3_1x1", self.conv3_);
  }

 private:
  static Index inner(const CoAtNetBlockOptions& o) { return make_divisible(double(o.in_channels * o.expansion)); }
  static SqueezeExciteOptions squeeze(const CoAtNetBlockOptions& o) {
    SqueezeExciteOptions squeeze;
    squeeze.channels = inner(o), squeeze.rd_channels = inner(o) / 4, squeeze.activation = o.squeeze_activation;
    return squeeze;
  }
  CoAtNetBlockOptions options_;
  detail::HalvingShortcut<S> shortcut_;
  BatchNorm<S> pre_norm_;
  Conv2d<S> conv1_;
  BatchNorm<S> norm1_;
  Conv2d<S> conv2_;
  SqueezeExcite<S> se_;
  BatchNorm<S> norm2_;
  PointwiseConv<S> conv3_;
};

/// The attention block of CoAtNet (Dai et al. 2021, section 2.2; timm's TransformerBlock2d):
///
///   z = shortcut(x) + drop_path(attn([pool] norm1 x)),   y = z + drop_path(mlp(norm2 z)),   mlp = fc2 gelu fc1
///
/// where a pool of 2x2 cells has the stride, in the shortcut too.
/// x: (batch, stride height, stride width, in_channels)  ->  (batch, height, width, out_channels).
/// [shortcut.expand.*]  norm1.* (norm1.norm.* with a stride)  attn.*  norm2.*  mlp.fc1.*  mlp.fc2.*
template <class S>
class CoAtNetAttentionBlock : public Layer<CoAtNetAttentionBlock<S>> {
 public:
  CoAtNetAttentionBlock(const CoAtNetBlockOptions& o, Rng& rng)
      : options_(detail::checked_coatnet("CoAtNetAttentionBlock", o)),
        shortcut_(o, o.shortcut_bias, rng),
        norm1_(channel_norm(o.in_channels)),
        attn_({o.in_channels, o.out_channels, o.height, o.width, 32, o.attn_drop, o.proj_drop}, rng),
        norm2_(channel_norm(o.out_channels)),
        mlp_({o.out_channels, 4 * o.out_channels, 0, Activation::gelu, false, 1e-6, o.proj_drop}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto normed = options_.stride == 2 ? detail::halved(norm1_(x)) : norm1_(x);
    const auto z = shortcut_(x) + drop_path(attn_(normed), options_.drop_path);
    return z + drop_path(mlp_(norm2_(z)), options_.drop_path);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("shortcut", self.shortcut_);
    visit(self.options_.stride == 2 ? "norm1.norm" : "norm1", self.norm1_);
    visit("attn", self.attn_);
    visit("norm2", self.norm2_);
    visit("mlp", self.mlp_);
  }

 private:
  static LayerNormOptions<1> channel_norm(Index channels) {
    LayerNormOptions<1> norm;
    norm.normalized_shape = channels, norm.eps = 1e-6;
    return norm;
  }
  CoAtNetBlockOptions options_;
  detail::HalvingShortcut<S> shortcut_;
  LayerNorm<S> norm1_;
  RelativeAttention<S> attn_;
  LayerNorm<S> norm2_;
  ConvMlp<S> mlp_;
};

ATTEND_END
