#pragma once
#include "attend/autograd/layer.hpp"

ATTEND_BEGIN

/// Layers one after another, each given the result of the one before:
///
///     auto model = Sequential(Conv2d<float>({...}, rng), BatchNorm<float>({.channels = 32}), Relu(), Flatten(), ...);
///
/// Ranks may change on the way. Children are named "0", "1", ... as torch.nn.Sequential's. For a list that is put
/// together at run time see layers/layer_list.hpp.
template <class... Layers>
class Sequential : public Layer<Sequential<Layers...>> {
 public:
  explicit Sequential(Layers... layers) : layers_(std::move(layers)...) {}

  template <class T, int R>
  auto forward(const Variable<T, R>& x) const {
    return from<0>(x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    int number = 0;
    std::apply([&](auto&... layer) { (visit(to_string(number++), layer), ...); }, self.layers_);
  }
  /// Layer I, to read or to change.
  template <std::size_t I>
  auto& get() {
    return std::get<I>(layers_);
  }
  template <std::size_t I>
  const auto& get() const {
    return std::get<I>(layers_);
  }

 private:
  template <std::size_t I, class V>
  auto from(const V& x) const {
    if constexpr (I == sizeof...(Layers))
      return x;
    else
      return from<I + 1>(std::get<I>(layers_)(x));
  }
  std::tuple<Layers...> layers_;
};
template <class... Layers>
Sequential(Layers...) -> Sequential<Layers...>;

ATTEND_END
