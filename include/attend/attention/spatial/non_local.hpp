#pragma once
#include "attend/attention/channel/reduced_channels.hpp"
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/attend_positions.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

/// How a position judges another one, from the maps t and p.
enum class NonLocalForm {
  embedded_gaussian,  ///< softmax of t p^T: timm's
  gaussian,           ///< softmax of x x^T, without t and p
  dot,                ///< t p^T / positions, without a softmax
  concatenation       ///< relu(w [t, p]) / positions
};

struct NonLocalOptions {
  Index channels = 0;
  double rd_ratio = 1.0 / 8;  ///< query, key and value channels = make_divisible(channels rd_ratio, rd_divisor) ...
  Index rd_channels = 0;      ///< ... unless given here
  Index rd_divisor = 8;
  bool scale = true;  ///< divide the scores of the two Gaussian forms by sqrt(channels)
  NonLocalForm form = NonLocalForm::embedded_gaussian;
};

/// Non-local attention (Wang et al. 2018, eq. 2 to 6; the embedded Gaussian is timm's NonLocalAttn): every position
/// looks at every other, by query, key and value maps made of one feature map.
///
///   y = x + BN(z softmax(t(x) p(x)^T / sqrt(channels)) g(x))
///
/// where the scale is that of `channels`, not of the reduced ones; for other weights than this softmax see
/// NonLocalForm. The dot product never makes its map, t (p^T g) / positions being the same, but to show it.
///
/// x: (batch, height, width, channels), any size  ->  the same shape.
/// Offers "weights" (batch, 1, H W, H W), rows of queries.
/// t, p, g: weight (rd, channels, 1, 1), bias (rd)  z: weight (channels, rd, 1, 1), bias (channels)  norm.*
/// concat_project.0.weight (1, 2 rd, 1, 1), of the concatenation, first t's numbers, then p's.
/// Starts as the identity: the norm's weight and bias are zeros; maps are drawn from He's normal of their fan-out,
/// biases zero. Saved: x, the maps, the attention's output and two numbers per position; no score matrix, except for
/// the concatenation. Throws
/// OptionError for non-positive sizes, ShapeError for other channels.
template <class S>
class NonLocal : public Layer<NonLocal<S>> {
 public:
  using StartsAsIdentity = void;
  NonLocal(const NonLocalOptions& options, Rng& rng)
      : options_(options),
        t_(embedding(options, rng)),
        p_(embedding(options, rng)),
        g_({options.channels, reduced(options)}, rng),
        z_({reduced(options), options.channels}, rng),
        norm_(norm(options)) {
    if (options.form == NonLocalForm::concatenation)
      pair_.emplace(Shape<4>{1, 2 * reduced(options), 1, 1}, rng, 1 / std::sqrt(2 * double(reduced(options))));
    for (auto* map : {t_ ? &*t_ : nullptr, p_ ? &*p_ : nullptr, &g_, &z_}) {
      if (!map) continue;
      auto weight = map->weight().edit();
      const double deviation = std::sqrt(2 / double(weight.dimension(0)));
      for (Index i = 0; i < weight.size(); ++i) weight.data()[i] = S(deviation * rng.normal());
      map->bias()->edit().setZero();
    }
    norm_.children(norm_, [](std::string_view name, auto& parameter) {
      if (name == "weight") parameter.edit_flat().setZero();
    });
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map_channels("NonLocal", x.shape(), options_.channels);
    const Shape<4> shape{x.dim(0), x.dim(1), x.dim(2), reduced(options_)};
    return norm_(z_(read(x).reshape(shape))) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.t_) visit("t", *self.t_);
    if (self.p_) visit("p", *self.p_);
    visit("g", self.g_);
    visit("z", self.z_);
    visit("norm", self.norm_);
    if (self.pair_) visit("concat_project.0.weight", *self.pair_);
  }

 private:
  /// What every position reads: (batch, H W, rd).
  Variable<S, 3> read(const Variable<S, 4>& x) const {
    const Index batch = x.dim(0), positions = x.dim(1) * x.dim(2), rd = reduced(options_);
    const auto rows = [&](const Variable<S, 4>& map) { return map.reshape(Shape<3>{batch, positions, map.dim(3)}); };
    const auto value = rows(g_(x));
    if (options_.form == NonLocalForm::concatenation || options_.form == NonLocalForm::dot) {
      const auto query = rows((*t_)(x)), key = rows((*p_)(x));
      const double share = 1 / double(std::max<Index>(positions, 1));
      const Shape<4> map{batch, 1, positions, positions};
      if (options_.form == NonLocalForm::dot) {
        if (Recording::wants(key_of(*this)))
          offer(*this, "weights", (matmul(query, key, Side::plain, Side::transposed) * share).reshape(map));
        return matmul(query, matmul(key, value, Side::transposed) * share);
      }
      const auto weights = pair_scores(query, key) * share;
      offer(*this, "weights", weights.reshape(map));
      return matmul(weights, value);
    }
    const auto head = [&](const Variable<S, 3>& map) { return map.reshape(Shape<4>{batch, positions, 1, map.dim(2)}); };
    const bool embedded = options_.form == NonLocalForm::embedded_gaussian;
    const auto query = embedded ? rows((*t_)(x)) : rows(x), key = embedded ? rows((*p_)(x)) : rows(x);
    const double scale = options_.scale ? 1 / std::sqrt(double(options_.channels)) : 1;
    return detail::attend_positions<NonLocal, S>(*this, "NonLocal", head(query), head(key), head(value), nullptr, scale)
        .reshape(Shape<3>{batch, positions, rd});
  }
  /// relu(w_t t_i + w_p p_j): a product with [t_i, p_j] for every pair is the sum of two, one for each.
  Variable<S, 3> pair_scores(const Variable<S, 3>& t, const Variable<S, 3>& p) const {
    const Index rd = reduced(options_);
    const auto weight = pair_->on(t).reshape(Shape<2>{1, 2 * rd});
    const auto of_query = dense(t, slice(weight, 0, rd, 1), absent<S, 1>());
    const auto of_key = dense(p, slice(weight, rd, 2 * rd, 1), absent<S, 1>());
    return relu(of_query + of_key.reshape(Shape<3>{p.dim(0), 1, p.dim(1)}));
  }
  static std::optional<PointwiseConv<S>> embedding(const NonLocalOptions& o, Rng& rng) {
    if (o.form == NonLocalForm::gaussian) return std::nullopt;
    return PointwiseConv<S>({o.channels, reduced(o)}, rng);
  }
  static Index reduced(const NonLocalOptions& o) { return detail::reduced_channels("NonLocal", o, 0.9); }
  static BatchNormOptions norm(const NonLocalOptions& o) {
    BatchNormOptions norm;
    norm.channels = o.channels;
    return norm;
  }
  NonLocalOptions options_;
  std::optional<PointwiseConv<S>> t_, p_;
  PointwiseConv<S> g_, z_;
  BatchNorm<S> norm_;
  std::optional<Parameter<S, 4>> pair_;  // the weights of a concatenated query and key
};

ATTEND_END
