#pragma once
#include "attend/attention/spatial/heads.hpp"
#include "attend/autograd/draw_normal.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/embedding.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct LambdaLayerOptions {
  Index channels = 0;      ///< of the input; timm's dim
  Index out_channels = 0;  ///< num_heads must divide it; 0: channels
  Index stride = 1;        ///< 2: the output goes through a 2x2 average pool
  Index num_heads = 4;     ///< of the query
  Index dim_head = 16;     ///< of query and key; 0: make_divisible(out_channels qk_ratio, 8) / num_heads
  Index r = 9;             ///< rows and columns of the position convolution, odd; 0: relative positions of a fixed size
  Index height = 0;        ///< of the map, with r = 0; timm's feat_size
  Index width = 0;
  double qk_ratio = 1;
  bool qkv_bias = false;
};

/// Lambda layer (Bello 2021, LambdaNetworks, section 3; timm's LambdaLayer): keys and values make linear functions, one
/// of the content and one of the position, which are applied to the queries,
///
///   y_n = (softmax_m(k)^T v + E_n v) q_n,   v = BN(v),  q = BN(q),
///
/// where E_n v is a convolution over r x r neighbours, or a sum over all positions m with an embedding of m - n.
/// x: (batch, height, width, channels)  ->  (batch, height, width, out_channels), halved sizes with stride 2.
/// Offers "keys" (batch, dim_head, H W), whose rows sum to one.
/// qkv.weight (num_heads dim_head + dim_head + value dim, channels, 1, 1): query, one key, one value; value dim =
/// out_channels / num_heads  norm_q.*  norm_v.*  conv_lambda.weight (dim_head, 1, r, r, 1)  conv_lambda.bias, or
/// pos_emb (2 height - 1, 2 width - 1, dim_head), indexed by **key - query**.
/// Saved: the maps and dim_head value dim numbers for each position. Throws OptionError for sizes that do not fit each
/// other, ShapeError for other channels or, with pos_emb, another size of map.
template <class S>
class LambdaLayer : public Layer<LambdaLayer<S>> {
 public:
  LambdaLayer(const LambdaLayerOptions& options, Rng& rng)
      : options_(completed(options)),
        qkv_({options_.channels, (options_.num_heads + 1) * options_.dim_head + value_dim(), options_.qkv_bias}, rng),
        norm_q_(norm(options_.num_heads * options_.dim_head)),
        norm_v_(norm(value_dim())) {
    const auto& o = options_;
    detail::draw_normal(qkv_.weight(), 1 / std::sqrt(double(o.channels)), rng);
    if (o.r > 0) {
      conv_weight_.emplace(Shape<5>{o.dim_head, 1, o.r, o.r, 1});
      detail::draw_normal(*conv_weight_, 1 / std::sqrt(double(o.dim_head)), rng);
      conv_bias_.emplace(Shape<1>{o.dim_head}, rng, 1 / double(o.r));
    } else {
      pos_emb_.emplace(Shape<3>{2 * o.height - 1, 2 * o.width - 1, o.dim_head});
      detail::draw_normal(*pos_emb_, 0.02, rng);
    }
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    require(x.dim(3) == o.channels && (o.r > 0 || (x.dim(1) == o.height && x.dim(2) == o.width)), "LambdaLayer", [&] {
      return message("x has shape ", x.shape(), "; its channels must be ", o.channels,
                     o.r > 0 ? "" : ", and its positions are made for " + to_string(Pair(o.height, o.width)));
    });
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2), K = o.dim_head, V = value_dim(), heads = o.num_heads;
    const auto parts = split(qkv_(x), {heads * K, K, V}, 3);
    const auto query = norm_q_(parts[0]).reshape(Shape<4>{batch, positions, heads, K});
    const auto value = norm_v_(parts[2]);
    const auto key = softmax(transpose(parts[1].reshape(Shape<3>{batch, positions, K}), {0, 2, 1}));
    offer(*this, "keys", key);
    const auto content = matmul(key, value.reshape(Shape<3>{batch, positions, V}));  // (batch, K, V)
    const auto of_content = matmul(query.reshape(Shape<3>{batch, positions * heads, K}), content);
    const auto by_position = query.reshape(Shape<3>{batch * positions, heads, K});
    const auto of_position = o.r > 0 ? matmul(by_position, convolved(value), Side::plain, Side::transposed)
                                     : matmul(by_position, embedded(value));
    const auto y = of_content.reshape(Shape<4>{batch, x.dim(1), x.dim(2), o.out_channels}) +
                   of_position.reshape(Shape<4>{batch, x.dim(1), x.dim(2), o.out_channels});
    if (o.stride == 1) return y;
    AvgPoolOptions pool;
    pool.kernel_size = 2;
    return avg_pool2d(y, pool);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv", self.qkv_);
    visit("norm_q", self.norm_q_);
    visit("norm_v", self.norm_v_);
    if (self.conv_weight_) {
      visit("conv_lambda.weight", *self.conv_weight_);
      visit("conv_lambda.bias", *self.conv_bias_);
    } else {
      visit("pos_emb", *self.pos_emb_);
    }
  }

 private:
  Index value_dim() const { return options_.out_channels / options_.num_heads; }
  /// The position lambdas (batch H W, V, K): each channel of v convolved alone, by the same K filters.
  Variable<S, 3> convolved(const Variable<S, 4>& v) const {
    const Index batch = v.dim(0), height = v.dim(1), width = v.dim(2), V = v.dim(3), K = options_.dim_head,
                r = options_.r;
    const auto planes = transpose(v, {0, 3, 1, 2}).reshape(Shape<4>{batch * V, height, width, 1});
    ConvolutionOptions same;
    same.padding = r / 2;
    const auto lambdas = conv2d(planes, conv_weight_->on(v).reshape(Shape<4>{K, 1, r, r}), conv_bias_->on(v), same);
    return transpose(lambdas.reshape(Shape<4>{batch, V, height * width, K}), {0, 2, 1, 3})
        .reshape(Shape<3>{batch * height * width, V, K});
  }
  /// The position lambdas (batch H W, K, V), from the embedding of every pair of positions.
  Variable<S, 3> embedded(const Variable<S, 4>& v) const {
    const Index height = v.dim(1), width = v.dim(2), n = height * width, K = options_.dim_head;
    Variable<Index, 1> rows(Shape<1>{n * n}, make_buffer<Index>(n * n));
    Index* to = rows.buffer().get();
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        *to++ = (j / width - i / width + height - 1) * (2 * width - 1) + j % width - i % width + width - 1;
    const auto pairs = embedding(rows, pos_emb_->on(v).reshape(Shape<2>{(2 * height - 1) * (2 * width - 1), K}));
    const auto of_query = transpose(pairs.reshape(Shape<3>{n, n, K}), {0, 2, 1}).reshape(Shape<3>{1, n * K, n});
    return matmul(of_query, v.reshape(Shape<3>{v.dim(0), n, v.dim(3)})).reshape(Shape<3>{v.dim(0) * n, K, v.dim(3)});
  }
  static LambdaLayerOptions completed(LambdaLayerOptions o) {
    detail::check_sizes("LambdaLayer", {{"r", o.r}, {"height", o.height}, {"width", o.width}});
    detail::complete_heads("LambdaLayer", o);
    require<OptionError>((o.stride == 1 || o.stride == 2) && (o.r == 0 || (o.r > 0 && o.r % 2 == 1)) &&
                             (o.r > 0 || (o.height > 0 && o.width > 0)),
                         "LambdaLayer", [&] {
                           return message("stride = ", o.stride, " must be 1 or 2, r = ", o.r,
                                          " odd, or 0 with height = ", o.height, " and width = ", o.width, " above 0");
                         });
    return o;
  }
  static BatchNormOptions norm(Index channels) {
    BatchNormOptions norm;
    norm.channels = channels;
    return norm;
  }
  LambdaLayerOptions options_;
  PointwiseConv<S> qkv_;
  BatchNorm<S> norm_q_, norm_v_;
  std::optional<Parameter<S, 5>> conv_weight_;
  std::optional<Parameter<S, 1>> conv_bias_;
  std::optional<Parameter<S, 3>> pos_emb_;
};

ATTEND_END
