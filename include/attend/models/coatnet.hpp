#pragma once
#include "attend/blocks/coatnet_block.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_list.hpp"

ATTEND_BEGIN

struct CoAtNetOptions {
  Index in_channels = 3;
  Index num_classes = 1000;         ///< 0: no classifier, the result is the mean over positions
  Index height = 224, width = 224;  ///< of the image; multiples of 32
  std::array<Index, 2> stem_channels{32, 64};
  std::array<Index, 4> depths{2, 3, 7, 2};       ///< blocks of each stage: two of convolutions, two of attention
  std::array<Index, 4> dims{96, 192, 384, 768};  ///< channels of each stage; of those before attention, multiples of 32
  CoAtNetStride stride_mode = CoAtNetStride::pool;
  bool pre_norm_act = true, squeeze_early = true, output_bias = false, shortcut_bias = false;  ///< CoAtNetBlockOptions
  Activation squeeze_activation = Activation::relu;
  double dropout = 0, drop_path = 0;    ///< before the classifier; of the last block, earlier ones proportionally less
  double attn_drop = 0, proj_drop = 0;  ///< CoAtNetBlockOptions, of attention blocks
};
/// timm's coatnet_0_rw_224, the options' defaults, for images of another size.
inline CoAtNetOptions coatnet_0_rw(Index height, Index width) {
  CoAtNetOptions o;
  o.height = height, o.width = width;
  return o;
}
/// timm's coatnet_nano_rw_224.
inline CoAtNetOptions coatnet_nano_rw(Index height, Index width) {
  CoAtNetOptions o = coatnet_0_rw(height, width);
  o.depths = {3, 4, 6, 3}, o.dims = {64, 128, 256, 512};
  o.pre_norm_act = o.squeeze_early = false, o.output_bias = o.shortcut_bias = true;
  o.squeeze_activation = Activation::silu;
  return o;
}
/// timm's coatnet_pico_rw_224.
inline CoAtNetOptions coatnet_pico_rw(Index height, Index width) {
  CoAtNetOptions o = coatnet_nano_rw(height, width);
  o.depths = {2, 3, 5, 2}, o.stride_mode = CoAtNetStride::depthwise;
  return o;
}

/// CoAtNet (Dai et al. 2021, "Marrying convolution and attention for all data sizes") as timm's coatnet_*_rw: two stages
/// of inverted residuals with squeeze-and-excitation, two of transformer blocks with relative positions. For images of
/// one size.
///
///   stem (stride 2), four stages (stride 2 each), norm, mean over positions, dense
///
/// x: (batch, height, width, in_channels)  ->  (batch, num_classes).  stem.conv1.weight  stem.norm1.*  stem.conv2.weight
/// stages.0.blocks.0.* ... norm.*  head.fc.*   Throws OptionError for sizes that do not fit, ShapeError for an image of
/// another size.
template <class S>
class CoAtNet : public Layer<CoAtNet<S>> {
 public:
  CoAtNet(const CoAtNetOptions& options, Rng& rng)
      : options_(checked(options)),
        conv1_(detail::block_conv(options.in_channels, options.stem_channels[0], 3, 2), rng),
        norm1_(detail::block_norm(options.stem_channels[0])),
        conv2_(detail::block_conv(options.stem_channels[0], options.stem_channels[1], 3, 1), rng),
        norm_(final_norm(options)) {
    const CoAtNetOptions& o = options_;
    Index in = o.stem_channels[1], height = o.height / 2, width = o.width / 2, number = 0, all = 0;
    for (const Index depth : o.depths) all += depth;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      height /= 2, width /= 2;
      for (Index b = 0; b < o.depths[stage]; ++b, ++number) {
        CoAtNetBlockOptions block;
        block.in_channels = in, block.out_channels = o.dims[stage], block.stride = b == 0 ? 2 : 1;
        block.drop_path = all > 1 ? o.drop_path * double(number) / double(all - 1) : 0;
        block.stride_mode = o.stride_mode, block.pre_norm_act = o.pre_norm_act;
        block.squeeze_early = o.squeeze_early, block.squeeze_activation = o.squeeze_activation;
        block.output_bias = o.output_bias, block.shortcut_bias = o.shortcut_bias;
        block.height = height, block.width = width;
        block.attn_drop = o.attn_drop, block.proj_drop = o.proj_drop;
        if (stage < 2)
          stages_[stage].push_back(CoAtNetConvBlock<S>(block, rng));
        else
          stages_[stage].push_back(CoAtNetAttentionBlock<S>(block, rng));
        in = o.dims[stage];
      }
    }
    if (o.num_classes > 0) reset_classifier(o.num_classes, rng);
  }

  Variable<S, 2> forward(const Variable<S, 4>& image) const {
    const CoAtNetOptions& o = options_;
    require(image.dim(1) == o.height && image.dim(2) == o.width, "CoAtNet", [&] {
      return message("x has shape ", image.shape(), "; the network is made for images of ", Pair(o.height, o.width));
    });
    auto x = conv2_(conv_norm_act(conv1_, norm1_, Activation::silu, image));
    for (const auto& stage : stages_) x = stage(x);
    const auto pooled = dropout(global_average_pool(norm_(x)), o.dropout);
    return fc_ ? (*fc_)(pooled) : pooled;
  }
  /// A new classifier for another task, with random weights; timm's name.
  void reset_classifier(Index num_classes, Rng& rng) {
    fc_.emplace(DenseOptions{options_.dims[3], num_classes, true}, rng);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("stem.conv1", self.conv1_);
    visit("stem.norm1", self.norm1_);
    visit("stem.conv2", self.conv2_);
    for (std::size_t s = 0; s < 4; ++s) visit("stages." + to_string(s) + ".blocks", self.stages_[s]);
    visit("norm", self.norm_);
    if (self.fc_) visit("head.fc", *self.fc_);
  }

 private:
  static const CoAtNetOptions& checked(const CoAtNetOptions& o) {
    bool sizes = o.in_channels > 0 && o.num_classes >= 0 && o.stem_channels[0] > 0 && o.stem_channels[1] > 0;
    for (std::size_t s = 0; s < 4; ++s) sizes = sizes && o.depths[s] > 0 && o.dims[s] > 0;
    require<OptionError>(sizes, "CoAtNet", [&] {
      return message("in_channels = ", o.in_channels, ", stem_channels = ", Shape<2>(o.stem_channels),
                     ", depths = ", Shape<4>(o.depths), " and dims = ", Shape<4>(o.dims), " must be above 0");
    });
    require<OptionError>(o.height > 0 && o.width > 0 && o.height % 32 == 0 && o.width % 32 == 0, "CoAtNet", [&] {
      return message("height = ", o.height, " and width = ", o.width, " must be multiples of 32");
    });
    return o;
  }
  static LayerNormOptions<1> final_norm(const CoAtNetOptions& o) {
    LayerNormOptions<1> norm;
    norm.normalized_shape = o.dims[3], norm.eps = 1e-6;
    return norm;
  }
  CoAtNetOptions options_;
  Conv2d<S> conv1_;
  BatchNorm<S> norm1_;
  Conv2d<S> conv2_;
  std::array<LayerList<S, 4>, 4> stages_;
  LayerNorm<S> norm_;
  std::optional<Dense<S>> fc_;
};

ATTEND_END
