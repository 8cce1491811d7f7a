#pragma once
#include "attend/functional/activation.hpp"
#include "attend/kernels/gate.hpp"

ATTEND_BEGIN

namespace detail {
template <class S>
void check_channel_gate(const Operation<S>& op, const Variable<S, 4>& x, const Variable<S, 2>& gate) {
  const Shape<2> expected{x.dim(0), x.dim(3)};
  op.require(gate.shape() == expected, [&] {
    return message("x has shape ", x.shape(), "; its gate must have shape ", expected, ", not ", gate.shape());
  });
}
template <class S>
void check_position_gate(const Operation<S>& op, const Variable<S, 4>& x, const Variable<S, 4>& gate) {
  const Shape<4> expected{x.dim(0), x.dim(1), x.dim(2), 1};
  op.require(gate.shape() == expected, [&] {
    return message("x has shape ", x.shape(), "; its gate must have shape ", expected, ", not ", gate.shape());
  });
}
}  // namespace detail

/// y(b, i, j, c) = x(b, i, j, c) gate(b, c): channel attention's scaling.
/// x: (batch, height, width, channels)  gate: (batch, channels)  ->  as x.
/// Saves x and gate. Throws ShapeError unless batch and channels agree.
template <class S>
Variable<S, 4> gate_channels(const Variable<S, 4>& x, const Variable<S, 2>& gate) {
  Operation<S> op("gate_channels", x, gate);
  detail::check_channel_gate(op, x, gate);
  const Index batch = x.dim(0), pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  const auto y = op.result(x.shape());
  gating::channels_forward(batch, pixels, channels, x.data(), gate.data(), op.data(y));
  if (op.records()) {
    const Slot dx = op.slot(x), dg = op.slot(gate);
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dg.differentiable),
                  gs = op.keep(gate, dx.differentiable)](Pass<S>& pass) {
      gating::channels_backward(batch, pixels, channels, xs.get(), gs.get(), pass.of(dy), pass.accumulate(dx),
                                pass.add_to(dg));
    });
  }
  return y;
}

/// gate_channels(x, gate) + shortcut, then max(., 0) if `relu`: how a residual block with channel attention ends. In one
/// pass where nothing is recorded.  x, shortcut: (batch, height, width, channels)  gate: (batch, channels)  ->  as x.
/// Throws ShapeError unless batch and channels of the gate agree and the shortcut has x's shape.
template <class S>
Variable<S, 4> gate_channels_plus(const Variable<S, 4>& x, const Variable<S, 2>& gate, const Variable<S, 4>& shortcut,
                                  bool relu) {
  Operation<S> op("gate_channels_plus", x, gate, shortcut);
  op.require(shortcut.shape() == x.shape(), [&] {
    return message("x has shape ", x.shape(), "; the shortcut must have it too, not ", shortcut.shape());
  });
  if (op.records()) {
    const auto sum = gate_channels(x, gate) + shortcut;
    return relu ? attend::relu(sum) : sum;
  }
  detail::check_channel_gate(op, x, gate);
  const auto y = op.result(x.shape());
  gating::channels_forward(x.dim(0), x.dim(1) * x.dim(2), x.dim(3), x.data(), gate.data(), op.data(y), shortcut.data(),
                           relu);
  return y;
}

/// y(b, i, j, c) = x(b, i, j, c) gate(b, i, j): spatial attention's scaling.
/// x: (batch, height, width, channels)  gate: (batch, height, width, 1)  ->  as x.
/// Saves x and gate. Throws ShapeError unless batch, height and width agree.
template <class S>
Variable<S, 4> gate_positions(const Variable<S, 4>& x, const Variable<S, 4>& gate) {
  Operation<S> op("gate_positions", x, gate);
  detail::check_position_gate(op, x, gate);
  const Index rows = gate.size(), channels = x.dim(3);
  const auto y = op.result(x.shape());
  gating::pixels_forward(rows, channels, x.data(), gate.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), dg = op.slot(gate), xs = op.keep(x),
                  gs = op.keep(gate)](Pass<S>& pass) {
      gating::pixels_backward(rows, channels, xs.get(), gs.get(), pass.of(dy), pass.accumulate(dx), pass.add_to(dg));
    });
  return y;
}

namespace detail {
/// Of x times a channel gate; without one (null) of x.
template <class S>
Variable<S, 4> mean_max_channels(const Operation<S>& op, const Variable<S, 4>& x, const S* gate) {
  const Index pixels = x.dim(1) * x.dim(2), channels = x.dim(3);
  op.require(channels > 0, [&] { return message("x has shape ", x.shape(), "; there must be channels to pool"); });
  const auto y = op.result(Shape<4>{x.dim(0), x.dim(1), x.dim(2), 2});
  const Index rows = y.size() / 2;
  const auto where = op.records() ? make_buffer<Index>(rows) : nullptr;
  gating::mean_max_forward(rows, pixels, channels, x.data(), gate, op.data(y), where.get());
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      gating::mean_max_backward(rows, channels, where.get(), pass.of(dy), pass.add_to(dx));
    });
  return y;
}
}  // namespace detail

/// Mean and maximum over the channels, in this order.
/// x: (batch, height, width, channels)  ->  (batch, height, width, 2).
/// The first of equals gets the maximum's gradient. Saves where it was. Throws ShapeError without channels.
template <class S>
Variable<S, 4> mean_max_channels(const Variable<S, 4>& x) {
  return detail::mean_max_channels<S>(Operation<S>("mean_max_channels", x), x, nullptr);
}

/// mean_max_channels(gate_channels(x, gate)), the gated map not made where nothing is recorded.
template <class S>
Variable<S, 4> mean_max_channels(const Variable<S, 4>& x, const Variable<S, 2>& gate) {
  Operation<S> op("mean_max_channels", x, gate);
  if (op.records()) return mean_max_channels(gate_channels(x, gate));
  detail::check_channel_gate(op, x, gate);
  return detail::mean_max_channels<S>(op, x, gate.data());
}

/// gate_positions(gate_channels(x, channel_gate), position_gate), in one pass where nothing is recorded.
template <class S>
Variable<S, 4> gate_both(const Variable<S, 4>& x, const Variable<S, 2>& channel_gate,
                         const Variable<S, 4>& position_gate) {
  Operation<S> op("gate_both", x, channel_gate, position_gate);
  if (op.records()) return gate_positions(gate_channels(x, channel_gate), position_gate);
  detail::check_channel_gate(op, x, channel_gate);
  detail::check_position_gate(op, x, position_gate);
  const auto y = op.result(x.shape());
  gating::both_forward(x.dim(0), x.dim(1) * x.dim(2), x.dim(3), x.data(), channel_gate.data(), position_gate.data(),
                       op.data(y));
  return y;
}

ATTEND_END
