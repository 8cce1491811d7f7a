#pragma once
#include <thread>

#include "attend/core/threads.hpp"
#include "attend/testing/gradient_check.hpp"

ATTEND_BEGIN
namespace testing {

/// What to expect of a layer; the defaults hold for most.
struct LawOptions {
  bool batch_independent = true;  ///< false: batch statistics in training; then checked in evaluation only
  bool every_parameter = true;    ///< every trainable parameter receives a gradient
  double float_tolerance = 2e-5;  ///< of float against double, relative to the largest output
  GradientCheckOptions gradient;
};

namespace detail {
/// All numbers of a result, one after another: of a tensor, a Variable, or an aggregate of them.
template <class T, std::enable_if_t<TensorTraits<T>::value, int> = 0>
void append(std::vector<double>& all, const T& t) {
  all.insert(all.end(), t.data(), t.data() + t.size());
}
template <class S, int R>
void append(std::vector<double>& all, const Variable<S, R>& v) {
  all.insert(all.end(), v.data(), v.data() + v.size());
}
template <class T, std::enable_if_t<!TensorTraits<T>::value && !IsVariable<T>::value, int> = 0>
void append(std::vector<double>& all, const T& result) {
  result.members([&](const auto&... member) {
    (append(all, member), ...);
    return 0;
  });
}
template <class T>
std::vector<double> numbers(const T& result) {
  std::vector<double> all;
  append(all, result);
  return all;
}
template <class T>
auto as_float(const T& t) {
  using Traits = TensorTraits<T>;
  using To = std::conditional_t<std::is_floating_point_v<typename Traits::Scalar>, float, typename Traits::Scalar>;
  Tensor<To, Traits::rank> other(shape_of(t));
  for (Index i = 0; i < t.size(); ++i) other.data()[i] = static_cast<To>(t.data()[i]);
  return other;
}
/// Samples [from, from + count) of a batch.
template <class T>
T samples(const T& t, Index from, Index count) {
  auto shape = shape_of(t);
  const Index row = shape[0] == 0 ? 0 : t.size() / shape[0];
  shape[0] = count;
  T part(shape);
  std::copy_n(t.data() + from * row, part.size(), part.data());
  return part;
}
inline bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}
/// Copies every parameter and buffer by name from one model to another, perhaps of another scalar.
template <class From, class To, class Source, class Target>
void copy_state(const Source& source, Target& target) {
  const auto from = parameters<From>(source);
  const auto to = parameters<To>(target);
  for (std::size_t i = 0; i < from.size(); ++i) {
    auto values = to[i]->edit_flat();
    for (Index j = 0; j < values.size(); ++j) values(j) = static_cast<To>(from[i]->data()[j]);
  }
}
}  // namespace detail

