#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/attention/spatial/windows.hpp"
#include "attend/autograd/draw_normal.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/functional/relative_logits.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct HaloAttentionOptions {
  Index channels = 0;      ///< of the input; timm's dim
  Index out_channels = 0;  ///< num_heads must divide it; 0: channels
  Index stride = 1;        ///< 2: of every second query row and column, or of the average pool
  Index num_heads = 8;
  Index dim_head = 0;    ///< of query and key; 0: make_divisible(out_channels qk_ratio, 8) / num_heads
  Index block_size = 8;  ///< rows and columns of a block of queries; must divide height and width
  Index halo_size = 3;   ///< how far around their block queries look
  double qk_ratio = 1;   ///< of query and key to the output
  bool qkv_bias = false;
  bool avg_down = false;         ///< stride by an average pool; also where stride does not divide block_size
  bool scale_pos_embed = false;  ///< true: the position scores are scaled like the products
};

/// Halo attention (Vaswani et al. 2021, section 2.2; timm's HaloAttn): the queries of a block attend to the block and a
/// halo around it, with BoTNet's relative positions,
///
///   y = softmax(q k^T / sqrt(dim_head) + q (r_rows + r_columns)) v.
///
/// Beyond the map the halo holds zeros for key and value, **which nothing masks**: they take their share of the
/// softmax, in timm too.
/// x: (batch, height, width, channels)  ->  (batch, height, width, out_channels), halved sizes with stride 2.
/// Offers "weights" (batch blocks, num_heads, block queries, window keys).
/// q.weight (num_heads dim_head, channels, 1, 1), one head after another  kv.weight (num_heads (dim_head + value dim),
/// channels, 1, 1), **in each head first key, then value**; biases if asked for  pos_embed.height_rel,
/// pos_embed.width_rel (2 window - 1, dim_head) with window = block_size + 2 halo_size, indexed by **key - query**.
/// Saved: the maps, the windows, the position scores, the output. Throws OptionError for sizes that do not fit each
/// other, ShapeError for other channels and where blocks do not fit the map.
template <class S>
class HaloAttention : public Layer<HaloAttention<S>> {
 public:
  HaloAttention(const HaloAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        pooled_(options_.stride > 1 && (options_.avg_down || options_.block_size % options_.stride != 0)),
        q_({options_.channels, options_.num_heads * options_.dim_head, options_.qkv_bias}, rng),
        kv_({options_.channels, options_.num_heads * options_.dim_head + options_.out_channels, options_.qkv_bias},
            rng),
        height_rel_({2 * window() - 1, options_.dim_head}),
        width_rel_({2 * window() - 1, options_.dim_head}) {
    const double of_maps = 1 / std::sqrt(double(options_.channels)),
                 of_positions = 1 / std::sqrt(double(options_.dim_head));
    for (auto* map : {&q_, &kv_}) detail::draw_normal(map->weight(), of_maps, rng);
    for (auto* table : {&height_rel_, &width_rel_}) detail::draw_normal(*table, of_positions, rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    require(x.dim(3) == o.channels && x.dim(1) > 0 && x.dim(2) > 0 && x.dim(1) % o.block_size == 0 &&
                x.dim(2) % o.block_size == 0,
            "HaloAttention", [&] {
              return message("x has shape ", x.shape(), "; it must have channels = ", o.channels,
                             ", and block_size = ", o.block_size, " must divide its height and width");
            });
    const Index batch = x.dim(0), step = pooled_ ? 1 : o.stride, heads = o.num_heads, dim = o.dim_head,
                value_dim = o.out_channels / heads, queries = o.block_size / step;
    const auto seen = step == 1 ? x : slice(slice(x, 0, to_end, 1, step), 0, to_end, 2, step);
    const detail::Windows blocks(seen.dim(1), seen.dim(2), queries, 0);
    const auto cut = blocks.cut(q_(seen));
    const auto query = cut.reshape(Shape<4>{cut.dim(0), cut.dim(1), heads, dim});
    const auto kv = kv_(x).reshape(Shape<4>{batch, x.dim(1) * x.dim(2), heads, dim + value_dim});
    const auto places = halo_places(x.dim(1), x.dim(2));
    const auto around = [&](const Variable<S, 4>& part) {
      const Index width = part.dim(3);
      const auto rows = detail::gather_positions(part.reshape(Shape<3>{batch, part.dim(1), heads * width}), places);
      return rows.reshape(Shape<4>{cut.dim(0), window() * window(), heads, width});
    };
    const auto key = around(slice(kv, 0, dim, 3)), value = around(slice(kv, dim, to_end, 3));
    const double scale = 1 / std::sqrt(double(dim));
    const auto bias =
        relative_logits(query, height_rel_.on(x), width_rel_.on(x), o.scale_pos_embed ? scale : 1.0, Pair(queries));
    const auto read =
        detail::attend_positions<HaloAttention, S>(*this, "HaloAttention", query, key, value, &bias, scale);
    const auto y = blocks.join(read.reshape(Shape<3>{cut.dim(0), cut.dim(1), o.out_channels}), batch);
    if (!pooled_) return y;
    AvgPoolOptions pool;
    pool.kernel_size = 2;
    return avg_pool2d(y, pool);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("q", self.q_);
    visit("kv", self.kv_);
    visit("pos_embed.height_rel", self.height_rel_);
    visit("pos_embed.width_rel", self.width_rel_);
  }

 private:
  Index window() const { return options_.block_size + 2 * options_.halo_size; }
  /// The positions that each block sees, block by block, row by row.
  std::vector<Index> halo_places(Index height, Index width) const {
    std::vector<Index> places;
    for (Index top = -options_.halo_size; top + options_.halo_size < height; top += options_.block_size)
      for (Index left = -options_.halo_size; left + options_.halo_size < width; left += options_.block_size)
        for (Index i = top; i < top + window(); ++i)
          for (Index j = left; j < left + window(); ++j)
            places.push_back(i < 0 || i >= height || j < 0 || j >= width ? detail::outside : i * width + j);
    return places;
  }
  static HaloAttentionOptions completed(HaloAttentionOptions o) {
    detail::check_sizes("HaloAttention", {{"block_size", o.block_size}, {"halo_size", o.halo_size}});
    detail::complete_heads("HaloAttention", o);
    require<OptionError>((o.stride == 1 || o.stride == 2) && o.block_size > 0 && o.halo_size >= 0, "HaloAttention",
                         [&] {
                           return message("stride = ", o.stride, " must be 1 or 2, block_size = ", o.block_size,
                                          " above 0, and halo_size = ", o.halo_size, " not below");
                         });
    return o;
  }
  HaloAttentionOptions options_;
  bool pooled_;
  PointwiseConv<S> q_, kv_;
  Parameter<S, 2> height_rel_, width_rel_;
};

ATTEND_END
