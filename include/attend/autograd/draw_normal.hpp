#pragma once
#include "attend/autograd/parameter.hpp"
#include "attend/core/rng.hpp"

ATTEND_BEGIN
namespace detail {

/// Every number of a parameter from a normal distribution around 0.
template <class S, int R>
void draw_normal(Parameter<S, R>& parameter, double deviation, Rng& rng) {
  auto values = parameter.edit_flat();
  for (Index i = 0; i < values.size(); ++i) values(i) = S(deviation * rng.normal());
}

}  // namespace detail
ATTEND_END
