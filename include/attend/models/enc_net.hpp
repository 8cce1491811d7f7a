#pragma once
#include "attend/attention/channel/context_encoding.hpp"
#include "attend/models/segmentation_net.hpp"

ATTEND_BEGIN

struct EncNetHeadOptions {
  Index in_channels = 0;
  Index classes = 21;
  Index hidden_channels = 512;
  Index codewords = 32;
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
/// EncHead without lateral connections):
///
///   features, class_logits = encmodule(relu(BN(conv3x3 x))),   logits = conv1x1(dropout(features))
///
/// x: (batch, height, width, in_channels)  ->  EncNetLogits.  conv5.{0,1}.*  encmodule.* (ContextEncoding)  conv6.1.*
/// Dropout is 0.1. Throws OptionError for sizes that are not positive, ShapeError for other channels.
template <class S>
class EncNetHead : public Layer<EncNetHead<S>> {
 public:
  EncNetHead(const EncNetHeadOptions& o, Rng& rng)
      : conv5_(checked(o).in_channels, o.hidden_channels, 3, rng),
        encmodule_({o.hidden_channels, o.classes, o.codewords}, rng),
        conv6_({o.hidden_channels, o.classes, true}, rng) {}

  EncNetLogits<Variable, S> forward(const Variable<S, 4>& x) const {
    const auto encoded = encmodule_(conv5_(x));
    return {conv6_(dropout(encoded.features, 0.1)), encoded.class_logits};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv5", self.conv5_);
    visit("encmodule", self.encmodule_);
    visit("conv6.1", self.conv6_);
  }

 private:
  static const EncNetHeadOptions& checked(const EncNetHeadOptions& o) {
    detail::check_head("EncNetHead", o.in_channels, o.classes, o.hidden_channels);
    return o;
  }
  detail::HeadConv<S> conv5_;
  ContextEncoding<S> encmodule_;
  PointwiseConv<S> conv6_;
};

ATTEND_END
