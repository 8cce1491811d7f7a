#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/autograd/draw_normal.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/kernels/window.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

/// How GridAttentionPool knows where a position lies.
enum class GridPositions {
  learned,  ///< a vector for each position of one size of map (CLIP): timm's AttentionPool2d
  rotary    ///< keys turned by row and column, for maps of any size: timm's RotAttentionPool2d
};

struct GridAttentionPoolOptions {
  Index channels = 0;      ///< of the map; timm's in_features
  Index out_channels = 0;  ///< of the result; 0: channels
  Index embed_dim = 0;     ///< of query, key and value; 0: channels
  Index head_dim = 64;     ///< must divide embed_dim; rotary: a multiple of 4
  Index num_heads = 0;     ///< must divide embed_dim; 0: embed_dim / head_dim
  GridPositions positions = GridPositions::learned;
  Index height = 7;  ///< of the map; rotary: of the map that positions are scaled to, timm's ref_feat_size
  Index width = 7;   ///< of that map
  bool qkv_bias = true;
  bool project = true;   ///< false: no `proj`, timm's out_features = 0
  double drop_rate = 0;  ///< probability of zeroing a pooled number before the projection, in training
};

/// Pooling of a feature map by attention (Radford et al. 2021, CLIP, section 2.4): the mean position asks itself and
/// all positions,
///
///   t = [mean x, x] + pos_embed,   y = proj softmax(q(t_0) k(t)^T / sqrt(head_dim)) v(t).
///
/// Rotary: no pos_embed; each pair (2 i, 2 i + 1) of a key's numbers turns by f_i row (first half of the pairs) or f_i
/// column, f_i = 10000^(-4 i / head_dim), rows and columns scaled to height and width; the mean does not turn.
/// x: (batch, height, width, channels)  ->  (batch, out_channels). Offers "weights" (batch, num_heads, 1, 1 + H W),
/// first the mean's.
/// pos_embed (1 + height width, channels)  qkv.weight (3 embed_dim, channels)  qkv.bias  proj.*. Throws OptionError for
/// sizes that do not fit each other, ShapeError for other channels or, with learned positions, another size of map
/// (timm resamples them; do that before loading). timm turns by float32 angles: rotary agrees to 1e-6.
template <class S>
class GridAttentionPool : public Layer<GridAttentionPool<S>> {
 public:
  GridAttentionPool(const GridAttentionPoolOptions& options, Rng& rng)
      : options_(completed(options)), qkv_({options_.channels, 3 * options_.embed_dim, options_.qkv_bias}, rng) {
    const double deviation = 1 / std::sqrt(double(options_.channels));
    detail::draw_normal(qkv_.weight(), deviation, rng);
    if (qkv_.bias()) qkv_.bias()->edit().setZero();
    if (options_.project) proj_.emplace(DenseOptions{options_.embed_dim, options_.out_channels}, rng);
    if (options_.positions == GridPositions::rotary) return;
    pos_embed_.emplace(Shape<2>{1 + options_.height * options_.width, options_.channels});
    detail::draw_normal(*pos_embed_, deviation, rng);
  }

