#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"

ATTEND_BEGIN

struct SplitAttentionOptions {
  Index channels = 0;      ///< of the input; timm's in_channels
  Index out_channels = 0;  ///< 0: channels
  Index kernel_size = 3;
  Index stride = 1;
  Index padding = -1;  ///< -1: kernel_size / 2
  Index dilation = 1;
  Index groups = 1;        ///< cardinality: groups that choose by themselves
  Index radix = 2;         ///< branches to choose from
  bool bias = false;       ///< of the convolution
  bool norm = false;       ///< batch norms, bn0 after the convolution and bn1 between the maps; ResNeSt has them
  double rd_ratio = 0.25;  ///< hidden width = make_divisible(channels radix rd_ratio, rd_divisor), at least 32 ...
  Index rd_channels = 0;   ///< ... unless given here, for each branch (timm's meaning) ...
  Index attention_channels = 0;  ///< ... or here, for all of them
  Index rd_divisor = 8;
  Activation activation = Activation::relu;
};

/// PyTorch-Encoding's SplAtConv2d, which has timm's parameter names: a bias, norms, and max(channels radix / reduction,
/// 32) hidden channels.
inline SplitAttentionOptions encoding_split_attention(Index channels, Index radix = 2, Index reduction = 4) {
  SplitAttentionOptions options;
  options.channels = channels, options.radix = radix, options.bias = options.norm = true;
  require<OptionError>(channels > 0 && radix > 0 && reduction > 0, "encoding_split_attention", [&] {
    return message("channels = ", channels, ", radix = ", radix, " and reduction = ", reduction, " must be above 0");
  });
  options.attention_channels = std::max<Index>(channels * radix / reduction, 32);
  return options;
}

/// Split attention (ResNeSt; Zhang et al. 2020, section 3.1; timm's SplitAttn): a convolution into `radix` branches, and
/// for each channel a choice among them.
///
///   u = activation([bn0] conv x) as (batch, height, width, radix, channels),   s = mean over positions of sum_r u_r
///   g = softmax over r of fc2 activation([bn1] fc1 s) (radix 1: sigmoid),       y = sum_r g_r u_r
///
/// x: (batch, height, width, channels)  ->  (batch, out height, out width, out_channels). Offers "gate" g (batch, radix,
/// out_channels). conv.weight (radix out_channels, channels / (groups radix), kernel, kernel)  [conv.bias]  [bn0.*]
/// fc1.weight (hidden, out_channels / groups, 1, 1)  fc1.bias  [bn1.*]  fc2.weight (radix out_channels, hidden / groups,
/// 1, 1), its rows in groups and within those in branches  fc2.bias. Throws OptionError for channels that groups and
/// radix do not divide, ShapeError for other channels or no positions.
template <class S>
class SplitAttention : public Layer<SplitAttention<S>> {
 public:
  SplitAttention(const SplitAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        conv_(convolution(options_), rng),
        fc1_(map(options_, options_.out_channels, options_.attention_channels), rng),
        fc2_(map(options_, options_.attention_channels, options_.radix * options_.out_channels), rng) {
    if (!options_.norm) return;
    BatchNormOptions norm;
    norm.channels = options_.radix * options_.out_channels;
    bn0_.emplace(norm);
    norm.channels = options_.attention_channels;
    bn1_.emplace(norm);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("SplitAttention", x.shape(), options_.channels);
    const Index batch = x.dim(0), radix = options_.radix, out = options_.out_channels, groups = options_.groups;
    auto u = conv_(x);
    u = activate(bn0_ ? (*bn0_)(u) : u, options_.activation);
    const auto pooled = sum(global_average_pool(u).reshape(Shape<3>{batch, radix, out}), {1});
    auto hidden = fc1_(pooled.reshape(Shape<4>{batch, 1, 1, out}));
    hidden = activate(bn1_ ? (*bn1_)(hidden) : hidden, options_.activation);
    const auto scores = fc2_(hidden).reshape(Shape<4>{batch, groups, radix, out / groups});
    const auto gate = transpose(radix > 1 ? softmax(scores, 2) : sigmoid(scores), {0, 2, 1, 3});
    offer(*this, "gate", gate.reshape(Shape<3>{batch, radix, out}));
    const auto gated = gate_channels(u, gate.reshape(Shape<2>{batch, radix * out}));
    if (radix == 1) return gated;
    return sum(gated.reshape(Shape<5>{batch, u.dim(1), u.dim(2), radix, out}), {3});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv_);
    if (self.bn0_) visit("bn0", *self.bn0_);
    visit("fc1", self.fc1_);
    if (self.bn1_) visit("bn1", *self.bn1_);
    visit("fc2", self.fc2_);
  }

 private:
  static SplitAttentionOptions completed(SplitAttentionOptions o) {
    detail::check_sizes("SplitAttention", {{"channels", o.channels},
                                           {"out_channels", o.out_channels},
                                           {"rd_channels", o.rd_channels},
                                           {"radix", o.radix},
                                           {"groups", o.groups}});
    require<OptionError>(o.radix > 0 && o.groups > 0 && o.out_channels >= 0 && o.attention_channels >= 0 &&
                             o.kernel_size > 0 && o.padding >= -1,
                         "SplitAttention", [&] {
                           return message("radix = ", o.radix, ", groups = ", o.groups,
                                          " and kernel_size = ", o.kernel_size,
                                          " must be above 0, out_channels = ", o.out_channels,
                                          " and attention_channels = ", o.attention_channels,
                                          " not below, padding = ", o.padding, " not below -1");
                         });
    detail::check_reduction("SplitAttention", o);
    if (o.out_channels == 0) o.out_channels = o.channels;
    if (o.attention_channels == 0)
      o.attention_channels = o.rd_channels > 0
                                 ? o.rd_channels * o.radix
                                 : make_divisible(double(o.channels * o.radix) * o.rd_ratio, o.rd_divisor, 32);
    if (o.padding == -1) o.padding = o.kernel_size / 2;
    require<OptionError>(o.channels % (o.groups * o.radix) == 0 && o.out_channels % o.groups == 0 &&
                             o.attention_channels % o.groups == 0,
                         "SplitAttention", [&] {
                           return message("groups = ", o.groups, " times radix = ", o.radix,
                                          " must divide channels = ", o.channels,
                                          ", groups also out_channels = ", o.out_channels, " and the hidden channels ",
                                          o.attention_channels);
                         });
    return o;
  }
  static Conv2dOptions convolution(const SplitAttentionOptions& o) {
    Conv2dOptions conv;
    conv.in_channels = o.channels, conv.out_channels = o.radix * o.out_channels, conv.kernel_size = o.kernel_size;
    conv.stride = o.stride, conv.padding = o.padding, conv.dilation = o.dilation, conv.groups = o.groups * o.radix;
    conv.bias = o.bias;
    return conv;
  }
  static Conv2dOptions map(const SplitAttentionOptions& o, Index in, Index out) {
    Conv2dOptions conv;
    conv.in_channels = in, conv.out_channels = out, conv.kernel_size = 1, conv.groups = o.groups;
    return conv;
  }
  SplitAttentionOptions options_;
  Conv2d<S> conv_, fc1_, fc2_;
  std::optional<BatchNorm<S>> bn0_, bn1_;
};

ATTEND_END
