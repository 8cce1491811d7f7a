#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/pointwise_conv.hpp"
#include "attend/layers/relative_position_bias.hpp"

ATTEND_BEGIN

struct RelativeAttentionOptions {
  Index channels = 0;      ///< dim_head must divide it
  Index out_channels = 0;  ///< of the projection; 0: channels
  Index height = 0;        ///< of the map: the relative positions belong to one size
  Index width = 0;
  Index dim_head = 32;
  double attn_drop = 0;  ///< probability of zeroing a weight, in training
  double proj_drop = 0;  ///< of zeroing a number of the result, in training
};

/// Attention of all positions with a learned bias for each relative position (CoAtNet; Dai et al. 2021, eq. 3; timm's
/// Attention2d with RelPosBias, expand_first=False):
///
///   y = proj softmax(q k^T / sqrt(dim_head) + B) v,   B by **query - key**
///
/// x: (batch, height, width, channels)  ->  (batch, height, width, out_channels). Offers "weights" (batch, heads, H W,
/// H W), rows of queries.
/// qkv.weight (3 channels, channels, 1, 1), **in each head query, key, value**  qkv.bias
/// rel_pos.relative_position_bias_table ((2 height - 1)(2 width - 1), heads)  proj.weight (out_channels, channels, 1, 1)
/// proj.bias. Saved: the maps, their parts, the output and two numbers per position and head. Throws OptionError for
/// sizes that do not fit each other, ShapeError for an input of another size.
template <class S>
class RelativeAttention : public Layer<RelativeAttention<S>> {
 public:
  RelativeAttention(const RelativeAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        qkv_({options_.channels, 3 * options_.channels, true}, rng),
        rel_pos_({options_.height, options_.width, options_.channels / options_.dim_head, false}, rng),
        proj_({options_.channels, options_.out_channels, true}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    const Shape<4> expected{x.dim(0), o.height, o.width, o.channels};
    require(x.shape() == expected, "RelativeAttention", [&] {
      return message("x has shape ", x.shape(), "; its relative positions and channels are made for ", expected);
    });
    const Index positions = o.height * o.width, heads = o.channels / o.dim_head;
    const auto qkv = qkv_(x).reshape(Shape<4>{x.dim(0), positions, heads, 3 * o.dim_head});
    const auto parts = split(qkv, {o.dim_head, o.dim_head, o.dim_head}, 3);
    const auto bias = rel_pos_.bias(x);
    const auto read =
        detail::attend_positions<RelativeAttention, S>(*this, "RelativeAttention", parts[0], parts[1], parts[2], &bias,
                                                       1 / std::sqrt(double(o.dim_head)), o.attn_drop);
    return dropout(proj_(read.reshape(x.shape())), o.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv", self.qkv_);
    visit("rel_pos", self.rel_pos_);
    visit("proj", self.proj_);
  }

 private:
  static RelativeAttentionOptions completed(RelativeAttentionOptions o) {
    detail::check_sizes("RelativeAttention", {{"channels", o.channels}});
    require<OptionError>(o.dim_head > 0 && o.channels > 0 && o.channels % o.dim_head == 0 && o.out_channels >= 0,
                         "RelativeAttention", [&] {
                           return message("dim_head = ", o.dim_head,
                                          " must be above 0 and divide channels = ", o.channels,
                                          ", out_channels = ", o.out_channels, " not be below 0");
                         });
    detail::check_probability("RelativeAttention", o.attn_drop, "attn_drop");
    detail::check_probability("RelativeAttention", o.proj_drop, "proj_drop");
    if (o.out_channels == 0) o.out_channels = o.channels;
    return o;
  }
  RelativeAttentionOptions options_;
  PointwiseConv<S> qkv_;
  RelativePositionBias<S> rel_pos_;
  PointwiseConv<S> proj_;
};

ATTEND_END