  Variable<S, 2> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    require(x.dim(3) == o.channels && x.dim(1) > 0 && x.dim(2) > 0 &&
                (!pos_embed_ || (x.dim(1) == o.height && x.dim(2) == o.width)),
            "GridAttentionPool", [&] {
              return message("x has shape ", x.shape(), "; it must have positions and channels = ", o.channels,
                             pos_embed_
                                 ? ", and its position embedding is made for " + to_string(Pair(o.height, o.width))
                                 : std::string());
            });
    const Index batch = x.dim(0), E = o.embed_dim, dim = E / o.num_heads;
    const auto map = detail::positions_of(x);
    auto tokens = concat({mean(map, {1}, keep_dims), map}, 1);
    if (pos_embed_) tokens = tokens + pos_embed_->on(x).reshape(Shape<3>{1, tokens.dim(1), o.channels});
    const auto qkv = qkv_(tokens);
    const auto query = slice(slice(qkv, 0, 1, 1), 0, E, 2);
    auto key = take_heads(HeadView<S>(qkv, E, o.num_heads, dim));
    if (o.positions == GridPositions::rotary) key = turned(key, x.dim(1), x.dim(2));
    const auto read = detail::attend_positions<GridAttentionPool, S>(
        *this, "GridAttentionPool", HeadView<S>(query, 0, o.num_heads, dim), key,
        HeadView<S>(qkv, 2 * E, o.num_heads, dim), nullptr, 1 / std::sqrt(double(dim)));
    const auto pooled = dropout(read.reshape(Shape<2>{batch, E}), o.drop_rate);
    return proj_ ? (*proj_)(pooled) : pooled;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.pos_embed_) visit("pos_embed", *self.pos_embed_);
    visit("qkv", self.qkv_);
    if (self.proj_) visit("proj", *self.proj_);
  }

 private:
  /// (a, b) -> (a cos - b sin, b cos + a sin) for each pair of a key's numbers: key cosines + partners signed sines.
  Variable<S, 4> turned(const Variable<S, 4>& key, Index height, Index width) const {
    const Index dim = key.dim(3), tokens = key.dim(1), pairs = dim / 2;
    const Shape<4> shape{1, tokens, 1, dim};
    const auto cosines = make_buffer<S>(tokens * dim, S(1)), sines = make_buffer<S>(tokens * dim, S(0));
    for (Index t = 1; t < tokens; ++t)
      for (Index i = 0; i < pairs; ++i) {
        const Index band = i % (pairs / 2), row = (t - 1) / width, column = (t - 1) % width;
        const double at = i < pairs / 2 ? double(row * options_.height) / double(height)
                                        : double(column * options_.width) / double(width);
        const double angle = at * std::pow(10000., -4 * double(band) / double(dim));
        const Index first = t * dim + 2 * i;
        cosines.get()[first] = cosines.get()[first + 1] = S(std::cos(angle));
        sines.get()[first] = S(-std::sin(angle)), sines.get()[first + 1] = S(std::sin(angle));
      }
    const auto partners = make_buffer<Index>(dim);
    for (Index c = 0; c < dim; ++c) partners.get()[c] = c % 2 == 0 ? c + 1 : c - 1;
    return key * Variable<S, 4>(shape, cosines) +
           index_select(key, Variable<Index, 1>(Shape<1>{dim}, partners), 3) * Variable<S, 4>(shape, sines);
  }
  static GridAttentionPoolOptions completed(GridAttentionPoolOptions o) {
    detail::check_sizes(
        "GridAttentionPool",
        {{"channels", o.channels}, {"embed_dim", o.embed_dim}, {"height", o.height}, {"width", o.width}});
    require<OptionError>(o.channels > 0 && o.out_channels >= 0 && o.embed_dim >= 0 && o.height > 0 && o.width > 0,
                         "GridAttentionPool", [&] {
                           return message("channels = ", o.channels, ", height = ", o.height, " and width = ", o.width,
                                          " must be above 0, out_channels = ", o.out_channels,
                                          " and embed_dim = ", o.embed_dim, " not below");
                         });
    if (o.embed_dim == 0) o.embed_dim = o.channels;
    if (o.out_channels == 0) o.out_channels = o.channels;
    if (o.num_heads == 0 && o.head_dim > 0 && o.embed_dim % o.head_dim == 0) o.num_heads = o.embed_dim / o.head_dim;
    require<OptionError>(o.num_heads > 0 && o.embed_dim % o.num_heads == 0, "GridAttentionPool", [&] {
      return message("num_heads = ", o.num_heads, ", or else head_dim = ", o.head_dim,
                     ", must divide embed_dim = ", o.embed_dim);
    });
    require<OptionError>(o.positions == GridPositions::learned || o.embed_dim / o.num_heads % 4 == 0,
                         "GridAttentionPool", [&] {
                           return message("embed_dim / num_heads = ", o.embed_dim / o.num_heads,
                                          " must be a multiple of 4 with rotary positions");
                         });
    detail::check_probability("GridAttentionPool", o.drop_rate, "drop_rate");
    return o;
  }
  GridAttentionPoolOptions options_;
  Dense<S> qkv_;
  std::optional<Dense<S>> proj_;
  std::optional<Parameter<S, 2>> pos_embed_;
};

ATTEND_END
