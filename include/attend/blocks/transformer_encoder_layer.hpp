#pragma once
#include "attend/attention/multi_head_attention.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_norm.hpp"

ATTEND_BEGIN

/// Of both transformer layers; PyTorch's names in brackets where they differ.
struct TransformerLayerOptions {
  Index embed_dim = 0;                       ///< channels in and out [d_model]
  Index num_heads = 1;                       ///< must divide embed_dim [nhead]
  Index dim_feedforward = 2048;              ///< channels between the two dense layers
  double dropout = 0.1;                      ///< of weights, branches and the feed-forward's inside, in training
  Activation activation = Activation::relu;  ///< between the two dense layers
  double layer_norm_eps = 1e-5;
  bool norm_first = false;  ///< pre-norm: x + f(norm(x)); otherwise post-norm: norm(x + f(x))
  bool bias = true;         ///< of projections, dense layers and norms
};

namespace detail {
inline MultiHeadAttentionOptions transformer_attention(const char* name, const TransformerLayerOptions& o) {
  require<OptionError>(o.dim_feedforward > 0 && o.dropout >= 0 && o.dropout <= 1, name, [&] {
    return message("dim_feedforward = ", o.dim_feedforward, " must be above 0 and dropout = ", o.dropout,
                   " lie in [0, 1]");
  });
  MultiHeadAttentionOptions attention;
  attention.embed_dim = o.embed_dim, attention.num_heads = o.num_heads, attention.dropout = o.dropout,
  attention.bias = o.bias;
  return attention;
}
inline LayerNormOptions<1> transformer_norm(const TransformerLayerOptions& o) {
  LayerNormOptions<1> norm;
  norm.normalized_shape = o.embed_dim, norm.eps = o.layer_norm_eps, norm.bias = o.bias;
  return norm;
}
/// shortcut + drop(second drop activation first x); without dropout activation and sum are parts of the products.
template <class S, int R>
Variable<S, R> feed_forward(const Dense<S>& first, const Dense<S>& second, Activation activation, double p,
                            const Variable<S, R>& x, const Variable<S, R>& shortcut) {
  const auto hidden = dropout(first.fused(x, activation), p);
  if (!hidden.link()) return second.fused(hidden, Activation::identity, &shortcut);
  return shortcut + dropout(second(hidden), p);
}
}  // namespace detail

/// Self-attention and a feed-forward network, each with a shortcut and a norm (Vaswani et al. 2017, section 3.1;
/// torch.nn.TransformerEncoderLayer with batch_first; the pre-norm form of Xiong et al. 2020), f = linear2 drop
/// activation linear1:
///
///   post-norm:  h = norm1(x + drop(self_attn(x))),   y = norm2(h + drop(f(h)))
///   pre-norm:   h = x + drop(self_attn(norm1(x))),   y = h + drop(f(norm2(h)))
///
/// x: (batch, length, embed_dim)  ->  the same shape. Call options: the attention's masks (AttentionCall); PyTorch's
/// src_mask is {.mask = ...} or {.causal = true}, src_key_padding_mask {.padding = ...} or {.keys = lengths}.
/// Its attention offers "self_attn.weights". Parameters as in PyTorch: self_attn.in_proj_weight, .in_proj_bias,
/// .out_proj.*  linear1.*  linear2.*  norm1.*  norm2.*. Throws OptionError and ShapeError as its parts.
template <class S>
class TransformerEncoderLayer : public Layer<TransformerEncoderLayer<S>> {
 public:
  using CallOptions = AttentionCall;
  TransformerEncoderLayer(const TransformerLayerOptions& o, Rng& rng)
      : options_(o),
        self_attn_(detail::transformer_attention("TransformerEncoderLayer", o), rng),
        linear1_({o.embed_dim, o.dim_feedforward, o.bias}, rng),
        linear2_({o.dim_feedforward, o.embed_dim, o.bias}, rng),
        norm1_(detail::transformer_norm(o)),
        norm2_(detail::transformer_norm(o)) {}

  Variable<S, 3> forward(const Variable<S, 3>& x, const AttentionCall& call) const {
    if (options_.norm_first) {
      const auto [h, normalized] = norm2_.plus(x, drop(self_attn_(norm1_(x), call)));
      return detail::feed_forward(linear1_, linear2_, options_.activation, options_.dropout, normalized, h);
    }
    const auto h = norm1_.plus(x, drop(self_attn_(x, call))).normalized;
    return norm2_(detail::feed_forward(linear1_, linear2_, options_.activation, options_.dropout, h, h));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("self_attn", self.self_attn_);
    visit("linear1", self.linear1_);
    visit("linear2", self.linear2_);
    visit("norm1", self.norm1_);
    visit("norm2", self.norm2_);
  }

 private:
  Variable<S, 3> drop(const Variable<S, 3>& x) const { return dropout(x, options_.dropout); }
  TransformerLayerOptions options_;
  MultiHeadAttention<S> self_attn_;
  Dense<S> linear1_, linear2_;
  LayerNorm<S> norm1_, norm2_;
};

ATTEND_END
