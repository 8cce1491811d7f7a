#pragma once
#include "attend/functional/gate.hpp"
#include "attend/functional/global_pooling.hpp"

ATTEND_BEGIN
namespace detail {

/// (a + b) / 2 of equal shapes.
template <class S>
Variable<S, 2> midpoint(const Variable<S, 2>& a, const Variable<S, 2>& b) {
  Operation<S> op("midpoint", a, b);
  const auto y = op.result(a.shape());
  for (Index i = 0; i < y.size(); ++i) op.data(y)[i] = S(0.5) * a.data()[i] + S(0.5) * b.data()[i];
  if (op.records())
    op.record(y, [dy = op.slot(y), da = op.slot(a), db = op.slot(b)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      for (const Slot& slot : {da, db})
        if (S* d = pass.add_to(slot))
          for (Index i = 0; i < slot.size; ++i) d[i] += S(0.5) * g[i];
    });
  return y;
}

/// What a channel gate looks at: the mean over the positions, or half of it and half of the maximum.
/// x: (batch, height, width, channels)  ->  (batch, channels)
template <class S>
Variable<S, 2> squeeze(const Variable<S, 4>& x, bool add_maxpool) {
  const auto mean = global_average_pool(x);
  return add_maxpool ? midpoint(mean, global_max_pool(x)) : mean;
}

inline void check_map_channels(const char* layer, const Shape<4>& shape, Index channels) {
  require(shape[3] == channels, layer, [&] {
    return "x has shape " + to_string(shape) + "; its last axis must be channels = " + std::to_string(channels);
  });
}

}  // namespace detail
ATTEND_END
