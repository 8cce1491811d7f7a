#pragma once
#include "attend/autograd/walk.hpp"

ATTEND_BEGIN

struct NoOptions {};

namespace detail {
template <class T>
auto as_variable(const T& argument, const Shared<TapeLink>& link) {
  using Traits = TensorTraits<T>;
  if constexpr (Traits::value)
    return Variable<typename Traits::Scalar, Traits::rank>::borrow(argument.data(), shape_of(argument)).beside(link);
  else
    return argument.link() ? argument : argument.beside(link);
}
template <class... In>
Shared<TapeLink> common_link(const In&... in) {
  Shared<TapeLink> common;
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

/// A result is a Variable, or an aggregate `Of<Variable>` of results with `members(visit)`; `convert` makes the other
/// form.
template <template <class, int> class Of, class S, int R, class F>
auto map_result(const Variable<S, R>& v, F convert) {
  return convert(v);
}
template <template <class, int> class Of, class Result, class F>
auto map_result(const Result& r, F convert) {
  return r.members(
      [&](const auto&... member) { return typename Result::template of<Of>{map_result<Of>(member, convert)...}; });
}

template <class Self, class Options, class... In>
auto call(const Self& layer, const Options& options, const In&... in) {
  try {  // what is on no tape joins that of the others as a constant, so that parameters used with it alone find the
         // tape
    const Shared<TapeLink> link = common_link(in...);
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

/// The shape of y becomes the result's, or must be it.
template <int R, class Out>
void match_shape(Out& y, const Shape<R>& shape) {
  using Traits = TensorTraits<Out>;
  if constexpr (std::is_same_v<Out, Tensor<typename Traits::Scalar, R>>) {
    if (shape_of(y) != shape) y.resize(shape);
  }
  require(shape_of(y) == shape, "into",
          [&] { return message("y has shape ", shape_of(y), "; the result has ", shape); });
}
/// Do the numbers of y and x lie apart?
template <class Y, class X>
bool apart(const Y& y, const X& x) {
  const auto begin = [](const auto& t) { return reinterpret_cast<std::uintptr_t>(t.data()); };
  const auto end = [&](const auto& t) { return begin(t) + static_cast<std::size_t>(t.size()) * sizeof(*t.data()); };
  return end(y) <= begin(x) || end(x) <= begin(y);
}

/// The call's result in y. The last operation mostly writes there itself; where it could not, the result is copied.
template <class Out, class Self, class Options, class... In>
void call_into(Out& y, const Self& layer, const Options& options, const In&... in) {
  using Result = decltype(call(layer, options, in...));
  static_assert(IsVariable<Result>::value, "attend: into() needs a layer with one result");
  if constexpr (IsVariable<Result>::value) {
    using S = typename Result::Scalar;
    static_assert(TensorTraits<Out>::value && std::is_same_v<typename TensorTraits<Out>::Scalar, S> &&
                      TensorTraits<Out>::rank == Result::rank,
                  "attend: into() needs a Tensor or TensorMap of the result's rank and scalar");
    Destination destination((apart(y, in) && ...) ? y.data() : nullptr, static_cast<std::size_t>(y.size()) * sizeof(S));
    {
      const Result result = call(layer, options, in...);
      match_shape<Result::rank>(y, result.shape());  // an equal number of elements keeps its memory
      if (result.data() != y.data()) copy_bulk(result.data(), y.size(), y.data());
    }
    require<OptionError>(!destination.taken(), "into",
                         [] { return "the layer keeps a value of this call that lies in y; call it without into()"; });
  }
}
template <class Void, class Self, class Shape>
struct HasResultShape : std::false_type {};
template <class Self, class Shape>
struct HasResultShape<std::void_t<decltype(std::declval<const Self&>().result_shape(std::declval<const Shape&>()))>,
                      Self, Shape> : std::true_type {};

/// What the result's shape probably is: as the layer says, or that of the first argument, the most frequent case.
template <class Self, std::size_t R>
std::array<Index, R> likely_shape(const Self& layer, const std::array<Index, R>& first) {
  if constexpr (HasResultShape<void, Self, std::array<Index, R>>::value)
    return layer.result_shape(first);
  else
    return first;
}
/// The call's result as tensors. A result of the likely shape is made in place.
template <class Self, class Options, class First, class... In>
auto call_for_tensors(const Self& layer, const Options& options, const First& first, const In&... in) {
  using Result = decltype(call(layer, options, first, in...));
  if constexpr (IsVariable<Result>::value && !IsVariable<First>::value) {
    if constexpr (std::is_same_v<VariableOf<First>, Result>) {
      using S = typename Result::Scalar;
      Tensor<S, Result::rank> y(likely_shape(layer, shape_of(first)));
      prefer_large_pages(y.data(), static_cast<std::size_t>(y.size()) * sizeof(S));
      call_into(y, layer, options, first, in...);
      return y;
    } else
      return call(layer, options, first, in...).tensor();
  } else
    return map_result<Tensor>(call(layer, options, first, in...), [](const auto& v) { return v.tensor(); });
}
}  // namespace detail

/// Calling a layer: tensors in, tensors out (nothing recorded); a Variable among them, Variables out. The call's
/// options come last, in braces. `into` writes the result into the user's tensor instead (which holds anything if the call throws).
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
    if constexpr (detail::fits<Self, A>()) detail::call_into(y, self(), options, a);
  }
  template <class Y, class A, class B, class L = Self, Input<L, B> = 0>
  void into(Y&& y, const A& a, const B& b, const typename L::CallOptions& options = {}) const {
    if constexpr (detail::fits<Self, A, B>()) detail::call_into(y, self(), options, a, b);
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
      return detail::call_for_tensors(self(), options, in...);
  }
};

ATTEND_END
