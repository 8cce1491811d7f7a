#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/l2_normalize.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct CrossCovarianceAttentionOptions {
  Index channels = 0;   ///< timm's dim
  Index num_heads = 8;  ///< must divide channels
  bool qkv_bias = false;
  double attn_drop = 0;  ///< probability of zeroing a weight, in training
  double proj_drop = 0;  ///< of zeroing a number of the result, in training
};

/// Cross-covariance attention (El-Nouby et al. 2021, XCiT, section 3.2; timm's XCA, also EdgeNeXt's): channels attend
/// to channels of their head, by how alike they are over all positions,
///
///   y = proj softmax(temperature cos(q_channel, k_channel)) v     with head_dim x head_dim weights.
///
/// x: (batch, height, width, channels) or (batch, length, channels)  ->  the same shape. Offers "weights" (batch,
/// num_heads, head_dim, head_dim).
/// temperature (num_heads, 1, 1), starts at 1  qkv.weight (3 channels, channels), rows query, key, value  [qkv.bias]
/// proj.*. Saved: the projections, the output. Throws OptionError unless num_heads divides channels, ShapeError for
/// other channels or no positions.
template <class S>
class CrossCovarianceAttention : public Layer<CrossCovarianceAttention<S>> {
 public:
  CrossCovarianceAttention(const CrossCovarianceAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        temperature_({options.num_heads, 1, 1}, S(1)),
        qkv_({options.channels, 3 * options.channels, options.qkv_bias}, rng),
        proj_({options.channels, options.channels}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const { return forward(detail::positions_of(x)).reshape(x.shape()); }
  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    const Index C = options_.channels, heads = options_.num_heads, dim = C / heads;
    require(x.dim(2) == C && x.dim(1) > 0, "CrossCovarianceAttention",
            [&] { return message("x has shape ", x.shape(), "; it must have positions and, last, channels = ", C); });
    const auto qkv = qkv_(x);
    const auto channels = [&](Index first) {  // (batch, head_dim, heads, positions)
      return transpose(take_heads(HeadView<S>(qkv, first, heads, dim)), {0, 3, 2, 1});
    };
    const auto query = l2_normalize(channels(0)) * temperature_.on(x).reshape(Shape<4>{1, 1, heads, 1});
    const auto read = detail::attend_positions<CrossCovarianceAttention, S>(*this, "CrossCovarianceAttention", query,
                                                                            l2_normalize(channels(C)), channels(2 * C),
                                                                            nullptr, 1, options_.attn_drop);
    return dropout(proj_(transpose(read, {0, 3, 2, 1}).reshape(x.shape())), options_.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("temperature", self.temperature_);
    visit("qkv", self.qkv_);
    visit("proj", self.proj_);
  }

 private:
  static const CrossCovarianceAttentionOptions& checked(const CrossCovarianceAttentionOptions& o) {
    detail::check_heads("CrossCovarianceAttention", o.channels, o.num_heads);
    detail::check_probability("CrossCovarianceAttention", o.attn_drop, "attn_drop");
    detail::check_probability("CrossCovarianceAttention", o.proj_drop, "proj_drop");
    return o;
  }
  CrossCovarianceAttentionOptions options_;
  Parameter<S, 3> temperature_;
  Dense<S> qkv_, proj_;
};

ATTEND_END
