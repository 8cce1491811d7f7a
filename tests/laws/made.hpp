#pragma once
#include "attend/testing/layer_laws.hpp"

/// A maker for broken_laws: L of these options, in double and in float. Factors that start at zero, by which a layer
/// starts as the identity, are moved: the laws look at what is behind them.
template <template <class> class L, class Options>
auto made(const Options& options) {
  return [options](auto scalar, attend::Rng& rng) {
    using S = decltype(scalar);
    auto layer = [&] {
      if constexpr (std::is_constructible_v<L<S>, const Options&, attend::Rng&>)
        return L<S>(options, rng);
      else
        return L<S>(options);
    }();
    for (const auto& p : attend::parameters<S>(layer))
      if (p.name == "gamma") p->edit_flat().setConstant(S(0.7));
    return layer;
  };
}
/// Of layers with a batch norm, which pools the batch in training.
inline attend::testing::LawOptions pooling() {
  attend::testing::LawOptions options;
  options.gradient.mode = attend::Mode::evaluation;
  return options;
}
