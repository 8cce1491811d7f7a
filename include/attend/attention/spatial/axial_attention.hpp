#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct AxialAttentionOptions {
  Index channels = 0;
  Index num_heads = 8;
  Index dim_head = 0;        ///< 0: channels / num_heads
  bool in_sequence = false;  ///< true: rows after columns, of their result; false: the sum of both
};

/// Self-attention along the columns and along the rows of a map, each with projections of its own (Ho et al. 2019,
/// Axial Attention, section 3): height + width scores for a position in place of height width.
///
///   a(x) = to_out softmax(q k^T / sqrt(dim_head)) v,   y = a_columns(x) + a_rows(x)   or   a_rows(a_columns(x))
///
/// x: (batch, height, width, channels), any size  ->  the same shape. Offers "weights" of axial_attentions.0 (batch
/// width, num_heads, height, height) and of axial_attentions.1 (batch height, num_heads, width, width).
/// axial_attentions.{0, 1}.fn.to_q.weight (num_heads dim_head, channels)  to_kv.weight (2 num_heads dim_head, channels)
/// to_out.weight (channels, num_heads dim_head)  to_out.bias: names of the package axial-attention. Saved: the maps,
/// the outputs and two numbers per position and head. Throws OptionError for sizes that do not fit each other,
/// ShapeError for other channels.
template <class S>
class AxialAttention : public Layer<AxialAttention<S>> {
  struct Along : Layer<Along> {
    Along(const AxialAttentionOptions& o, Rng& rng)
        : options(o),
          to_q({o.channels, o.num_heads * o.dim_head, false}, rng),
          to_kv({o.channels, 2 * o.num_heads * o.dim_head, false}, rng),
          to_out({o.num_heads * o.dim_head, o.channels}, rng) {}
    /// x: (batch, lines, length, channels)
    Variable<S, 4> forward(const Variable<S, 4>& x) const {
      const Index heads = options.num_heads, dim = options.dim_head;
      const auto lines = x.reshape(Shape<3>{x.dim(0) * x.dim(1), x.dim(2), x.dim(3)});
      const auto query = to_q(lines), kv = to_kv(lines);
      const HeadView<S> key(kv, 0, heads, dim), value(kv, heads * dim, heads, dim);
      const auto read = detail::attend_positions<Along, S>(*this, "AxialAttention", HeadView<S>(query, 0, heads, dim),
                                                           key, value, nullptr, 1 / std::sqrt(double(dim)));
      return to_out(read.reshape(query.shape())).reshape(x.shape());
    }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("fn.to_q", self.to_q);
      visit("fn.to_kv", self.to_kv);
      visit("fn.to_out", self.to_out);
    }
    AxialAttentionOptions options;
    Dense<S> to_q, to_kv, to_out;
  };

 public:
  AxialAttention(const AxialAttentionOptions& options, Rng& rng)
      : options_(completed(options)), columns_(options_, rng), rows_(options_, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("AxialAttention", x.shape(), options_.channels);
    const auto down = transpose(columns_(transpose(x, {0, 2, 1, 3})), {0, 2, 1, 3});
    return options_.in_sequence ? rows_(down) : down + rows_(x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("axial_attentions.0", self.columns_);
    visit("axial_attentions.1", self.rows_);
  }

 private:
  static AxialAttentionOptions completed(AxialAttentionOptions o) {
    detail::check_sizes("AxialAttention",
                        {{"channels", o.channels}, {"num_heads", o.num_heads}, {"dim_head", o.dim_head}});
    require<OptionError>(o.channels > 0 && o.num_heads > 0 && o.dim_head >= 0, "AxialAttention", [&] {
      return message("channels = ", o.channels, " and num_heads = ", o.num_heads,
                     " must be above 0, dim_head = ", o.dim_head, " not below");
    });
    if (o.dim_head == 0) o.dim_head = o.channels / o.num_heads;
    require<OptionError>(o.dim_head > 0, "AxialAttention", [&] {
      return message("num_heads = ", o.num_heads, " leave no channel to a head of channels = ", o.channels,
                     "; give dim_head");
    });
    return o;
  }
  AxialAttentionOptions options_;
  Along columns_, rows_;
};

ATTEND_END
