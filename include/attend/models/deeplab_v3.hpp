#pragma once
#include "attend/functional/concat.hpp"
#include "attend/functional/expand.hpp"
#include "attend/layers/pointwise_conv.hpp"
#include "attend/models/segmentation_net.hpp"

ATTEND_BEGIN

struct DeepLabV3HeadOptions {
  Index in_channels = 0;
  Index classes = 21;
  Index hidden_channels = 256;
  std::vector<Index> dilations{12, 24, 36};
};

/// Atrous spatial pyramid pooling and a classifier of each position (Chen et al. 2017, section 3.3; torchvision's
/// DeepLabHead): a 1x1 convolution, 3x3 ones of several dilations, and the mean of the whole map, side by side.
///
///   y = conv(relu(BN(conv3x3(dropout(relu(BN(conv1x1([c_0 x, c_1 x, ..., c_mean mean(x)]))))))))
///
/// x: (batch, height, width, in_channels)  ->  (batch, height, width, classes). 0.convs.0.{0,1}.* (1x1) ...
/// 0.convs.4.{1,2}.* (the mean)  0.project.{0,1}.*  1.weight  2.*  4.{weight,bias}.  Dropout of 0.5 after the projection.
/// With a ResNet-50 of output stride 8, an auxiliary FcnHead of 1024 channels that drops single numbers, and the names
/// "backbone", "classifier" and "aux_classifier" this is torchvision's deeplabv3_resnet50 as its files hold it.
/// Throws OptionError for sizes that are not positive, ShapeError for other channels.
template <class S>
class DeepLabV3Head : public Layer<DeepLabV3Head<S>> {
 public:
  DeepLabV3Head(const DeepLabV3HeadOptions& o, Rng& rng)
      : pooled_(detail::block_conv(checked(o).in_channels, o.hidden_channels, 1, 1), rng),
        pooled_norm_(detail::block_norm(o.hidden_channels)),
        project_(o.hidden_channels * (Index(o.dilations.size()) + 2), o.hidden_channels, 1, rng),
        conv_(detail::block_conv(o.hidden_channels, o.hidden_channels, 3, 1), rng),
        norm_(detail::block_norm(o.hidden_channels)),
        classify_({o.hidden_channels, o.classes, true}, rng) {
    convs_.emplace_back(o.in_channels, o.hidden_channels, 1, rng);
    for (const Index dilation : o.dilations) convs_.emplace_back(o.in_channels, o.hidden_channels, 3, rng, dilation);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    std::vector<Variable<S, 4>> views;
    for (const auto& conv : convs_) views.push_back(conv(x));
    const auto mean = global_average_pool(x).reshape(Shape<4>{x.dim(0), 1, 1, x.dim(3)});
    const auto whole = conv_norm_act(pooled_, pooled_norm_, Activation::relu, mean);
    views.push_back(expand(whole, views[0].shape()));
    const auto together = dropout(project_(concat(views, 3)), 0.5);
    return classify_(conv_norm_act(conv_, norm_, Activation::relu, together));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("0.convs", self.convs_);
    const std::string pooled = "0.convs." + to_string(self.convs_.size());
    visit(pooled + ".1", self.pooled_);
    visit(pooled + ".2", self.pooled_norm_);
    visit("0.project", self.project_);
    visit("1", self.conv_);
    visit("2", self.norm_);
    visit("4", self.classify_);
  }

 private:
  static const DeepLabV3HeadOptions& checked(const DeepLabV3HeadOptions& o) {
    detail::check_head("DeepLabV3Head", o.in_channels, o.classes, o.hidden_channels);
    return o;
  }
  std::vector<detail::HeadConv<S>> convs_;
  Conv2d<S> pooled_;
  BatchNorm<S> pooled_norm_;
  detail::HeadConv<S> project_;
  Conv2d<S> conv_;
  BatchNorm<S> norm_;
  PointwiseConv<S> classify_;
};

ATTEND_END
