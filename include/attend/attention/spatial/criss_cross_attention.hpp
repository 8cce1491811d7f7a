#pragma once
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct CrissCrossAttentionOptions {
  Index channels = 0;
  Index reduced_channels = 0;  ///< of query and key; 0: channels / 8
};

/// Criss-cross attention (Huang et al. 2019, CCNet, section 3.2): a position attends to its column and its row, itself
/// counted once; called twice, everything reaches everything.
///
///   y = gamma softmax over both [q k_column^T, q k_row^T] [v_column, v_row] + x,   scores unscaled
///
/// x: (batch, height, width, channels), any size  ->  the same shape. Offers "weights" (batch, H W, H + W): the column,
/// without weight for the position itself, then the row.
/// query_conv, key_conv: weight (reduced, channels, 1, 1), bias (reduced)  value_conv: weight (channels, channels, 1,
/// 1), bias (channels)  gamma (1), starts at 0: the layer starts as the identity. Saved: x, the maps, the weights.
/// Throws OptionError where no channel is left, ShapeError for other channels.
template <class S>
class CrissCrossAttention : public Layer<CrissCrossAttention<S>> {
 public:
  using StartsAsIdentity = void;
  CrissCrossAttention(const CrissCrossAttentionOptions& options, Rng& rng)
      : options_(completed(options)),
        query_conv_({options_.channels, options_.reduced_channels}, rng),
        key_conv_({options_.channels, options_.reduced_channels}, rng),
        value_conv_({options_.channels, options_.channels}, rng),
        gamma_({1}) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    require(x.dim(3) == options_.channels, "CrissCrossAttention", [&] {
      return "x has shape " + to_string(x.shape()) +
             "; its last axis must be channels = " + std::to_string(options_.channels);
    });
    const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2);
    const auto columns = [](const Variable<S, 4>& map) { return transpose(map, {0, 2, 1, 3}); };
    const auto query = query_conv_(x), key = key_conv_(x), value = value_conv_(x);
    const auto itself = [&] {  // (1, 1, height, height)
      const Shape<4> shape{1, 1, height, height};
      const auto hidden = make_buffer<S>(height * height, S(0));
      for (Index i = 0; i < height; ++i) hidden.get()[i * height + i] = -std::numeric_limits<S>::infinity();
      return Variable<S, 4>(shape, hidden);
    }();
    const auto down = matmul(columns(query), columns(key), Side::plain, Side::transposed) + itself;
    const auto across = matmul(query, key, Side::plain, Side::transposed);  // (batch, height, width, width)
    const auto weights = softmax(concat({columns(down), across}, 3));
    offer(*this, "weights", weights.reshape(Shape<3>{batch, height * width, height + width}));
    const auto of_column = matmul(columns(slice(weights, 0, height, 3)), columns(value));
    const auto of_row = matmul(slice(weights, height, height + width, 3), value);
    return gamma_.on(x).reshape(Shape<4>{1, 1, 1, 1}) * (columns(of_column) + of_row) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("query_conv", self.query_conv_);
    visit("key_conv", self.key_conv_);
    visit("value_conv", self.value_conv_);
    visit("gamma", self.gamma_);
  }

 private:
  static CrissCrossAttentionOptions completed(CrissCrossAttentionOptions o) {
    if (o.reduced_channels == 0) o.reduced_channels = o.channels / 8;
    require<OptionError>(o.channels > 0 && o.reduced_channels > 0, "CrissCrossAttention", [&] {
      return "channels = " + std::to_string(o.channels) +
             " must be above 0, and reduced_channels = " + std::to_string(o.reduced_channels) +
             " too; by default it is an eighth of channels";
    });
    return o;
  }
  CrissCrossAttentionOptions options_;
  PointwiseConv<S> query_conv_, key_conv_, value_conv_;
  Parameter<S, 1> gamma_;
};

ATTEND_END
