#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct SeparableAttentionOptions {
  Index channels = 0;    ///< timm's embed_dim
  bool bias = true;      ///< of both projections
  double attn_drop = 0;  ///< probability of zeroing a weight, in training
  double proj_drop = 0;  ///< of zeroing a number of the result, in training
};

/// Separable self-attention (Mehta and Rastegari 2022, MobileViTv2, section 3.1; timm's LinearSelfAttention): one score
/// for each position makes one context vector, which gates the values,
///
///   y_i = out_proj(relu(v_i) sum_j s_j k_j),   s = softmax over the row of q.
///
/// x: (batch, pixels, patches, channels), a map unfolded into patches, each row attending by itself; a whole map is
/// (batch, 1, height width, channels)  ->  the same shape. Offers "weights" (batch, pixels, patches).
/// qkv_proj.weight (1 + 2 channels, channels, 1, 1): one query, the keys, the values; qkv_proj.bias  out_proj.*. Saved:
/// the projections. Throws OptionError unless channels are above 0, ShapeError for others.
template <class S>
class SeparableAttention : public Layer<SeparableAttention<S>> {
 public:
  SeparableAttention(const SeparableAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        qkv_proj_({options.channels, 1 + 2 * options.channels, options.bias}, rng),
        out_proj_({options.channels, options.channels, options.bias}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const Index C = options_.channels, rows = x.dim(0) * x.dim(1), patches = x.dim(2);
    detail::check_map_channels("SeparableAttention", x.shape(), C);
    const auto parts = split(qkv_proj_(x), {1, C, C}, 3);
    const auto scores = softmax(parts[0].reshape(Shape<3>{rows, 1, patches}));
    offer(*this, "weights", scores.reshape(Shape<3>{x.dim(0), x.dim(1), patches}));
    const auto context = matmul(dropout(scores, options_.attn_drop), parts[1].reshape(Shape<3>{rows, patches, C}));
    const auto gated = relu(parts[2]) * context.reshape(Shape<4>{x.dim(0), x.dim(1), 1, C});
    return dropout(out_proj_(gated), options_.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv_proj", self.qkv_proj_);
    visit("out_proj", self.out_proj_);
  }

 private:
  static const SeparableAttentionOptions& checked(const SeparableAttentionOptions& o) {
    detail::check_sizes("SeparableAttention", {{"channels", o.channels}});
    require<OptionError>(o.channels > 0, "SeparableAttention",
                         [&] { return message("channels = ", o.channels, " must be above 0"); });
    detail::check_probability("SeparableAttention", o.attn_drop, "attn_drop");
    detail::check_probability("SeparableAttention", o.proj_drop, "proj_drop");
    return o;
  }
  SeparableAttentionOptions options_;
  PointwiseConv<S> qkv_proj_, out_proj_;
};

ATTEND_END
