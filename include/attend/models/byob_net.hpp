#pragma once
#include <functional>

#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/blocks/attention_bottleneck.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_list.hpp"

ATTEND_BEGIN

/// How a ByobNet begins.
enum class ByobStem {
  tiered,  ///< three 3x3 convolutions with 3/8, 1/2 and all of the channels
  plain    ///< one 7x7 convolution
};

/// One stage of a ByobNet.
struct ByobStage {
  Index channels = 0;
  Index stride = 1;                  ///< of the first block
  std::vector<bool> self_attention;  ///< for each block: self-attention in the place of the 3x3 convolution?
  double bottleneck = 0.25;          ///< inner channels = make_divisible(channels bottleneck)
  Index group_size = 0;              ///< channels of a group of the 3x3 convolutions; 0: one group
};

/// Where a self-attention stands: what it is made from.
struct SelfAttentionPlace {
  Index channels = 0;
  Index stride = 1;
  Index height = 0, width = 0;  ///< of the map that it is given; 0 if the image's size was not given
};

template <class S>
struct ByobNetOptions {
  Index in_channels = 3;
  Index num_classes = 1000;     ///< 0: no classifier, the result is the mean over positions
  Index height = 0, width = 0;  ///< of the image, for self-attention that belongs to one size
  ByobStem stem = ByobStem::tiered;
  Index stem_channels = 64;
  bool stem_pool = true;  ///< a 3x3 max pool of stride 2 ends the stem; false: its last convolution has the stride
  std::vector<ByobStage> stages;
  Index final_channels = 0;  ///< of a 1x1 convolution after the stages; 0: none. timm's num_features
  Activation activation = Activation::relu;
  double dropout = 0, drop_path = 0;  ///< before the classifier; of the last block, earlier ones have less
  bool zero_init_last = true;         ///< every block starts as its shortcut
  /// Makes the gate after each 3x3 convolution, from its channels; none if empty. timm's attn_layer
  std::function<AnyLayer<S, 4>(Index channels, Rng& rng)> attention = {};
  /// Makes the self-attention of the blocks that have it. timm's self_attn_layer
  std::function<AnyLayer<S, 4>(const SelfAttentionPlace& place, Rng& rng)> self_attention = {};
};

