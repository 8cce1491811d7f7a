#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/windows.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/relative_position_bias.hpp"

ATTEND_BEGIN

struct WindowAttentionOptions {
  Index channels = 0;  ///< timm's dim
  Index num_heads = 4;
  Index head_dim = 0;    ///< 0: channels / num_heads
  Pair window_size = 7;  ///< cells of a window
  Pair shift_size = 0;   ///< of the windows; in every second block of Swin half a window
  Index height = 0;      ///< of the map, timm's input_resolution: a window larger than it shrinks to it, unshifted; ...
  Index width = 0;       ///< ... 0: maps of any size, the windows as they are (timm's always_partition)
  bool qkv_bias = true;
  double attn_drop = 0;  ///< probability of zeroing a weight, in training
  double proj_drop = 0;  ///< of zeroing a number of the result, in training
};

/// Attention inside windows, optionally shifted (Swin: Liu et al. 2021, section 3.2; timm's WindowAttention with the
/// partition, cyclic shift and padding of SwinTransformerBlock):
///
///   y = proj softmax(q k^T / sqrt(head_dim) + B - 100 [from opposite ends of the map]) v    in each window,
///
/// B by relative position, **query - key**. Windows that do not fit the map reach into zeros, which take part, as in
/// timm.
/// x: (batch, height, width, channels)  ->  the same shape. Offers "weights" (batch windows, num_heads, cells, cells),
/// the windows of a sample row by row.
/// relative_position_bias_table ((2 window height - 1)(2 window width - 1), num_heads)  qkv.weight (3 num_heads
/// head_dim, channels), rows query, key, value  qkv.bias  proj.*. Saved: the windows, their projections, the output and
/// two numbers per cell and head; shifted, also a bias for each window. Throws OptionError for sizes that do not fit
/// each other, ShapeError for other channels or, where it is given, another size of map.
template <class S>
class WindowAttention : public Layer<WindowAttention<S>> {
 public:
  WindowAttention(const WindowAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        sizes_(detail::window_sizes("WindowAttention", {options.height, options.width}, options.window_size,
                                    options.shift_size)),
        positions_(positions(sizes_.window, options_.num_heads), rng),
        qkv_({options_.channels, 3 * options_.num_heads * options_.head_dim, options_.qkv_bias}, rng),
        proj_({options_.num_heads * options_.head_dim, options_.channels}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_window_input("WindowAttention", x.shape(), sizes_, options_.channels);
    const detail::Windows windows(x.dim(1), x.dim(2), sizes_.window, sizes_.shift);
    const Index heads = options_.num_heads, dim = options_.head_dim, batch = x.dim(0);
    const auto qkv = qkv_(windows.cut(x));
    const HeadView<S> query(qkv, 0, heads, dim), key(qkv, heads * dim, heads, dim),
        value(qkv, 2 * heads * dim, heads, dim);
    const auto bias = windows.bias(positions_.bias(x), batch);
    const auto read = detail::attend_positions<WindowAttention, S>(*this, "WindowAttention", query, key, value, &bias,
                                                                   1 / std::sqrt(double(dim)), options_.attn_drop);
    const auto y = windows.join(read.reshape(Shape<3>{qkv.dim(0), qkv.dim(1), heads * dim}), batch);
    return dropout(proj_(y), options_.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.positions_);
    visit("qkv", self.qkv_);
    visit("proj", self.proj_);
  }

 private:
  static WindowAttentionOptions completed(WindowAttentionOptions o) {
    detail::check_sizes("WindowAttention",
                        {{"channels", o.channels}, {"num_heads", o.num_heads}, {"head_dim", o.head_dim}});
    require<OptionError>(o.channels > 0 && o.num_heads > 0 && o.head_dim >= 0, "WindowAttention", [&] {
      return message("channels = ", o.channels, " and num_heads = ", o.num_heads,
                     " must be above 0, head_dim = ", o.head_dim, " not below");
    });
    if (o.head_dim == 0) o.head_dim = o.channels / o.num_heads;
    require<OptionError>(o.head_dim > 0, "WindowAttention", [&] {
      return message("num_heads = ", o.num_heads, " leave no channel to a head of channels = ", o.channels,
                     "; give head_dim");
    });
    detail::check_probability("WindowAttention", o.attn_drop, "attn_drop");
    detail::check_probability("WindowAttention", o.proj_drop, "proj_drop");
    return o;
  }
  static RelativePositionBiasOptions positions(const Pair& window, Index heads) {
    RelativePositionBiasOptions o;
    o.height = window.height, o.width = window.width, o.num_heads = heads;
    return o;
  }
  WindowAttentionOptions options_;
  detail::WindowSizes sizes_;
  RelativePositionBias<S> positions_;
  Dense<S> qkv_, proj_;
};

ATTEND_END
