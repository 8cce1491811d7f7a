#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct NonLocalOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 8;  ///< query, key and value channels = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;      ///< ... unless given here
  Index rd_divisor = 8;
  bool scale = true;  ///< divide the scores by sqrt(channels)
};

/// Non-local attention (Wang et al. 2018, the embedded Gaussian; timm's NonLocalAttn): every position looks at every
/// other, by query, key and value maps made of one feature map.
///
///   y = x + BN(z softmax(t(x) p(x)^T / sqrt(channels)) g(x))
///
/// where the scale is that of `channels`, not of the reduced ones.
///
/// x: (batch, height, width, channels), any size  ->  the same shape.
/// Offers "weights" (batch, 1, H W, H W), rows of queries.
/// t, p, g: weight (rd, channels, 1, 1), bias (rd)  z: weight (channels, rd, 1, 1), bias (channels)  norm.*
/// Starts as the identity: the norm's weight and bias are zeros; maps are drawn from He's normal of their fan-out,
/// biases zero. Saved: x, the maps, the attention's output and two numbers per position; no score matrix. Throws
/// OptionError for non-positive sizes, ShapeError for other channels.
template <class S>
class NonLocal : public Layer<NonLocal<S>> {
 public:
  NonLocal(const NonLocalOptions& options, Rng& rng)
      : options_(checked(options)),
        t_({options.channels, reduced(options)}, rng),
        p_({options.channels, reduced(options)}, rng),
        g_({options.channels, reduced(options)}, rng),
        z_({reduced(options), options.channels}, rng),
        norm_(norm(options)) {
    for (auto* map : {&t_, &p_, &g_, &z_}) {
      auto weight = map->weight().edit();
      const double deviation = std::sqrt(2 / double(weight.dimension(0)));
      for (Index i = 0; i < weight.size(); ++i) weight.data()[i] = S(deviation * rng.normal());
      map->bias()->edit().setZero();
    }
    norm_.children(norm_, [](const std::string& name, auto& parameter) {
      if (name == "weight") parameter.edit_flat().setZero();
    });
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    require(x.dim(3) == options_.channels, "NonLocal", [&] {
      return "x has shape " + to_string(x.shape()) +
             "; its last axis must be channels = " + std::to_string(options_.channels);
    });
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2);
    const Shape<4> head{batch, positions, 1, reduced(options_)};
    const auto query = t_(x).reshape(head), key = p_(x).reshape(head), value = g_(x).reshape(head);
    const double scale = options_.scale ? 1 / std::sqrt(double(options_.channels)) : 1;
    const auto read = detail::attend_positions<NonLocal, S>(*this, "NonLocal", query, key, value, nullptr, scale);
    return norm_(z_(read.reshape(Shape<4>{batch, x.dim(1), x.dim(2), reduced(options_)}))) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("t", self.t_);
    visit("p", self.p_);
    visit("g", self.g_);
    visit("z", self.z_);
    visit("norm", self.norm_);
  }

 private:
  static const NonLocalOptions& checked(const NonLocalOptions& o) {
    require<OptionError>(o.channels > 0 && o.rd_channels >= 0 && o.rd_divisor > 0 && o.rd_ratio > 0, "NonLocal", [&] {
      return "channels = " + std::to_string(o.channels) + ", rd_ratio = " + std::to_string(o.rd_ratio) +
             " and rd_divisor = " + std::to_string(o.rd_divisor) +
             " must be above 0, rd_channels = " + std::to_string(o.rd_channels) + " not below";
    });
    return o;
  }
  static Index reduced(const NonLocalOptions& o) {
    return o.rd_channels > 0 ? o.rd_channels : make_divisible(double(o.channels) * o.rd_ratio, o.rd_divisor);
  }
  static BatchNormOptions norm(const NonLocalOptions& o) {
    BatchNormOptions norm;
    norm.channels = o.channels;
    return norm;
  }
  NonLocalOptions options_;
  PointwiseConv<S> t_, p_, g_, z_;
  BatchNorm<S> norm_;
};

ATTEND_END
