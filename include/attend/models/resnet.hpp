#pragma once
#include <functional>

#include "attend/blocks/basic_block.hpp"
#include "attend/blocks/bottleneck_block.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_list.hpp"

ATTEND_BEGIN

/// How a ResNet begins.
enum class ResNetStem {
  plain,  ///< one 7x7 convolution (He et al. 2016)
  deep,   ///< three 3x3 convolutions (ResNet-C of He et al. 2019), timm's "deep"
  tiered  ///< the same with 3/4 of the width in the first, timm's "deep_tiered"
};

template <class S>
struct ResNetOptions {
  bool bottleneck = false;                  ///< Bottleneck blocks (50 layers and more), else basic ones
  std::array<Index, 4> layers{2, 2, 2, 2};  ///< blocks of each stage: 18 layers
  Index in_channels = 3;
  Index num_classes = 1000;           ///< 0: no classifier, the result is the mean over positions
  Index groups = 1, base_width = 64;  ///< ResNeXt: 32 and 4; of bottlenecks
  ResNetStem stem = ResNetStem::plain;
  Index stem_width = 64;          ///< of the deep stems: half of what the first stage is given
  bool average_shortcut = false;  ///< timm's avg_down
  Index output_stride = 32;       ///< 8 or 16: later stages are dilated instead of strided
  double drop_path = 0;           ///< of the last block; earlier ones have proportionally less
  bool zero_init_last = true;     ///< every block starts as its shortcut
  /// Makes the attention of a block, from its output's channels; none if empty. timm's block_args attn_layer:
  /// `[](Index channels, Rng& rng) { return SqueezeExcite<S>({.channels = channels}, rng); }`
  std::function<AnyLayer<S, 4>(Index channels, Rng& rng)> attention = {};
  /// Makes a block of another kind for its place in the network, around what `attention` made for it; its result has
  /// 4 place.planes channels if `bottleneck`, else place.planes. Empty: BottleneckBlock or BasicBlock.
  std::function<AnyLayer<S, 4>(const BottleneckBlockOptions& place, AnyLayer<S, 4> attention, Rng& rng)> block = {};
};

namespace detail {

/// conv1 and bn1 of a ResNet: one convolution, or three with norms between them named 0, 1, 3, 4, 6.
template <class S>
class ResNetStemLayer : public Layer<ResNetStemLayer<S>> {
 public:
  ResNetStemLayer(ResNetStem kind, Index in, Index width, Rng& rng) {
    if (kind == ResNetStem::plain) {
      convs_.emplace_back(block_conv(in, 64, 7, 2), rng);
      return;
    }
    const Index first = kind == ResNetStem::tiered ? 3 * (width / 4) : width;
    convs_.emplace_back(block_conv(in, first, 3, 2), rng);
    norms_.emplace_back(block_norm(first));
    convs_.emplace_back(block_conv(first, width, 3, 1), rng);
    norms_.emplace_back(block_norm(width));
    convs_.emplace_back(block_conv(width, 2 * width, 3, 1), rng);
  }
  /// With `last`, the norm after the last convolution, and a relu after each.
  Variable<S, 4> map(const Variable<S, 4>& image, const BatchNorm<S>& last) const {
    auto x = image;
    for (std::size_t i = 0; i < convs_.size(); ++i)
      x = conv_norm_act(convs_[i], i < norms_.size() ? norms_[i] : last, Activation::relu, x);
    return x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.norms_.empty()) return visit("", self.convs_[0]);
    for (std::size_t i = 0; i < self.convs_.size(); ++i) visit(to_string(3 * i), self.convs_[i]);
    for (std::size_t i = 0; i < self.norms_.size(); ++i) visit(to_string(3 * i + 1), self.norms_[i]);
  }

 private:
  std::vector<Conv2d<S>> convs_;
  std::vector<BatchNorm<S>> norms_;
};

}  // namespace detail

/// Deep residual network (He et al. 2016; timm's ResNet, torchvision's where the options are its), with a place for any
/// attention at the end of each block's branch (Hu et al. 2018): SE-ResNet, ECA-ResNet, CBAM-ResNet and the ResNeXts;
/// and for blocks of another kind (models/sk_resnet.hpp, models/resnest.hpp).
///
///   stem (stride 2), 3x3 max pool (stride 2), four stages of residual blocks, mean over positions, dense
///
///     ResNet<float> model({.bottleneck = true, .layers = {3, 4, 6, 3}, .attention = [](Index c, Rng& r) {
///       return SqueezeExcite<float>({.channels = c}, r); }}, rng);                            // timm's seresnet50
///
/// x: (batch, height, width, in_channels)  ->  (batch, num_classes).  conv1.weight (conv1.0.weight, conv1.1.*, ... of
/// the deep stems)  bn1.*  layer1.0.conv1.weight ... layer4.*  [fc.*]  Throws OptionError for sizes that are not
/// positive and an output_stride other than 8, 16, 32.
template <class S>
class ResNet : public Layer<ResNet<S>> {
 public:
  ResNet(const ResNetOptions<S>& options, Rng& rng)
      : bottleneck_(checked(options).bottleneck),
        conv1_(options.stem, options.in_channels, options.stem_width, rng),
        bn1_(detail::block_norm(stem_channels(options))) {
    if (options.num_classes > 0) reset_classifier(options.num_classes, rng);
    Index in = stem_channels(options), stride_so_far = 4, dilation = 1, previous = 1, number = 0, all = 0;
    for (const Index n : options.layers) all += n;
    for (std::size_t stage = 0; stage < 4; ++stage) {
      Index stride = stage == 0 ? 1 : 2;
      if (stride_so_far >= options.output_stride)
        dilation *= stride, stride = 1;
      else
        stride_so_far *= stride;
      for (Index b = 0; b < options.layers[stage]; ++b, ++number) {
        const double drop_path =
            all > 1 ? options.drop_path * static_cast<double>(number) / static_cast<double>(all - 1) : 0;
        in = add_block(options, stage, in, b == 0 ? stride : 1, dilation, previous, drop_path, rng);
        previous = dilation;
      }
    }
  }

