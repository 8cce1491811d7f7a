#pragma once
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/attention/spatial/windows.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/bias_table.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/l2_normalize.hpp"
#include "attend/functional/mathematics.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/relative_position_bias.hpp"

ATTEND_BEGIN

struct WindowAttentionV2Options {
  Index channels = 0;   ///< timm's dim
  Index num_heads = 4;  ///< must divide channels
  Pair window_size = 7;
  Pair shift_size = 0;
  Index height = 0;                 ///< of the map, as in WindowAttention; 0: maps of any size
  Index width = 0;                  ///< of the map
  Pair pretrained_window_size = 0;  ///< whose distances the position network knows; 0: those of this window
  bool qkv_bias = true;             ///< of query and value; keys have none
  double attn_drop = 0;             ///< probability of zeroing a weight, in training
  double proj_drop = 0;             ///< of zeroing a number of the result, in training
};

/// Window attention by angles, with positions from a network (Swin V2: Liu et al. 2022, sections 3.2 and 3.3; timm's
/// WindowAttention of swin_transformer_v2, partitioned, shifted and masked as WindowAttention):
///
///   y = proj softmax(cos(q, k) exp(min(logit_scale, ln 100)) + 16 sigmoid(cpb_mlp(d)) - 100 [...]) v
///
/// d: the offset query - key in rows and columns, each as sign(o) log2(8 |o| + 1) / log2 8, o in units of the window.
/// x: (batch, height, width, channels)  ->  the same shape. Offers "weights" (batch windows, num_heads, cells, cells).
/// logit_scale (num_heads, 1, 1), starts at ln 10  q_bias, v_bias (channels), start at 0  cpb_mlp.0.weight (512, 2)
/// cpb_mlp.0.bias (512)  cpb_mlp.2.weight (num_heads, 512)  qkv.weight (3 channels, channels)  proj.*.
/// timm computes d in float32, here it is computed in double: they agree to 1e-6. Saved and thrown as WindowAttention.
template <class S>
class WindowAttentionV2 : public Layer<WindowAttentionV2<S>> {
  static constexpr Index hidden = 512;

 public:
  WindowAttentionV2(const WindowAttentionV2Options& options, Rng& rng)
      : options_(checked(options)),
        sizes_(detail::window_sizes("WindowAttentionV2", {options.height, options.width}, options.window_size,
                                    options.shift_size)),
        index_(relative_position_index(sizes_.window.height, sizes_.window.width)),
        logit_scale_({options.num_heads, 1, 1}, S(std::log(10.))),
        offsets_to_hidden_({2, hidden}, rng),
        hidden_to_heads_({hidden, options.num_heads, false}, rng),
        qkv_weight_({3 * options.channels, options.channels}, rng, 1 / std::sqrt(double(options.channels))),
        proj_({options.channels, options.channels}, rng) {
    if (!options.qkv_bias) return;
    q_bias_.emplace(Shape<1>{options.channels});
    v_bias_.emplace(Shape<1>{options.channels});
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const Index C = options_.channels, heads = options_.num_heads, dim = C / heads, batch = x.dim(0);
    detail::check_window_input("WindowAttentionV2", x.shape(), sizes_, C);
    const detail::Windows windows(x.dim(1), x.dim(2), sizes_.window, sizes_.shift);
    const auto qkv = dense(windows.cut(x), qkv_weight_.on(x), qkv_bias(x), PackedDense<S>::of(qkv_weight_, 3 * C, C));
    const auto sharpness = exp(clamp(logit_scale_.on(x), -std::numeric_limits<double>::infinity(), std::log(100.)));
    const auto query =
        l2_normalize(take_heads(HeadView<S>(qkv, 0, heads, dim))) * sharpness.reshape(Shape<4>{1, 1, heads, 1});
    const auto key = l2_normalize(take_heads(HeadView<S>(qkv, C, heads, dim)));
    const auto bias = windows.bias(position_bias(x), batch);
    const auto read = detail::attend_positions<WindowAttentionV2, S>(
        *this, "WindowAttentionV2", query, key, HeadView<S>(qkv, 2 * C, heads, dim), &bias, 1, options_.attn_drop);
    return dropout(proj_(windows.join(read.reshape(Shape<3>{qkv.dim(0), qkv.dim(1), C}), batch)), options_.proj_drop);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("logit_scale", self.logit_scale_);
    if (self.q_bias_) visit("q_bias", *self.q_bias_);
    if (self.v_bias_) visit("v_bias", *self.v_bias_);
    visit("cpb_mlp.0", self.offsets_to_hidden_);
    visit("cpb_mlp.2", self.hidden_to_heads_);
    visit("qkv.weight", self.qkv_weight_);
    visit("proj", self.proj_);
  }

 private:
  Variable<S, 1> qkv_bias(const Variable<S, 4>& x) const {
    if (!q_bias_) return absent<S, 1>();
    const Index C = options_.channels;
    return concat({q_bias_->on(x), Variable<S, 1>(Shape<1>{C}, make_buffer<S>(C, S(0))), v_bias_->on(x)}, 0);
  }
  Variable<S, 4> position_bias(const Variable<S, 4>& x) const {
    const auto& [height, width] = sizes_.window;
    const Pair known = options_.pretrained_window_size == Pair(0) ? sizes_.window : options_.pretrained_window_size;
    const Shape<2> shape{(2 * height - 1) * (2 * width - 1), 2};
    const auto offsets = make_buffer<S>(element_count(shape));
    const auto logarithmic = [](Index offset, Index extent) {
      const double in_windows = 8 * double(offset) / double(std::max<Index>(extent - 1, 1));
      return S(std::copysign(std::log2(std::abs(in_windows) + 1) / 3, in_windows));
    };
    S* to = offsets.get();
    for (Index dy = 1 - height; dy < height; ++dy)
      for (Index dx = 1 - width; dx < width; ++dx) {
        *to++ = logarithmic(dy, known.height);
        *to++ = logarithmic(dx, known.width);
      }
    const auto table = hidden_to_heads_(relu(offsets_to_hidden_(Variable<S, 2>(shape, offsets).beside(x.link()))));
    return bias_from_table(sigmoid(table) * 16, index_);
  }
  static const WindowAttentionV2Options& checked(const WindowAttentionV2Options& o) {
    detail::check_heads("WindowAttentionV2", o.channels, o.num_heads);
    require<OptionError>(o.pretrained_window_size.height >= 0 && o.pretrained_window_size.width >= 0 &&
                             (o.pretrained_window_size.height > 0) == (o.pretrained_window_size.width > 0),
                         "WindowAttentionV2", [&] {
                           return message("pretrained_window_size = ", o.pretrained_window_size,
                                          " must be above 0, or 0 for none");
                         });
    detail::check_probability("WindowAttentionV2", o.attn_drop, "attn_drop");
    detail::check_probability("WindowAttentionV2", o.proj_drop, "proj_drop");
    return o;
  }
  WindowAttentionV2Options options_;
  detail::WindowSizes sizes_;
  Shared<const BiasIndex> index_;  // a constant, shared by copies of the layer
  Parameter<S, 3> logit_scale_;
  std::optional<Parameter<S, 1>> q_bias_, v_bias_;
  Dense<S> offsets_to_hidden_, hidden_to_heads_;
  Parameter<S, 2> qkv_weight_;
  Dense<S> proj_;
};

ATTEND_END
