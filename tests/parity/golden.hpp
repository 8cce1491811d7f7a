#pragma once
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "attend/autograd/layer.hpp"

/// Compares the library with what PyTorch and timm computed: tests/goldens/recorder.py says what a golden file holds.
///
///     const golden::Cases cases("conv2d", {{"plain", golden::layer<Conv2d, 4>(Conv2dOptions{...})}, ...});
///
/// registers one test per case, which runs in double and in float: output, input gradients, parameter gradients,
/// buffers.
namespace golden {
using attend::Index;

/// A tensor of a file: any type as double, in this library's layout (feature maps [B,H,W,C], heads [B,L,H,D]).
struct Flat {
  std::vector<Index> shape;
  std::vector<double> values;
};

/// One case of a family file.
class Case {
 public:
  Case(const std::string& family, const std::string& name);
  bool has(const std::string& tensor) const;
  Flat read(const std::string& tensor) const;
  std::vector<Index> integers(const std::string& tensor) const;
  /// Names of the tensors that begin so, without that beginning.
  std::vector<std::string> names(const std::string& beginning) const;
  bool training() const { return training_; }
  static std::vector<std::string> families();
  static std::vector<std::string> in_family(const std::string& family);

 private:
  std::string family_, name_;
  bool training_;
};

/// Agreement is asked of |found - expected| <= bound * scale.
struct Bounds {
  double in_double = 1e-10;  ///< scale: max(1, |expected|)
  double in_float = 1e-5;  ///< scale: the largest |expected| of the tensor, at least 0.01 (it sums terms of order one)
};

/// One forward and backward pass over a case, with numbers of type S.
template <class S>
class Run {
 public:
  using Scalar = S;
  Run(const Case& golden, const Bounds& bounds);
  const Case& golden() const { return golden_; }
  attend::Tape<S>& tape() { return tape_; }

  /// Fills the model from the file. Every parameter of the model must be there, a shared one under its first name, and
  /// every one there must be the model's.
  template <class Model>
  void load(Model& model) {
    fill(attend::distinct_parameters<S>(model));
  }
  /// Input number i as a Variable whose gradient will be compared.
  template <int R>
  attend::Variable<S, R> input(int i) {
    const auto v = tape_.want(tape_.input(tensor<R>("input." + std::to_string(i))));
    inputs_.emplace_back(i, v.reshape(attend::Shape<1>{v.size()}));
    return v;
  }
  /// Any tensor of the case; T: S, bool for a mask, an integer for labels.
  template <int R, class T = S>
  attend::Tensor<T, R> tensor(const std::string& name) const {
    const Flat flat = golden_.read(name);
    attend::Shape<R> shape{};
    EXPECT_EQ(flat.shape.size(), shape.size()) << name << " has another rank in the file";
    for (std::size_t a = 0; a < shape.size() && a < flat.shape.size(); ++a) shape[a] = flat.shape[a];
    attend::Tensor<T, R> t(shape);
    for (Index k = 0; k < t.size(); ++k) t.data()[k] = static_cast<T>(flat.values[static_cast<std::size_t>(k)]);
    return t;
  }
  /// The next output, in the order of the file.
  template <int R>
  void output(const attend::Variable<S, R>& y) {
    outputs_.push_back({{y.shape().begin(), y.shape().end()}, y.reshape(attend::Shape<1>{y.size()})});
  }
  template <class... V>
  void outputs(const V&... y) {
    (output(y), ...);
  }
  /// The first output again, computed without a tape: inference may go other ways, with packed weights for one.
  template <int R>
  void inference(const attend::Variable<S, R>& y) const {
    EXPECT_FALSE(y.link()) << "this was computed on a tape";
    compare(golden_.has("output.0") ? "output.0" : "output", y.data(), static_cast<std::size_t>(y.size()));
  }
  /// Differentiates and compares everything.
  void finish();
  /// For a case of plain numbers, which the check has compared itself.
  void outputs_were_compared() { finished_ = true; }
  bool finished() const { return finished_; }

 private:
  struct Output {
    std::vector<Index> shape;
    attend::Variable<S, 1> flat;
  };
  void fill(const std::vector<attend::ParameterRef<S>>& parameters);
  void compare(const std::string& name, const S* found, std::size_t size) const;
  void compare_buffers(const attend::Gradients<S>& gradients) const;
  const Case& golden_;
  Bounds bounds_;
  attend::Rng rng_{1};
  attend::Tape<S> tape_;
  std::vector<attend::ParameterRef<S>> parameters_;
  std::vector<std::pair<int, attend::Variable<S, 1>>> inputs_;
  std::vector<Output> outputs_;
  bool finished_ = false;
};

/// What a case does with a Run, in both precisions; the last thing is `run.finish()`.
struct Check {
  std::function<void(Run<double>&)> in_double;
  std::function<void(Run<float>&)> in_float;
  Bounds bounds = {};
  /// The same with other bounds; say why beside it.
  Check within(const Bounds& other) const { return {in_double, in_float, other}; }
};
template <class F>
Check check(const F& f) {
  return {f, f, {}};
}

template <class L, class Options>
L make_layer(const Options& options) {
  if constexpr (std::is_constructible_v<L, const Options&, attend::Rng&>) {
    attend::Rng rng(5);
    return L(options, rng);
  } else {
    return L(options);
  }
}

namespace detail {
template <int... R, class S, class F, std::size_t... I>
void apply(Run<S>& run, const F& f, std::index_sequence<I...>) {
  const std::tuple on_tape{run.template input<R>(static_cast<int>(I))...};
  run.output(std::apply(f, on_tape));
  if (!run.golden().training())
    run.inference(f(attend::Variable<S, R>(run.template tensor<R>("input." + std::to_string(I)))...));
  run.finish();
}
}  // namespace detail

/// y = f(inputs of ranks R...), on a tape and without.
template <int... R, class F>
Check function(const F& f) {
  return check([f](auto& run) -> void { detail::apply<R...>(run, f, std::make_index_sequence<sizeof...(R)>()); });
}

/// y = layer(inputs of ranks R...), the layer made from its options, on a tape and, in evaluation, without.
template <template <class> class L, int... R, class Options>
Check layer(const Options& options) {
  return check([options](auto& run) -> void {
    auto model = make_layer<L<typename std::decay_t<decltype(run)>::Scalar>>(options);
    run.load(model);
    detail::apply<R...>(run, model, std::make_index_sequence<sizeof...(R)>());
  });
}

struct Named {
  std::string name;
  Check check;
};

/// Registers the cases of a family.
struct Cases {
  Cases(const std::string& family, std::vector<Named> cases);
};
/// Cases that have no counterpart in the library, and why.
struct Absent {
  Absent(const std::string& family, const std::vector<std::string>& names, const std::string& reason);
};

}  // namespace golden
