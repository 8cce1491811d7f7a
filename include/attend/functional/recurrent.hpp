#pragma once
#include <vector>

#include "attend/autograd/multiply_adds.hpp"
#include "attend/functional/absent.hpp"
#include "attend/kernels/recurrent.hpp"

ATTEND_BEGIN

/// The four parameters of one layer in one direction, PyTorch's shapes, G gates of H hidden units:
/// weight_ih (G H, input)  weight_hh (G H, H)  bias_ih, bias_hh (G H) or absent.
template <class S>
struct RecurrentWeights {
  Variable<S, 2> weight_ih, weight_hh;
  Variable<S, 1> bias_ih, bias_hh;
};

/// Every step's output and the last states; `cell` is absent unless the cell has one.
template <class S>
struct RecurrentStates {
  Variable<S, 3> output;        // (batch, steps, hidden)
  Variable<S, 2> hidden, cell;  // (batch, hidden)
};

/// Runs a cell of kernels/recurrent_cell.hpp (formulas there) over the steps of every sample, in one direction.
///
/// x: (batch, steps, input)  h0, c0: (batch, hidden) or absent for zeros. lengths: one per sample, 0 ... steps, or
/// empty for all steps; outputs beyond a length are zero, the last states are those at the sample's own end (at its
/// start when `reverse`), and what x holds there reaches no result and no gradient. A sample of length 0 keeps its
/// initial states. Saved: x and the weights, the activated gates, the states. Throws ShapeError for parameters, states
/// or lengths that do not fit, OptionError for a length outside 0 ... steps.
template <class Cell, class S>
RecurrentStates<S> recurrent_pass(const Variable<S, 3>& x, const Variable<S, 2>& h0, const Variable<S, 2>& c0,
                                  const RecurrentWeights<S>& w, const std::vector<Index>& lengths = {},
                                  bool reverse = false) {
  Operation<S> op(Cell::name, x, h0, c0, w.weight_ih, w.weight_hh, w.bias_ih, w.bias_hh);
  const Index batch = x.dim(0), steps = x.dim(1), input = w.weight_ih.dim(1), H = w.weight_hh.dim(1),
              G = Cell::gates * H;
  op.require(x.dim(2) == input,
             [&] { return message("x has shape ", x.shape(), "; its last axis must be input_size = ", input); });
  op.require(w.weight_ih.dim(0) == G && w.weight_hh.dim(0) == G, [&] {
    return message("weight_ih has shape ", w.weight_ih.shape(), ", weight_hh ", w.weight_hh.shape(),
                   "; their first axis must be gates * hidden_size = ", G);
  });
  for (const auto* bias : {&w.bias_ih, &w.bias_hh})
    op.require(!present(*bias) || bias->dim(0) == G, [&] {
      return message("a bias has shape ", bias->shape(), "; its axis must be gates * hidden_size = ", G);
    });
  const Shape<2> states{batch, H};
  for (const auto* state : {&h0, &c0})
    op.require(state->shape() == Shape<2>{} || state->shape() == states, [&] {
      return message("an initial state has shape ", state->shape(), "; it must have (batch, hidden_size) = ", states);
    });
  op.require(lengths.empty() || Index(lengths.size()) == batch, [&] {
    return message("x has shape ", x.shape(), "; lengths has ", lengths.size(),
                   " entries, it must have one per sample, ", batch);
  });
  for (const Index length : lengths)
    require<OptionError>(length >= 0 && length <= steps, Cell::name, [&] {
      return message("a length is ", length, "; x has shape ", x.shape(), ", so lengths lie in 0 ... ", steps);
    });

  const auto y = op.result(Shape<3>{batch, steps, H});
  const auto h = op.result(states), c = Cell::has_cell ? op.result(states) : absent<S, 2>();
  const auto begin = [&](const Variable<S, 2>& state, const Variable<S, 2>& from) {
    if (present(from))
      std::copy_n(from.data(), from.size(), state.buffer().get());
    else
      std::fill_n(state.buffer().get(), state.size(), S(0));
  };
  begin(h, h0);
  begin(c, c0);
  const auto data = [](const auto& v) { return present(v) ? v.data() : nullptr; };
  const recurrent::Problem p{batch, steps, input, H, lengths.empty() ? nullptr : lengths.data(), reverse};
  const auto gates = make_buffer<S>(element_count(Shape<3>{batch, steps, G}));
  const auto apart = make_buffer<S>(Cell::summed < Cell::gates ? y.size() : 0);
  const auto cells = make_buffer<S>(Cell::has_cell ? y.size() : 0);
  MultiplyAdds::add(batch, steps, G, input + H);
  recurrent::forward<Cell, S>(p, x.data(), {w.weight_ih.data(), w.weight_hh.data(), data(w.bias_ih), data(w.bias_hh)},
                              op.data(y), h.buffer().get(), c.buffer().get(), {gates.get(), apart.get(), cells.get()});
  if (!op.records()) return {y, h, c};

  const Slot dx = op.slot(x), dh0 = op.slot(h0), dc0 = op.slot(c0), dw = op.slot(w.weight_ih),
             du = op.slot(w.weight_hh), db = op.slot(w.bias_ih), dv = op.slot(w.bias_hh), dy = op.slot(y);
  const Slot dh = op.slot(h), dc = op.slot(c);
  const bool hs = present(h0), cs = present(c0);
  const auto backward = [=, length = lengths, xs = op.keep(x, dw.differentiable),
                         ws = op.keep(w.weight_ih, dx.differentiable), us = op.keep(w.weight_hh), ys = op.keep(y),
                         h0s = op.keep(h0, hs), c0s = op.keep(c0, cs)](Pass<S>& pass) {
    const auto gradient = [&](const Slot& slot) {  // of a state; zeros if none arrived
      auto copy = make_buffer<S>(slot.size, S(0));
      if (const S* g = slot.differentiable ? pass.of(slot) : nullptr) std::copy_n(g, slot.size, copy.get());
      return copy;
    };
    recurrent::Problem back = p;
    if (p.lengths) back.lengths = length.data();
    const auto state = gradient(dh), cell = gradient(dc);
    recurrent::backward<Cell, S>(back, xs.get(), {ws.get(), us.get(), nullptr, nullptr}, ys.get(), h0s.get(), c0s.get(),
                                 {gates.get(), apart.get(), cells.get()}, pass.of(dy), state.get(), cell.get(),
                                 pass.add_to(dx), {pass.add_to(dw), pass.add_to(du), pass.add_to(db), pass.add_to(dv)});
    if (S* d = pass.add_to(dh0))
      for (Index i = 0; i < dh0.size; ++i) d[i] += state.get()[i];
    if (S* d = pass.add_to(dc0))
      for (Index i = 0; i < dc0.size; ++i) d[i] += cell.get()[i];
  };
  if (Cell::has_cell)
    op.record_between(y, c, backward);
  else
    op.record_between(y, h, backward);
  return {y, h, c};
}

ATTEND_END
