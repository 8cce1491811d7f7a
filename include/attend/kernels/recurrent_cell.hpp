#pragma once
/// The element-wise half of a recurrent step, forward beside backward, for one sample's row of `hidden` units. What the
/// matrix products leave in `gates` becomes the activated gates; the backward pass gives the gradients of what they
/// left.
///
/// A cell says how many gates it has (`gates`), how many of them add W_hh h to W_ih x before anything else (`summed`;
/// the GRU's candidate scales W_hh h first, so that product stays apart in `apart`), and whether it has a cell state.
/// Biases are in the products already. Row layout and gate order are PyTorch's.
#include "attend/kernels/activation.hpp"

ATTEND_BEGIN
namespace recurrent {

/// h' = f(W_ih x + W_hh h), f = tanh or relu (Elman 1990).  torch.nn.RNN
template <class Nonlinearity>
struct Elman {
  static constexpr const char* name = "rnn";
  static constexpr Index gates = 1, summed = 1;
  static constexpr bool has_cell = false;

  template <class S>
  static void forward(Index hidden, S* gate, const S* /*apart*/, const S* /*h0*/, const S* /*c0*/, S* h, S* /*c*/) {
    for (Index j = 0; j < hidden; ++j) h[j] = gate[j] = Nonlinearity{}.value(gate[j]);
  }
  template <class S>
  static void backward(Index hidden, const S* gate, const S* /*apart*/, const S* /*h0*/, const S* /*c0*/,
                       const S* /*c*/, S* d_gate, S* /*d_apart*/, S* dh, S* /*dc*/) {
    for (Index j = 0; j < hidden; ++j) {
      d_gate[j] = dh[j] * Nonlinearity{}.derivative(gate[j]);
      dh[j] = S(0);  // all of it went through the gate
    }
  }
};
using ElmanTanh = Elman<activation::Tanh>;
using ElmanRelu = Elman<activation::Relu>;

/// i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_ih x + W_hh h;  c' = f c + i g;  h' = o tanh(c')
/// (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).  torch.nn.LSTM
struct Lstm {
  static constexpr const char* name = "lstm";
  static constexpr Index gates = 4, summed = 4;
  static constexpr bool has_cell = true;

  template <class S>
  static void forward(Index hidden, S* gate, const S* /*apart*/, const S* /*h0*/, const S* c0, S* h, S* c) {
    const activation::Sigmoid sigmoid;
    const activation::Tanh tanh;
    S *i = gate, *f = gate + hidden, *g = gate + 2 * hidden, *o = gate + 3 * hidden;
    for (Index j = 0; j < 2 * hidden; ++j) gate[j] = sigmoid.value(gate[j]);
    for (Index j = 0; j < hidden; ++j) g[j] = tanh.value(g[j]);
    for (Index j = 0; j < hidden; ++j) o[j] = sigmoid.value(o[j]);
    for (Index j = 0; j < hidden; ++j) c[j] = f[j] * c0[j] + i[j] * g[j];
    for (Index j = 0; j < hidden; ++j) h[j] = o[j] * tanh.value(c[j]);
  }
  template <class S>
  static void backward(Index hidden, const S* gate, const S* /*apart*/, const S* /*h0*/, const S* c0, const S* c,
                       S* d_gate, S* /*d_apart*/, S* dh, S* dc) {
    const S *i = gate, *f = gate + hidden, *g = gate + 2 * hidden, *o = gate + 3 * hidden;
    S *di = d_gate, *df = d_gate + hidden, *dg = d_gate + 2 * hidden, *d_o = d_gate + 3 * hidden;
    for (Index j = 0; j < hidden; ++j) {
      const S t = activation::Tanh{}.value(c[j]);
      d_o[j] = dh[j] * t * o[j] * (S(1) - o[j]);
      const S d = dc[j] + dh[j] * o[j] * (S(1) - t * t);
      di[j] = d * g[j] * i[j] * (S(1) - i[j]);
      df[j] = d * c0[j] * f[j] * (S(1) - f[j]);
      dg[j] = d * i[j] * (S(1) - g[j] * g[j]);
      dc[j] = d * f[j];
      dh[j] = S(0);
    }
  }
};

/// r, z = sigmoid of W_ih x + W_hh h;  n = tanh(W_in x + r (W_hn h));  h' = (1 - z) n + z h  (Cho et al. 2014, the form
/// with the reset gate after the product).  torch.nn.GRU
struct Gru {
  static constexpr const char* name = "gru";
  static constexpr Index gates = 3, summed = 2;
  static constexpr bool has_cell = false;

  template <class S>
  static void forward(Index hidden, S* gate, const S* apart, const S* h0, const S* /*c0*/, S* h, S* /*c*/) {
    S *r = gate, *z = gate + hidden, *n = gate + 2 * hidden;
    for (Index j = 0; j < 2 * hidden; ++j) gate[j] = activation::Sigmoid{}.value(gate[j]);
    for (Index j = 0; j < hidden; ++j) n[j] = activation::Tanh{}.value(n[j] + r[j] * apart[j]);
    for (Index j = 0; j < hidden; ++j) h[j] = n[j] + z[j] * (h0[j] - n[j]);
  }
  template <class S>
  static void backward(Index hidden, const S* gate, const S* apart, const S* h0, const S* /*c0*/, const S* /*c*/,
                       S* d_gate, S* d_apart, S* dh, S* /*dc*/) {
    const S *r = gate, *z = gate + hidden, *n = gate + 2 * hidden;
    S *dr = d_gate, *dz = d_gate + hidden, *dn = d_gate + 2 * hidden;
    for (Index j = 0; j < hidden; ++j) {
      dz[j] = dh[j] * (h0[j] - n[j]) * z[j] * (S(1) - z[j]);
      dn[j] = dh[j] * (S(1) - z[j]) * (S(1) - n[j] * n[j]);
      dr[j] = dn[j] * apart[j] * r[j] * (S(1) - r[j]);
      d_apart[j] = dn[j] * r[j];
      dh[j] *= z[j];
    }
  }
};

}  // namespace recurrent
ATTEND_END
