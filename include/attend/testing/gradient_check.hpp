#pragma once
#include <functional>
#include <sstream>
#include <tuple>

#include "attend/autograd/layer.hpp"
#include "attend/functional/arithmetic.hpp"

ATTEND_BEGIN
namespace testing {

struct GradientCheckOptions {
  Mode mode = Mode::training;  ///< of the tapes
  std::uint64_t seed = 1;      ///< each evaluation starts from it, so random draws (dropout) repeat
  double step = 1e-4;      ///< h of the four-point difference (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12h, error O(h^4)
  double absolute = 1e-7;  ///< an entry agrees when |numeric - gradient| <= absolute + relative * |numeric|
  double relative = 1e-6;
  Index entries = 48;  ///< checked per tensor at most, spread evenly over it
};

/// What a check found: empty `mismatches` means that every entry agrees.
struct GradientReport {
  double worst = 0;   ///< largest |numeric - gradient|
  Index checked = 0;  ///< entries compared
  std::vector<std::string> mismatches;
  bool ok() const { return mismatches.empty() && checked > 0; }
  std::string text() const {
    std::ostringstream out;
    out << checked << " entries checked, largest difference " << worst;
    if (checked == 0) out << "; nothing to check";
    for (std::size_t i = 0; i < mismatches.size() && i < 10; ++i) out << "\n  " << mismatches[i];
    if (mismatches.size() > 10) out << "\n  and " << mismatches.size() - 10 << " more";
    return out.str();
  }
};

/// Stands for the model when a function without parameters is checked.
struct NoModel : Layer<NoModel> {};

namespace detail {
/// Compares one tensor's gradient (null: zeros) with differences of `loss`; `add(i, by)` moves entry i.
inline void compare_gradient(GradientReport& report, const GradientCheckOptions& o, const std::string& name, Index size,
                             const double* gradient, const std::function<void(Index, double)>& add,
                             const std::function<double()>& loss) {
  const Index stride = std::max<Index>(1, (size + o.entries - 1) / o.entries);
  for (Index i = 0; i < size; i += stride) {
    const auto at = [&](double by) {
      add(i, by);
      const double value = loss();
      add(i, -by);
      return value;
    };
    const double numeric = (at(-2 * o.step) - 8 * at(-o.step) + 8 * at(o.step) - at(2 * o.step)) / (12 * o.step);
    const double found = gradient ? gradient[i] : 0, difference = std::abs(numeric - found);
    ++report.checked;
    if (!(difference <= report.worst)) report.worst = difference;
    if (!(difference <= o.absolute + o.relative * std::abs(numeric))) {
      std::ostringstream line;
      line.precision(12);
      line << name << "[" << i << "]: gradient " << found << ", numeric " << numeric;
      report.mismatches.push_back(line.str());
    }
  }
}

/// Fixed weights that make one number of a result, so that every output entry matters differently.
template <class S, int R>
Variable<S, 0> weigh(const Variable<S, R>& y, std::uint64_t seed) {
  Tensor<S, R> weights(y.shape());
  const Rng rng(seed);
  for (Index i = 0; i < weights.size(); ++i)
    weights.data()[i] = S(2 * rng.uniform_at(static_cast<std::uint64_t>(i)) - 1);
  return dot(y, Variable<S, R>(weights));
}
template <class Result>
auto weigh(const Result& r, std::uint64_t seed) {
  return r.members([&](const auto& first, const auto&... rest) {
    auto sum = weigh(first, seed);
    std::uint64_t next = seed;
    ((sum = sum + weigh(rest, ++next)), ...);
    return sum;
  });
}
template <class T>
constexpr bool is_real = std::is_floating_point_v<typename TensorTraits<T>::Scalar>;
}  // namespace detail

/// Gradients of `f(x...)` (a Variable or an aggregate of Variables) by every input and by every trainable parameter of
/// `model`, against four-point differences in double. `f` is given Variables on a tape; integer inputs are passed on
/// and not differentiated. The memory that the checked pass recycles is filled with NaN before, so that an entry that a
/// kernel forgets to write is found.
template <class Model, class F, class... In>
GradientReport check_gradients(const GradientCheckOptions& o, Model& model, const F& f, In... inputs) {
  static_assert((TensorTraits<In>::value && ...), "attend: check_gradients takes row-major Tensors as inputs");
  const auto loss_on = [&](Tape<double>& tape, const auto&... in) {
    (void)tape;
    return detail::weigh(f(in...), o.seed + 17);
  };
  const std::function<double()> plain = [&] {
    Rng rng(o.seed);
    Tape<double> tape(o.mode, rng);
    return loss_on(tape, tape.input(inputs)...).item();
  };
  (void)plain();
  Recycler::poison();
  Rng rng(o.seed);
  Tape<double> tape(o.mode, rng);
  const auto want = [&](const auto& x) {
    if constexpr (detail::is_real<std::decay_t<decltype(x)>>)
      return tape.want(tape.input(x));
    else
      return tape.input(x);
  };
  const std::tuple variables{want(inputs)...};
  const auto gradients = tape.backward(std::apply([&](const auto&... in) { return loss_on(tape, in...); }, variables));
  GradientReport report;
  for (const auto& p : distinct_parameters<double>(model))
    if (p->trainable())
      detail::compare_gradient(
          report, o, p.name, p->size(), gradients.find(*p.data), [&](Index i, double by) { p->edit_flat()(i) += by; },
          plain);
  int number = 0;
  const auto compare_input = [&](auto& x, const auto& v) {
    const std::string name = "input " + to_string(number++);
    if constexpr (detail::is_real<std::decay_t<decltype(x)>>) {
      const auto gradient = gradients.of(v);
      detail::compare_gradient(
          report, o, name, x.size(), gradient.data(), [&](Index i, double by) { x.data()[i] += by; }, plain);
    }
  };
  std::apply([&](const auto&... v) { (compare_input(inputs, v), ...); }, variables);
  return report;
}
template <class Model, class F, class... In, std::enable_if_t<!std::is_same_v<Model, GradientCheckOptions>, int> = 0>
GradientReport check_gradients(Model& model, const F& f, const In&... inputs) {
  return check_gradients(GradientCheckOptions{}, model, f, inputs...);
}
/// Of a function without parameters.
template <class F, class... In, std::enable_if_t<(TensorTraits<In>::value && ...), int> = 0>
GradientReport check_function_gradients(const F& f, const In&... inputs) {
  NoModel none;
  return check_gradients(GradientCheckOptions{}, none, f, inputs...);
}

/// A tensor of values in [low, high) drawn from `seed`: what the checks are run on.
template <class S, int R>
Tensor<S, R> random_tensor(const Shape<R>& shape, std::uint64_t seed, double low = -1, double high = 1) {
  Tensor<S, R> t(shape);
  const Rng rng(seed);
  for (Index i = 0; i < t.size(); ++i)
    t.data()[i] = S(low + (high - low) * rng.uniform_at(static_cast<std::uint64_t>(i)));
  return t;
}

}  // namespace testing
ATTEND_END
