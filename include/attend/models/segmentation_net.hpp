#pragma once
#include "attend/functional/interpolate.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// What a segmentation network is called in weight files, and how it enlarges its logits.
struct SegmentationNetOptions {
  std::string backbone = "pretrained";  ///< PyTorch-Encoding's names; torchvision: backbone, classifier
  std::string head = "head";
  bool align_corners = true;  ///< of the bilinear enlargement; torchvision: false
};

/// A dilated ResNet whose last map a head reads; every map of logits that the head gives is enlarged to the image:
/// DeepLab, PSPNet, EncNet, DANet, in the files of those names.
///
///     ResNet<float> backbone({.bottleneck = true, .layers = {3, 4, 6, 3}, .num_classes = 0, .output_stride = 8}, rng);
///     SegmentationNet model(std::move(backbone), DaNetHead<float>({.in_channels = 2048, .classes = 21}, rng));
///
/// x: (batch, height, width, channels)  ->  what the head gives, its maps (batch, height, width, classes). `backbone`.*
/// `head`.*   Throws what backbone and head throw.
template <class S, class Head>
class SegmentationNet : public Layer<SegmentationNet<S, Head>> {
 public:
  SegmentationNet(ResNet<S> backbone, Head head, const SegmentationNetOptions& options = {})
      : options_(options), backbone_(std::move(backbone)), head_(std::move(head)) {}

  auto forward(const Variable<S, 4>& image) const { return enlarged(head_(backbone_.maps(image)[3]), image); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit(self.options_.backbone, self.backbone_);
    visit(self.options_.head, self.head_);
  }

 private:
  Variable<S, 4> enlarged(const Variable<S, 4>& map, const Variable<S, 4>& image) const {
    InterpolateOptions o;
    o.size = Pair(image.dim(1), image.dim(2)), o.mode = Interpolation::bilinear;
    o.align_corners = options_.align_corners;
    return interpolate(map, o);
  }
  Variable<S, 2> enlarged(const Variable<S, 2>& of_image, const Variable<S, 4>&) const { return of_image; }
  template <class Result>
  Result enlarged(const Result& result, const Variable<S, 4>& image) const {
    return result.members([&](const auto&... member) { return Result{enlarged(member, image)...}; });
  }
  SegmentationNetOptions options_;
  ResNet<S> backbone_;
  Head head_;
};

namespace detail {
/// Convolution, norm, relu of segmentation heads, named 0 and 1.
template <class S>
class HeadConv : public Layer<HeadConv<S>> {
 public:
  HeadConv(Index in, Index out, Index kernel_size, Rng& rng, Index dilation = 1)
      : conv_(block_conv(in, out, kernel_size, 1, dilation), rng), norm_(block_norm(out)) {}
  Variable<S, 4> forward(const Variable<S, 4>& x) const { return conv_norm_act(conv_, norm_, Activation::relu, x); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("0", self.conv_);
    visit("1", self.norm_);
  }

 private:
  Conv2d<S> conv_;
  BatchNorm<S> norm_;
};
inline void check_head(const char* name, Index in_channels, Index classes, Index hidden) {
  require<OptionError>(in_channels > 0 && classes > 0 && hidden > 0, name, [&] {
    return "in_channels = " + std::to_string(in_channels) + ", classes = " + std::to_string(classes) +
           " and hidden channels = " + std::to_string(hidden) + " must be above 0";
  });
}
}  // namespace detail
ATTEND_END
