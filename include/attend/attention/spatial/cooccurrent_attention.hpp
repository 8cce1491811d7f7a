#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/expand.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/conv_norm_act.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

/// What makes queries and keys of a map; PyTorch-Encoding's kq_transform.
enum class CooccurrentProjection {
  conv,        ///< a 1x1 convolution
  ffn,         ///< a 3x3 convolution, norm, relu, a 1x1 convolution
  dilated_ffn  ///< the same with dilation 4; dffn
};

struct CooccurrentAttentionOptions {
  Index channels = 0;        ///< PyTorch-Encoding's d_model
  Index num_heads = 1;       ///< n_head
  Index num_mixtures = 1;    ///< softmaxes of a head, n_mix; must divide key_channels
  Index key_channels = 0;    ///< of a head, d_k
  Index value_channels = 0;  ///< of a head, d_v
  CooccurrentProjection projection = CooccurrentProjection::conv;
  bool pooling = true;   ///< keys and values of the map averaged over 3 x 3, every second row and column
  bool concat = false;   ///< result and input side by side, not added
  double dropout = 0.1;  ///< of the weights, in training
};

/// Aggregated co-occurrent features (Zhang et al. 2019, CFNet, section 3.1, eq. 5 and 6; ACFModule of
/// PyTorch-Encoding): attention over a mixture of softmaxes, each of which sees a part of query and key,
///
///   y = norm_layer(conv sum_m pi_m softmax(q_m k_m^T / sqrt(key_channels)) v) + x,   pi = softmax(w mean_positions q),
///
/// query and key by one projection; the temperature is that of all key_channels, though a part has fewer.
/// x: (batch, height, width, channels)  ->  the same shape, or twice the channels with concat. Even sizes are not
/// needed, as they are upstream. Offers "weights" (batch, num_heads num_mixtures, H W, keys) and "mixture" (batch,
/// num_heads, num_mixtures).
/// conv_qs: weight (num_heads key_channels, channels, 1, 1), bias, or conv_qs.0.weight (num_heads key_channels, channels,
/// 3, 3)  conv_qs.1.*  conv_qs.3: weight (num_heads key_channels, num_heads key_channels, 1, 1), bias  conv_ks.*, the same
/// parameters by another name  conv_vs: weight (num_heads value_channels, channels, 1, 1), bias  attention.weight
/// (num_mixtures, key_channels), of mixtures  conv.weight (channels, num_heads value_channels, 1, 1)  norm_layer.*. Throws
/// OptionError for sizes that do not fit each other, ShapeError for other channels or no positions.
template <class S>
class CooccurrentAttention : public Layer<CooccurrentAttention<S>> {
 public:
  CooccurrentAttention(const CooccurrentAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        conv_qs_({options.projection == CooccurrentProjection::conv ? options.channels : heads_width(), heads_width()},
                 rng),
        conv_vs_({options.channels, options.num_heads * options.value_channels}, rng),
        conv_({options.num_heads * options.value_channels, options.channels, false}, rng),
        norm_(norm(options.channels)) {
    if (options.projection != CooccurrentProjection::conv) {
      Conv2dOptions around;
      around.in_channels = options.channels, around.out_channels = heads_width(), around.kernel_size = 3;
      const Index dilation = options.projection == CooccurrentProjection::ffn ? 1 : 4;
      around.dilation = dilation, around.padding = Padding(dilation), around.bias = false;
      around_.emplace(around, rng);
      around_norm_.emplace(norm(heads_width()));
    }
    if (options.num_mixtures > 1)
      mixture_.emplace(Shape<2>{options.num_mixtures, options.key_channels}, rng,
                       1 / std::sqrt(double(options.num_mixtures)));
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    require(x.dim(3) == o.channels && x.dim(1) > 0 && x.dim(2) > 0, "CooccurrentAttention",
            [&] { return message("x has shape ", x.shape(), "; it must have positions and channels = ", o.channels); });
    AvgPoolOptions pool;
    pool.kernel_size = 3, pool.stride = 2, pool.padding = 1, pool.count_include_pad = false;
    const auto small = o.pooling ? avg_pool2d(x, pool) : x;
    const Index batch = x.dim(0), queries = x.dim(1) * x.dim(2), keys = small.dim(1) * small.dim(2),
                parts = o.num_heads * o.num_mixtures, V = o.value_channels;
    const auto query = projected(x).reshape(Shape<4>{batch, queries, parts, o.key_channels / o.num_mixtures});
    const auto key = (o.pooling ? projected(small) : query.reshape(Shape<4>{batch, x.dim(1), x.dim(2), heads_width()}))
                         .reshape(Shape<4>{batch, keys, parts, o.key_channels / o.num_mixtures});
    const auto value = expand(conv_vs_(small).reshape(Shape<3>{batch * keys * o.num_heads, 1, V}),
                              Shape<3>{batch * keys * o.num_heads, o.num_mixtures, V});
    auto read = detail::attend_positions<CooccurrentAttention, S>(
        *this, "CooccurrentAttention", query, key, value.reshape(Shape<4>{batch, keys, parts, V}), nullptr,
        1 / std::sqrt(double(o.key_channels)), o.dropout);
    if (mixture_) {
      const auto whole = query.reshape(Shape<4>{batch, queries, o.num_heads, o.key_channels});
      const auto share = softmax(dense(mean(whole, {1}), mixture_->on(x), absent<S, 1>()));
      offer(*this, "mixture", share);
      const auto mixed = read * share.reshape(Shape<4>{batch, 1, parts, 1});
      read = sum(mixed.reshape(Shape<5>{batch, queries, o.num_heads, o.num_mixtures, V}), {3});
    }
    const auto y = norm_(conv_(read.reshape(Shape<4>{batch, x.dim(1), x.dim(2), o.num_heads * V})));
    return o.concat ? concat({y, x}, 3) : y + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    for (const std::string name : {"conv_qs", "conv_ks"}) {
      if (self.around_) {
        visit(name + ".0", *self.around_);
        visit(name + ".1", *self.around_norm_);
      }
      visit(self.around_ ? name + ".3" : name, self.conv_qs_);
    }
    visit("conv_vs", self.conv_vs_);
    if (self.mixture_) visit("attention.weight", *self.mixture_);
    visit("conv", self.conv_);
    visit("norm_layer", self.norm_);
  }

 private:
  Variable<S, 4> projected(const Variable<S, 4>& map) const {
    return conv_qs_(around_ ? conv_norm_act(*around_, *around_norm_, Activation::relu, map) : map);
  }
  Index heads_width() const { return options_.num_heads * options_.key_channels; }
  static const CooccurrentAttentionOptions& checked(const CooccurrentAttentionOptions& o) {
    detail::check_sizes("CooccurrentAttention", {{"channels", o.channels},
                                                 {"num_heads", o.num_heads},
                                                 {"key_channels", o.key_channels},
                                                 {"value_channels", o.value_channels}});
    require<OptionError>(
        o.channels > 0 && o.num_heads > 0 && o.key_channels > 0 && o.value_channels > 0, "CooccurrentAttention", [&] {
          return message("channels = ", o.channels, ", num_heads = ", o.num_heads, ", key_channels = ", o.key_channels,
                         " and value_channels = ", o.value_channels, " must be above 0");
        });
    require<OptionError>(o.num_mixtures > 0 && o.key_channels % o.num_mixtures == 0, "CooccurrentAttention", [&] {
      return message("num_mixtures = ", o.num_mixtures, " must divide key_channels = ", o.key_channels);
    });
    detail::check_probability("CooccurrentAttention", o.dropout);
    return o;
  }
  static BatchNormOptions norm(Index channels) {
    BatchNormOptions norm;
    norm.channels = channels;
    return norm;
  }
  CooccurrentAttentionOptions options_;
  PointwiseConv<S> conv_qs_, conv_vs_, conv_;
  BatchNorm<S> norm_;
  std::optional<Conv2d<S>> around_;  // what is around a position, before conv_qs
  std::optional<BatchNorm<S>> around_norm_;
  std::optional<Parameter<S, 2>> mixture_;
};

ATTEND_END
