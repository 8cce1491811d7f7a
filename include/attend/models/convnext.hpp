#pragma once
#include "attend/blocks/convnext_block.hpp"
#include "attend/functional/global_pooling.hpp"

ATTEND_BEGIN

struct ConvNeXtOptions {
  Index in_channels = 3;
  Index num_classes = 1000;                     ///< 0: no classifier, the result is the normalised mean over positions
  std::array<Index, 4> depths{2, 2, 6, 2};      ///< blocks of each stage
  std::array<Index, 4> dims{40, 80, 160, 320};  ///< channels of each stage
  Index patch_size = 4;                         ///< of the stem
  bool response_norm = true;                    ///< ConvNeXt V2
  double layer_scale = 0;                       ///< 1e-6 in ConvNeXt (V1); 0: none
  bool conv_mlp = true;                         ///< see ConvNeXtBlockOptions; false from timm's convnextv2_tiny on
  double dropout = 0, drop_path = 0;  ///< before the classifier; of the last block, earlier ones proportionally less
};
/// timm's convnextv2_tiny.
inline ConvNeXtOptions convnextv2_tiny() {
  ConvNeXtOptions o;
  o.depths = {3, 3, 9, 3}, o.dims = {96, 192, 384, 768}, o.conv_mlp = false;
  return o;
}
/// timm's convnext_atto: the same as convnextv2_atto without response norm, with layer scale.
inline ConvNeXtOptions convnext_atto() {
  ConvNeXtOptions o;
  o.response_norm = false, o.layer_scale = 1e-6;
  return o;
}

/// ConvNeXt V2 (Woo et al. 2023, whose attention is global response normalisation) and ConvNeXt (Liu et al. 2022);
/// timm's ConvNeXt. The options' defaults are convnextv2_atto.
///
///   patches by a strided convolution, norm, four stages, between them norm and a 2x2 convolution of stride 2, mean
///   over positions, norm, dense
///
/// x: (batch, height, width, in_channels)  ->  (batch, num_classes).  stem.0.*  stem.1.*  stages.0.blocks.0.* ...
/// stages.1.downsample.0.*  stages.1.downsample.1.* ... head.norm.*  head.fc.*   Throws OptionError for sizes that are
/// not positive, ShapeError for an image of which nothing is left.
template <class S>
class ConvNeXt : public Layer<ConvNeXt<S>> {
  /// A change of size and channels; the norm comes first in a stage, last in the stem.
  struct Resize : Layer<Resize> {
    Resize(Index in, Index out, Index patch, bool norm_last, Rng& rng)
        : last(norm_last),
          norm(ConvNeXtBlock<S>::channel_norm(norm_last ? out : in)),
          conv(convolution(in, out, patch), rng) {
      detail::draw_normal(conv.weight(), 0.02, rng);
      conv.bias()->edit_flat().setZero();
    }
    static Conv2dOptions convolution(Index in, Index out, Index patch) {
      Conv2dOptions o;
      o.in_channels = in, o.out_channels = out, o.kernel_size = o.stride = patch;
      return o;
    }
    Variable<S, 4> forward(const Variable<S, 4>& x) const { return last ? norm(conv(x)) : conv(norm(x)); }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit(self.last ? "0" : "1", self.conv);
      visit(self.last ? "1" : "0", self.norm);
    }
    bool last;
    LayerNorm<S> norm;
    Conv2d<S> conv;
  };

 public:
  ConvNeXt(const ConvNeXtOptions& options, Rng& rng)
      : dropout_(checked(options).dropout),
        features_(options.dims[3]),
        head_norm_(ConvNeXtBlock<S>::channel_norm(options.dims[3])) {
    Index number = 0, all = 0;
    for (const Index depth : options.depths) all += depth;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      if (stage == 0)
        resizes_.emplace_back(options.in_channels, options.dims[0], options.patch_size, true, rng);
      else
        resizes_.emplace_back(options.dims[stage - 1], options.dims[stage], 2, false, rng);
      for (Index b = 0; b < options.depths[stage]; ++b, ++number) {
        ConvNeXtBlockOptions block;
        block.channels = options.dims[stage], block.response_norm = options.response_norm;
        block.layer_scale = options.layer_scale, block.conv_mlp = options.conv_mlp;
        block.drop_path = all > 1 ? options.drop_path * double(number) / double(all - 1) : 0;
        stages_[stage].emplace_back(block, rng);
      }
    }
    if (options.num_classes > 0) reset_classifier(options.num_classes, rng);
  }

  Variable<S, 2> forward(const Variable<S, 4>& image) const {
    auto x = image;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      x = resizes_[stage](x);
      for (const auto& block : stages_[stage]) x = block(x);
    }
    const auto pooled = dropout(head_norm_(global_average_pool(x)), dropout_);
    return fc_ ? (*fc_)(pooled) : pooled;
  }
  /// A new classifier for another task, with random weights; timm's name.
  void reset_classifier(Index num_classes, Rng& rng) { fc_.emplace(DenseOptions{features_, num_classes, true}, rng); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("stem", self.resizes_[0]);
    for (std::size_t s = 0; s < 4; ++s) {
      const std::string stage = "stages." + to_string(s);
      if (s > 0) visit(stage + ".downsample", self.resizes_[s]);
      visit(stage + ".blocks", self.stages_[s]);
    }
    visit("head.norm", self.head_norm_);
    if (self.fc_) visit("head.fc", *self.fc_);
  }

 private:
  static const ConvNeXtOptions& checked(const ConvNeXtOptions& o) {
    bool sizes = o.in_channels > 0 && o.num_classes >= 0 && o.patch_size > 0;
    for (std::size_t s = 0; s < 4; ++s) sizes = sizes && o.depths[s] > 0 && o.dims[s] > 0;
    require<OptionError>(sizes, "ConvNeXt", [&] {
      return message("in_channels = ", o.in_channels, ", patch_size = ", o.patch_size,
                     ", depths = ", Shape<4>(o.depths), " and dims = ", Shape<4>(o.dims),
                     " must be above 0, num_classes = ", o.num_classes, " not below");
    });
    return o;
  }
  double dropout_;
  Index features_;
  std::vector<Resize> resizes_;
  std::array<std::vector<ConvNeXtBlock<S>>, 4> stages_;
  LayerNorm<S> head_norm_;
  std::optional<Dense<S>> fc_;
};

ATTEND_END
