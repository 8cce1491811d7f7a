#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct ClassAttentionOptions {
  Index channels = 0;     ///< timm's dim
  Index num_heads = 8;    ///< must divide channels
  bool qkv_bias = false;  ///< of the query, key and value projections
  double attn_drop = 0;   ///< probability of zeroing a weight, in training
  double proj_drop = 0;   ///< of zeroing a number of the result, in training
};

/// Class attention (Touvron et al. 2021, CaiT, section 3; timm's ClassAttn): the class token asks itself and all
/// others,
///
///   y = proj softmax(q(t_0) k(t)^T / sqrt(head_dim)) v(t).
///
/// tokens: (batch, 1 + length, channels), the class token first; or class token (batch, 1, channels) and feature map
/// (batch, height, width, channels)  ->  (batch, 1, channels). Offers "weights" (batch, num_heads, 1, 1 + length).
/// q.weight, k.weight, v.weight (channels, channels), biases if asked for  proj.*. Saved: tokens, keys, values, the
/// result. Throws OptionError unless num_heads divides channels, ShapeError for other channels or no token.
template <class S>
class ClassAttention : public Layer<ClassAttention<S>> {
 public:
  ClassAttention(const ClassAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        q_({options.channels, options.channels, options.qkv_bias}, rng),
        k_({options.channels, options.channels, options.qkv_bias}, rng),
        v_({options.channels, options.channels, options.qkv_bias}, rng),
        proj_({options.channels, options.channels}, rng) {}

  Variable<S, 3> forward(const Variable<S, 3>& tokens) const {
    const Index heads = options_.num_heads, dim = options_.channels / heads;
    require(tokens.dim(2) == options_.channels && tokens.dim(1) > 0, "ClassAttention", [&] {
      return message("tokens has shape ", tokens.shape(),
                     "; it must hold a class token and, last, channels = ", options_.channels);
    });
    const auto query = q_(slice(tokens, 0, 1, 1)), key = k_(tokens), value = v_(tokens);
    const auto read = detail::attend_positions<ClassAttention, S>(
        *this, "ClassAttention", HeadView<S>(query, 0, heads, dim), HeadView<S>(key, 0, heads, dim),
        HeadView<S>(value, 0, heads, dim), nullptr, 1 / std::sqrt(double(dim)), options_.attn_drop);
    return dropout(proj_(read.reshape(query.shape())), options_.proj_drop);
  }
  Variable<S, 3> forward(const Variable<S, 3>& class_token, const Variable<S, 4>& map) const {
    return forward(concat({class_token, detail::positions_of(map)}, 1));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("q", self.q_);
    visit("k", self.k_);
    visit("v", self.v_);
    visit("proj", self.proj_);
  }

 private:
  static const ClassAttentionOptions& checked(const ClassAttentionOptions& o) {
    detail::check_heads("ClassAttention", o.channels, o.num_heads);
    detail::check_probability("ClassAttention", o.attn_drop, "attn_drop");
    detail::check_probability("ClassAttention", o.proj_drop, "proj_drop");
    return o;
  }
  ClassAttentionOptions options_;
  Dense<S> q_, k_, v_, proj_;
};

ATTEND_END
