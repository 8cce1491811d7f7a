#pragma once
/// Activations as layers, for Sequential and for options that take a layer. They own nothing and have no scalar of
/// their own: `Relu()` serves float and double, any rank. Formulas and sources: functional/activation.hpp.
#include "attend/autograd/layer.hpp"
#include "attend/functional/activation.hpp"

ATTEND_BEGIN

/// torch.nn.ReLU
class Relu : public Layer<Relu> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return relu(x);
  }
};

struct LeakyReluOptions {
  double negative_slope = 0.01;  ///< factor where x < 0
};
/// torch.nn.LeakyReLU
class LeakyRelu : public Layer<LeakyRelu> {
 public:
  explicit LeakyRelu(const LeakyReluOptions& options = {}) : options_(options) {}
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return leaky_relu(x, options_.negative_slope);
  }

 private:
  LeakyReluOptions options_;
};

/// torch.nn.GELU: Gelu(), or Gelu(Gelu::tanh) for approximate='tanh'
class Gelu : public Layer<Gelu> {
 public:
  static constexpr GeluForm erf = GeluForm::erf, tanh = GeluForm::tanh;
  explicit Gelu(GeluForm form = GeluForm::erf) : form_(form) {}
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return gelu(x, form_);
  }

 private:
  GeluForm form_;
};

/// torch.nn.SiLU
class Silu : public Layer<Silu> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return silu(x);
  }
};

/// torch.nn.Sigmoid
class Sigmoid : public Layer<Sigmoid> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return sigmoid(x);
  }
};

/// torch.nn.Hardsigmoid
class HardSigmoid : public Layer<HardSigmoid> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return hard_sigmoid(x);
  }
};

/// torch.nn.Hardswish
class HardSwish : public Layer<HardSwish> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return hard_swish(x);
  }
};

/// torch.nn.Tanh
class Tanh : public Layer<Tanh> {
 public:
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return tanh(x);
  }
};

struct SoftplusOptions {
  double beta = 1;        ///< steepness, greater than 0
  double threshold = 20;  ///< where beta x exceeds it, the result is x itself
};
/// torch.nn.Softplus
class Softplus : public Layer<Softplus> {
 public:
  explicit Softplus(const SoftplusOptions& options = {}) : options_(options) {
    require<OptionError>(options.beta > 0, "Softplus",
                         [&] { return message("beta is ", options.beta, "; it must be greater than 0"); });
  }
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return softplus(x, options_.beta, options_.threshold);
  }

 private:
  SoftplusOptions options_;
};

struct EluOptions {
  double alpha = 1;  ///< minus the limit at -infinity
};
/// torch.nn.ELU
class Elu : public Layer<Elu> {
 public:
  explicit Elu(const EluOptions& options = {}) : options_(options) {}
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return elu(x, options_.alpha);
  }

 private:
  EluOptions options_;
};

/// An activation chosen at run time: Activate(activation_from("silu")).
class Activate : public Layer<Activate> {
 public:
  explicit Activate(Activation activation) : activation_(activation) {}
  template <class S, int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return activate(x, activation_);
  }

 private:
  Activation activation_;
};

ATTEND_END
