#pragma once
#include "attend/layers/layer_norm.hpp"

ATTEND_BEGIN

template <int Axes>
struct RmsNormOptions {
  NormalizedShape<Axes> normalized_shape = {};  ///< extents of the last axes of x, over which to normalise
  std::optional<double> eps = {};  ///< added to the mean square, under the root; the scalar type's epsilon if not given
  bool affine = true;              ///< weight, of that shape; PyTorch's elementwise_affine
};

/// y = x / sqrt(mean(x^2) + eps) weight, over the last Axes axes.
/// x: (..., normalized_shape)  weight: normalized_shape.  Zhang and Sennrich 2019; torch.nn.RMSNorm.
template <class S, int Axes = 1>
class RmsNorm : public Layer<RmsNorm<S, Axes>> {
 public:
  explicit RmsNorm(const RmsNormOptions<Axes>& options)
      : options_(options), eps_(options.eps.value_or(static_cast<double>(std::numeric_limits<S>::epsilon()))) {
    detail::check_row_norm_options("RmsNorm", options.normalized_shape, eps_);
    if (options.affine) weight_.emplace(options.normalized_shape, S(1));
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    detail::check_last_axes("RmsNorm", x, options_.normalized_shape);
    return rms_norm(x, on(weight_, x), eps_);
  }
  /// x + residual and its norm, in one pass where nothing is recorded: add_rms_norm.
  template <int R>
  NormalizedSum<S, R> plus(const Variable<S, R>& x, const Variable<S, R>& residual) const {
    detail::check_last_axes("RmsNorm", x, options_.normalized_shape);
    return add_rms_norm(x, residual, on(weight_, x, residual), eps_);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.weight_) visit("weight", *self.weight_);
  }

 private:
  RmsNormOptions<Axes> options_;
  double eps_;
  std::optional<Parameter<S, Axes>> weight_;
};

ATTEND_END
