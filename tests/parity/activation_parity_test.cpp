#include "attend/functional/activation.hpp"

#include "parity/golden.hpp"

namespace activation_parity_test {
namespace {
using namespace attend;
using golden::function;

/// A function of one tensor of rank 3, or 2 in the cases called "far".
template <class F>
std::vector<golden::Named> near_and_far(const std::string& name, const F& f) {
  return {{name, function<3>(f)}, {name + "_far", function<2>(f)}};
}

const golden::Cases plain("activation",
                          {
                              {"relu", function<3>([](const auto& x) { return relu(x); })},
                              {"leaky_relu", function<3>([](const auto& x) { return leaky_relu(x); })},
                              {"leaky_relu_slope", function<3>([](const auto& x) { return leaky_relu(x, 0.2); })},
                              {"hard_sigmoid", function<3>([](const auto& x) { return hard_sigmoid(x); })},
                              // PyTorch's backward multiplies by 1/6 rounded to float32, whatever the type.
                              {"hard_sigmoid_torch",
                               function<3>([](const auto& x) { return hard_sigmoid(x); }).within({.in_double = 1e-8})},
                              {"hard_swish", function<3>([](const auto& x) { return hard_swish(x); })},
                              {"softplus_beta", function<3>([](const auto& x) { return softplus(x, 2.5, 4.0); })},
                              {"elu", function<3>([](const auto& x) { return elu(x); })},
                              {"elu_alpha", function<3>([](const auto& x) { return elu(x, 0.7); })},
                          });
const golden::Cases tanh_cases("activation", near_and_far("tanh", [](const auto& x) { return tanh(x); }));
const golden::Cases sigmoid_cases("activation", near_and_far("sigmoid", [](const auto& x) { return sigmoid(x); }));
const golden::Cases silu_cases("activation", near_and_far("silu", [](const auto& x) { return silu(x); }));
const golden::Cases softplus_cases("activation", near_and_far("softplus", [](const auto& x) { return softplus(x); }));
const golden::Cases erf_cases("activation", near_and_far("gelu_erf", [](const auto& x) { return gelu(x); }));
const golden::Cases tanh_form("activation",
                              near_and_far("gelu_tanh", [](const auto& x) { return gelu(x, GeluForm::tanh); }));
}  // namespace
}  // namespace activation_parity_test
