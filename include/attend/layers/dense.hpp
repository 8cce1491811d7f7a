#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/dense.hpp"

ATTEND_BEGIN

struct DenseOptions {
  Index in_features = 0;
  Index out_features = 0;
};

/// y = x W^T + b over the last axis.  weight: (out_features, in_features)  bias: (out_features)
template <class S>
class Dense : public Layer<Dense<S>> {
 public:
  Dense(const DenseOptions& o, Rng& rng)
      : weight_({o.out_features, o.in_features}, rng, 1 / std::sqrt(double(o.in_features))), bias_({o.out_features}, rng, 1 / std::sqrt(double(o.in_features))) {}

  template <int R> Variable<S, R> forward(const Variable<S, R>& x) const {
    return dense(x, weight_.on(x), bias_.on(x), x.link() ? nullptr : transposed());  // a training step would use the packed form only once
  }
  template <class Self, class Visit> static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    visit("bias", self.bias_);
  }

 private:
  const S* transposed() const {
    return weight_.derived(weight_.size(), [out = weight_.shape()[0], in = weight_.shape()[1]](const S* w, S* t) {
      for (Index o = 0; o < out; ++o) for (Index i = 0; i < in; ++i) t[i * out + o] = w[o * in + i];
    });
  }
  Parameter<S, 2> weight_;
  Parameter<S, 1> bias_;
};

ATTEND_END
