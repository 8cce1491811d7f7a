#pragma once
#include "attend/blocks/inverted_residual.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

/// One stage of an EfficientNet: `repeats` blocks of which the first has the stride.
struct EfficientNetStage {
  Index repeats, kernel_size, stride;
  double expansion;  ///< of the block's input channels; 1: no expansion
  Index channels;
};

struct EfficientNetOptions {
  Index in_channels = 3;
  Index num_classes = 1000;
  double width = 1, depth = 1;  ///< factors of channels and of repeats: B0 1, 1; B1 1, 1.1; B2 1.1, 1.2; B3 1.2, 1.4
  double squeeze_ratio = 0.25;  ///< squeeze-and-excitation, of each block's input channels
  double dropout = 0, drop_path = 0;  ///< before the classifier; of the last block, earlier ones proportionally less
  Index stem_channels = 32, head_channels = 1280;  ///< before `width`
  std::vector<EfficientNetStage> stages = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
                                           {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
};

/// EfficientNet (Tan and Le 2019; timm's efficientnet_b0 and on, with symmetric padding): a stem, inverted residuals
/// with squeeze-and-excitation, a 1x1 convolution, mean over positions, dense; SiLU throughout.
///
/// x: (batch, height, width, in_channels)  ->  (batch, num_classes).  conv_stem.weight bn1.* blocks.0.0.conv_dw.weight
/// ... conv_head.weight bn2.* classifier.*   Throws OptionError for sizes that are not positive.
template <class S>
class EfficientNet : public Layer<EfficientNet<S>> {
 public:
  EfficientNet(const EfficientNetOptions& options, Rng& rng)
      : dropout_(checked(options).dropout),
        conv_stem_(detail::block_conv(options.in_channels, scaled(options, options.stem_channels), 3, 2), rng),
        bn1_(detail::block_norm(scaled(options, options.stem_channels))),
        conv_head_(detail::block_conv(scaled(options, options.stages.back().channels),
                                      scaled(options, options.head_channels), 1, 1),
                   rng),
        bn2_(detail::block_norm(scaled(options, options.head_channels))),
        classifier_(classifier(options), rng) {
    Index in = scaled(options, options.stem_channels), number = 0, all = 0;
    for (const auto& stage : options.stages) all += repeats(options, stage);
    for (const auto& stage : options.stages) {
      blocks_.emplace_back();
      for (Index i = 0; i < repeats(options, stage); ++i, ++number) {
        InvertedResidualOptions block;
        block.in_channels = in, block.out_channels = scaled(options, stage.channels);
        const double expanded = stage.expansion == 1 ? 0 : double(in) * stage.expansion;
        block.expanded_channels = expanded > 0 ? make_divisible(expanded) : 0;
        block.kernel_size = stage.kernel_size, block.stride = i == 0 ? stage.stride : 1;
        block.activation = block.squeeze_activation = Activation::silu;
        // of the block's input, though the gate sits on the expanded channels
        const Index wide = block.expanded_channels > 0 ? block.expanded_channels : in;
        block.squeeze_channels = round_half_even(double(wide) * (options.squeeze_ratio / stage.expansion));
        block.drop_path = options.drop_path * double(number) / double(all);
        blocks_.back().emplace_back(block, rng);
        in = block.out_channels;
      }
    }
  }

  Variable<S, 2> forward(const Variable<S, 4>& image) const {
    auto x = silu(bn1_(conv_stem_(image)));
    for (const auto& stage : blocks_)
      for (const auto& block : stage) x = block(x);
    return classifier_(dropout(global_average_pool(silu(bn2_(conv_head_(x)))), dropout_));
  }
  /// A new classifier for another task, with random weights; timm's name.
  void reset_classifier(Index num_classes, Rng& rng) {
    classifier_ = Dense<S>({classifier_.weight().shape()[1], num_classes}, rng);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv_stem", self.conv_stem_);
    visit("bn1", self.bn1_);
    visit("blocks", self.blocks_);
    visit("conv_head", self.conv_head_);
    visit("bn2", self.bn2_);
    visit("classifier", self.classifier_);
  }

 private:
  static const EfficientNetOptions& checked(const EfficientNetOptions& o) {
    bool sizes = o.in_channels > 0 && o.num_classes > 0 && o.stem_channels > 0 && o.head_channels > 0 && o.width > 0 &&
                 o.depth > 0 && o.squeeze_ratio >= 0 && !o.stages.empty();
    for (const auto& stage : o.stages)
      sizes = sizes && stage.repeats > 0 && stage.stride > 0 && stage.expansion >= 1 && stage.channels > 0;
    require<OptionError>(sizes, "EfficientNet", [&] {
      return message("in_channels = ", o.in_channels, ", num_classes = ", o.num_classes, ", width = ", o.width,
                     ", depth = ", o.depth, ", stem, head and every stage must be above 0, expansions at least 1");
    });
    return o;
  }
  static Index scaled(const EfficientNetOptions& o, Index channels) {
    return make_divisible(double(channels) * o.width);
  }
  static Index repeats(const EfficientNetOptions& o, const EfficientNetStage& stage) {
    return static_cast<Index>(std::ceil(double(stage.repeats) * o.depth));
  }
  static DenseOptions classifier(const EfficientNetOptions& o) {
    DenseOptions dense;
    dense.in_features = scaled(o, o.head_channels), dense.out_features = o.num_classes;
    return dense;
  }
  double dropout_;
  Conv2d<S> conv_stem_;
  BatchNorm<S> bn1_;
  std::vector<std::vector<InvertedResidual<S>>> blocks_;
  Conv2d<S> conv_head_;
  BatchNorm<S> bn2_;
  Dense<S> classifier_;
};

ATTEND_END
