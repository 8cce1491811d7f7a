#pragma once
#include "attend/attention/attention.hpp"
#include "attend/attention/with_cache.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_norm.hpp"

ATTEND_BEGIN

struct GptBlockOptions {
  Index embed_dim = 0;
  Index num_heads = 1;                            ///< must divide embed_dim
  Index mlp_dim = 0;                              ///< channels between c_fc and c_proj; 0: 4 embed_dim
  double dropout = 0;                             ///< of weights and of both branches, in training
  Activation activation = Activation::gelu_tanh;  ///< GPT-2's gelu_new
  double eps = 1e-5;                              ///< of both norms
};

/// Causal self-attention with one packed projection, GPT-2's.  x: (batch, length, embed_dim)  ->  the same shape.
/// c_attn.weight (3 embed_dim, embed_dim): rows query, key, value, heads inside each  c_proj.weight (embed_dim,
/// embed_dim), biases. Weights lie as torch.nn.Linear has them, (out, in), as in minGPT; GPT-2's own files hold the
/// transpose. Offers "weights".
template <class S>
class GptAttention : public Layer<GptAttention<S>>, public WithCache<GptAttention<S>> {
 public:
  GptAttention(const GptBlockOptions& o, Rng& rng)
      : options_(checked(o)),
        c_attn_({o.embed_dim, 3 * o.embed_dim}, rng),
        c_proj_({o.embed_dim, o.embed_dim}, rng),
        attention_({o.embed_dim / o.num_heads, o.dropout}, rng) {}

  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    const Index C = options_.embed_dim, heads = options_.num_heads, dim = C / heads;
    const auto qkv = c_attn_(x);
    AttentionCall call;
    call.causal = true;
    const HeadView<S> query(qkv, 0, heads, dim), key(qkv, C, heads, dim), value(qkv, 2 * C, heads, dim);
    const auto read = attention_.attend(query, key, value, nullptr, call, false).output;
    return dropout(c_proj_(read.reshape(x.shape())), options_.dropout);
  }
  Variable<S, 3> forward_with_cache(const Variable<S, 3>& x, KeyValueCache<S>& cache, const CachedCall& call) const {
    constexpr const char* name = "gpt_attention";
    const Index C = options_.embed_dim, heads = options_.num_heads, dim = C / heads;
    const auto counts = detail::new_positions(name, x, cache, call.lengths);
    const auto qkv = c_attn_(x);
    const HeadView<S> query(qkv, 0, heads, dim), key(qkv, C, heads, dim), value(qkv, 2 * C, heads, dim);
    const auto read =
        detail::append_and_attend<S>(name, query, key, value, cache, counts, call.window, attention_.scale(dim));
    return c_proj_(read.reshape(x.shape()));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("c_attn", self.c_attn_);
    visit("c_proj", self.c_proj_);
    visit("", self.attention_);
  }

 private:
  static const GptBlockOptions& checked(const GptBlockOptions& o) {
    require<OptionError>(o.num_heads > 0 && o.embed_dim > 0 && o.embed_dim % o.num_heads == 0, "GptAttention", [&] {
      return message("num_heads = ", o.num_heads, " must divide embed_dim = ", o.embed_dim);
    });
    require<OptionError>(o.mlp_dim >= 0, "GptAttention", [&] {
      return message("mlp_dim = ", o.mlp_dim, " must not be negative; 0 stands for 4 embed_dim");
    });
    return o;
  }
  GptBlockOptions options_;
  Dense<S> c_attn_, c_proj_;
  Attention<S> attention_;
};

/// y = drop(c_proj activation(c_fc x)).  x: (..., embed_dim)  ->  the same shape.
template <class S>
class GptMlp : public Layer<GptMlp<S>> {
 public:
  GptMlp(const GptBlockOptions& o, Rng& rng)
      : options_(o), c_fc_({o.embed_dim, width(o)}, rng), c_proj_({width(o), o.embed_dim}, rng) {}
  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    return dropout(c_proj_(c_fc_.fused(x, options_.activation)), options_.dropout);
  }
  /// forward(x) + shortcut; the sum is a part of the last product where nothing is recorded.
  Variable<S, 3> plus(const Variable<S, 3>& x, const Variable<S, 3>& shortcut) const {
    if (x.link()) return shortcut + (*this)(x);
    return c_proj_.fused(c_fc_.fused(x, options_.activation), Activation::identity, &shortcut);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("c_fc", self.c_fc_);
    visit("c_proj", self.c_proj_);
  }

 private:
  static Index width(const GptBlockOptions& o) { return o.mlp_dim > 0 ? o.mlp_dim : 4 * o.embed_dim; }
  GptBlockOptions options_;
  Dense<S> c_fc_, c_proj_;
};

/// The block of GPT-2 (Radford et al. 2019): h = x + attn(ln_1(x)), y = h + mlp(ln_2(h)), causal.
///
/// x: (batch, length, embed_dim)  ->  the same shape. Parameters as in transformers and minGPT: ln_1.*  attn.c_attn.*
/// attn.c_proj.*  ln_2.*  mlp.c_fc.*  mlp.c_proj.*. Offers "attn.weights". A file's `attn.bias` is the causal mask, no
/// parameter. with_cache(x, cache) generates step by step, with a cache of num_heads heads of embed_dim / num_heads for
/// each block.
template <class S>
class GptBlock : public Layer<GptBlock<S>>, public WithCache<GptBlock<S>> {
 public:
  GptBlock(const GptBlockOptions& o, Rng& rng) : attn_(o, rng), mlp_(o, rng), ln_1_(norm(o)), ln_2_(norm(o)) {}

  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    const auto [h, normalized] = ln_2_.plus(x, attn_(ln_1_(x)));
    return mlp_.plus(normalized, h);
  }
  Variable<S, 3> forward_with_cache(const Variable<S, 3>& x, KeyValueCache<S>& cache, const CachedCall& call) const {
    const auto [h, normalized] = ln_2_.plus(x, attn_.with_cache(ln_1_(x), cache, call));
    return mlp_.plus(normalized, h);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("ln_1", self.ln_1_);
    visit("attn", self.attn_);
    visit("ln_2", self.ln_2_);
    visit("mlp", self.mlp_);
  }

 private:
  static LayerNormOptions<1> norm(const GptBlockOptions& o) {
    LayerNormOptions<1> norm;
    norm.normalized_shape = o.embed_dim, norm.eps = o.eps;
    return norm;
  }
  GptAttention<S> attn_;
  GptMlp<S> mlp_;
  LayerNorm<S> ln_1_, ln_2_;
};

ATTEND_END
