#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/dense.hpp"

ATTEND_BEGIN

struct DenseOptions {
  Index in_features = 0;   ///< extent of the last axis of x
  Index out_features = 0;  ///< extent of the last axis of the result
  bool bias = true;        ///< add a vector to every row
};

/// y = x W^T + b over the last axis.  x: (..., in_features)  ->  (..., out_features).
/// weight: (out_features, in_features)  bias: (out_features), both uniform in +-1 / sqrt(in_features).  torch.nn.Linear
template <class S>
class Dense : public Layer<Dense<S>> {
 public:
  Dense(const DenseOptions& options, Rng& rng)
      : weight_({checked(options).out_features, options.in_features}, rng, bound(options)) {
    if (options.bias) bias_.emplace(Shape<1>{options.out_features}, rng, bound(options));
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    const Index out = weight_.shape()[0], in = weight_.shape()[1];
    return dense(x, weight_.on(x), on(bias_, x), PackedDense<S>::of(weight_, out, in));
  }
  /// Of the result for an x of this shape.
  template <std::size_t R>
  std::array<Index, R> result_shape(std::array<Index, R> x) const {
    x.back() = weight_.shape()[0];
    return x;
  }
  /// activation(forward(x) + residual), the residual being of the result's shape, or null for none: fused_dense.
  template <int R>
  Variable<S, R> fused(const Variable<S, R>& x, Activation activation, const Variable<S, R>* residual = nullptr) const {
    if (!x.link() && !(residual && residual->link())) try {
        return fused_dense(x, weight_.on(x), on(bias_, x), activation, residual,
                           PackedDense<S>::of(weight_, weight_.shape()[0], weight_.shape()[1]));
      } catch (const Error&) {  // below it is thrown again, with the layer's name
      }
    const auto y = (*this)(x);
    return activate(residual ? y + *residual : y, activation);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    if (self.bias_) visit("bias", *self.bias_);
  }
  /// Write access for a block that draws its weights in another way.
  Parameter<S, 2>& weight() { return weight_; }
  std::optional<Parameter<S, 1>>& bias() { return bias_; }

 private:
  static const DenseOptions& checked(const DenseOptions& o) {
    require<OptionError>(o.in_features > 0 && o.out_features > 0, "Dense", [&] {
      return message("in_features is ", o.in_features, " and out_features ", o.out_features,
                     "; both must be at least 1");
    });
    return o;
  }
  static double bound(const DenseOptions& o) { return 1 / std::sqrt(static_cast<double>(o.in_features)); }

  Parameter<S, 2> weight_;
  std::optional<Parameter<S, 1>> bias_;
};

ATTEND_END
