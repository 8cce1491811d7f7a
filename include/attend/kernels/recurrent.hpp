#pragma once
/// A recurrent cell run over a batch of sequences in one direction, forward beside backward. One matrix product makes
/// W_ih x of all steps, then each step adds its W_hh h by one product and runs the cell (kernels/recurrent_cell.hpp).
///
/// A sequence shorter than the longest takes part in its own steps only: beyond its end the output is zero, its state
/// rests there, and going backwards in time it starts at its own end. What lies in the input beyond the end reaches
/// nothing.
///
/// Compiled once: the work is in the products and the cells.
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/gemm.hpp"
#include "attend/kernels/recurrent_cell.hpp"

ATTEND_BEGIN
namespace recurrent {

struct Problem {
  Index batch, steps, input, hidden;
  const Index* lengths;  // (batch); null: all `steps`
  bool reverse;          // from the last step to the first

  Index length(Index b) const { return lengths ? lengths[b] : steps; }
  Index time(Index step) const { return reverse ? steps - 1 - step : step; }
};

/// Pointers to W_ih (gates hidden, input), W_hh (gates hidden, hidden) and the biases (gates hidden), null for none.
template <class T>
struct Weights {
  T *ih, *hh, *bias_ih, *bias_hh;
};

/// What the backward pass reads; each (batch, steps, ...), `cells` for cells that have a state, `apart` for the GRU.
template <class S>
struct Saved {
  S *gates, *apart, *cells;
};

/// Samples that run the cell on one thread: their gates make a unit of work.
inline Index cell_grain(Index gates) { return std::max<Index>(1, 4096 / std::max<Index>(1, gates)); }

/// y (batch, steps, hidden); `h` and `c` (batch, hidden) hold the initial states and become the final ones.
template <class Cell, class S>
void forward(const Problem& p, const S* x, const Weights<const S>& w, S* y, S* h, S* c, const Saved<S>& saved) {
  const Index H = p.hidden, G = Cell::gates * H, sum = Cell::summed * H, rows = p.batch * p.steps;
  const auto bias = make_buffer<S>(G, S(0));
  for (Index j = 0; w.bias_ih && j < G; ++j) bias.get()[j] += w.bias_ih[j];
  for (Index j = 0; w.bias_hh && j < sum; ++j) bias.get()[j] += w.bias_hh[j];
  for (Index i = 0; i < rows; ++i) std::copy_n(bias.get(), G, saved.gates + i * G);
  gemm<S>(Side::plain, Side::transposed, rows, G, p.input, 1, x, p.input, w.ih, p.input, 1, saved.gates, G);
  if (sum < G)
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < H; ++j) saved.apart[i * H + j] = w.bias_hh ? w.bias_hh[sum + j] : S(0);
  const auto packed = make_buffer<S>(packed_size<S>(H, sum)),
             packed_apart = make_buffer<S>(sum < G ? packed_size<S>(H, H) : 0);
  pack_b(Side::transposed, H, sum, w.hh, H, packed.get());
  if (sum < G) pack_b(Side::transposed, H, H, w.hh + sum * H, H, packed_apart.get());
  for (Index step = 0; step < p.steps; ++step) {
    const Index t = p.time(step);
    const PlainRows<S> state{h, H};
    gemm_packed(p.batch, sum, H, S(1), state, static_cast<const S*>(packed.get()), S(1), saved.gates + t * G,
                p.steps * G);
    if (sum < G)
      gemm_packed(p.batch, H, H, S(1), state, static_cast<const S*>(packed_apart.get()), S(1), saved.apart + t * H,
                  p.steps * H);
    parallel_for(p.batch, cell_grain(G), [&](Index begin, Index end) {
      for (Index b = begin; b < end; ++b) {
        const Index row = b * p.steps + t;
        S* out = y + row * H;
        if (t >= p.length(b)) {
          std::fill_n(out, H, S(0));
          continue;
        }
        S* cell = Cell::has_cell ? saved.cells + row * H : nullptr;
        forward_cell(Cell{}, H,
                     CellRows<S>{saved.gates + row * G, sum < G ? saved.apart + row * H : nullptr, h + b * H,
                                 Cell::has_cell ? c + b * H : nullptr, out, cell});
        std::copy_n(out, H, h + b * H);
        if (Cell::has_cell) std::copy_n(cell, H, c + b * H);
      }
    });
  }
}

