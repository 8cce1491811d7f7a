#pragma once
#include <vector>

#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/heads.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/head_view.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/dense.hpp"

ATTEND_BEGIN

/// Heads whose positions come from one size of convolution.
struct PositionWindow {
  Index kernel_size = 0;  ///< odd
  Index num_heads = 0;
};

struct FactorizedAttentionOptions {
  Index channels = 0;   ///< timm's dim
  Index num_heads = 8;  ///< must divide channels
  bool qkv_bias = false;
  std::vector<PositionWindow> windows = {{3, 2}, {5, 3}, {7, 3}};  ///< for all heads, in order; empty: no positions
  double proj_drop = 0;  ///< probability of zeroing a number of the result, in training
};

struct FactorizedAttentionCall {
  Index height = 0;  ///< of the grid that follows the class token
  Index width = 0;
};

/// Factorised attention with convolutional relative positions (Xu et al. 2021, CoaT, sections 3.1 and 3.2; timm's
/// FactorAttnConvRelPosEnc with its ConvRelPosEnc):
///
///   y = proj(q (softmax_positions(k)^T v) / sqrt(head_dim) + q * depthwise convolution(v)),
///
/// the second term of grid positions only, not of a class token.
/// x: (batch, height, width, channels)  ->  the same shape; or, called as layer(tokens, {height, width}), tokens
/// (batch, 1 + height width, channels), the class token first  ->  the same shape. Offers "keys" (batch, num_heads,
/// head_dim, tokens), whose rows sum to one.
/// qkv.weight (3 channels, channels), rows query, key, value  [qkv.bias]  proj.*  crpe.conv_list.<i>.{weight (channels
/// of its heads, 1, k, k), bias}. Saved: the projections, the convolved values. Throws OptionError for sizes that do
/// not fit each other, ShapeError for other channels and where tokens are not the class token and the grid.
template <class S>
class FactorizedAttention : public Layer<FactorizedAttention<S>> {
 public:
  using CallOptions = FactorizedAttentionCall;
  FactorizedAttention(const FactorizedAttentionOptions& options, Rng& rng)
      : options_(checked(options)),
        qkv_({options.channels, 3 * options.channels, options.qkv_bias}, rng),
        proj_({options.channels, options.channels}, rng) {
    for (const auto& window : options.windows) {
      Conv2dOptions o;
      o.in_channels = o.out_channels = o.groups = window.num_heads * (options.channels / options.num_heads);
      o.kernel_size = window.kernel_size, o.padding = window.kernel_size / 2;
      conv_list_.emplace_back(o, rng);
    }
  }

  Variable<S, 4> forward(const Variable<S, 4>& x, const FactorizedAttentionCall&) const {
    const auto tokens = x.reshape(Shape<3>{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)});
    return attend(tokens, {x.dim(1), x.dim(2)}).reshape(x.shape());
  }
  Variable<S, 3> forward(const Variable<S, 3>& tokens, const FactorizedAttentionCall& grid) const {
    require(grid.height > 0 && grid.width > 0 && (tokens.dim(1) - 1) / grid.width == grid.height &&
                (tokens.dim(1) - 1) % grid.width == 0,
            "FactorizedAttention", [&] {
              return message("tokens has shape ", tokens.shape(), "; it must hold a class token and a grid of ",
                             Pair(grid.height, grid.width));
            });
    return attend(tokens, grid);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv", self.qkv_);
    visit("proj", self.proj_);
    visit("crpe.conv_list", self.conv_list_);
  }

 private:
  /// What is before the grid has no position.
  Variable<S, 3> attend(const Variable<S, 3>& x, const FactorizedAttentionCall& grid) const {
    const Index C = options_.channels, heads = options_.num_heads, batch = x.dim(0), length = x.dim(1);
    detail::check_map_channels("FactorizedAttention", x.shape(), C);
    const auto qkv = qkv_(x);
    const auto head_by_head = [&](Index first, const std::array<int, 4>& order) {
      return transpose(take_heads(HeadView<S>(qkv, first, heads, C / heads)), order);
    };
    const auto key = softmax(head_by_head(C, {0, 2, 3, 1}));
    offer(*this, "keys", key);
    const auto read = matmul(head_by_head(0, {0, 2, 1, 3}), matmul(key, head_by_head(2 * C, {0, 2, 1, 3})));
    auto y = (transpose(read, {0, 2, 1, 3}) * (1 / std::sqrt(double(C / heads)))).reshape(x.shape());
    if (conv_list_.empty()) return dropout(proj_(y), options_.proj_drop);
    const Index prefix = length - grid.height * grid.width;
    const auto on_grid = slice(qkv, prefix, length, 1);
    const auto value = slice(on_grid, 2 * C, 3 * C, 2).reshape(Shape<4>{batch, grid.height, grid.width, C});
    std::vector<Variable<S, 4>> convolved;
    Index first = 0;
    for (const auto& conv : conv_list_) {
      const Index width = conv.options().in_channels;
      convolved.push_back(conv(slice(value, first, first + width, 3)));
      first += width;
    }
    const auto position = slice(on_grid, 0, C, 2) * concat(convolved, 3).reshape(Shape<3>{batch, length - prefix, C});
    return dropout(proj_(y + (prefix == 0 ? position : pad(position, prefix, 0, 1))), options_.proj_drop);
  }
  static const FactorizedAttentionOptions& checked(const FactorizedAttentionOptions& o) {
    detail::check_heads("FactorizedAttention", o.channels, o.num_heads);
    Index heads = 0;
    for (const auto& window : o.windows) {
      require<OptionError>(
          window.kernel_size > 0 && window.kernel_size % 2 == 1 && window.num_heads > 0, "FactorizedAttention", [&] {
            return message("a window has kernel_size = ", window.kernel_size, " and num_heads = ", window.num_heads,
                           "; the first must be odd, both above 0");
          });
      heads += window.num_heads;
    }
    require<OptionError>(o.windows.empty() || heads == o.num_heads, "FactorizedAttention", [&] {
      return message("the windows have ", heads, " heads; together they must be num_heads = ", o.num_heads);
    });
    detail::check_probability("FactorizedAttention", o.proj_drop, "proj_drop");
    return o;
  }
  FactorizedAttentionOptions options_;
  Dense<S> qkv_, proj_;
  std::vector<Conv2d<S>> conv_list_;
};

ATTEND_END
