#pragma once
#include <vector>

#include "attend/attention/check_map.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct MultiScaleLinearAttentionOptions {
  Index channels = 0;      ///< timm's in_channels
  Index out_channels = 0;  ///< 0: channels
  Index num_heads = 0;     ///< 0: channels / dim, rounded down, times heads_ratio, rounded down
  double heads_ratio = 1;
  Index dim = 8;                    ///< of a head
  std::vector<Index> scales = {5};  ///< odd kernels that gather query, key and value, each for heads of its own
  double eps = 1e-5;                ///< added to the sum of a row's weights
};

/// ReLU linear attention at several scales (Cai et al. 2023, EfficientViT, section 3.1; timm's LiteMLA): without a
/// softmax, products can be taken keys first, at a cost that grows with the number of positions only,
///
///   o_i = relu(q_i) (sum_j relu(k_j)^T v_j) / (relu(q_i) sum_j relu(k_j)^T + eps),   y = BN(proj [o of all heads])
///
/// for the heads of qkv(x), and again for those of its depthwise and grouped convolutions.
/// x: (batch, height, width, channels)  ->  (batch, height, width, out_channels). Offers "weights" (batch, heads of all
/// scales, H W, H W), which only a recording has made.
/// qkv.conv.weight (3 heads dim, channels, 1, 1), **for each head query, key, value**  aggreg.<i>.0.weight (3 heads
/// dim, 1, scale, scale)  aggreg.<i>.1.weight (3 heads dim, dim, 1, 1)  proj.conv.weight  proj.norm.*. Saved: the maps,
/// the results. timm computes o in float32: they agree to 1e-6. Throws OptionError for sizes that do not fit each
/// other, ShapeError for other channels.
template <class S>
class MultiScaleLinearAttention : public Layer<MultiScaleLinearAttention<S>> {
  struct Gather : Layer<Gather> {
    Gather(Index channels, Index scale, Index groups, Rng& rng)
        : depthwise(convolution(channels, scale, channels), rng), grouped(convolution(channels, 1, groups), rng) {}
    Variable<S, 4> forward(const Variable<S, 4>& x) const { return grouped(depthwise(x)); }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("0", self.depthwise);
      visit("1", self.grouped);
    }
    static Conv2dOptions convolution(Index channels, Index kernel, Index groups) {
      Conv2dOptions o;
      o.in_channels = o.out_channels = channels;
      o.kernel_size = kernel, o.padding = kernel / 2, o.groups = groups, o.bias = false;
      return o;
    }
    Conv2d<S> depthwise, grouped;
  };

 public:
  MultiScaleLinearAttention(const MultiScaleLinearAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        qkv_({options_.channels, 3 * options_.num_heads * options_.dim, false}, rng),
        proj_({all_heads() * options_.dim, options_.out_channels, false}, rng),
        norm_(norm(options_.out_channels)) {
    for (const Index scale : options_.scales)
      aggreg_.emplace_back(3 * options_.num_heads * options_.dim, scale, 3 * options_.num_heads, rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto& o = options_;
    detail::check_map_channels("MultiScaleLinearAttention", x.shape(), o.channels);
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2), heads = all_heads(), D = o.dim;
    std::vector<Variable<S, 4>> scales{qkv_(x)};
    for (const auto& gather : aggreg_) scales.push_back(gather(scales.front()));
    const auto qkv = transpose(concat(scales, 3).reshape(Shape<4>{batch, positions, heads, 3 * D}), {0, 2, 1, 3});
    const auto query = relu(slice(qkv, 0, D, 3)), key = relu(slice(qkv, D, 2 * D, 3)),
               value = pad(slice(qkv, 2 * D, 3 * D, 3), 0, 1, 3, 1);  // the column of ones adds up the weights
    if (Recording::wants(key_of(*this))) {
      const auto products = matmul(query, key, Side::plain, Side::transposed);
      offer(*this, "weights", products / (sum(products, {3}, keep_dims) + o.eps));
    }
    const auto sums = matmul(query, matmul(key, value, Side::transposed));
    const auto read = slice(sums, 0, D, 3) / (slice(sums, D, D + 1, 3) + o.eps);
    const auto map = transpose(read, {0, 2, 1, 3}).reshape(Shape<4>{batch, x.dim(1), x.dim(2), heads * D});
    return norm_(proj_(map));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("qkv.conv", self.qkv_);
    visit("aggreg", self.aggreg_);
    visit("proj.conv", self.proj_);
    visit("proj.norm", self.norm_);
  }

 private:
  Index all_heads() const { return options_.num_heads * (1 + Index(options_.scales.size())); }
  static MultiScaleLinearAttentionOptions completed(MultiScaleLinearAttentionOptions o) {
    detail::check_sizes("MultiScaleLinearAttention",
                        {{"channels", o.channels}, {"num_heads", o.num_heads}, {"dim", o.dim}});
    if (o.out_channels == 0) o.out_channels = o.channels;
    require<OptionError>(o.channels > 0 && o.out_channels > 0 && o.dim > 0 && o.num_heads >= 0 && o.heads_ratio > 0 &&
                             o.heads_ratio < 1e6,
                         "MultiScaleLinearAttention", [&] {
                           return message("channels = ", o.channels, ", out_channels = ", o.out_channels,
                                          ", dim = ", o.dim, " and heads_ratio = ", o.heads_ratio,
                                          " must be above 0, num_heads = ", o.num_heads, " not below");
                         });
    if (o.num_heads == 0) o.num_heads = Index(double(o.channels / o.dim) * o.heads_ratio);
    require<OptionError>(o.num_heads > 0, "MultiScaleLinearAttention", [&] {
      return message("dim = ", o.dim, " and heads_ratio = ", o.heads_ratio,
                     " leave no head of channels = ", o.channels);
    });
    for (const Index scale : o.scales)
      require<OptionError>(scale > 0 && scale % 2 == 1, "MultiScaleLinearAttention",
                           [&] { return message("a scale is ", scale, "; it must be odd and above 0"); });
    return o;
  }
  static BatchNormOptions norm(Index channels) {
    BatchNormOptions norm;
    norm.channels = channels;
    return norm;
  }
  MultiScaleLinearAttentionOptions options_;
  PointwiseConv<S> qkv_;
  std::vector<Gather> aggreg_;
  PointwiseConv<S> proj_;
  BatchNorm<S> norm_;
};

ATTEND_END
