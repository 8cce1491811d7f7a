#pragma once
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

struct OutlookAttentionOptions {
  Index channels = 0;     ///< timm's dim
  Index num_heads = 4;    ///< must divide channels
  Index kernel_size = 3;  ///< rows and columns of a window
  Index padding = 1;      ///< zeros around the values; below kernel_size
  Index stride = 1;       ///< from one window to the next
  bool qkv_bias = false;  ///< of the value projection
  double attn_drop = 0;   ///< probability of zeroing a weight, in training
  double proj_drop = 0;   ///< of zeroing a number of the result, in training
};

/// Outlook attention (Yuan et al. 2021, VOLO, section 3.1; timm's OutlookAttention): the position in the middle of a
/// window itself says how the window's values are mixed, without any product of queries and keys; where windows
/// overlap, their results are added.
///
///   w = softmax(attn(pool(x)) / sqrt(head_dim)) (kernel^2 x kernel^2 for each window and head),   y = proj(fold(w v))
///
/// pool: the average of stride x stride positions.
/// x: (batch, height, width, channels)  ->  the same shape. Offers "weights" (batch windows, num_heads, kernel^2,
/// kernel^2), the windows of a sample row by row.
/// v.weight (channels, channels)  attn.weight (kernel^4 num_heads, channels)  attn.bias  proj.*. Saved: the windows'
/// values, the weights. Throws OptionError for sizes that do not fit each other, ShapeError for other channels and
/// where there is not one window for each pooled position.
template <class S>
class OutlookAttention : public Layer<OutlookAttention<S>> {
 public:
  OutlookAttention(const OutlookAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        v_({options.channels, options.channels, options.qkv_bias}, rng),
        attn_({options.channels, weights_of(options)}, rng),
        proj_({options.channels, options.channels}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    const Index batch = x.dim(0), C = o.channels, heads = o.num_heads, dim = C / heads;
    const Index rows = (x.dim(1) + o.stride - 1) / o.stride, columns = (x.dim(2) + o.stride - 1) / o.stride;
    const auto windows_along = [&](Index extent) { return (extent + 2 * o.padding - o.kernel_size) / o.stride + 1; };
    require(x.dim(3) == C && x.dim(1) > 0 && x.dim(2) > 0 && x.dim(1) + 2 * o.padding >= o.kernel_size &&
                x.dim(2) + 2 * o.padding >= o.kernel_size && windows_along(x.dim(1)) == rows &&
                windows_along(x.dim(2)) == columns,
            "OutlookAttention", [&] {
              return message("x has shape ", x.shape(), "; it must have channels = ", C,
                             ", and as many windows of kernel_size = ", o.kernel_size, " with padding = ", o.padding,
                             " as pooled positions, with stride = ", o.stride);
            });
    const Index windows = rows * columns;
    const auto [from, back] = windows_of(x.dim(1), x.dim(2), rows, columns);
    const auto values = detail::gather_positions(detail::positions_of(v_(x)), from)
                            .reshape(Shape<4>{batch * windows, area(), heads, dim});
    AvgPoolOptions pool;
    pool.kernel_size = o.stride, pool.ceil_mode = true;
    const auto seen = o.stride == 1 ? x : avg_pool2d(x, pool);
    const auto weights =
        softmax(attn_(seen).reshape(Shape<4>{batch * windows, heads, area(), area()}) * (1 / std::sqrt(double(dim))));
    offer(*this, "weights", weights);
    const auto mixed = transpose(matmul(dropout(weights, o.attn_drop), transpose(values, {0, 2, 1, 3})), {0, 2, 1, 3});
    // Every position adds up what the windows that reach it say of it: one for each cell of a window at most.
    const auto heard = detail::gather_positions(mixed.reshape(Shape<3>{batch, windows * area(), C}), back);
    const auto folded = sum(heard.reshape(Shape<4>{batch, x.dim(1) * x.dim(2), area(), C}), {2});
    return dropout(proj_(folded.reshape(x.shape())), o.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("v", self.v_);
    visit("attn", self.attn_);
    visit("proj", self.proj_);
  }

 private:
  Index area() const { return options_.kernel_size * options_.kernel_size; }
  struct Places {
    std::vector<Index> from, back;
  };
  /// From where the cells of each window are read; and, for each position and each cell, which window's cell it is.
  Places windows_of(Index height, Index width, Index rows, Index columns) const {
    const Index k = options_.kernel_size;
    Places places;
    places.back.assign(std::size_t(height * width * area()), detail::outside);
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < columns; ++c)
        for (Index i = 0; i < k; ++i)
          for (Index j = 0; j < k; ++j) {
            const Index row = r * options_.stride - options_.padding + i,
                        column = c * options_.stride - options_.padding + j, cell = Index(places.from.size());
            const bool inside = row >= 0 && row < height && column >= 0 && column < width;
            places.from.push_back(inside ? row * width + column : detail::outside);
            if (inside) places.back[std::size_t((row * width + column) * area() + i * k + j)] = cell;
          }
    return places;
  }
  static Index weights_of(const OutlookAttentionOptions& o) {  // of all heads at a position
    return element_count(Shape<5>{o.num_heads, o.kernel_size, o.kernel_size, o.kernel_size, o.kernel_size});
  }
  static const OutlookAttentionOptions& checked(const OutlookAttentionOptions& o) {
    detail::check_sizes("OutlookAttention", {{"stride", o.stride}});
    detail::check_heads("OutlookAttention", o.channels, o.num_heads);
    require<OptionError>(o.kernel_size > 0 && o.stride > 0 && o.padding >= 0 && o.padding < o.kernel_size,
                         "OutlookAttention", [&] {
                           return message("kernel_size = ", o.kernel_size, " and stride = ", o.stride,
                                          " must be above 0, padding = ", o.padding, " in [0, kernel_size)");
                         });
    detail::check_probability("OutlookAttention", o.attn_drop, "attn_drop");
    detail::check_probability("OutlookAttention", o.proj_drop, "proj_drop");
    return o;
  }
  OutlookAttentionOptions options_;
  Dense<S> v_, attn_, proj_;
};

ATTEND_END
