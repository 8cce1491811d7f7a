#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/autograd/draw_normal.hpp"
#include "attend/functional/head_view.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/functional/relative_logits.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct BottleneckAttentionOptions {
  Index channels = 0;      ///< of the input; timm's dim
  Index out_channels = 0;  ///< of the output, num_heads must divide it; 0: channels
  Index height = 0;        ///< of the input: the relative positions belong to one size; timm's feat_size
  Index width = 0;
  Index stride = 1;  ///< 2: the output goes through a 2x2 average pool
  Index num_heads = 4;
  Index dim_head = 0;   ///< of query and key; 0: make_divisible(out_channels qk_ratio, 8) / num_heads
  double qk_ratio = 1;  ///< of query and key to the output
  bool qkv_bias = false;
  bool scale_pos_embed = false;  ///< true: the position scores are scaled like the products
};

/// Bottleneck attention (BoTNet; Srinivas et al. 2021, section 3; timm's BottleneckAttn): multi-head self-attention on
/// the grid with relative positions,
///
///   y = softmax(q k^T / sqrt(dim_head) + q (r_rows + r_columns)) v,        the position term with the unscaled q
///
/// unless scale_pos_embed.
/// x: (batch, height, width, channels)  ->  (batch, height, width, out_channels), halved sizes with stride 2.
/// Offers "weights" (batch, num_heads, H W, H W), rows of queries.
/// qkv.weight (2 num_heads dim_head + out_channels, channels, 1, 1): rows query, key, value, in each the heads one
/// after another; qkv.bias if asked for  pos_embed.height_rel (2 height - 1, dim_head)  pos_embed.width_rel (2 width -
/// 1, dim_head), for all heads and indexed by **key - query**. Drawn from normals of deviation 1/sqrt(channels) and
/// 1/sqrt(dim_head). Saved: the maps, the position scores, the output and two numbers per position and head. Throws
/// OptionError for sizes that do not fit each other, ShapeError for an input of another size.
template <class S>
class BottleneckAttention : public Layer<BottleneckAttention<S>> {
  /// timm's PosEmbedRel.
  struct Positions : Layer<Positions> {
    Positions(Index height, Index width, Index dim, Rng& rng)
        : height_rel({2 * height - 1, dim}), width_rel({2 * width - 1, dim}) {
      for (auto* table : {&height_rel, &width_rel}) detail::draw_normal(*table, 1 / std::sqrt(double(dim)), rng);
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("height_rel", self.height_rel);
      visit("width_rel", self.width_rel);
    }
    Parameter<S, 2> height_rel, width_rel;
  };

 public:
  BottleneckAttention(const BottleneckAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        qkv_({options_.channels, 2 * options_.num_heads * options_.dim_head + options_.out_channels, options_.qkv_bias},
             rng),
        pos_embed_(options_.height, options_.width, options_.dim_head, rng) {
    detail::draw_normal(qkv_.weight(), 1 / std::sqrt(double(options_.channels)), rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    const Shape<4> expected{x.dim(0), o.height, o.width, o.channels};
    require(x.shape() == expected, "BottleneckAttention", [&] {
      return message("x has shape ", x.shape(), "; its relative positions and channels are made for ", expected);
    });
    const Index positions = o.height * o.width, qk = o.num_heads * o.dim_head;
    const auto maps = qkv_(x);
    const auto qkv = maps.reshape(Shape<3>{x.dim(0), positions, maps.dim(3)});
    const auto query = take_heads(HeadView<S>(qkv, 0, o.num_heads, o.dim_head));
    const HeadView<S> key(qkv, qk, o.num_heads, o.dim_head),
        value(qkv, 2 * qk, o.num_heads, o.out_channels / o.num_heads);
    const double scale = 1 / std::sqrt(double(o.dim_head));
    const auto bias = relative_logits(query, pos_embed_.height_rel.on(x), pos_embed_.width_rel.on(x),
                                      o.scale_pos_embed ? scale : 1.0);
    const auto read =
        detail::attend_positions<BottleneckAttention, S>(*this, "BottleneckAttention", query, key, value, &bias, scale);
    const auto y = read.reshape(Shape<4>{x.dim(0), o.height, o.width, o.out_channels});
    if (o.stride == 1) return y;
    AvgPoolOptions pool;
    pool.kernel_size = 2;
    return avg_pool2d(y, pool);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv", self.qkv_);
    visit("pos_embed", self.pos_embed_);
  }

 private:
  static BottleneckAttentionOptions completed(BottleneckAttentionOptions o) {
    detail::check_sizes("BottleneckAttention", {{"height", o.height}, {"width", o.width}});
    require<OptionError>(o.channels > 0 && o.height > 0 && o.width > 0, "BottleneckAttention", [&] {
      return message("channels = ", o.channels, ", height = ", o.height, " and width = ", o.width, " must be above 0");
    });
    detail::complete_heads("BottleneckAttention", o);
    require<OptionError>(o.stride == 1 || o.stride == 2, "BottleneckAttention",
                         [&] { return message("stride = ", o.stride, " must be 1 or 2"); });
    return o;
  }
  BottleneckAttentionOptions options_;
  PointwiseConv<S> qkv_;
  Positions pos_embed_;
};

ATTEND_END
