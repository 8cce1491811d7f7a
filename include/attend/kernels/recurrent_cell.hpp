/// The element-wise half of a recurrent step, forward beside backward, for one sample's row of `hidden` units. What the
/// matrix products leave in `gates` becomes the activated gates; the backward pass gives the gradients of what they
/// left.
///
/// A cell says how many gates it has (`gates`), how many of them add W_hh h to W_ih x before anything else (`summed`;
/// the GRU's candidate scales W_hh h first, so that product stays apart in `apart`), and whether it has a cell state.
/// Biases are in the products already. Row layout and gate order are PyTorch's.
#ifndef ATTEND_KERNELS_RECURRENT_CELL
#define ATTEND_KERNELS_RECURRENT_CELL
#include "attend/kernels/activation.hpp"

ATTEND_BEGIN
namespace recurrent {

/// h' = f(W_ih x + W_hh h), f = tanh or relu (Elman 1990).  torch.nn.RNN
template <class Nonlinearity>
struct Elman {
  static constexpr const char* name = "rnn";
  static constexpr Index gates = 1, summed = 1;
  static constexpr bool has_cell = false;
};
using ElmanTanh = Elman<activation::Tanh>;
using ElmanRelu = Elman<activation::Relu>;

/// i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_ih x + W_hh h;  c' = f c + i g;  h' = o tanh(c')
/// (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).  torch.nn.LSTM
struct Lstm {
  static constexpr const char* name = "lstm";
  static constexpr Index gates = 4, summed = 4;
  static constexpr bool has_cell = true;
};

/// r, z = sigmoid of W_ih x + W_hh h;  n = tanh(W_in x + r (W_hn h));  h' = (1 - z) n + z h  (Cho et al. 2014, the form
/// with the reset gate after the product).  torch.nn.GRU
struct Gru {
  static constexpr const char* name = "gru";
  static constexpr Index gates = 3, summed = 2;
  static constexpr bool has_cell = false;
};

/// One sample's rows of a step; null where the cell has no such thing.
template <class T>
struct CellRows {
  T *gates, *apart;
  const T *h0, *c0;  // before the step
  T *h, *c;          // after it
};
template <class S>
struct CellGradients {
  S *gates, *apart;  // written
  S *h, *c;          // of the states after the step; become those of the states before it, but for what comes by gates
};

}  // namespace recurrent
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/recurrent_cell.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
namespace recurrent {
ATTEND_DISPATCH_IN(recurrent, forward_cell)
ATTEND_DISPATCH_IN(recurrent, backward_cell)
}  // namespace recurrent
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace recurrent {
using attend::recurrent::CellGradients;
using attend::recurrent::CellRows;

template <class Nonlinearity, class S>
void forward_cell(attend::recurrent::Elman<Nonlinearity>, Index hidden, const CellRows<S>& r) {
  simd::for_each_vector<S>(hidden, [&](const auto& at) {
    const auto h = Formula<Nonlinearity>::value(Nonlinearity{}, at(r.gates));
    at.put(r.gates, h);
    at.put(r.h, h);
  });
}
template <class Nonlinearity, class S>
void backward_cell(attend::recurrent::Elman<Nonlinearity>, Index hidden, const CellRows<const S>& r,
                   const CellGradients<S>& d) {
  simd::for_each_vector<S>(hidden, [&](const auto& at) {
    at.put(d.gates, at(d.h) * Formula<Nonlinearity>::derivative(Nonlinearity{}, at(r.gates)));
    at.put(d.h, simd::Vector<S>{});  // all of it went through the gate
  });
}

template <class S>
void forward_cell(attend::recurrent::Lstm, Index hidden, const CellRows<S>& r) {
  simd::for_each_vector<S>(hidden, [&](const auto& at) {
    S* const gate = r.gates;
    simd::Vector<S> open[3];  // in, forget, out: one copy of the formula
    for (Index k = 0; k < 3; ++k) {
      S* const place = gate + (k < 2 ? k : 3) * hidden;
      open[k] = simd::sigmoid(at(place));
      at.put(place, open[k]);
    }
    const auto candidate = simd::tanh(at(gate + 2 * hidden)), c = open[1] * at(r.c0) + open[0] * candidate;
    at.put(gate + 2 * hidden, candidate);
    at.put(r.c, c);
    at.put(r.h, open[2] * simd::tanh(c));
  });
}
template <class S>
void backward_cell(attend::recurrent::Lstm, Index hidden, const CellRows<const S>& r, const CellGradients<S>& d) {
  simd::for_each_vector<S>(hidden, [&](const auto& at) {
    const auto i = at(r.gates), f = at(r.gates + hidden), g = at(r.gates + 2 * hidden), o = at(r.gates + 3 * hidden);
    const auto t = simd::tanh(at(r.c)), dh = at(d.h), dc = at(d.c) + dh * o * (S(1) - t * t);
    at.put(d.gates, dc * g * i * (S(1) - i));
    at.put(d.gates + hidden, dc * at(r.c0) * f * (S(1) - f));
    at.put(d.gates + 2 * hidden, dc * i * (S(1) - g * g));
    at.put(d.gates + 3 * hidden, dh * t * o * (S(1) - o));
    at.put(d.c, dc * f);
    at.put(d.h, simd::Vector<S>{});
  });
}

template <class S>
void forward_cell(attend::recurrent::Gru, Index hidden, const CellRows<S>& r) {
  simd::map(
      2 * hidden, r.gates, [](const auto& v) { return simd::sigmoid(v); }, static_cast<const S*>(r.gates));
  simd::for_each_vector<S>(hidden, [&](const auto& at) {
    const auto n = simd::tanh(at(r.gates + 2 * hidden) + at(r.gates) * at(r.apart));
    at.put(r.gates + 2 * hidden, n);
    at.put(r.h, n + at(r.gates + hidden) * (at(r.h0) - n));
  });
}
template <class S>
void backward_cell(attend::recurrent::Gru, Index hidden, const CellRows<const S>& r, const CellGradients<S>& d) {
  simd::for_each_vector<S>(hidden, [&](const auto& at) {
    const auto reset = at(r.gates), z = at(r.gates + hidden), n = at(r.gates + 2 * hidden), dh = at(d.h);
    const auto dn = dh * (S(1) - z) * (S(1) - n * n);
    at.put(d.gates + hidden, dh * (at(r.h0) - n) * z * (S(1) - z));
    at.put(d.gates + 2 * hidden, dn);
    at.put(d.gates, dn * at(r.apart) * reset * (S(1) - reset));
    at.put(d.apart, dn * reset);
    at.put(d.h, dh * z);
  });
}

}  // namespace recurrent
ATTEND_END_ISA
#endif
