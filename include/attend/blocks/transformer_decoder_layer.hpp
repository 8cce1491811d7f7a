#pragma once
#include "attend/blocks/transformer_encoder_layer.hpp"

ATTEND_BEGIN

/// Masks of the two attentions of a decoder layer.
struct DecoderCall {
  AttentionCall self = {};    ///< of x with itself: PyTorch's tgt_mask (mask, or causal), tgt_key_padding_mask
  AttentionCall memory = {};  ///< of x with the memory: memory_mask, memory_key_padding_mask
};

/// Self-attention, attention on a memory, and a feed-forward network, each with a shortcut and a norm (Vaswani et al.
/// 2017, section 3.1; torch.nn.TransformerDecoderLayer with batch_first), f = linear2 drop activation linear1:
///
///   post-norm:  h = norm1(x + drop(self_attn(x)))
///               g = norm2(h + drop(multihead_attn(h, memory)))
///               y = norm3(g + drop(f(g)))
///   pre-norm:   h = x + drop(self_attn(norm1(x)))
///               g = h + drop(multihead_attn(norm2(h), memory))
///               y = g + drop(f(norm3(g)))
///
/// x: (batch, length, embed_dim)  memory: (batch, memory length, embed_dim)  ->  as x.
/// Its attentions offer "self_attn.weights" and "multihead_attn.weights". Parameters as in PyTorch: self_attn.*
/// multihead_attn.*  linear1.*  linear2.*  norm1.*  norm2.*  norm3.*. Throws OptionError and ShapeError as its parts.
template <class S>
class TransformerDecoderLayer : public Layer<TransformerDecoderLayer<S>> {
 public:
  using CallOptions = DecoderCall;
  TransformerDecoderLayer(const TransformerLayerOptions& o, Rng& rng)
      : options_(o),
        self_attn_(detail::transformer_attention("TransformerDecoderLayer", o), rng),
        multihead_attn_(detail::transformer_attention("TransformerDecoderLayer", o), rng),
        linear1_({o.embed_dim, o.dim_feedforward, o.bias}, rng),
        linear2_({o.dim_feedforward, o.embed_dim, o.bias}, rng),
        norm1_(detail::transformer_norm(o)),
        norm2_(detail::transformer_norm(o)),
        norm3_(detail::transformer_norm(o)) {}

  Variable<S, 3> forward(const Variable<S, 3>& x, const Variable<S, 3>& memory, const DecoderCall& call) const {
    const auto feed_forward = [this](const Variable<S, 3>& in, const Variable<S, 3>& shortcut) {
      return detail::feed_forward(linear1_, linear2_, options_.activation, options_.dropout, in, shortcut);
    };
    if (options_.norm_first) {
      const auto [h, asks] = norm2_.plus(x, drop(self_attn_(norm1_(x), call.self)));
      const auto [g, normalized] = norm3_.plus(h, drop(multihead_attn_(asks, memory, call.memory)));
      return feed_forward(normalized, g);
    }
    const auto h = norm1_.plus(x, drop(self_attn_(x, call.self))).normalized;
    const auto g = norm2_.plus(h, drop(multihead_attn_(h, memory, call.memory))).normalized;
    return norm3_(feed_forward(g, g));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("self_attn", self.self_attn_);
    visit("multihead_attn", self.multihead_attn_);
    visit("linear1", self.linear1_);
    visit("linear2", self.linear2_);
    visit("norm1", self.norm1_);
    visit("norm2", self.norm2_);
    visit("norm3", self.norm3_);
  }

 private:
  Variable<S, 3> drop(const Variable<S, 3>& x) const { return dropout(x, options_.dropout); }
  TransformerLayerOptions options_;
  MultiHeadAttention<S> self_attn_, multihead_attn_;
  Dense<S> linear1_, linear2_;
  LayerNorm<S> norm1_, norm2_, norm3_;
};

ATTEND_END
