#pragma once
#include "attend/functional/dropout.hpp"
#include "attend/layers/pointwise_conv.hpp"
#include "attend/models/segmentation_head.hpp"

ATTEND_BEGIN

struct FcnHeadOptions {
  Index in_channels = 0;  ///< at least 4: a quarter of them is inside
  Index classes = 21;
  bool drop_channels = true;  ///< dropout zeros whole channels, as in PyTorch-Encoding; torchvision: single numbers
};

/// A classifier of each position: the head of a fully convolutional network (Long et al. 2015, section 3; FCNHead of
/// torchvision and, there below the name conv5, of PyTorch-Encoding), and the auxiliary head of others, which reads the
/// third stage of their backbone while they are trained (Zhao et al. 2017, section 3.3).
///
///   y = conv1x1(dropout(relu(BN(conv3x3 x))))
///
/// x: (batch, height, width, in_channels)  ->  (batch, height, width, classes).  0.weight (in_channels / 4, in_channels,
/// 3, 3)  1.*  4.{weight,bias}.  Dropout is 0.1. Throws OptionError for sizes that are not positive, ShapeError for other
/// channels.
template <class S>
class FcnHead : public Layer<FcnHead<S>> {
 public:
  FcnHead(const FcnHeadOptions& o, Rng& rng)
      : drop_channels_(checked(o).drop_channels),
        conv_(o.in_channels, o.in_channels / 4, 3, rng),
        classify_({o.in_channels / 4, o.classes, true}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto features = conv_(x);
    return classify_(drop_channels_ ? channel_dropout(features, 0.1) : dropout(features, 0.1));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.conv_);
    visit("4", self.classify_);
  }

 private:
  static const FcnHeadOptions& checked(const FcnHeadOptions& o) {
    detail::check_head("FcnHead", o.in_channels, o.classes, o.in_channels / 4);
    return o;
  }
  bool drop_channels_;
  detail::HeadConv<S> conv_;
  PointwiseConv<S> classify_;
};

ATTEND_END
