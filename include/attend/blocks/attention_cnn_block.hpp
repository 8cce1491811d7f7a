#pragma once
#include "attend/blocks/downsample.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/layers/any_layer.hpp"

ATTEND_BEGIN

struct AttentionCnnBlockOptions {
  Index in_channels = 0;
  Index out_channels = 0;
  Index kernel_size = 3;  ///< odd; the padding keeps the size at stride 1
  Index stride = 1;
  Activation activation = Activation::relu;
  Index pool = 0;  ///< kernel and stride of a max pool at the end; 0: none
};

/// The plain brick of an attention-CNN: convolution, batch norm, activation, attention, perhaps a max pool.
///
///   y = pool(attention(activation(bn(conv x))))
///
/// Any layer from feature map to feature map of the same shape fits as the attention; without one nothing is there.
/// x: (batch, height, width, in_channels)  ->  (batch, height / (stride pool), width / (stride pool), out_channels).
/// conv.weight  bn.*  attention.*
template <class S>
class AttentionCnnBlock : public Layer<AttentionCnnBlock<S>> {
 public:
  AttentionCnnBlock(const AttentionCnnBlockOptions& o, Rng& rng) : AttentionCnnBlock(o, AnyLayer<S, 4>(), rng) {}
  AttentionCnnBlock(const AttentionCnnBlockOptions& o, AnyLayer<S, 4> attention, Rng& rng)
      : options_(checked(o)),
        conv_(detail::block_conv(o.in_channels, o.out_channels, o.kernel_size, o.stride), rng),
        bn_(detail::block_norm(o.out_channels)),
        attention_(std::move(attention)) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto seen = attention_(conv_norm_act(conv_, bn_, options_.activation, x));
    if (options_.pool == 0) return seen;
    MaxPoolOptions pool;
    pool.kernel_size = options_.pool;
    return max_pool2d(seen, pool);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("conv", self.conv_);
    visit("bn", self.bn_);
    visit("attention", self.attention_);
  }

 private:
  static const AttentionCnnBlockOptions& checked(const AttentionCnnBlockOptions& o) {
    require<OptionError>(o.kernel_size > 0 && o.kernel_size % 2 == 1 && o.pool >= 0, "AttentionCnnBlock", [&] {
      return message("kernel_size = ", o.kernel_size, " must be odd and above 0, pool = ", o.pool, " not below");
    });
    return o;
  }
  AttentionCnnBlockOptions options_;
  Conv2d<S> conv_;
  BatchNorm<S> bn_;
  AnyLayer<S, 4> attention_;
};

ATTEND_END
