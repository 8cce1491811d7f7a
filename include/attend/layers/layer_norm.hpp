#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/norm.hpp"

ATTEND_BEGIN

/// Extents of the axes that a norm spans: `256`, or `{14, 14, 256}` for three.
template <int Axes>
struct NormalizedShape : Shape<Axes> {
  NormalizedShape() : Shape<Axes>{} {}
  template <class... I, std::enable_if_t<sizeof...(I) == Axes && (std::is_integral_v<I> && ...), int> = 0>
  NormalizedShape(I... extents) : Shape<Axes>{static_cast<Index>(extents)...} {}
};

template <int Axes>
struct LayerNormOptions {
  NormalizedShape<Axes> normalized_shape = {};  ///< extents of the last axes of x, over which to normalise
  double eps = 1e-5;                            ///< added to the variance, under the root (timm: 1e-6, BERT: 1e-12)
  bool affine = true;                           ///< weight, of that shape; PyTorch's elementwise_affine
  bool bias = true;                             ///< bias beside the weight
};

namespace detail {
template <std::size_t Axes>
void check_row_norm_options(const char* layer, const std::array<Index, Axes>& shape, double eps) {
  for (const Index extent : shape)
    require<OptionError>(extent > 0, layer,
                         [&] { return message("normalized_shape is ", shape, "; every extent must be at least 1"); });
  require<OptionError>(eps >= 0, layer, [&] { return message("eps is ", eps, "; it must be 0 or more"); });
}
template <class S, int R, std::size_t Axes>
void check_last_axes(const char* layer, const Variable<S, R>& x, const std::array<Index, Axes>& shape) {
  static_assert(R >= static_cast<int>(Axes), "attend: x has fewer axes than the norm's normalized_shape");
  require(std::equal(shape.begin(), shape.end(), x.shape().end() - Axes), layer,
          [&] { return message("x has shape ", x.shape(), "; its last axes must be normalized_shape = ", shape); });
}
}  // namespace detail

/// y = (x - mean) / sqrt(variance + eps) weight + bias, mean and biased variance over the last Axes axes.
/// x: (..., normalized_shape)  weight, bias: normalized_shape.  Ba et al. 2016; torch.nn.LayerNorm.
template <class S, int Axes = 1>
class LayerNorm : public Layer<LayerNorm<S, Axes>> {
 public:
  explicit LayerNorm(const LayerNormOptions<Axes>& options) : options_(options) {
    detail::check_row_norm_options("LayerNorm", options.normalized_shape, options.eps);
    if (options.affine) weight_.emplace(options.normalized_shape, S(1));
    if (options.affine && options.bias) bias_.emplace(options.normalized_shape);
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    detail::check_last_axes("LayerNorm", x, options_.normalized_shape);
    return layer_norm(x, on(weight_, x), on(bias_, x), options_.eps);
  }
  /// x + residual and its norm, in one pass where nothing is recorded: add_layer_norm.
  template <int R>
  NormalizedSum<S, R> plus(const Variable<S, R>& x, const Variable<S, R>& residual) const {
    detail::check_last_axes("LayerNorm", x, options_.normalized_shape);
    return add_layer_norm(x, residual, on(weight_, x, residual), on(bias_, x, residual), options_.eps);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.weight_) visit("weight", *self.weight_);
    if (self.bias_) visit("bias", *self.bias_);
  }

 private:
  LayerNormOptions<Axes> options_;
  std::optional<Parameter<S, Axes>> weight_, bias_;
};

ATTEND_END
