#pragma once
#include "attend/attention/channel/context_encoding.hpp"
#include "attend/functional/concat.hpp"
#include "attend/models/segmentation_net.hpp"

ATTEND_BEGIN

struct EncNetHeadOptions {
  Index in_channels = 0;
  Index classes = 21;
  Index hidden_channels = 512;
  Index codewords = 32;
  bool lateral = false;  ///< reads two stages before too, of in_channels / 4 and in_channels / 2 channels
};

/// Logits of each position, and of the classes that the scene holds.
template <template <class, int> class Of, class S>
struct EncNetLogits {
  template <template <class, int> class Other>
  using of = EncNetLogits<Other, S>;
  Of<S, 4> logits;
  Of<S, 2> class_logits;  ///< (batch, classes), for the loss of train/semantic_encoding.hpp
  template <class Visit>
  auto members(Visit&& visit) const {
    return visit(logits, class_logits);
  }
};

/// The head of EncNet (Zhang et al. 2018, "Context encoding for semantic segmentation", figure 2; PyTorch-Encoding's
/// EncHead):
///
///   features, class_logits = encmodule(relu(BN(conv3x3 x))),   logits = conv1x1(dropout(features))
///
/// or, with lateral connections, encmodule(fusion([relu(BN(conv3x3 x)), connect.0(second), connect.1(third)])), where
/// fusion is a 3x3 and connect are 1x1 convolutions, each with norm and relu.
/// x: (batch, height, width, in_channels), or second (batch, height, width, in_channels / 4), third (batch, height,
/// width, in_channels / 2) and x: the last three stages of a ResNet of output stride 8  ->  EncNetLogits.
/// conv5.{0,1}.*  [connect.{0,1}.{0,1}.*  fusion.{0,1}.*]  encmodule.* (ContextEncoding)  conv6.1.*   Dropout of
/// channels is 0.1. Throws OptionError for sizes that are not positive and, with lateral connections, for x alone;
/// ShapeError for other channels and for maps of several sizes.
template <class S>
class EncNetHead : public Layer<EncNetHead<S>> {
 public:
  EncNetHead(const EncNetHeadOptions& o, Rng& rng)
      : conv5_(checked(o).in_channels, o.hidden_channels, 3, rng),
        encmodule_({o.hidden_channels, o.classes, o.codewords}, rng),
        conv6_({o.hidden_channels, o.classes, true}, rng) {
    if (!o.lateral) return;
    detail::check_head("EncNetHead", o.in_channels / 4, o.classes, o.hidden_channels);
    for (const Index share : {4, 2}) connect_.emplace_back(o.in_channels / share, o.hidden_channels, 1, rng);
    fusion_.emplace(3 * o.hidden_channels, o.hidden_channels, 3, rng);
  }

  EncNetLogits<Variable, S> forward(const Variable<S, 4>& x) const {
    require<OptionError>(!fusion_, "EncNetHead", [] {
      return "with lateral connections it reads the maps of three stages: head(second, third, x)";
    });
    return classified(conv5_(x));
  }
  /// Without lateral connections the first two are not looked at.
  EncNetLogits<Variable, S> forward(const Variable<S, 4>& second, const Variable<S, 4>& third,
                                    const Variable<S, 4>& x) const {
    if (!fusion_) return forward(x);
    for (const auto* map : {&second, &third})
      require(map->dim(0) == x.dim(0) && map->dim(1) == x.dim(1) && map->dim(2) == x.dim(2), "EncNetHead", [&] {
        return message("the stages have shapes ", second.shape(), ", ", third.shape(), " and ", x.shape(),
                       "; lateral connections need one height and width, as a ResNet of output stride 8 gives them");
      });
    return classified((*fusion_)(concat({conv5_(x), connect_[0](second), connect_[1](third)}, 3)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv5", self.conv5_);
    visit("connect", self.connect_);
    if (self.fusion_) visit("fusion", *self.fusion_);
    visit("encmodule", self.encmodule_);
    visit("conv6.1", self.conv6_);
  }

 private:
  EncNetLogits<Variable, S> classified(const Variable<S, 4>& features) const {
    const auto encoded = encmodule_(features);
    return {conv6_(channel_dropout(encoded.features, 0.1)), encoded.class_logits};
  }
  static const EncNetHeadOptions& checked(const EncNetHeadOptions& o) {
    detail::check_head("EncNetHead", o.in_channels, o.classes, o.hidden_channels);
    return o;
  }
  detail::HeadConv<S> conv5_;
  std::vector<detail::HeadConv<S>> connect_;
  std::optional<detail::HeadConv<S>> fusion_;
  ContextEncoding<S> encmodule_;
  PointwiseConv<S> conv6_;
};

ATTEND_END