/// Adds to d.* and dx, where not null. `dy` may be null. `dh` and `dc` (batch, hidden) hold the gradients of the final
/// states and become those of the initial ones. `h0` and `c0` are the initial states, null for zeros.
template <class Cell, class S>
void backward(const Problem& p, const S* x, const Weights<const S>& w, const S* y, const S* h0, const S* c0,
              const Saved<const S>& saved, const S* dy, S* dh, S* dc, S* dx, const Weights<S>& d) {
  const Index H = p.hidden, G = Cell::gates * H, sum = Cell::summed * H, rows = p.batch * p.steps;
  const auto d_gates = make_buffer<S>(rows * G, S(0)), previous = make_buffer<S>(rows * H, S(0));
  const auto d_apart = make_buffer<S>(sum < G ? rows * H : 0, S(0)), zeros = make_buffer<S>(H, S(0));
  const auto packed = make_buffer<S>(packed_size<S>(sum, H)),
             packed_apart = make_buffer<S>(sum < G ? packed_size<S>(H, H) : 0);
  pack_b(Side::plain, sum, H, w.hh, H, packed.get());
  if (sum < G) pack_b(Side::plain, H, H, w.hh + sum * H, H, packed_apart.get());
  for (Index step = p.steps; step-- > 0;) {
    const Index t = p.time(step);
    parallel_for(p.batch, cell_grain(G), [&](Index begin, Index end) {
      for (Index b = begin; b < end; ++b) {
        const Index row = b * p.steps + t, length = p.length(b);
        if (t >= length) continue;
        const bool first = p.reverse ? t == length - 1 : t == 0;
        const Index before = row + (p.reverse ? 1 : -1);  // the step before this one in the order of the pass
        if (!first || h0) std::copy_n(first ? h0 + b * H : y + before * H, H, previous.get() + row * H);
        const S* c_before = !Cell::has_cell ? nullptr
                            : !first        ? saved.cells + before * H
                            : c0            ? c0 + b * H
                                            : zeros.get();
        if (dy) add_scaled(H, S(1), dy + row * H, dh + b * H);
        backward_cell(Cell{}, H,
                      CellRows<const S>{saved.gates + row * G, sum < G ? saved.apart + row * H : nullptr,
                                        previous.get() + row * H, c_before, nullptr,
                                        Cell::has_cell ? saved.cells + row * H : nullptr},
                      CellGradients<S>{d_gates.get() + row * G, sum < G ? d_apart.get() + row * H : nullptr, dh + b * H,
                                       Cell::has_cell ? dc + b * H : nullptr});
      }
    });
    gemm_packed(p.batch, H, sum, S(1), PlainRows<S>{d_gates.get() + t * G, p.steps * G},
                static_cast<const S*>(packed.get()), S(1), dh, H);
    if (sum < G)
      gemm_packed(p.batch, H, H, S(1), PlainRows<S>{d_apart.get() + t * H, p.steps * H},
                  static_cast<const S*>(packed_apart.get()), S(1), dh, H);
  }
  const Zeros zeros_are =
      p.lengths ? Zeros::skipped : Zeros::multiplied;  // x may hold anything beyond a sequence's end
  if (dx) gemm<S>(Side::plain, Side::plain, rows, p.input, G, 1, d_gates.get(), G, w.ih, p.input, 1, dx, p.input);
  if (d.ih)
    gemm<S>(Side::transposed, Side::plain, G, p.input, rows, 1, d_gates.get(), G, x, p.input, 1, d.ih, p.input,
            zeros_are);
  if (d.hh) {
    gemm<S>(Side::transposed, Side::plain, sum, H, rows, 1, d_gates.get(), G, previous.get(), H, 1, d.hh, H);
    if (sum < G)
      gemm<S>(Side::transposed, Side::plain, H, H, rows, 1, d_apart.get(), H, previous.get(), H, 1, d.hh + sum * H, H);
  }
  if (!d.bias_ih && !d.bias_hh) return;
  const auto sums = make_buffer<S>(G, S(0));
  add_column_sums(static_cast<const S*>(d_gates.get()), rows, G, sums.get());
  for (Index j = 0; d.bias_ih && j < G; ++j) d.bias_ih[j] += sums.get()[j];
  for (Index j = 0; d.bias_hh && j < sum; ++j) d.bias_hh[j] += sums.get()[j];
  if (d.bias_hh && sum < G) add_column_sums(static_cast<const S*>(d_apart.get()), rows, H, d.bias_hh + sum);
}

}  // namespace recurrent
ATTEND_END
