#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/autograd/multiply_adds.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/gate.hpp"
#include "attend/functional/global_pooling.hpp"

ATTEND_BEGIN
namespace detail {

/// What a channel gate looks at: the mean over the positions, or half of it and half of the maximum.
/// x: (batch, height, width, channels)  ->  (batch, channels)
template <class S>
Variable<S, 2> squeeze(const Variable<S, 4>& x, bool add_maxpool) {
  if (!add_maxpool) return global_average_pool(x);
  const auto [mean, most] = global_mean_max_pool(x);
  return (mean + most) * 0.5;
}

/// How many samples gate_by takes together: one, so that its map is still in the core's own cache when its gate is known,
/// but of small maps some, which share the reading of the gate's weights.
inline Index samples_together(Index batch, Index pixels) {
  const Index most = std::max<Index>(1, 256 / pixels), parts = (batch + most - 1) / most;
  return (batch + parts - 1) / parts;
}

/// x times gate(x), a (batch, channels) that `layer` offers, each sample's judged from that sample alone; with a shortcut
/// gate_channels_plus. Where nothing is recorded, each thread takes a few samples through all steps.
template <class S, class L, class Gate>
Variable<S, 4> gate_by(const L& layer, const Variable<S, 4>& x, const Gate& gate,
                       const Variable<S, 4>* shortcut = nullptr, bool relu = false) {
  const Index batch = x.dim(0), each = batch > 0 ? x.size() / batch : 0;
  if (each == 0 || x.link() || (shortcut && shortcut->link()) || Recording::wants(key_of(layer))) {
    const auto judged = gate(x);
    offer(layer, "gate", judged);
    return shortcut ? gate_channels_plus(x, judged, *shortcut, relu) : gate_channels(x, judged);
  }
  Operation<S> op("gate_channels", x);
  op.require(!shortcut || shortcut->shape() == x.shape(), [&] {
    return message("x has shape ", x.shape(), "; the shortcut must have it too, not ", shortcut->shape());
  });
  const auto y = op.result(x.shape());
  const bool far = x.size() * static_cast<Index>(sizeof(S)) >= simd::far_bytes;
  const Index pixels = x.dim(1) * x.dim(2), some = samples_together(batch, pixels);
  const auto compute = [&](Index first, Index end) {
    const Index from = first * each;
    Shape<4> shape = x.shape();
    shape[0] = end - first;
    const auto part = Variable<S, 4>::borrow(x.data() + from, shape);
    const auto judged = gate(part);
    check_channel_gate(op, part, judged);
    gating::channels_forward(end - first, pixels, x.dim(3), part.data(), judged.data(), op.data(y) + from,
                             shortcut ? shortcut->data() + from : nullptr, relu, far);
  };
  if (batch >= num_threads() * some && !MultiplyAdds::counting())
    parallel_for(batch, some, compute);
  else
    for (Index first = 0; first < batch; first += some) compute(first, std::min(batch, first + some));
  return y;
}

}  // namespace detail
ATTEND_END
