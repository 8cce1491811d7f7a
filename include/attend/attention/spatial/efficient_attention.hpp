#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct EfficientAttentionOptions {
  Index channels = 0;
  Index key_channels = 0;    ///< of all heads, which must divide them; 0: channels
  Index value_channels = 0;  ///< of all heads, which must divide them; 0: channels
  Index num_heads = 1;
};

/// Efficient attention (Shen et al. 2021, section 3.2): with query and key normalised apart, the product may begin with
/// the keys, and each key channel is one map of the whole image,
///
///   y = reprojection(softmax_channels(q) (softmax_positions(k)^T v)) + x.
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "keys" (batch, num_heads, key channels of a head, H
/// W), whose rows sum to one.
/// keys, queries: weight (key_channels, channels, 1, 1), bias  values: weight (value_channels, channels, 1, 1), bias
/// reprojection: weight (channels, value_channels, 1, 1), bias. Saved: the maps. Throws OptionError for sizes that do
/// not fit each other, ShapeError for other channels.
template <class S>
class EfficientAttention : public Layer<EfficientAttention<S>> {
 public:
  EfficientAttention(const EfficientAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        keys_({options_.channels, options_.key_channels}, rng),
        queries_({options_.channels, options_.key_channels}, rng),
        values_({options_.channels, options_.value_channels}, rng),
        reprojection_({options_.value_channels, options_.channels}, rng) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("EfficientAttention", x.shape(), options_.channels);
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2), heads = options_.num_heads;
    const auto split_heads = [&](const Variable<S, 4>& map, const std::array<int, 4>& order) {
      return transpose(map.reshape(Shape<4>{batch, positions, heads, map.dim(3) / heads}), order);
    };
    const auto query = softmax(split_heads(queries_(x), {0, 2, 1, 3}));  // (batch, heads, positions, channels)
    const auto key = softmax(split_heads(keys_(x), {0, 2, 3, 1}));       // (batch, heads, channels, positions)
    offer(*this, "keys", key);
    const auto read = matmul(query, matmul(key, split_heads(values_(x), {0, 2, 1, 3})));
    const Shape<4> shape{batch, x.dim(1), x.dim(2), options_.value_channels};
    return reprojection_(transpose(read, {0, 2, 1, 3}).reshape(shape)) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("keys", self.keys_);
    visit("queries", self.queries_);
    visit("values", self.values_);
    visit("reprojection", self.reprojection_);
  }

 private:
  static EfficientAttentionOptions completed(EfficientAttentionOptions o) {
    if (o.key_channels == 0) o.key_channels = o.channels;
    if (o.value_channels == 0) o.value_channels = o.channels;
    require<OptionError>(o.channels > 0 && o.key_channels > 0 && o.value_channels > 0 && o.num_heads > 0 &&
                             o.key_channels % o.num_heads == 0 && o.value_channels % o.num_heads == 0,
                         "EfficientAttention", [&] {
                           return message("channels = ", o.channels, " must be above 0 and num_heads = ", o.num_heads,
                                          " divide key_channels = ", o.key_channels,
                                          " and value_channels = ", o.value_channels);
                         });
    return o;
  }
  EfficientAttentionOptions options_;
  PointwiseConv<S> keys_, queries_, values_, reprojection_;
};

ATTEND_END
