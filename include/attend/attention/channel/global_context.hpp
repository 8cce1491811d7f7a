#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/attention.hpp"
#include "attend/functional/expand.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/conv_mlp.hpp"

ATTEND_BEGIN

struct GlobalContextOptions {
  Index channels = 0;
  bool attention = true;      ///< the context is pooled by attention; false: the mean; timm's use_attn
  bool fuse_add = false;      ///< the context's map is added (timm's `gca`, with fuse_scale false; GCNet's form)
  bool fuse_scale = true;     ///< the context's map scales, through the gate (timm's `gc`)
  double rd_ratio = 1.0 / 8;  ///< hidden width = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;      ///< ... unless given here
  Index rd_divisor = 1;
  Activation activation = Activation::relu;  ///< between the maps
  Activation gate = Activation::sigmoid;     ///< of fuse_scale
};

/// Global context (GCNet; Cao et al. 2019, section 3.3; timm's GlobalContext): one query for all positions reads the map,
/// and what it read scales the channels, is added to them, or both, in this order.
///
///   a = softmax over positions of (conv_attn x),   context(b, c) = sum over positions of a x
///   y = x gate(mlp_scale(context)) + mlp_add(context),   mlp = fc2 activation(norm fc1)
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "weights" a (batch, 1, H W) and "gate" (batch,
/// channels). conv_attn.weight (1, channels, 1, 1)  conv_attn.bias (1)  mlp_scale.fc1.*  mlp_scale.norm.*
/// mlp_scale.fc2.*  mlp_add.*. conv_attn starts from He's normal, mlp_add.fc2.weight from zeros. Throws OptionError for
/// sizes that are not positive or neither fusion, ShapeError for other channels or no positions.
template <class S>
class GlobalContext : public Layer<GlobalContext<S>> {
 public:
  GlobalContext(const GlobalContextOptions& options, Rng& rng) : options_(options) {
    const Index reduced = detail::reduced_channels("GlobalContext", options);
    require<OptionError>(options.fuse_add || options.fuse_scale, "GlobalContext",
                         [] { return "fuse_add and fuse_scale are both false; one must be true"; });
    if (options.attention) {
      conv_attn_.emplace(PointwiseConvOptions{options.channels, 1, true}, rng);
      auto weight = conv_attn_->weight().edit_flat();
      const double deviation = std::sqrt(2 / double(options.channels));
      for (Index c = 0; c < weight.size(); ++c) weight(c) = S(deviation * rng.normal());
    }
    ConvMlpOptions mlp;
    mlp.in_channels = options.channels, mlp.hidden_channels = reduced;
    mlp.activation = options.activation, mlp.norm = true;
    if (options.fuse_add) {
      mlp_add_.emplace(mlp, rng);
      mlp_add_->last().weight().edit_flat().setZero();
    }
    if (options.fuse_scale) mlp_scale_.emplace(mlp, rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("GlobalContext", x.shape(), options_.channels);
    if (!mlp_add_) return detail::gate_by<S>(*this, x, [this](const auto& part) { return gate(context(part)); });
    const auto seen = context(x);
    auto y = x;
    if (mlp_scale_) {
      const auto scale = gate(seen);
      offer(*this, "gate", scale);
      y = gate_channels(x, scale);
    }
    return y + (*mlp_add_)(seen).reshape(Shape<4>{x.dim(0), 1, 1, options_.channels});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.conv_attn_) visit("conv_attn", *self.conv_attn_);
    if (self.mlp_add_) visit("mlp_add", *self.mlp_add_);
    if (self.mlp_scale_) visit("mlp_scale", *self.mlp_scale_);
  }

 private:
  Variable<S, 2> gate(const Variable<S, 2>& seen) const { return activate((*mlp_scale_)(seen), options_.gate); }
  Variable<S, 2> context(const Variable<S, 4>& x) const {
    if (!conv_attn_) return global_average_pool(x);
    return x.link() || Recording::wants(key_of(*this)) ? attended(x) : attended_at_once(x);
  }
  /// The same in one pass over x, without the weights. (They do not depend on the bias, equal for all positions.)
  Variable<S, 2> attended_at_once(const Variable<S, 4>& x) const {
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2), channels = options_.channels;
    const auto query = repeat_batch(conv_attn_->weight().on(x).reshape(Shape<4>{1, 1, 1, channels}), batch);
    const auto seen = x.reshape(Shape<4>{batch, positions, 1, channels});
    ScaledDotProductAttentionOptions options;
    options.scale = 1;
    return scaled_dot_product_attention(query, seen, seen, options).reshape(Shape<2>{batch, channels});
  }
  Variable<S, 2> attended(const Variable<S, 4>& x) const {
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2), channels = options_.channels;
    const auto weights = softmax((*conv_attn_)(x).reshape(Shape<3>{batch, 1, positions}));
    offer(*this, "weights", weights);
    return matmul(weights, x.reshape(Shape<3>{batch, positions, channels})).reshape(Shape<2>{batch, channels});
  }
  GlobalContextOptions options_;
  std::optional<PointwiseConv<S>> conv_attn_;
  std::optional<ConvMlp<S>> mlp_add_, mlp_scale_;
};

ATTEND_END
