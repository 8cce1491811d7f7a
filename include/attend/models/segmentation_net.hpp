#pragma once
#include "attend/functional/interpolate.hpp"
#include "attend/models/fcn_head.hpp"
#include "attend/models/resnet.hpp"

ATTEND_BEGIN

/// What a segmentation network is called in weight files, and how it enlarges its logits.
struct SegmentationNetOptions {
  std::string backbone = "pretrained";       ///< PyTorch-Encoding's names; torchvision: backbone, ...
  std::string head = "head";                 ///< ... classifier, ...
  std::string auxiliary = "auxlayer.conv5";  ///< ... aux_classifier
  bool align_corners = true;                 ///< of the bilinear enlargement; torchvision: false
};

namespace detail {
/// A layer's result of the other form: Of<S, R> for a Variable, its `of` for an aggregate.
template <template <class, int> class Of, class Result>
struct ResultOf {
  using type = typename Result::template of<Of>;
};
template <template <class, int> class Of, class S, int R>
struct ResultOf<Of, Variable<S, R>> {
  using type = Of<S, R>;
};
}  // namespace detail

/// What a network answers, `Output` in Variables, and the logits of its auxiliary head (batch, height, width, classes).
template <template <class, int> class Of, class S, class Output>
struct WithAuxiliary {
  template <template <class, int> class Other>
  using of = WithAuxiliary<Other, S, Output>;
  typename detail::ResultOf<Of, Output>::type output;
  Of<S, 4> auxiliary;
  template <class Visit>
  auto members(Visit&& visit) const {
    return visit(output, auxiliary);
  }
};

namespace detail {
/// Another call of a network: `forward_with_auxiliary` in place of `forward`.
template <class S, class Net>
struct CallWithAuxiliary : Layer<CallWithAuxiliary<S, Net>> {
  explicit CallWithAuxiliary(const Net& the_net) : net(the_net) {}
  auto forward(const Variable<S, 4>& image) const { return net.forward_with_auxiliary(image); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.net);
  }
  const Net& net;
};
}  // namespace detail

/// A dilated ResNet whose last map a head reads (its last three, if the head takes three); every map of logits that the
/// head gives is enlarged to the image: FCN, DeepLab, PSPNet, EncNet, DANet, in the files of those names.
///
///     ResNet<float> backbone({.bottleneck = true, .layers = {3, 4, 6, 3}, .num_classes = 0, .output_stride = 8}, rng);
///     SegmentationNet model(std::move(backbone), DaNetHead<float>({.in_channels = 2048, .classes = 21}, rng));
///
/// With an auxiliary head, which reads the third stage's map, `model(image)` is the same, and a training step asks for
/// the logits of both:
///
///     SegmentationNet model(std::move(backbone), DeepLabV3Head<float>({.in_channels = 2048}, rng),
///                           FcnHead<float>({.in_channels = 1024}, rng));
///     const auto seen = model.with_auxiliary(tape.input(images));
///     const auto loss = cross_entropy(seen.output, labels) + cross_entropy(seen.auxiliary, labels) * 0.5f;
///
/// x: (batch, height, width, channels)  ->  what the head gives, its maps (batch, height, width, classes). `backbone`.*
/// `head`.*  [`auxiliary`.*]   Throws what backbone and heads throw, OptionError for with_auxiliary() without such a
/// head.
template <class S, class Head>
class SegmentationNet : public Layer<SegmentationNet<S, Head>> {
 public:
  SegmentationNet(ResNet<S> backbone, Head head, const SegmentationNetOptions& options = {})
      : options_(options), backbone_(std::move(backbone)), head_(std::move(head)) {}
  SegmentationNet(ResNet<S> backbone, Head head, FcnHead<S> auxiliary, const SegmentationNetOptions& options = {})
      : options_(options), backbone_(std::move(backbone)), head_(std::move(head)), auxiliary_(std::move(auxiliary)) {}

  auto forward(const Variable<S, 4>& image) const { return answer(backbone_.maps(image), image); }
  /// Called like the network: {output: what the network gives, auxiliary: the auxiliary head's logits}.
  template <class Image>
  auto with_auxiliary(const Image& image) const {
    return detail::CallWithAuxiliary<S, SegmentationNet>(*this)(image);
  }
  auto forward_with_auxiliary(const Variable<S, 4>& image) const {
    require<OptionError>(auxiliary_.has_value(), "SegmentationNet", [] {
      return "with_auxiliary needs an auxiliary head; the network was made without, give it an FcnHead after its head";
    });
    const auto maps = backbone_.maps(image);
    const auto output = answer(maps, image);
    return WithAuxiliary<Variable, S, std::decay_t<decltype(output)>>{output, enlarged((*auxiliary_)(maps[2]), image)};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit(self.options_.backbone, self.backbone_);
    visit(self.options_.head, self.head_);
    if (self.auxiliary_) visit(self.options_.auxiliary, *self.auxiliary_);
  }

 private:
  using Map = Variable<S, 4>;
  auto answer(const std::array<Map, 4>& maps, const Map& image) const {
    if constexpr (detail::Takes<void, Head, Map, Map, Map>::value)
      return enlarged(head_(maps[1], maps[2], maps[3]), image);
    else
      return enlarged(head_(maps[3]), image);
  }
  Map enlarged(const Map& map, const Map& image) const {
    InterpolateOptions o;
    o.size = Pair(image.dim(1), image.dim(2)), o.mode = Interpolation::bilinear;
    o.align_corners = options_.align_corners;
    return interpolate(map, o);
  }
  Variable<S, 2> enlarged(const Variable<S, 2>& of_image, const Map&) const { return of_image; }
  template <class Result>
  Result enlarged(const Result& result, const Map& image) const {
    return result.members([&](const auto&... member) { return Result{enlarged(member, image)...}; });
  }
  SegmentationNetOptions options_;
  ResNet<S> backbone_;
  Head head_;
  std::optional<FcnHead<S>> auxiliary_;
};

ATTEND_END
