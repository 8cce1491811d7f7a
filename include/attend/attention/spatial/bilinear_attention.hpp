#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/functional/expand.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/conv_norm_act.hpp"

ATTEND_BEGIN

struct BilinearAttentionOptions {
  Index channels = 0;
  Index block_size = 7;      ///< the map is seen as block_size x block_size blocks, which must divide it
  Index groups = 2;          ///< of the reduced channels, which share a transform
  double rd_ratio = 1. / 4;  ///< reduced channels = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;     ///< ... unless given here
  Index rd_divisor = 8;
  double dropout = 0.2;  ///< of whole channels, in training; timm's drop_rate
};

/// Bilinear attention transform (Chi et al. 2020, Non-local Neural Networks with Bilinear Attentional Transforms;
/// timm's BatNonLocalAttn): rows and columns of blocks are mixed by two small matrices made from the map's maxima,
///
///   r = conv1(x),   y = conv2(ba.conv2((P kron I) r (Q kron I))) + x,
///   P = sigmoid(conv_p(maxima over columns)), each row divided by its sum,   Q = sigmoid(conv_q(maxima over rows)),
/// each
///   column divided by its sum.
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "rows" and "columns": P and Q, (batch, groups,
/// block_size, block_size).
/// conv1.{conv, bn}  ba.conv1.{conv, bn}  ba.conv_p.{weight (block_size^2 groups, groups, block_size, 1), bias}
/// ba.conv_q.{weight (.., groups, 1, block_size), bias}  ba.conv2.{conv, bn}  conv2.{conv, bn}. Throws OptionError for
/// sizes that do not fit each other, ShapeError for other channels and maps that blocks do not divide.
template <class S>
class BilinearAttention : public Layer<BilinearAttention<S>> {
 public:
  BilinearAttention(const BilinearAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        conv1_(pointwise(options_.channels, options_.rd_channels), rng),
        ba_conv1_(pointwise(options_.rd_channels, options_.groups), rng),
        conv_p_(to_matrix(options_, {options_.block_size, 1}), rng),
        conv_q_(to_matrix(options_, {1, options_.block_size}), rng),
        ba_conv2_(pointwise(options_.rd_channels, options_.rd_channels), rng),
        conv2_(pointwise(options_.rd_channels, options_.channels), rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2), n = o.block_size, groups = o.groups,
                each = o.rd_channels / groups;
    require(x.dim(3) == o.channels && height > 0 && width > 0 && height % n == 0 && width % n == 0, "BilinearAttention",
            [&] {
              return message("x has shape ", x.shape(), "; it must have channels = ", o.channels,
                             ", and block_size = ", n, " must divide its height and width");
            });
    const auto r = conv1_(x), seen = ba_conv1_(r);
    const Shape<4> matrices{batch, groups, n, n};
    const auto p = sigmoid(conv_p_(adaptive_max_pool2d(seen, {n, 1})).reshape(matrices));
    const auto q = sigmoid(conv_q_(adaptive_max_pool2d(seen, {1, n})).reshape(matrices));
    const auto rows = p / sum(p, {3}, keep_dims), columns = q / sum(q, {2}, keep_dims);
    offer(*this, "rows", rows);
    offer(*this, "columns", columns);
    // Row h of the map is row i of block a: h = a high + i; the matrices mix blocks, for every i alike.
    const Index high = height / n, wide = width / n;
    const auto blocks = transpose(r.reshape(Shape<7>{batch, n, high, n, wide, groups, each}), {0, 5, 1, 3, 2, 4, 6});
    const auto mixed_rows = matmul(rows, blocks.reshape(Shape<4>{batch, groups, n, n * high * wide * each}));
    const auto mixed = matmul(repeated(columns, n),
                              mixed_rows.reshape(Shape<4>{batch, groups * n, n, high * wide * each}), Side::transposed);
    const auto y = transpose(mixed.reshape(Shape<7>{batch, groups, n, n, high, wide, each}), {0, 2, 4, 3, 5, 1, 6});
    return channel_dropout(conv2_(ba_conv2_(y.reshape(r.shape()))), o.dropout) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv1", self.conv1_);
    visit("ba.conv1", self.ba_conv1_);
    visit("ba.conv_p", self.conv_p_);
    visit("ba.conv_q", self.conv_q_);
    visit("ba.conv2", self.ba_conv2_);
    visit("conv2", self.conv2_);
  }

 private:
  /// Each group's matrix for each of n rows: (batch, groups, n, n)  ->  (batch, groups n, n, n).
  static Variable<S, 4> repeated(const Variable<S, 4>& q, Index n) {
    const Index batch = q.dim(0), groups = q.dim(1);
    return expand(q.reshape(Shape<4>{batch, groups, 1, n * n}), Shape<4>{batch, groups, n, n * n})
        .reshape(Shape<4>{batch, groups * n, n, n});
  }
  static ConvNormActOptions pointwise(Index in, Index out) {
    ConvNormActOptions o;
    o.in_channels = in, o.out_channels = out;
    return o;
  }
  static Conv2dOptions to_matrix(const BilinearAttentionOptions& o, const Pair& kernel) {
    Conv2dOptions conv;
    conv.in_channels = o.groups, conv.out_channels = o.block_size * o.block_size * o.groups, conv.kernel_size = kernel;
    return conv;
  }
  static BilinearAttentionOptions completed(BilinearAttentionOptions o) {
    detail::check_sizes("BilinearAttention", {{"block_size", o.block_size}, {"groups", o.groups}});
    require<OptionError>(
        o.channels > 0 && o.rd_channels >= 0 && o.rd_divisor > 0 && o.rd_ratio > 0, "BilinearAttention", [&] {
          return message("channels = ", o.channels, ", rd_ratio = ", o.rd_ratio, " and rd_divisor = ", o.rd_divisor,
                         " must be above 0, rd_channels = ", o.rd_channels, " not below");
        });
    if (o.rd_channels == 0) o.rd_channels = make_divisible(double(o.channels) * o.rd_ratio, o.rd_divisor);
    require<OptionError>(o.block_size > 0 && o.groups > 0 && o.rd_channels % o.groups == 0, "BilinearAttention", [&] {
      return message("block_size = ", o.block_size, " must be above 0, and groups = ", o.groups,
                     " divide the reduced channels, ", o.rd_channels);
    });
    detail::check_probability("BilinearAttention", o.dropout);
    return o;
  }
  BilinearAttentionOptions options_;
  ConvNormAct<S> conv1_, ba_conv1_;
  Conv2d<S> conv_p_, conv_q_;
  ConvNormAct<S> ba_conv2_, conv2_;
};

ATTEND_END
