#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

/// How the halves of a bottleneck attention module meet.
enum class BamFusion {
  add,      ///< the paper's eq. 2
  multiply  ///< the authors' published code
};

struct BamOptions {
  Index channels = 0;
  Index reduction = 16;            ///< hidden width = channels / reduction, rounded down
  Index dilation = 4;              ///< of the 3x3 convolutions
  Index dilated_convolutions = 2;  ///< how many of them
  BamFusion fusion = BamFusion::add;
};

/// Bottleneck attention module (BAM; Park et al. 2018, section 3): channels and positions judged side by side, one gate
/// for both.
///
///   y = x (1 + sigmoid(m_channel(b, c) + m_spatial(b, i, j)))
///   m_channel = fc_final relu(BN(fc_0 mean of x)),   m_spatial = conv_final d(...d(relu(BN(conv_reduce0 x)))),
///   d = relu(BN(dilated 3x3 convolution)), all convolutions with a bias
///
/// The norms stand where the authors' code has them (the paper writes one behind each half).
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" (batch, height, width, channels), the sigmoid.
/// channel_att.gate_c.{gate_c_fc_0, gate_c_bn_1, gate_c_fc_final}.*
/// spatial_att.gate_s.{gate_s_conv_reduce0, gate_s_bn_reduce0, gate_s_conv_di_0, gate_s_bn_di_0, ...,
/// gate_s_conv_final}.*. Throws OptionError if the reduction leaves nothing, ShapeError for other channels, no positions
/// or a training batch of one sample.
template <class S>
class Bam : public Layer<Bam<S>> {
  struct ChannelHalf : Layer<ChannelHalf> {
    ChannelHalf(Index channels, Index hidden, const BatchNormOptions& norm, Rng& rng)
        : fc({channels, hidden}, rng), bn(norm), last({hidden, channels}, rng) {}
    Variable<S, 4> forward(const Variable<S, 4>& x) const {
      return last(relu(bn(fc(global_average_pool(x))))).reshape(Shape<4>{x.dim(0), 1, 1, x.dim(3)});
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("gate_c.gate_c_fc_0", self.fc);
      visit("gate_c.gate_c_bn_1", self.bn);
      visit("gate_c.gate_c_fc_final", self.last);
    }
    Dense<S> fc;
    BatchNorm<S> bn;
    Dense<S> last;
  };
  struct SpatialHalf : Layer<SpatialHalf> {
    SpatialHalf(const BamOptions& o, const BatchNormOptions& norm, Rng& rng)
        : reduce({o.channels, norm.channels, 1}, rng), bn_reduce(norm), last({norm.channels, 1, 1}, rng) {
      Conv2dOptions dilated;
      dilated.in_channels = dilated.out_channels = norm.channels, dilated.kernel_size = 3;
      dilated.padding = o.dilation, dilated.dilation = o.dilation;
      for (Index i = 0; i < o.dilated_convolutions; ++i) convs.emplace_back(dilated, rng), norms.emplace_back(norm);
    }
    Variable<S, 4> forward(const Variable<S, 4>& x) const {
      auto y = relu(bn_reduce(reduce(x)));
      for (std::size_t i = 0; i < convs.size(); ++i) y = relu(norms[i](convs[i](y)));
      return last(y);
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("gate_s.gate_s_conv_reduce0", self.reduce);
      visit("gate_s.gate_s_bn_reduce0", self.bn_reduce);
      for (std::size_t i = 0; i < self.convs.size(); ++i) {
        visit("gate_s.gate_s_conv_di_" + to_string(i), self.convs[i]);
        visit("gate_s.gate_s_bn_di_" + to_string(i), self.norms[i]);
      }
      visit("gate_s.gate_s_conv_final", self.last);
    }
    Conv2d<S> reduce;
    BatchNorm<S> bn_reduce;
    std::vector<Conv2d<S>> convs;
    std::vector<BatchNorm<S>> norms;
    Conv2d<S> last;
  };

 public:
  Bam(const BamOptions& options, Rng& rng) : Bam(options, norm(options), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("Bam", x.shape(), options_.channels);
    const auto channels = channel_att_(x), positions = spatial_att_(x);
    const auto gate = sigmoid(options_.fusion == BamFusion::add ? channels + positions : channels * positions);
    offer(*this, "gate", gate);
    return x + x * gate;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("channel_att", self.channel_att_);
    visit("spatial_att", self.spatial_att_);
  }

 private:
  Bam(const BamOptions& options, const BatchNormOptions& norm, Rng& rng)
      : options_(options), channel_att_(options.channels, norm.channels, norm, rng), spatial_att_(options, norm, rng) {}
  static BatchNormOptions norm(const BamOptions& o) {
    require<OptionError>(o.dilation > 0 && o.dilated_convolutions >= 0, "Bam", [&] {
      return message("dilation = ", o.dilation, " must be above 0, dilated_convolutions = ", o.dilated_convolutions,
                     " not below");
    });
    BatchNormOptions norm;
    norm.channels = detail::divided_channels("Bam", o.channels, o.reduction);
    return norm;
  }
  BamOptions options_;
  ChannelHalf channel_att_;
  SpatialHalf spatial_att_;
};

ATTEND_END
