#pragma once
#include "attend/blocks/inverted_residual.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

/// One block of a MobileNetV3.
struct MobileNetV3Block {
  Index kernel_size, stride;
  double expansion;  ///< of the block's input channels; 1: no expansion
  Index channels;
  bool squeeze;     ///< squeeze-and-excitation
  bool hard_swish;  ///< instead of ReLU
};

struct MobileNetV3Options {
  Index in_channels = 3;
  Index num_classes = 1000;
  Index stem_channels = 16;
  Index last_channels = 576;   ///< of the 1x1 convolution before the pooling
  Index head_channels = 1024;  ///< of the one after it
  double squeeze_ratio = 0.25;
  double dropout = 0, drop_path = 0;                  ///< before the classifier; of the last block, earlier ones less
  std::vector<std::vector<MobileNetV3Block>> stages;  ///< empty: MobileNetV3-Small
};
/// MobileNetV3-Large (timm's mobilenetv3_large_100).
inline MobileNetV3Options mobilenet_v3_large() {
  MobileNetV3Options o;
  o.last_channels = 960, o.head_channels = 1280;
  o.stages = {{{3, 1, 1, 16, false, false}},
              {{3, 2, 4, 24, false, false}, {3, 1, 3, 24, false, false}},
              {{5, 2, 3, 40, true, false}, {5, 1, 3, 40, true, false}, {5, 1, 3, 40, true, false}},
              {{3, 2, 6, 80, false, true},
               {3, 1, 2.5, 80, false, true},
               {3, 1, 2.3, 80, false, true},
               {3, 1, 2.3, 80, false, true}},
              {{3, 1, 6, 112, true, true}, {3, 1, 6, 112, true, true}},
              {{5, 2, 6, 160, true, true}, {5, 1, 6, 160, true, true}, {5, 1, 6, 160, true, true}}};
  return o;
}
/// MobileNetV3-Small (timm's mobilenetv3_small_100).
inline MobileNetV3Options mobilenet_v3_small() {
  MobileNetV3Options o;
  o.stages = {{{3, 2, 1, 16, true, false}},
              {{3, 2, 4.5, 24, false, false}, {3, 1, 3.67, 24, false, false}},
              {{5, 2, 4, 40, true, true}, {5, 1, 6, 40, true, true}, {5, 1, 6, 40, true, true}},
              {{5, 1, 3, 48, true, true}, {5, 1, 3, 48, true, true}},
              {{5, 2, 6, 96, true, true}, {5, 1, 6, 96, true, true}, {5, 1, 6, 96, true, true}}};
  return o;
}

/// MobileNetV3 (Howard et al. 2019; timm's MobileNetV3): a stem, inverted residuals some of which have
/// squeeze-and-excitation with a hard sigmoid, a 1x1 convolution, mean over positions, another with a bias, dense.
///
/// x: (batch, height, width, in_channels)  ->  (batch, num_classes).  conv_stem.weight bn1.* blocks.0.0.conv_dw.weight
/// ... blocks.N.0.conv.weight blocks.N.0.bn1.* conv_head.{weight,bias} classifier.*   Throws OptionError for sizes that
/// are not positive.
template <class S>
class MobileNetV3 : public Layer<MobileNetV3<S>> {
 public:
  MobileNetV3(const MobileNetV3Options& options, Rng& rng)
      : MobileNetV3(options.stages.empty() ? with_stages(options) : options, rng, 0) {}

  Variable<S, 2> forward(const Variable<S, 4>& image) const {
    auto x = hard_swish(bn1_(conv_stem_(image)));
    for (const auto& stage : blocks_)
      for (const auto& block : stage) x = block(x);
    const auto pooled = global_average_pool(hard_swish(last_norm_(last_(x))));
    return classifier_(dropout(hard_swish(conv_head_(pooled)), dropout_));
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
    const std::string last = "blocks." + to_string(self.blocks_.size()) + ".0.";
    visit(last + "conv", self.last_);
    visit(last + "bn1", self.last_norm_);
    visit("conv_head", self.conv_head_);
    visit("classifier", self.classifier_);
  }

 private:
  MobileNetV3(const MobileNetV3Options& o, Rng& rng, int)
      : dropout_(checked(o).dropout),
        conv_stem_(detail::block_conv(o.in_channels, o.stem_channels, 3, 2), rng),
        bn1_(detail::block_norm(o.stem_channels)),
        last_(detail::block_conv(o.stages.back().back().channels, o.last_channels, 1, 1), rng),
        last_norm_(detail::block_norm(o.last_channels)),
        conv_head_({o.last_channels, o.head_channels, true}, rng),
        classifier_({o.head_channels, o.num_classes}, rng) {
    Index in = o.stem_channels, number = 0, all = 1;  // the last convolution counts
    for (const auto& stage : o.stages) all += static_cast<Index>(stage.size());
    for (const auto& stage : o.stages) {
      blocks_.emplace_back();
      for (const MobileNetV3Block& b : stage) {
        InvertedResidualOptions block;
        block.in_channels = in, block.out_channels = b.channels;
        block.expanded_channels = b.expansion == 1 ? 0 : make_divisible(double(in) * b.expansion);
        block.kernel_size = b.kernel_size, block.stride = b.stride;
        block.activation = b.hard_swish ? Activation::hard_swish : Activation::relu;
        const Index wide = block.expanded_channels > 0 ? block.expanded_channels : in;
        block.squeeze_channels = b.squeeze ? make_divisible(double(wide) * o.squeeze_ratio) : 0;
        block.squeeze_gate = Activation::hard_sigmoid;
        block.drop_path = o.drop_path * double(number++) / double(all);
        blocks_.back().emplace_back(block, rng);
        in = b.channels;
      }
    }
  }
  static MobileNetV3Options with_stages(MobileNetV3Options o) {
    o.stages = mobilenet_v3_small().stages;
    return o;
  }
  static const MobileNetV3Options& checked(const MobileNetV3Options& o) {
    bool sizes = o.in_channels > 0 && o.num_classes > 0 && o.stem_channels > 0 && o.last_channels > 0 &&
                 o.head_channels > 0 && o.squeeze_ratio > 0;
    for (const auto& stage : o.stages) sizes = sizes && !stage.empty();
    require<OptionError>(sizes, "MobileNetV3", [&] {
      return message("in_channels = ", o.in_channels, ", num_classes = ", o.num_classes,
                     ", stem, last and head channels and squeeze_ratio must be above 0, and every stage have a block");
    });
    return o;
  }
  double dropout_;
  Conv2d<S> conv_stem_;
  BatchNorm<S> bn1_;
  std::vector<std::vector<InvertedResidual<S>>> blocks_;
  Conv2d<S> last_;
  BatchNorm<S> last_norm_;
  PointwiseConv<S> conv_head_;
  Dense<S> classifier_;
};

ATTEND_END
