#pragma once
/// Element-wise activations of a Variable of any shape; the result has the shape of x. Formulas, derivatives at kinks:
/// kernels/activation.hpp. Saved for backward: x, or the result alone where the derivative follows from it (relu,
/// sigmoid, tanh).
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/elementwise.hpp"
#include "attend/kernels/activation.hpp"

ATTEND_BEGIN

/// max(x, 0).  torch.nn.functional.relu
template <class S, int R>
Variable<S, R> relu(const Variable<S, R>& x) {
  return elementwise("relu", x, activation::Relu{});
}

/// x where x > 0, else negative_slope x.  torch.nn.functional.leaky_relu
template <class S, int R>
Variable<S, R> leaky_relu(const Variable<S, R>& x, double negative_slope = 0.01) {
  return elementwise("leaky_relu", x, activation::LeakyRelu{negative_slope});
}

/// Which of the two functions that go by the name GELU: they differ by up to 4.7e-4 (Hendrycks and Gimpel 2016).
enum class GeluForm {
  erf,  ///< x (1 + erf(x / sqrt 2)) / 2, PyTorch's default
  tanh  ///< x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, as GPT-2 has it
};

/// x Phi(x).  torch.nn.functional.gelu(x, approximate='none' or 'tanh')
template <class S, int R>
Variable<S, R> gelu(const Variable<S, R>& x, GeluForm form = GeluForm::erf) {
  return form == GeluForm::erf ? elementwise("gelu", x, activation::GeluErf{})
                               : elementwise("gelu", x, activation::GeluTanh{});
}

/// gelu(x + bias), in one pass: x + bias is not kept in memory. Axes of extent 1 are repeated, as in x + bias.  Saves x and
/// bias.
template <class S, int R>
Variable<S, R> bias_gelu(const Variable<S, R>& x, const Variable<S, R>& bias, GeluForm form = GeluForm::erf) {
  return form == GeluForm::erf ? broadcast("bias_gelu", x, bias, activation::OfSum<activation::GeluErf>{})
                               : broadcast("bias_gelu", x, bias, activation::OfSum<activation::GeluTanh>{});
}

/// x sigmoid(x), also called swish.  torch.nn.functional.silu
template <class S, int R>
Variable<S, R> silu(const Variable<S, R>& x) {
  return elementwise("silu", x, activation::Silu{});
}

/// 1 / (1 + e^-x)
template <class S, int R>
Variable<S, R> sigmoid(const Variable<S, R>& x) {
  return elementwise("sigmoid", x, activation::Sigmoid{});
}

/// min(max(x + 3, 0), 6) / 6.  torch.nn.functional.hardsigmoid
template <class S, int R>
Variable<S, R> hard_sigmoid(const Variable<S, R>& x) {
  return elementwise("hard_sigmoid", x, activation::HardSigmoid{});
}

/// x min(max(x + 3, 0), 6) / 6.  torch.nn.functional.hardswish
template <class S, int R>
Variable<S, R> hard_swish(const Variable<S, R>& x) {
  return elementwise("hard_swish", x, activation::HardSwish{});
}

template <class S, int R>
Variable<S, R> tanh(const Variable<S, R>& x) {
  return elementwise("tanh", x, activation::Tanh{});
}

/// log(1 + e^(beta x)) / beta, and x itself where beta x > threshold.  Throws OptionError unless beta > 0.
/// torch.nn.functional.softplus
template <class S, int R>
Variable<S, R> softplus(const Variable<S, R>& x, double beta = 1, double threshold = 20) {
  require<OptionError>(beta > 0, "softplus", [&] { return message("beta is ", beta, "; it must be greater than 0"); });
  return elementwise("softplus", x, activation::Softplus{beta, threshold});
}

/// x where x > 0, else alpha (e^x - 1).  torch.nn.functional.elu (Clevert et al. 2016)
template <class S, int R>
Variable<S, R> elu(const Variable<S, R>& x, double alpha = 1) {
  return elementwise("elu", x, activation::Elu{alpha});
}

/// An activation chosen at run time, each with PyTorch's default options.
enum class Activation {
  identity,
  relu,
  leaky_relu,
  gelu,
  gelu_tanh,
  silu,
  sigmoid,
  hard_sigmoid,
  hard_swish,
  tanh,
  softplus,
  elu
};

namespace detail {
struct ActivationName {
  const char* name;
  Activation value;
};
/// PyTorch's names first, then those of timm and transformers for the same functions.
inline constexpr ActivationName activation_names[] = {
    {"identity", Activation::identity},
    {"relu", Activation::relu},
    {"leaky_relu", Activation::leaky_relu},
    {"gelu", Activation::gelu},
    {"gelu_tanh", Activation::gelu_tanh},
    {"silu", Activation::silu},
    {"sigmoid", Activation::sigmoid},
    {"hardsigmoid", Activation::hard_sigmoid},
    {"hardswish", Activation::hard_swish},
    {"tanh", Activation::tanh},
    {"softplus", Activation::softplus},
    {"elu", Activation::elu},
    {"swish", Activation::silu},
    {"hard_sigmoid", Activation::hard_sigmoid},
    {"hard_swish", Activation::hard_swish},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh},
    {"linear", Activation::identity},
};
}  // namespace detail

/// The name in PyTorch's functional interface: "relu", "hardswish", ...
inline const char* to_string(Activation activation) {
  for (const auto& known : detail::activation_names)
    if (known.value == activation) return known.name;
  return "";
}

/// From PyTorch's, timm's or transformers' name. Throws OptionError, listing what there is.
inline Activation activation_from(const std::string& name) {
  for (const auto& known : detail::activation_names)
    if (name == known.name) return known.value;
  std::string all;
  for (const auto& known : detail::activation_names) all += std::string(all.empty() ? "" : ", ") + known.name;
  throw OptionError("activation", "the name is \"" + name + "\"; it must be one of " + all);
}

namespace detail {
template <class F, class S>
void activate_in_place(Index count, S* values) {
  elementwise_forward(F{}, count, values, values);
}
/// What replaces numbers by their activation, for the end of another kernel (GemmEpilogue); null for identity, and for
/// those with options, which do without.
template <class S>
auto in_place(Activation activation) -> void (*)(Index, S*) {
  switch (activation) {
    case Activation::relu:
      return activate_in_place<activation::Relu, S>;
    case Activation::gelu:
      return activate_in_place<activation::GeluErf, S>;
    case Activation::gelu_tanh:
      return activate_in_place<activation::GeluTanh, S>;
    case Activation::silu:
      return activate_in_place<activation::Silu, S>;
    case Activation::hard_swish:
      return activate_in_place<activation::HardSwish, S>;
    default:
      return nullptr;
  }
}
}  // namespace detail

/// The activation chosen at run time; identity gives x itself.
template <class S, int R>
Variable<S, R> activate(const Variable<S, R>& x, Activation activation) {
  switch (activation) {
    case Activation::identity:
      break;
    case Activation::relu:
      return relu(x);
    case Activation::leaky_relu:
      return leaky_relu(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu(x, GeluForm::tanh);
    case Activation::silu:
      return silu(x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::hard_sigmoid:
      return hard_sigmoid(x);
    case Activation::hard_swish:
      return hard_swish(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::softplus:
      return softplus(x);
    case Activation::elu:
      return elu(x);
  }
  return x;
}

ATTEND_END