/// Holds a layer to the laws of every layer, and returns those it breaks (empty: none).
///
/// `make(S(), rng)` constructs the layer for the scalar S; `call(layer, x...)` calls it (for one with call options or
/// several inputs); `inputs` are double or integer tensors whose first axis is the batch (at least 2).
///
/// The laws: gradients agree with differences; a second use adds into gradients that are already there; two calls give
/// the same bits; so do 1, 2 and 3 threads, forward and backward; every trainable parameter receives a gradient; a
/// sample alone gives the bits it gives in a batch; one const layer may be called from several threads at once; a layer
/// that was given the state of another computes the same; float is close to double; an empty batch gives an empty
/// result.
template <class Make, class Call, class... In, std::enable_if_t<!TensorTraits<Call>::value, int> = 0>
std::vector<std::string> broken_laws(const LawOptions& o, const Make& make, const Call& call, const In&... inputs) {
  std::vector<std::string> broken;
  const auto expect = [&](bool holds, const std::string& law) {
    if (!holds) broken.push_back(law);
  };
  Rng rng(11);
  auto layer = make(double(), rng);
  const auto& shared = layer;
  const auto apply = [&](const auto&... in) { return call(shared, in...); };
  const auto plain = [&] { return detail::numbers(apply(inputs...)); };

  const auto report = check_gradients(o.gradient, layer, apply, inputs...);
  expect(report.ok() || (report.checked == 0 && report.mismatches.empty()),
         "gradients agree with differences: " + report.text());

  struct Differentiated {
    std::vector<double> output, input_gradients, parameter_gradients;
    std::vector<std::string> without;
  };
  const auto differentiate = [&](Mode mode, int uses) {
    Rng stream(o.gradient.seed);
    Tape<double> tape(mode, stream);
    const std::tuple variables{[&](const auto& x) {
      if constexpr (detail::is_real<std::decay_t<decltype(x)>>)
        return tape.want(tape.input(x));
      else
        return tape.input(x);
    }(inputs)...};
    return std::apply(
        [&](const auto&... in) {
          Differentiated found;
          const auto y = call(shared, in...);
          found.output = detail::numbers(y);
          auto loss = detail::weigh(y, 3);
          for (int use = 1; use < uses; ++use) loss = loss + detail::weigh(call(shared, in...), 3);
          const auto gradients = tape.backward(loss);
          const auto input = [&](const auto& v) {
            if constexpr (std::is_same_v<typename std::decay_t<decltype(v)>::Scalar, double>)
              detail::append(found.input_gradients, gradients.of(v));
          };
          (input(in), ...);
          for (const auto& p : parameters<double>(shared)) {
            const double* g = gradients.find(*p.data);
            if (p->trainable() && !g) found.without.push_back(p.name);
            if (g) found.parameter_gradients.insert(found.parameter_gradients.end(), g, g + p->size());
          }
          return found;
        },
        variables);
  };

  const auto first = plain();
  Recycler::poison();
  expect(detail::same_bits(first, plain()), "two calls give the same bits");
  const auto trained = differentiate(o.gradient.mode, 1);
  const int threads = num_threads();
  for (const int n : {1, 2, 3}) {
    set_num_threads(n);
    expect(detail::same_bits(first, plain()), "the result has the same bits with " + to_string(n) + " threads");
    const auto again = differentiate(o.gradient.mode, 1);
    expect(detail::same_bits(trained.output, again.output) &&
               detail::same_bits(trained.input_gradients, again.input_gradients) &&
               detail::same_bits(trained.parameter_gradients, again.parameter_gradients),
           "outputs and gradients on a tape have the same bits with " + to_string(n) + " threads");
  }
  set_num_threads(threads);
  if (o.every_parameter)
    for (const auto& name : trained.without)
      expect(false, "every trainable parameter receives a gradient: " + name + " got none");

  const auto once = differentiate(Mode::evaluation, 1), twice = differentiate(Mode::evaluation, 2);
  const auto doubled = [](const std::vector<double>& one, const std::vector<double>& two) {
    bool holds = one.size() == two.size();
    for (std::size_t i = 0; holds && i < one.size(); ++i)
      holds = std::abs(2 * one[i] - two[i]) <= 1e-9 * (1 + std::abs(two[i]));
    return holds;
  };
  expect(doubled(once.input_gradients, twice.input_gradients) &&
             doubled(once.parameter_gradients, twice.parameter_gradients),
         "gradients of a repeated use add up");

  const Index batch = std::min({inputs.dimension(0)...});
  if (o.batch_independent && batch > 1) {
    const auto ends = detail::numbers(apply(detail::samples(inputs, batch - 1, 1)...));
    const auto together = apply(inputs...);
    const auto tails = [&](const auto& whole) { return detail::samples(whole, batch - 1, 1); };
    std::vector<double> last;
    if constexpr (TensorTraits<std::decay_t<decltype(together)>>::value)
      last = detail::numbers(tails(together));
    else
      together.members([&](const auto&... member) {
        (detail::append(last, tails(member)), ...);
        return 0;
      });
    expect(detail::same_bits(ends, last), "a sample alone gives the bits it gives in a batch");
    expect(detail::numbers(apply(detail::samples(inputs, 0, 0)...)).empty(), "an empty batch gives an empty result");
  }

  std::vector<std::vector<double>> results(4);
  std::vector<std::thread> callers;
  for (auto& result : results) callers.emplace_back([&] { result = plain(); });
  for (auto& caller : callers) caller.join();
  for (const auto& result : results)
    expect(detail::same_bits(first, result), "one layer may be called from several threads");

  Rng other(12);
  auto copy = make(double(), other);
  detail::copy_state<double, double>(layer, copy);
  expect(detail::same_bits(first, detail::numbers(call(std::as_const(copy), inputs...))),
         "a layer given the state of another computes the same");

  auto narrow = make(float(), other);
  detail::copy_state<double, float>(layer, narrow);
  const auto low = detail::numbers(call(std::as_const(narrow), detail::as_float(inputs)...));
  double largest = 0, worst = 0;
  for (const double value : first) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < first.size() && low.size() == first.size(); ++i)
    worst = std::max(worst, std::abs(low[i] - first[i]));
  expect(low.size() == first.size() && worst <= o.float_tolerance * std::max(largest, 1e-3),
         "float is close to double: differs by " + to_string(worst) + " where outputs reach " + to_string(largest));
  return broken;
}
/// A layer that is called with its inputs alone.
template <class Make, class... In, std::enable_if_t<(TensorTraits<In>::value && ...), int> = 0>
std::vector<std::string> broken_laws(const Make& make, const In&... inputs) {
  return broken_laws(
      LawOptions{}, make, [](const auto& layer, const auto&... in) { return layer(in...); }, inputs...);
}
template <class Make, class... In, std::enable_if_t<(TensorTraits<In>::value && ...), int> = 0>
std::vector<std::string> broken_laws(const LawOptions& o, const Make& make, const In&... inputs) {
  return broken_laws(
      o, make, [](const auto& layer, const auto&... in) { return layer(in...); }, inputs...);
}

/// The broken laws as one text, for EXPECT_EQ(text(broken_laws(...)), "").
inline std::string text(const std::vector<std::string>& broken) {
  std::string all;
  for (const auto& law : broken) all += "broken: " + law + "\n";
  return all;
}

}  // namespace testing
ATTEND_END
