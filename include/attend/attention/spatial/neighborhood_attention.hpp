#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/autograd/draw_normal.hpp"
#include "attend/functional/bias_table.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/expand.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct NeighborhoodAttentionOptions {
  Index channels = 0;
  Index num_heads = 4;    ///< must divide channels
  Index kernel_size = 7;  ///< rows and columns of a neighbourhood, odd and above 1
  Index dilation = 1;     ///< positions from one neighbour to the next; kernel_size dilation must fit the map
  bool qkv_bias = true;
  bool position_bias = true;  ///< add a learned number for each offset
  double attn_drop = 0;       ///< probability of zeroing a weight, in training
  double proj_drop = 0;       ///< of zeroing a number of the result, in training
};

/// Neighbourhood attention (Hassani et al. 2023, NAT, section 3.2; dilated: Hassani and Shi 2022, DiNAT): a position
/// attends to the kernel x kernel positions nearest to it, at the border those of the nearest window that fits,
///
///   y_i = proj softmax over neighbours j (q_i k_j / sqrt(head_dim) + rpb(j - i)) v_j
///
/// with offsets j - i in rows and columns; dilated, neighbours are of the position's own residue by dilation, and
/// offsets in steps of it.
/// x: (batch, height, width, channels)  ->  the same shape. Offers "weights" (batch H W, num_heads, 1, kernel^2).
/// qkv.weight (3 channels, channels), rows query, key, value  qkv.bias  rpb (num_heads, 2 kernel - 1, 2 kernel - 1),
/// from a normal of deviation 0.02, indexed by **key - query**  proj.*. Saved: the projections, keys and values of
/// every neighbourhood, the output. Throws OptionError for sizes that do not fit each other, ShapeError for other
/// channels and maps smaller than a neighbourhood.
template <class S>
class NeighborhoodAttention : public Layer<NeighborhoodAttention<S>> {
 public:
  NeighborhoodAttention(const NeighborhoodAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        qkv_({options.channels, 3 * options.channels, options.qkv_bias}, rng),
        proj_({options.channels, options.channels}, rng) {
    if (!options.position_bias) return;
    rpb_.emplace(Shape<3>{options.num_heads, 2 * options.kernel_size - 1, 2 * options.kernel_size - 1});
    detail::draw_normal(*rpb_, 0.02, rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2), C = o.channels, heads = o.num_heads,
                least = o.kernel_size * o.dilation, dim = C / heads, area = o.kernel_size * o.kernel_size,
                positions = height * width;
    require(x.dim(3) == C && height >= least && width >= least, "NeighborhoodAttention", [&] {
      return message("x has shape ", x.shape(), "; it must have channels = ", C,
                     ", and be at least kernel_size dilation = ", least, " high and wide");
    });
    const auto qkv = qkv_(detail::positions_of(x));
    const auto [places, offsets] = neighbours(height, width);
    const auto around =
        detail::gather_positions(slice(qkv, C, 3 * C, 2), places).reshape(Shape<3>{batch * positions, area, 2 * C});
    const auto query = slice(qkv, 0, C, 2).reshape(Shape<4>{batch * positions, 1, heads, dim});
    const HeadView<S> key(around, 0, heads, dim), value(around, C, heads, dim);
    std::optional<Variable<S, 4>> bias;
    if (rpb_) {
      const auto rpb = rpb_->on(x);
      const auto table = transpose(rpb.reshape(Shape<2>{heads, rpb.dim(1) * rpb.dim(2)}), {1, 0});
      const auto one = transpose(bias_from_table(table, offsets), {0, 2, 1, 3});  // (1, positions, heads, area)
      bias = repeat_batch(one, batch).reshape(Shape<4>{batch * positions, heads, 1, area});
    }
    const auto read = detail::attend_positions<NeighborhoodAttention, S>(*this, "NeighborhoodAttention", query, key,
                                                                         value, bias ? &*bias : nullptr,
                                                                         1 / std::sqrt(double(dim)), o.attn_drop);
    return dropout(proj_(read.reshape(x.shape())), o.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv", self.qkv_);
    if (self.rpb_) visit("rpb", *self.rpb_);
    visit("proj", self.proj_);
  }

 private:
  struct Neighbours {
    std::vector<Index> places;        // of every position, one neighbourhood after another
    Shared<const BiasIndex> offsets;  // the row of the bias that belongs to each
  };
  Neighbours neighbours(Index height, Index width) const {
    const Index k = options_.kernel_size, d = options_.dilation;
    const auto first = [k, d](Index at, Index extent) {  // neighbour along one axis
      const Index residue = at % d, same = (extent - residue + d - 1) / d;
      return residue + d * std::clamp<Index>(at / d - k / 2, 0, same - k);
    };
    Neighbours found;
    auto index = std::make_shared<BiasIndex>();
    index->queries = height * width, index->keys = k * k;
    for (Index i = 0; i < height; ++i)
      for (Index j = 0; j < width; ++j)
        for (Index u = 0; u < k; ++u)
          for (Index w = 0; w < k; ++w) {
            const Index row = first(i, height) + u * d, column = first(j, width) + w * d;
            found.places.push_back(row * width + column);
            index->rows.push_back(((row - i) / d + k - 1) * (2 * k - 1) + (column - j) / d + k - 1);
          }
    found.offsets = std::move(index);
    return found;
  }
  static const NeighborhoodAttentionOptions& checked(const NeighborhoodAttentionOptions& o) {
    detail::check_sizes("NeighborhoodAttention", {{"kernel_size", o.kernel_size}, {"dilation", o.dilation}});
    detail::check_heads("NeighborhoodAttention", o.channels, o.num_heads);
    require<OptionError>(o.kernel_size > 1 && o.kernel_size % 2 == 1 && o.dilation > 0, "NeighborhoodAttention", [&] {
      return message("kernel_size = ", o.kernel_size, " must be odd and above 1, dilation = ", o.dilation, " above 0");
    });
    detail::check_probability("NeighborhoodAttention", o.attn_drop, "attn_drop");
    detail::check_probability("NeighborhoodAttention", o.proj_drop, "proj_drop");
    return o;
  }
  NeighborhoodAttentionOptions options_;
  Dense<S> qkv_;
  std::optional<Parameter<S, 3>> rpb_;
  Dense<S> proj_;
};

ATTEND_END
