#pragma once
#include "attend/autograd/walk.hpp"

ATTEND_BEGIN

struct NoOptions {};

namespace detail {
template <class T>
auto as_variable(const T& argument, const std::shared_ptr<TapeLink>& link) {
  using Traits = TensorTraits<T>;
  if constexpr (Traits::value)
    return Variable<typename Traits::Scalar, Traits::rank>::borrow(argument.data(), shape_of(argument)).beside(link);
  else
    return argument.link() ? argument : argument.beside(link);
}
template <class... In>
std::shared_ptr<TapeLink> common_link(const In&... in) {
  std::shared_ptr<TapeLink> common;
  const auto join = [&](const auto& argument) {
    if constexpr (IsVariable<std::decay_t<decltype(argument)>>::value) {
      const auto link = argument.link();
      require<OptionError>(!link || !common || link == common, "call", [] { return "the arguments are on two tapes"; });
      if (link) common = link;
    }
  };
  (join(in), ...);
  return common;
}

template <class Void, class Self, class... A>
struct Takes : std::false_type {};
template <class Self, class... A>
struct Takes<std::void_t<decltype(std::declval<const Self&>().forward(std::declval<const A&>()...))>, Self, A...>
    : std::true_type {};

template <class T>
using VariableOf = decltype(as_variable(std::declval<const T&>(), nullptr));

/// Refuses a wrong call in one line; what follows is compiled for a right one only.
template <class Self, class... In>
constexpr bool fits() {
  constexpr bool inputs = ((TensorTraits<In>::value || IsVariable<In>::value) && ...);
  static_assert(inputs, "attend: pass row-major Tensors, TensorMaps of them, or Variables");
  if constexpr (inputs) {
    constexpr bool taken = Takes<void, Self, VariableOf<In>...>::value ||
                           Takes<void, Self, VariableOf<In>..., typename Self::CallOptions>::value;
    static_assert(taken, "attend: this layer's forward takes tensors of another rank, scalar or number");
    return taken;
  } else
    return false;
}
template <class Self, class Options, class... V>
auto forward(const Self& layer, const Options& options, const V&... in) {
  if constexpr (!std::is_same_v<Options, NoOptions> && Takes<void, Self, V..., Options>::value)
    return layer.forward(in..., options);
  else
    return layer.forward(in...);
}

/// A result is a Variable, or an aggregate `Of<Variable>` with `members(visit)`; `convert` makes the other form.
template <template <class, int> class Of, class S, int R, class F>
auto map_result(const Variable<S, R>& v, F convert) {
  return convert(v);
}
template <template <class, int> class Of, class Result, class F>
auto map_result(const Result& r, F convert) {
  return r.members([&](const auto&... member) { return typename Result::template of<Of>{convert(member)...}; });
}

template <class Self, class Options, class... In>
auto call(const Self& layer, const Options& options, const In&... in) {
  try {  // what is on no tape joins that of the others as a constant, so that parameters used with it alone find the
         // tape
    const std::shared_ptr<TapeLink> link = common_link(in...);
    return forward(layer, options, as_variable(in, link)...);
  } catch (Error& error) {  // give the child it came from its name
    Walk<void> inside;
    walk(inside, layer);
    std::string name;
    for (const auto& [key, path] : inside.layers)
      if (key == error.origin()) name = path;
    error.passes(key_of(layer), name);
    throw;
  }
}

template <class Out, class S, int R>
void copy_into(Out& y, const Variable<S, R>& result) {
  static_assert(
      TensorTraits<Out>::value && std::is_same_v<typename TensorTraits<Out>::Scalar, S> && TensorTraits<Out>::rank == R,
      "attend: into() needs a Tensor or TensorMap of the result's rank and scalar");
  if constexpr (std::is_same_v<Out, Tensor<S, R>>) {
    if (shape_of(y) != result.shape()) y.resize(result.shape());
  }
  require(shape_of(y) == result.shape(), "into",
          [&] { return "y has shape " + to_string(shape_of(y)) + "; the result has " + to_string(result.shape()); });
  std::copy_n(result.data(), y.size(), y.data());
}
}  // namespace detail

/// Calling a layer: tensors in, tensors out (nothing recorded); a Variable among them, Variables out. The call's
/// options come last, in braces. `into` writes the result into the user's tensor instead.
template <class Self>
class Layer {
  template <class L, class B>
  using Input = std::enable_if_t<!std::is_same_v<B, typename L::CallOptions>, int>;

 public:
  using CallOptions = NoOptions;
  template <class A, class L = Self>
  auto operator()(const A& a, const typename L::CallOptions& options = {}) const {
    return run(options, a);
  }
  template <class A, class B, class L = Self, Input<L, B> = 0>
  auto operator()(const A& a, const B& b, const typename L::CallOptions& options = {}) const {
    return run(options, a, b);
  }
  template <class A, class B, class C, class L = Self, Input<L, C> = 0>
  auto operator()(const A& a, const B& b, const C& c, const typename L::CallOptions& options = {}) const {
    return run(options, a, b, c);
  }
  template <class A, class B, class C, class D, class L = Self, Input<L, D> = 0>
  auto operator()(const A& a, const B& b, const C& c, const D& d, const typename L::CallOptions& options = {}) const {
    return run(options, a, b, c, d);
  }

  template <class Y, class A, class L = Self>
  void into(Y&& y, const A& a, const typename L::CallOptions& options = {}) const {
    if constexpr (detail::fits<Self, A>()) detail::copy_into(y, detail::call(self(), options, a));
  }
  template <class Y, class A, class B, class L = Self, Input<L, B> = 0>
  void into(Y&& y, const A& a, const B& b, const typename L::CallOptions& options = {}) const {
    if constexpr (detail::fits<Self, A, B>()) detail::copy_into(y, detail::call(self(), options, a, b));
  }

  template <class Node, class Visit>
  static void children(Node&, Visit&&) {}

 private:
  const Self& self() const { return static_cast<const Self&>(*this); }
  template <class Options, class... In>
  auto run(const Options& options, const In&... in) const {
    if constexpr (!detail::fits<Self, In...>())
      return;
    else if constexpr ((IsVariable<In>::value || ...))  // nothing borrowed, a parameter or a tensor, leaves the call
      return detail::map_result<Variable>(detail::call(self(), options, in...),
                                          [](const auto& v) { return v.owned(); });
    else
      return detail::map_result<Tensor>(detail::call(self(), options, in...), [](const auto& v) { return v.tensor(); });
  }
};

ATTEND_END