/// A network of bottlenecks with any attention in them (timm's ByobNet with attention): GC-ResNet, BoTNet, HaloNet,
/// LambdaResNet and their like, whose options the files of those names hold.
///
///   stem (stride 4; plain without a pool 2), stages of AttentionBottlenecks, [1x1 convolution], mean over positions, dense
///
///     ByobNet<float> model(botnet26t<float>(256, 256), rng);
///
/// x: (batch, height, width, in_channels)  ->  (batch, num_classes).  stem.conv1.conv.weight  stem.conv1.bn.* ...
/// stages.0.0.conv1_1x1.conv.weight ... [final_conv.*]  head.fc.*   Throws OptionError for sizes that are not positive,
/// groups that do not divide, and a stage that needs a self-attention which is not there.
template <class S>
class ByobNet : public Layer<ByobNet<S>> {
 public:
  ByobNet(const ByobNetOptions<S>& options, Rng& rng) : options_(checked(options)) {
    const ByobNetOptions<S>& o = options_;
    const Index c = o.stem_channels;
    const std::vector<Index> widths =
        o.stem == ByobStem::plain ? std::vector<Index>{c} : std::vector<Index>{3 * c / 8, c / 2, c};
    Index in = o.in_channels;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const bool strided = i == 0 || (i + 1 == widths.size() && !o.stem_pool);
      stem_.emplace_back(conv(in, widths[i], o.stem == ByobStem::plain ? 7 : 3, strided ? 2 : 1), rng);
      in = widths[i];
    }
    const Index stride = widths.size() == 1 && !o.stem_pool ? 2 : 4;  // of the stem
    Index height = o.height / stride, width = o.width / stride, number = 0, all = 0;
    for (const auto& stage : o.stages) all += static_cast<Index>(stage.self_attention.size());
    for (const auto& stage : o.stages) {
      stages_.emplace_back();
      for (std::size_t b = 0; b < stage.self_attention.size(); ++b, ++number) {
        AttentionBottleneckOptions block;
        block.in_channels = in, block.out_channels = stage.channels, block.stride = b == 0 ? stage.stride : 1;
        block.inner_channels = make_divisible(double(stage.channels) * stage.bottleneck);
        block.groups = stage.group_size == 0 ? 1 : block.inner_channels / stage.group_size;
        block.self_attention = stage.self_attention[b], block.activation = o.activation;
        block.drop_path = all > 1 ? o.drop_path * double(number) / double(all - 1) : 0;
        block.zero_init_last = o.zero_init_last;
        stages_.back().push_back(AttentionBottleneck<S>(block, attention(block, height, width, rng), rng));
        height /= block.stride, width /= block.stride;
        in = stage.channels;
      }
    }
    if (o.final_channels > 0) final_conv_.emplace(conv(in, o.final_channels, 1, 1), rng);
    features_ = o.final_channels > 0 ? o.final_channels : in;
    if (o.num_classes > 0) reset_classifier(o.num_classes, rng);
    options_.attention = nullptr, options_.self_attention = nullptr;  // what they captured is not needed any more
  }

  Variable<S, 2> forward(const Variable<S, 4>& image) const {
    auto x = image;
    for (const auto& conv : stem_) x = conv(x);
    if (options_.stem_pool) {
      MaxPoolOptions pool;
      pool.kernel_size = 3, pool.stride = 2, pool.padding = 1;
      x = max_pool2d(x, pool);
    }
    for (const auto& stage : stages_) x = stage(x);
    const auto pooled = dropout(global_average_pool(final_conv_ ? (*final_conv_)(x) : x), options_.dropout);
    return fc_ ? (*fc_)(pooled) : pooled;
  }
  /// A new classifier for another task, with random weights; timm's name.
  void reset_classifier(Index num_classes, Rng& rng) { fc_.emplace(DenseOptions{features_, num_classes, true}, rng); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    for (std::size_t i = 0; i < self.stem_.size(); ++i) visit("stem.conv" + to_string(i + 1), self.stem_[i]);
    visit("stages", self.stages_);
    if (self.final_conv_) visit("final_conv", *self.final_conv_);
    if (self.fc_) visit("head.fc", *self.fc_);
  }

 private:
  static const ByobNetOptions<S>& checked(const ByobNetOptions<S>& o) {
    require<OptionError>(o.in_channels > 0 && o.num_classes >= 0 && o.stem_channels >= 8 && o.final_channels >= 0 &&
                             o.height >= 0 && o.width >= 0 && !o.stages.empty(),
                         "ByobNet", [&] {
                           return message(
                               "in_channels = ", o.in_channels, " must be above 0, stem_channels = ", o.stem_channels,
                               " at least 8, stages (", o.stages.size(),
                               ") not none, final_channels = ", o.final_channels, ", num_classes = ", o.num_classes,
                               ", height = ", o.height, " and width = ", o.width, " not below 0");
                         });
    for (std::size_t s = 0; s < o.stages.size(); ++s) {
      const ByobStage& stage = o.stages[s];
      const auto of_stage = [&] { return message("stages[", s, "]"); };
      require<OptionError>(stage.channels > 0 && stage.stride > 0 && stage.bottleneck > 0 && stage.group_size >= 0 &&
                               !stage.self_attention.empty(),
                           "ByobNet", [&] {
                             return message(of_stage(), ": channels = ", stage.channels, ", stride = ", stage.stride,
                                            " and bottleneck = ", stage.bottleneck,
                                            " must be above 0, and blocks be named in self_attention");
                           });
      const Index inner = make_divisible(double(stage.channels) * stage.bottleneck);
      require<OptionError>(stage.group_size == 0 || inner % stage.group_size == 0, "ByobNet", [&] {
        return message(of_stage(), ": group_size = ", stage.group_size, " must divide the inner channels ", inner);
      });
      for (const bool here : stage.self_attention)
        require<OptionError>(!here || o.self_attention, "ByobNet", [&] {
          return message(of_stage(), " has self-attention, but the option self_attention, which makes it, is empty");
        });
    }
    return o;
  }
  AnyLayer<S, 4> attention(const AttentionBottleneckOptions& block, Index height, Index width, Rng& rng) const {
    if (block.self_attention) return options_.self_attention({block.inner_channels, block.stride, height, width}, rng);
    return options_.attention ? options_.attention(block.inner_channels, rng) : AnyLayer<S, 4>();
  }
  ConvNormActOptions conv(Index in, Index out, Index kernel_size, Index stride) const {
    ConvNormActOptions conv;
    conv.in_channels = in, conv.out_channels = out, conv.kernel_size = kernel_size, conv.stride = stride;
    conv.activation = options_.activation;
    return conv;
  }
  ByobNetOptions<S> options_;
  std::vector<ConvNormAct<S>> stem_;
  std::vector<LayerList<S, 4>> stages_;
  std::optional<ConvNormAct<S>> final_conv_;
  Index features_ = 0;
  std::optional<Dense<S>> fc_;
};

ATTEND_END
