#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/recurrent.hpp"

ATTEND_BEGIN

/// The function f of an Elman network.
enum class Nonlinearity { tanh, relu };

struct RnnCellOptions {
  Index input_size = 0;
  Index hidden_size = 0;
  bool bias = true;
  Nonlinearity nonlinearity = Nonlinearity::tanh;
};
struct LstmCellOptions {
  Index input_size = 0;
  Index hidden_size = 0;
  bool bias = true;
};
struct GruCellOptions {
  Index input_size = 0;
  Index hidden_size = 0;
  bool bias = true;
};

namespace detail {
/// One layer's parameters in one direction, each uniform in +-1/sqrt(hidden_size) as PyTorch draws them.
template <class S>
struct RecurrentParameters {
  RecurrentParameters(const char* layer, Index gates, Index input, Index hidden, bool bias, Rng& rng)
      : weight_ih({gates * checked(layer, input, hidden), input}, rng, 1 / std::sqrt(double(hidden))),
        weight_hh({gates * hidden, hidden}, rng, 1 / std::sqrt(double(hidden))) {
    if (!bias) return;
    bias_ih.emplace(Shape<1>{gates * hidden}, rng, 1 / std::sqrt(double(hidden)));
    bias_hh.emplace(Shape<1>{gates * hidden}, rng, 1 / std::sqrt(double(hidden)));
  }
  template <class V>
  RecurrentWeights<S> on(const V& x) const {
    return {weight_ih.on(x), weight_hh.on(x), attend::on(bias_ih, x), attend::on(bias_hh, x)};
  }
  template <class Self, class Visit>
  static void visit_all(Self& self, const std::string& suffix, Visit&& visit) {
    visit("weight_ih" + suffix, self.weight_ih);
    visit("weight_hh" + suffix, self.weight_hh);
    if (!self.bias_ih) return;
    visit("bias_ih" + suffix, *self.bias_ih);
    visit("bias_hh" + suffix, *self.bias_hh);
  }
  Parameter<S, 2> weight_ih, weight_hh;
  std::optional<Parameter<S, 1>> bias_ih, bias_hh;

 private:
  static Index checked(const char* layer, Index input, Index hidden) {
    require<OptionError>(input > 0 && hidden > 0, layer, [&] {
      return message("input_size = ", input, " and hidden_size = ", hidden, " must be above 0");
    });
    return hidden;
  }
};

/// One step: x (batch, input) seen as a sequence of length 1.
template <class Cell, class S>
RecurrentStates<S> recurrent_step(const Variable<S, 2>& x, const Variable<S, 2>& h, const Variable<S, 2>& c,
                                  const RecurrentParameters<S>& parameters) {
  return recurrent_pass<Cell>(x.reshape(Shape<3>{x.dim(0), 1, x.dim(1)}), h, c, parameters.on(x));
}
}  // namespace detail

/// h' = f(W_ih x + b_ih + W_hh h + b_hh), f = tanh or relu.  torch.nn.RNNCell
///
/// x: (batch, input_size)  h: (batch, hidden_size), zeros if not given  ->  h'.
/// weight_ih (hidden_size, input_size)  weight_hh (hidden_size, hidden_size)  bias_ih, bias_hh (hidden_size).
template <class S>
class RnnCell : public Layer<RnnCell<S>> {
 public:
  RnnCell(const RnnCellOptions& o, Rng& rng)
      : nonlinearity_(o.nonlinearity), parameters_("RnnCell", 1, o.input_size, o.hidden_size, o.bias, rng) {}

  Variable<S, 2> forward(const Variable<S, 2>& x) const { return forward(x, absent<S, 2>()); }
  Variable<S, 2> forward(const Variable<S, 2>& x, const Variable<S, 2>& h) const {
    return nonlinearity_ == Nonlinearity::tanh
               ? detail::recurrent_step<recurrent::ElmanTanh>(x, h, absent<S, 2>(), parameters_).hidden
               : detail::recurrent_step<recurrent::ElmanRelu>(x, h, absent<S, 2>(), parameters_).hidden;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::RecurrentParameters<S>::visit_all(self.parameters_, "", visit);
  }

 private:
  Nonlinearity nonlinearity_;
  detail::RecurrentParameters<S> parameters_;
};

/// The states after a step of an LSTM.
template <class S, template <class, int> class Holder>
struct LstmCellResult {
  template <template <class, int> class Other>
  using of = LstmCellResult<S, Other>;
  Holder<S, 2> hidden, cell;  ///< (batch, hidden_size)
  template <class F>
  auto members(F f) const {
    return f(hidden, cell);
  }
};

/// i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of W_ih x + b_ih + W_hh h + b_hh;  c' = f c + i g;  h' = o tanh(c').
/// torch.nn.LSTMCell
///
/// x: (batch, input_size)  h, c: (batch, hidden_size), zeros if not given  ->  {hidden, cell}.
/// weight_ih (4 hidden_size, input_size)  weight_hh (4 hidden_size, hidden_size)  bias_ih, bias_hh (4 hidden_size).
template <class S>
class LstmCell : public Layer<LstmCell<S>> {
 public:
  LstmCell(const LstmCellOptions& o, Rng& rng) : parameters_("LstmCell", 4, o.input_size, o.hidden_size, o.bias, rng) {}

  LstmCellResult<S, Variable> forward(const Variable<S, 2>& x) const {
    return forward(x, absent<S, 2>(), absent<S, 2>());
  }
  LstmCellResult<S, Variable> forward(const Variable<S, 2>& x, const Variable<S, 2>& h, const Variable<S, 2>& c) const {
    const auto states = detail::recurrent_step<recurrent::Lstm>(x, h, c, parameters_);
    return {states.hidden, states.cell};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::RecurrentParameters<S>::visit_all(self.parameters_, "", visit);
  }

 private:
  detail::RecurrentParameters<S> parameters_;
};

/// r, z = sigmoid of W_i x + b_i + W_h h + b_h;  n = tanh(W_in x + b_in + r (W_hn h + b_hn));  h' = (1 - z) n + z h.
/// torch.nn.GRUCell
///
/// x: (batch, input_size)  h: (batch, hidden_size), zeros if not given  ->  h'.
/// weight_ih (3 hidden_size, input_size)  weight_hh (3 hidden_size, hidden_size)  bias_ih, bias_hh (3 hidden_size).
template <class S>
class GruCell : public Layer<GruCell<S>> {
 public:
  GruCell(const GruCellOptions& o, Rng& rng) : parameters_("GruCell", 3, o.input_size, o.hidden_size, o.bias, rng) {}

  Variable<S, 2> forward(const Variable<S, 2>& x) const { return forward(x, absent<S, 2>()); }
  Variable<S, 2> forward(const Variable<S, 2>& x, const Variable<S, 2>& h) const {
    return detail::recurrent_step<recurrent::Gru>(x, h, absent<S, 2>(), parameters_).hidden;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::RecurrentParameters<S>::visit_all(self.parameters_, "", visit);
  }

 private:
  detail::RecurrentParameters<S> parameters_;
};

ATTEND_END
