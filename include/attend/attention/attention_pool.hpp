#pragma once
#include "attend/attention/attention.hpp"
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/expand.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_norm.hpp"

ATTEND_BEGIN

/// How several latent rows become one.
enum class LatentPool { first, mean };

struct AttentionPoolOptions {
  Index channels = 0;      ///< of the tokens; timm's in_features and embed_dim
  Index out_channels = 0;  ///< of the result; 0: channels
  Index num_heads = 8;     ///< must divide channels
  Index latents = 1;       ///< learned queries; timm's latent_len
  bool qkv_bias = true;    ///< of the query, key and value projections
  bool project = true;     ///< false: neither `proj` nor the network after it; timm's out_features = 0
  double mlp_ratio = 4;    ///< inner to outer channels of the network after the projection; 0: none
  bool norm = false;       ///< a layer norm before that network
  double eps = 1e-6;       ///< of that norm
  Activation activation = Activation::gelu;  ///< of that network
  LatentPool pool = LatentPool::first;       ///< result: the first latent row, or the mean of all
  double dropout = 0;                        ///< after the projection, in training
};

/// Pooling by attention: a learned query asks all tokens, or all positions of a feature map, what matters (Lee et al.
/// 2019, Set Transformer, section 3.2; timm's AttentionPoolLatent).
///
///   z = proj softmax(q(latent) k(x)^T / sqrt(head_dim)) v(x),   y = z + fc2 activation(fc1 norm(z)),
///
/// pooled over the latents.
/// x: (batch, length, channels) or (batch, height, width, channels)  ->  (batch, out_channels).
/// Call options: the masks of attention layers, such as {.keys = lengths}; keys are tokens, or positions row by row.
/// Offers "weights" (batch, num_heads, latents, keys).
/// latent (1, latents, channels)  q.*  kv.weight (2 channels, channels), rows key, value  proj.*  [norm.*]  mlp.fc1.*
/// mlp.fc2.*. The latents are drawn from a normal of deviation 1/sqrt(channels).
/// Throws OptionError for sizes that do not fit each other, ShapeError for other channels.
template <class S>
class AttentionPool : public Layer<AttentionPool<S>> {
  /// timm's Mlp.
  struct Mlp : Layer<Mlp> {
    Mlp(Index outer, Index inner, Rng& rng) : fc1({outer, inner}, rng), fc2({inner, outer}, rng) {}
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("fc1", self.fc1);
      visit("fc2", self.fc2);
    }
    Dense<S> fc1, fc2;
  };

 public:
  using CallOptions = AttentionCall;
  AttentionPool(const AttentionPoolOptions& options, Rng& rng)
      : options_(completed(options)),
        latent_({1, options_.latents, options_.channels}),
        q_({options_.channels, options_.channels, options_.qkv_bias}, rng),
        kv_({options_.channels, 2 * options_.channels, options_.qkv_bias}, rng) {
    auto latent = latent_.edit();
    for (Index i = 0; i < latent.size(); ++i) latent.data()[i] = S(rng.normal() / std::sqrt(double(options_.channels)));
    if (!options_.project) return;
    proj_.emplace(DenseOptions{options_.channels, options_.out_channels}, rng);
    if (options_.mlp_ratio == 0) return;
    mlp_.emplace(options_.out_channels, Index(double(options_.out_channels) * options_.mlp_ratio), rng);
    if (!options_.norm) return;
    LayerNormOptions<1> norm;
    norm.normalized_shape = options_.out_channels, norm.eps = options_.eps;
    norm_.emplace(norm);
  }

  Variable<S, 2> forward(const Variable<S, 4>& x, const AttentionCall& call) const {
    check_channels(x);
    return forward(x.reshape(Shape<3>{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)}), call);
  }
  Variable<S, 2> forward(const Variable<S, 3>& x, const AttentionCall& call) const {
    check_channels(x);
    const Index C = options_.channels, heads = options_.num_heads, dim = C / heads;
    const auto query = repeat_batch(q_(latent_.on(x)), x.dim(0));
    const auto kv = kv_(x);
    const HeadView<S> key(kv, 0, heads, dim), value(kv, C, heads, dim);
    const auto read = attention_.attend(HeadView<S>(query, 0, heads, dim), key, value, nullptr, call, false).output;
    auto y = read.reshape(query.shape());
    if (proj_) y = dropout((*proj_)(y), options_.dropout);
    if (mlp_) y = y + mlp_->fc2(activate(mlp_->fc1(norm_ ? (*norm_)(y) : y), options_.activation));
    return options_.pool == LatentPool::first ? select(y, 0, 1) : mean(y, {1});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("latent", self.latent_);
    visit("q", self.q_);
    visit("kv", self.kv_);
    if (self.proj_) visit("proj", *self.proj_);
    if (self.norm_) visit("norm", *self.norm_);
    if (self.mlp_) visit("mlp", *self.mlp_);
    visit("", self.attention_);
  }

 private:
  static AttentionPoolOptions completed(AttentionPoolOptions o) {
    detail::check_heads("AttentionPool", o.channels, o.num_heads);
    if (o.out_channels == 0 || !o.project) o.out_channels = o.channels;
    require<OptionError>(o.out_channels > 0 && o.latents > 0 && o.mlp_ratio >= 0 && o.mlp_ratio < 1e6 &&
                             o.dropout >= 0 && o.dropout <= 1,
                         "AttentionPool", [&] {
                           return message("out_channels = ", o.out_channels, " and latents = ", o.latents,
                                          " must be above 0, mlp_ratio = ", o.mlp_ratio,
                                          " lie in [0, 1e6), and dropout = ", o.dropout, " lie in [0, 1]");
                         });
    return o;
  }
  template <int R>
  void check_channels(const Variable<S, R>& x) const {
    detail::check_map_channels("AttentionPool", x.shape(), options_.channels);
  }
  AttentionPoolOptions options_;
  Parameter<S, 3> latent_;
  Dense<S> q_, kv_;
  std::optional<Dense<S>> proj_;
  std::optional<LayerNorm<S>> norm_;
  std::optional<Mlp> mlp_;
  Attention<S> attention_;
};

ATTEND_END
