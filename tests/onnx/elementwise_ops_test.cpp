// Operators that know no channels: activations, softmax, products, reductions, padding.
#include <cmath>
#include <numeric>

#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/pad2d.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/softmax.hpp"
#include "attend/simd/math.hpp"
#include "onnx/node.hpp"

namespace onnx::elementwise_ops_test {
namespace {
using namespace attend;

template <class F>
Operator of_each(const F& f) {
  return [f](const Node& n) { return std::vector<Array>{any_rank(n[0], [&](const auto& x) { return f(x, n); })}; };
}
const Register relu_op("Relu", of_each([](const auto& x, const Node&) { return relu(x); }));
const Register sigmoid_op("Sigmoid", of_each([](const auto& x, const Node&) { return sigmoid(x); }));
const Register tanh_op("Tanh", of_each([](const auto& x, const Node&) { return tanh(x); }));
const Register softplus_op("Softplus", of_each([](const auto& x, const Node&) { return softplus(x); }));
const Register hard_swish_op("HardSwish", of_each([](const auto& x, const Node&) { return hard_swish(x); }));
const Register elu_op("Elu", of_each([](const auto& x, const Node& n) { return elu(x, n.attribute("alpha", 1.0)); }));
const Register leaky_op("LeakyRelu", of_each([](const auto& x, const Node& n) {
                          return leaky_relu(x, n.attribute("alpha", 0.01));
                        }));
const Register gelu_op("Gelu", of_each([](const auto& x, const Node& n) {
                         return gelu(x, n.attribute<std::string>("approximate", "none") == "tanh" ? GeluForm::tanh
                                                                                                  : GeluForm::erf);
                       }));
const Register hard_sigmoid_op("HardSigmoid", of_each([](const auto& x, const Node& n) {
                                 if (std::abs(n.attribute("alpha", 0.2) - 1.0 / 6) > 1e-6 ||
                                     n.attribute("beta", 0.5) != 0.5)
                                   throw Skip{reason::slope};
                                 return hard_sigmoid(x);
                               }));
const Register erf_op("Erf", [](const Node& n) {
  Array y = n[0];
  for (float& v : y.values) v = attend::erf(v);
  return std::vector<Array>{y};
});
const Register softmax_op("Softmax",
                          of_each([](const auto& x, const Node& n) { return softmax(x, n.attribute("axis", -1)); }));
const Register log_softmax_op("LogSoftmax", of_each([](const auto& x, const Node& n) {
                                return log_softmax(x, n.attribute("axis", -1));
                              }));

// ---- products ----

const Register matmul_op("MatMul", [](const Node& n) {
  Array a = n[0], b = n[1];
  const bool row = a.rank() == 1, column = b.rank() == 1;  // NumPy's rule for vectors
  if (row) a.shape.insert(a.shape.begin(), 1);
  if (column) b.shape.push_back(1);
  while (a.rank() < 4) a.shape.insert(a.shape.begin(), 1);
  while (b.rank() < 4) b.shape.insert(b.shape.begin(), 1);
  Array y(matmul(a.as<4>(), b.as<4>()));
  if (column) y.shape.pop_back();
  if (row) y.shape.erase(y.shape.end() - (column ? 1 : 2));
  const std::size_t rank = std::max<std::size_t>({n[0].shape.size(), n[1].shape.size(), 2}) - row - column;
  y.shape.erase(y.shape.begin(), y.shape.end() - static_cast<std::ptrdiff_t>(rank));
  return std::vector<Array>{y};
});
const Register gemm_op("Gemm", [](const Node& n) {
  const auto side = [&](const char* name) { return n.attribute(name, 0) ? Side::transposed : Side::plain; };
  auto y = matmul(n[0].as<2>(), n[1].as<2>(), side("transA"), side("transB")) * n.attribute("alpha", 1.0);
  if (const Array* c = n.optional(2)) {
    const Shape<2> shape = c->rank() == 2 ? c->dims<2>() : Shape<2>{1, static_cast<Index>(c->values.size())};
    y = y + c->as(shape) * n.attribute("beta", 1.0);
  }
  return std::vector<Array>{Array(y)};
});

// ---- reductions over all axes, one, or none ----

template <class F>
Operator reduction(const F& f) {
  return [f](const Node& n) -> std::vector<Array> {
    if (n[0].type == "BOOL") throw Skip{reason::boolean};
    std::vector<Index> axes = n.list("axes");
    if (const Array* given = n.optional(1)) axes = given->integers();
    if (axes.size() > 1) throw std::runtime_error("reductions over several axes are not called here");
    if (axes.empty() && n.attribute("noop_with_empty_axes", 0)) return {n[0]};
    Array y = any_rank(n[0], [&](const auto& x) {
      Shape<std::decay_t<decltype(x)>::rank> ones;
      ones.fill(1);
      return axes.empty() ? f(x.reshape(Shape<1>{x.size()}), {0}).reshape(ones) : f(x, {static_cast<int>(axes[0])});
    });
    if (n.attribute("keepdims", 1) == 0)
      for (const Index axis : axes) y.shape.erase(y.shape.begin() + (axis < 0 ? axis + n[0].rank() : axis));
    return {y};
  };
}
struct Sum {
  template <class X>
  X operator()(const X& x, const int (&axis)[1]) const {
    return sum(x, axis, KeepDims());
  }
};
struct Mean {
  template <class X>
  X operator()(const X& x, const int (&axis)[1]) const {
    return mean(x, axis, KeepDims());
  }
};
struct Max {
  template <class X>
  X operator()(const X& x, const int (&axis)[1]) const {
    return max(x, axis, KeepDims());
  }
};
const Register sum_op("ReduceSum", reduction(Sum()));
const Register mean_op("ReduceMean", reduction(Mean()));
const Register max_op("ReduceMax", reduction(Max()));

// ---- padding of the last two axes ----

const Register pad_op("Pad", [](const Node& n) {
  const Array& x = n[0];
  std::vector<Index> given = n.list("pads"), axes(x.shape.size());
  std::iota(axes.begin(), axes.end(), Index(0));
  if (n.optional(1)) given = n[1].integers();
  if (const Array* named = n.optional(3)) axes = named->integers();
  std::vector<Index> before(x.shape.size(), 0), after = before;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<std::size_t>(axes[i] < 0 ? axes[i] + x.rank() : axes[i]);
    before[axis] = given[i], after[axis] = given[axes.size() + i];
  }
  for (std::size_t a = 0; a < 2; ++a)
    if (before[a] != 0 || after[a] != 0) throw std::runtime_error("only height and width are padded here");
  const auto mode = n.attribute<std::string>("mode", "constant");
  const double value = n.optional(2) ? double(n[2].values[0]) : n.attribute("value", 0.0);
  const PaddingMode modes[] = {PaddingMode::zeros, PaddingMode::reflect, PaddingMode::replicate, PaddingMode::circular};
  const auto which = mode == "constant" ? 0 : mode == "reflect" ? 1 : mode == "edge" ? 2 : 3;
  const Pads pads{before[2], after[2], before[3], after[3]};
  return std::vector<Array>{
      Array(pad2d(x.channels_last().as<4>(), pads, modes[which], static_cast<float>(value))).channels_first()};
});
}  // namespace
}  // namespace onnx::elementwise_ops_test