  Variable<S, 2> forward(const Variable<S, 4>& x) const {
    const auto pooled = global_average_pool(maps(x)[3]);
    return fc_ ? (*fc_)(pooled) : pooled;
  }
  /// The four stages' feature maps, at strides 4, 8, 16 and 32 (less where dilated): what segmentation heads read.
  std::array<Variable<S, 4>, 4> maps(const Variable<S, 4>& image) const {
    MaxPoolOptions pool;
    pool.kernel_size = 3, pool.stride = 2, pool.padding = 1;
    const auto first = stages_[0](max_pool2d(conv1_.map(image, bn1_), pool));
    const auto second = stages_[1](first), third = stages_[2](second);
    return {first, second, third, stages_[3](third)};
  }
  /// Channels of the stages' maps.
  std::array<Index, 4> map_channels() const {
    const Index e = bottleneck_ ? BottleneckBlock<S>::expansion : 1;
    return {64 * e, 128 * e, 256 * e, 512 * e};
  }
  /// A new classifier for another task, with random weights; timm's name.
  void reset_classifier(Index num_classes, Rng& rng) {
    fc_.emplace(DenseOptions{map_channels()[3], num_classes, true}, rng);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("bn1", self.bn1_);
    for (std::size_t s = 0; s < 4; ++s) visit("layer" + to_string(s + 1), self.stages_[s]);
    if (self.fc_) visit("fc", *self.fc_);
  }

 private:
  static const ResNetOptions<S>& checked(const ResNetOptions<S>& o) {
    bool sizes = o.in_channels > 0 && o.num_classes >= 0 && o.stem_width >= 4;
    for (const Index n : o.layers) sizes = sizes && n > 0;
    require<OptionError>(sizes, "ResNet", [&] {
      return message("in_channels = ", o.in_channels, " and layers = ", Shape<4>(o.layers),
                     " must be above 0, num_classes = ", o.num_classes, " not below, stem_width = ", o.stem_width,
                     " at least 4");
    });
    require<OptionError>(o.output_stride == 8 || o.output_stride == 16 || o.output_stride == 32, "ResNet",
                         [&] { return message("output_stride is ", o.output_stride, "; it must be 8, 16 or 32"); });
    return o;
  }
  static Index stem_channels(const ResNetOptions<S>& o) { return o.stem == ResNetStem::plain ? 64 : 2 * o.stem_width; }
  Index add_block(const ResNetOptions<S>& o, std::size_t stage, Index in, Index stride, Index dilation,
                  Index first_dilation, double drop_path, Rng& rng) {
    const Index planes = Index(64) << stage, out = planes * (o.bottleneck ? BottleneckBlock<S>::expansion : 1);
    const auto attention = o.attention ? o.attention(out, rng) : AnyLayer<S, 4>();
    BottleneckBlockOptions place;
    place.in_channels = in, place.planes = planes, place.stride = stride, place.dilation = dilation;
    place.first_dilation = first_dilation, place.average_shortcut = o.average_shortcut, place.groups = o.groups;
    place.base_width = o.base_width, place.drop_path = drop_path, place.zero_init_last = o.zero_init_last;
    if (o.block) {
      stages_[stage].push_back(o.block(place, attention, rng));
    } else if (o.bottleneck) {
      stages_[stage].push_back(BottleneckBlock<S>(place, attention, rng));
    } else {
      BasicBlockOptions block;
      block.in_channels = in, block.out_channels = out, block.stride = stride, block.dilation = dilation;
      block.first_dilation = first_dilation, block.average_shortcut = o.average_shortcut;
      block.drop_path = drop_path, block.zero_init_last = o.zero_init_last;
      stages_[stage].push_back(BasicBlock<S>(block, attention, rng));
    }
    return out;
  }
  bool bottleneck_;
  detail::ResNetStemLayer<S> conv1_;
  BatchNorm<S> bn1_;
  std::array<LayerList<S, 4>, 4> stages_;
  std::optional<Dense<S>> fc_;
};

ATTEND_END
