#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/mathematics.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_norm.hpp"

ATTEND_BEGIN

struct SimPoolOptions {
  Index channels = 0;   ///< timm's dim
  Index num_heads = 1;  ///< must divide channels
  bool qkv_bias = false;
  bool qk_norm = false;  ///< a layer norm of every query and key head
  double gamma = 0;      ///< exponent of a generalised mean of the values; 0: the plain mean
  double eps = 1e-5;     ///< of the norms
};

/// SimPool (Psomas et al. 2023, section 3.3; timm's SimPool1d and SimPool2d): the mean asks all positions which of them
/// make it up,
///
///   y = (softmax(q(mean x) k(n)^T / sqrt(head_dim)) (n - min n + 1e-6)^gamma)^(1 / gamma),   n = norm(x),
///
/// the minimum of each channel over the positions; without gamma the values are n. The query's mean is of x, not of n.
/// x: (batch, height, width, channels) or (batch, length, channels)  ->  (batch, channels). Offers "weights" (batch,
/// num_heads, 1, positions).
/// norm.*  q.weight, k.weight (channels, channels)  [q_norm.*, k_norm.* (head_dim)]. Saved: x, n, the keys and the
/// result. Throws OptionError for sizes that do not fit each other, ShapeError for other channels or no positions.
template <class S>
class SimPool : public Layer<SimPool<S>> {
 public:
  SimPool(const SimPoolOptions& options, Rng& rng)
      : options_(checked(options)),
        norm_(norm(options.channels, options.eps)),
        q_({options.channels, options.channels, options.qkv_bias}, rng),
        k_({options.channels, options.channels, options.qkv_bias}, rng) {
    if (!options.qk_norm) return;
    q_norm_.emplace(norm(options.channels / options.num_heads, options.eps));
    k_norm_.emplace(norm(options.channels / options.num_heads, options.eps));
  }

  Variable<S, 2> forward(const Variable<S, 4>& x) const { return forward(detail::positions_of(x)); }
  Variable<S, 2> forward(const Variable<S, 3>& x) const {
    const Index batch = x.dim(0), length = x.dim(1), C = options_.channels, heads = options_.num_heads;
    require(x.dim(2) == C && length > 0, "SimPool",
            [&] { return message("x has shape ", x.shape(), "; it must have positions and, last, channels = ", C); });
    const auto n = norm_(x);
    auto query = q_(mean(x, {1}, keep_dims)).reshape(Shape<4>{batch, 1, heads, C / heads});
    auto key = k_(n).reshape(Shape<4>{batch, length, heads, C / heads});
    if (q_norm_) query = (*q_norm_)(query), key = (*k_norm_)(key);
    const double gamma = options_.gamma;
    const auto value = gamma == 0 ? n : pow(n - min(n, {1}, keep_dims) + 1e-6, gamma);
    const auto read = detail::attend_positions<SimPool, S>(*this, "SimPool", query, key, value.reshape(key.shape()),
                                                           nullptr, 1 / std::sqrt(double(C / heads)));
    const auto y = read.reshape(Shape<2>{batch, C});
    return gamma == 0 ? y : pow(y, 1 / gamma);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("norm", self.norm_);
    visit("q", self.q_);
    visit("k", self.k_);
    if (self.q_norm_) visit("q_norm", *self.q_norm_);
    if (self.k_norm_) visit("k_norm", *self.k_norm_);
  }

 private:
  static const SimPoolOptions& checked(const SimPoolOptions& o) {
    require<OptionError>(o.channels > 0 && o.num_heads > 0 && o.channels % o.num_heads == 0 && o.gamma >= 0, "SimPool",
                         [&] {
                           return message("num_heads = ", o.num_heads, " must divide channels = ", o.channels,
                                          ", and gamma = ", o.gamma, " not be below 0");
                         });
    return o;
  }
  static LayerNormOptions<1> norm(Index channels, double eps) {
    LayerNormOptions<1> o;
    o.normalized_shape = channels, o.eps = eps;
    return o;
  }
  SimPoolOptions options_;
  LayerNorm<S> norm_;
  Dense<S> q_, k_;
  std::optional<LayerNorm<S>> q_norm_, k_norm_;
};

ATTEND_END
