#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/interpolate.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/conv_mlp.hpp"

ATTEND_BEGIN

struct GatherExciteOptions {
  Index channels = 0;
  Index extent = 0;            ///< cells that a gate cell stands for, even; 0: the whole map
  bool extra_params = false;   ///< gather by depthwise convolutions instead of pooling
  Pair feature_size = 0;       ///< of the map; needed for extra_params with extent 0; timm's feat_size
  bool mlp = true;             ///< two maps over the channels after gathering; timm's use_mlp
  double rd_ratio = 1.0 / 16;  ///< hidden width = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;       ///< ... unless given here
  Index rd_divisor = 1;
  bool add_maxpool = false;                  ///< without extra_params: pool half the mean and half the maximum
  bool norm = true;                          ///< a batch norm after each depthwise convolution
  Activation activation = Activation::relu;  ///< between the maps, and between the depthwise convolutions
  Activation gate = Activation::sigmoid;
};

/// Gather-excite (Hu et al. 2018, "Gather-Excite", section 3; timm's GatherExcite with its constructor repaired): the
/// neighbourhood of a cell decides which of its channels pass. With extent 0 and no extra parameters it is
/// squeeze-and-excitation.
///
///   gathered: extent 0             the mean over the map
///             extent e             means over windows of 2 e - 1 cells, e cells apart, padding not counted
///             extra_params         log2(e) depthwise 3x3 convolutions of stride 2, each with a norm, activations between
///             extra_params, e = 0  one depthwise convolution of the map's size, padded by half of it, with a norm
///   y = x gate(nearest(mlp(gathered)))
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate", (batch, channels) of extent 0 without extra
/// parameters, else (batch, gathered height, gathered width, channels).
/// gather.conv1.weight (channels, 1, 3, 3)  gather.norm1.*  gather.conv2.weight ...  mlp.fc1.*  mlp.fc2.*. Throws
/// OptionError for an odd extent or a missing feature size, ShapeError for other channels or no positions.
template <class S>
class GatherExcite : public Layer<GatherExcite<S>> {
  /// The depthwise convolutions under their names in timm.
  struct Gather : Layer<Gather> {
    Variable<S, 4> forward(const Variable<S, 4>& x) const {
      auto y = x;
      for (std::size_t i = 0; i < convs.size(); ++i) {
        y = convs[i](i == 0 ? y : activate(y, activation));
        if (!norms.empty()) y = norms[i](y);
      }
      return y;
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      for (std::size_t i = 0; i < self.convs.size(); ++i) {
        visit("conv" + to_string(i + 1), self.convs[i]);
        if (!self.norms.empty()) visit("norm" + to_string(i + 1), self.norms[i]);
      }
    }
    std::vector<Conv2d<S>> convs;
    std::vector<BatchNorm<S>> norms;
    Activation activation = Activation::relu;
  };

 public:
  GatherExcite(const GatherExciteOptions& options, Rng& rng) : options_(options) {
    const Index reduced = detail::reduced_channels("GatherExcite", options);
    require<OptionError>(options.extent >= 0 && options.extent < Index(1) << 20 && options.extent % 2 == 0,
                         "GatherExcite",
                         [&] { return message("extent = ", options.extent, " must be even, or 0 for the whole map"); });
    if (options.extra_params) add_convolutions(rng);
    if (options.mlp) {
      ConvMlpOptions mlp;
      mlp.in_channels = options.channels, mlp.hidden_channels = reduced, mlp.activation = options.activation;
      mlp_.emplace(mlp, rng);
    }
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("GatherExcite", x.shape(), options_.channels);
    if (options_.extent == 0 && !gather_) {
      const auto gate = gated(detail::squeeze(x, options_.add_maxpool));
      offer(*this, "gate", gate);
      return gate_channels(x, gate);
    }
    const auto gate = gated(gather_ ? (*gather_)(x) : windows(x));
    offer(*this, "gate", gate);
    InterpolateOptions whole;
    whole.size = Pair(x.dim(1), x.dim(2));
    return x * interpolate(gate, whole);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.gather_) visit("gather", *self.gather_);
    if (self.mlp_) visit("mlp", *self.mlp_);
  }

 private:
  void add_convolutions(Rng& rng) {
    const auto& o = options_;
    require<OptionError>(o.extent > 0 || (o.feature_size.height > 0 && o.feature_size.width > 0), "GatherExcite", [&] {
      return message("extra_params with extent 0 needs the size of the map; feature_size = ", o.feature_size);
    });
    Conv2dOptions conv;
    conv.in_channels = conv.out_channels = conv.groups = o.channels, conv.bias = false;
    conv.kernel_size = 3, conv.stride = 2, conv.padding = 1;
    if (o.extent == 0) {
      conv.kernel_size = o.feature_size, conv.stride = 1;
      conv.padding = Padding((o.feature_size.height - 1) / 2, (o.feature_size.width - 1) / 2);
    }
    BatchNormOptions norm;
    norm.channels = o.channels;
    gather_.emplace();
    gather_->activation = o.activation;
    for (Index reach = std::max<Index>(o.extent, 2); reach > 1; reach /= 2) {
      gather_->convs.emplace_back(conv, rng);
      if (o.norm) gather_->norms.emplace_back(norm);
    }
  }
  Variable<S, 4> windows(const Variable<S, 4>& x) const {
    AvgPoolOptions average;
    average.kernel_size = 2 * options_.extent - 1, average.stride = options_.extent;
    average.padding = options_.extent - 1, average.count_include_pad = false;
    const auto mean = avg_pool2d(x, average);
    if (!options_.add_maxpool) return mean;
    MaxPoolOptions largest;
    largest.kernel_size = average.kernel_size, largest.stride = average.stride, largest.padding = average.padding;
    return (mean + max_pool2d(x, largest)) * 0.5;
  }
  template <int R>
  Variable<S, R> gated(const Variable<S, R>& gathered) const {
    return activate(mlp_ ? (*mlp_)(gathered) : gathered, options_.gate);
  }
  GatherExciteOptions options_;
  std::optional<Gather> gather_;
  std::optional<ConvMlp<S>> mlp_;
};

ATTEND_END
