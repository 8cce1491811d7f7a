#pragma once
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attend/autograd/variable.hpp"

/// The ONNX standard's own test vectors, run through the library: each operator says how a node of it becomes a call.
namespace onnx {
using attend::Index;
using attend::Shape;
using attend::Variable;

/// A tensor in ONNX's order of axes; every element type as float, which holds all of theirs.
struct Array {
  std::vector<Index> shape;
  std::vector<float> values;
  std::string type = "F32";

  Array() = default;
  Array(std::vector<Index> the_shape, std::vector<float> the_values)
      : shape(std::move(the_shape)), values(std::move(the_values)) {}
  template <int R>
  explicit Array(const Variable<float, R>& v)
      : shape(v.shape().begin(), v.shape().end()), values(v.data(), v.data() + v.size()) {}

  template <int R>
  Variable<float, R> as() const {
    if (shape.size() != static_cast<std::size_t>(R)) throw std::runtime_error("a node's input has another rank");
    return as(dims<R>());
  }
  /// The same numbers under another shape.
  template <std::size_t R>
  Variable<float, static_cast<int>(R)> as(const std::array<Index, R>& wanted) const {
    attend::Tensor<float, static_cast<int>(R)> t(wanted);
    if (t.size() != static_cast<Index>(values.size())) throw std::runtime_error("a node's input has another size");
    std::copy(values.begin(), values.end(), t.data());
    return Variable<float, static_cast<int>(R)>(t);
  }
  template <int R>
  Shape<R> dims() const {
    Shape<R> s{};
    std::copy_n(shape.begin(), R, s.begin());
    return s;
  }
  std::vector<Index> integers() const { return {values.begin(), values.end()}; }
  Index dim(std::size_t axis) const { return shape.at(axis); }
  int rank() const { return static_cast<int>(shape.size()); }
  /// Axis i of the result is axis order[i].
  Array transposed(const std::vector<std::size_t>& order) const;
  Array channels_last() const;   ///< (N, C, ...) -> (N, ..., C)
  Array channels_first() const;  ///< and back
};

/// Thrown by an operator for a form that the library does not have; the reason is one of `reasons()`.
struct Skip {
  std::string reason;
};
namespace reason {
inline const std::string three_dimensional = "convolution and pooling over three axes";
inline const std::string cubic = "cubic resizing";
inline const std::string antialias = "resizing with antialias";
inline const std::string coordinates = "coordinate transformations of Resize that PyTorch does not have";
inline const std::string rounding = "rounding of nearest Resize that PyTorch does not have";
inline const std::string slope = "HardSigmoid with a slope other than 1/6";
inline const std::string peepholes = "LSTM with peepholes";
inline const std::string reset = "GRU that resets before the product (linear_before_reset = 0)";
inline const std::string boolean = "reductions of booleans";
}  // namespace reason
const std::vector<std::string>& reasons();

/// A node with its inputs.
class Node {
 public:
  Node(const nlohmann::json& attributes, std::vector<const Array*> inputs, std::vector<std::string> outputs)
      : attributes_(attributes), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {}
  /// Null: not given.
  const Array* optional(std::size_t i) const { return i < inputs_.size() ? inputs_[i] : nullptr; }
  const Array& operator[](std::size_t i) const {
    if (!optional(i)) throw std::runtime_error("a node lacks an input");
    return *inputs_[i];
  }
  bool asks_for(std::size_t output) const { return output < outputs_.size() && !outputs_[output].empty(); }
  template <class T>
  T attribute(const char* name, const T& otherwise) const {
    return attributes_.contains(name) ? attributes_.at(name).get<T>() : otherwise;
  }
  std::vector<Index> list(const char* name, const std::vector<Index>& otherwise = {}) const {
    return attribute(name, otherwise);
  }

 private:
  const nlohmann::json& attributes_;
  std::vector<const Array*> inputs_;
  std::vector<std::string> outputs_;
};

/// Outputs in the node's order; one left empty is not compared.
using Operator = std::function<std::vector<Array>(const Node&)>;
std::map<std::string, Operator>& operators();
struct Register {
  Register(const char* name, Operator op) { operators()[name] = std::move(op); }
};

/// f(variable of its rank) for ranks 1 to 4, for functions that know no axes.
template <class F>
Array any_rank(const Array& x, const F& f) {
  switch (x.rank()) {
    case 1:
      return Array(f(x.as<1>()));
    case 2:
      return Array(f(x.as<2>()));
    case 3:
      return Array(f(x.as<3>()));
    case 4:
      return Array(f(x.as<4>()));
    default:
      throw std::runtime_error("a node's input has rank " + std::to_string(x.rank()));
  }
}

}  // namespace onnx
