#pragma once
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/layer.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/reduction.hpp"

ATTEND_BEGIN

struct GlobalResponseNormOptions {
  Index channels = 0;
  double eps = 1e-6;  ///< added to the mean norm
};

/// Global response normalisation (ConvNeXt V2; Woo et al. 2023, section 3.2; timm's GlobalResponseNorm): a channel counts
/// as much as its norm over the map exceeds that of the others.
///
///   g(b, c) = ||x(b, ., ., c)||_2,   n = g / (mean over the channels of g + eps),   y = x + weight x n + bias
///
/// x: (batch, height, width, channels)  ->  the same shape. Offers "gate" 1 + weight n (batch, channels).
/// weight (channels)  bias (channels), both from zeros: it starts as the identity. A channel of zeros has the norm's
/// gradient 0. Throws OptionError for sizes that are not positive, ShapeError for other channels or no positions.
template <class S>
class GlobalResponseNorm : public Layer<GlobalResponseNorm<S>> {
 public:
  using StartsAsIdentity = void;
  explicit GlobalResponseNorm(const GlobalResponseNormOptions& options)
      : options_(checked(options)), weight_({options.channels}), bias_({options.channels}) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("GlobalResponseNorm", x.shape(), options_.channels);
    const auto norm = global_norm_pool(x);
    const auto relative = norm / (mean(norm, {1}, keep_dims) + options_.eps);
    const auto gate = relative * weight_.on(x).reshape(Shape<2>{1, options_.channels}) + 1;
    offer(*this, "gate", gate);
    return gate_channels(x, gate) + bias_.on(x).reshape(Shape<4>{1, 1, 1, options_.channels});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    visit("bias", self.bias_);
  }

 private:
  static const GlobalResponseNormOptions& checked(const GlobalResponseNormOptions& o) {
    require<OptionError>(o.channels > 0 && o.eps > 0, "GlobalResponseNorm",
                         [&] { return message("channels = ", o.channels, " and eps = ", o.eps, " must be above 0"); });
    return o;
  }
  GlobalResponseNormOptions options_;
  Parameter<S, 1> weight_, bias_;
};

ATTEND_END
