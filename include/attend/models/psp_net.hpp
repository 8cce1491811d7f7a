#pragma once
#include "attend/functional/concat.hpp"
#include "attend/layers/pointwise_conv.hpp"
#include "attend/models/segmentation_net.hpp"

ATTEND_BEGIN

struct PspHeadOptions {
  Index in_channels = 0;  ///< at least 4
  Index classes = 21;
  std::vector<Index> bins{1, 2, 3, 6};
};

/// Pyramid pooling and a classifier of each position (Zhao et al. 2017, section 3.2; PyTorch-Encoding's PSPHead): means
/// over grids of 1, 2 x 2, 3 x 3 and 6 x 6 windows, each reduced to a quarter of the channels and enlarged again,
/// beside the map itself.
///
///   y = conv1x1(dropout(relu(BN(conv3x3([x, up(relu(BN(conv_1 pool_1 x))), ...])))))
///
/// x: (batch, height, width, in_channels)  ->  (batch, height, width, classes). conv5.0.conv1.{0,1}.* ...
/// conv5.0.conv4.*  conv5.1.weight  conv5.2.*  conv5.5.*   Enlargement is bilinear with aligned corners, dropout of
/// channels 0.1.
/// Throws OptionError for sizes that are not positive, ShapeError for other channels.
template <class S>
class PspHead : public Layer<PspHead<S>> {
 public:
  PspHead(const PspHeadOptions& o, Rng& rng)
      : bins_(checked(o).bins),
        conv_(detail::block_conv(o.in_channels + Index(o.bins.size()) * (o.in_channels / 4), o.in_channels / 4, 3, 1),
              rng),
        norm_(detail::block_norm(o.in_channels / 4)),
        classify_({o.in_channels / 4, o.classes, true}, rng) {
    for (std::size_t i = 0; i < bins_.size(); ++i) views_.emplace_back(o.in_channels, o.in_channels / 4, 1, rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    InterpolateOptions up;
    up.size = Pair(x.dim(1), x.dim(2)), up.mode = Interpolation::bilinear, up.align_corners = true;
    std::vector<Variable<S, 4>> all{x};
    for (std::size_t i = 0; i < bins_.size(); ++i)
      all.push_back(interpolate(views_[i](adaptive_avg_pool2d(x, bins_[i])), up));
    return classify_(channel_dropout(conv_norm_act(conv_, norm_, Activation::relu, concat(all, 3)), 0.1));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    for (std::size_t i = 0; i < self.views_.size(); ++i) visit("conv5.0.conv" + to_string(i + 1), self.views_[i]);
    visit("conv5.1", self.conv_);
    visit("conv5.2", self.norm_);
    visit("conv5.5", self.classify_);
  }

 private:
  static const PspHeadOptions& checked(const PspHeadOptions& o) {
    detail::check_head("PspHead", o.in_channels, o.classes, o.in_channels / 4);
    return o;
  }
  std::vector<Index> bins_;
  std::vector<detail::HeadConv<S>> views_;
  Conv2d<S> conv_;
  BatchNorm<S> norm_;
  PointwiseConv<S> classify_;
};

ATTEND_END
