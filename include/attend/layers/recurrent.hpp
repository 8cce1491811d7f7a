#pragma once
/// Recurrent networks over batches of sequences: Rnn, Lstm, Gru, with torch.nn's parameters and semantics, batch first.
#include "attend/functional/concat.hpp"
#include "attend/functional/dropout.hpp"
#include "attend/layers/recurrent_cell.hpp"

ATTEND_BEGIN

struct RnnOptions {
  Index input_size = 0;
  Index hidden_size = 0;
  Index num_layers = 1;
  bool bias = true;
  double dropout = 0;          ///< between the layers, in training
  bool bidirectional = false;  ///< a second pass from each sequence's end to its start
  Nonlinearity nonlinearity = Nonlinearity::tanh;
};
struct LstmOptions {
  Index input_size = 0;
  Index hidden_size = 0;
  Index num_layers = 1;
  bool bias = true;
  double dropout = 0;          ///< between the layers, in training
  bool bidirectional = false;  ///< a second pass from each sequence's end to its start
};
struct GruOptions {
  Index input_size = 0;
  Index hidden_size = 0;
  Index num_layers = 1;
  bool bias = true;
  double dropout = 0;          ///< between the layers, in training
  bool bidirectional = false;  ///< a second pass from each sequence's end to its start
};

struct RecurrentCall {
  std::vector<Index> lengths = {};  ///< valid steps of each sample; empty: all
};

/// Outputs of the last layer and every layer's last state; directions follow each other, as in PyTorch.
template <class S, template <class, int> class Holder>
struct RecurrentResult {
  template <template <class, int> class Other>
  using of = RecurrentResult<S, Other>;
  Holder<S, 3> output;  ///< (batch, length, directions hidden_size)
  Holder<S, 3> hidden;  ///< (num_layers directions, batch, hidden_size)
  template <class F>
  auto members(F f) const {
    return f(output, hidden);
  }
};
/// The same of an LSTM.
template <class S, template <class, int> class Holder>
struct LstmResult {
  template <template <class, int> class Other>
  using of = LstmResult<S, Other>;
  Holder<S, 3> output;  ///< (batch, length, directions hidden_size)
  Holder<S, 3> hidden;  ///< (num_layers directions, batch, hidden_size)
  Holder<S, 3> cell;    ///< (num_layers directions, batch, hidden_size)
  template <class F>
  auto members(F f) const {
    return f(output, hidden, cell);
  }
};

namespace detail {
/// The layers and directions of a recurrent network.
template <class S>
class RecurrentStack {
 public:
  template <class Options>
  RecurrentStack(const char* name, Index gates, const Options& o, Rng& rng)
      : name_(name), hidden_(o.hidden_size), directions_(o.bidirectional ? 2 : 1), dropout_(o.dropout) {
    require<OptionError>(o.num_layers > 0 && o.dropout >= 0 && o.dropout <= 1, name, [&] {
      return message("num_layers = ", o.num_layers, " must be above 0 and dropout = ", o.dropout, " lie in [0, 1]");
    });
    for (Index l = 0; l < o.num_layers; ++l)
      for (Index d = 0; d < directions_; ++d)
        passes_.emplace_back(name, gates, l == 0 ? o.input_size : directions_ * o.hidden_size, o.hidden_size, o.bias,
                             rng);
  }

  /// h0, c0: (passes, batch, hidden) or absent.
  template <class Cell>
  LstmResult<S, Variable> run(const Variable<S, 3>& x, const Variable<S, 3>& h0, const Variable<S, 3>& c0,
                              const RecurrentCall& call) const {
    const Index count = Index(passes_.size());
    for (const auto* state : {&h0, &c0}) {
      const Shape<3> expected{count, x.dim(0), hidden_};
      require(state->shape() == Shape<3>{} || state->shape() == expected, name_, [&] {
        return message("an initial state has shape ", state->shape(),
                       "; it must have (num_layers directions, batch, hidden_size) = ", expected);
      });
    }
    Variable<S, 3> y = x;
    std::vector<Variable<S, 2>> hidden, cell;
    for (Index first = 0; first < count; first += directions_) {
      if (first > 0) y = dropout(y, dropout_);
      std::vector<Variable<S, 3>> outputs;
      for (Index k = first; k < first + directions_; ++k) {
        const auto state = [k](const Variable<S, 3>& all) { return present(all) ? select(all, k, 0) : absent<S, 2>(); };
        const auto states =
            recurrent_pass<Cell>(y, state(h0), state(c0), passes_[std::size_t(k)].on(y), call.lengths, k > first);
        outputs.push_back(states.output);
        hidden.push_back(states.hidden);
        cell.push_back(states.cell);
      }
      y = directions_ == 1 ? outputs[0] : concat(outputs, 2);
    }
    return {y, stack(hidden, 0), Cell::has_cell ? stack(cell, 0) : absent<S, 3>()};
  }
  template <class Self, class Visit>
  static void visit_all(Self& self, Visit&& visit) {
    for (std::size_t k = 0; k < self.passes_.size(); ++k) {
      const std::size_t directions = std::size_t(self.directions_);
      RecurrentParameters<S>::visit_all(self.passes_[k],
                                        "_l" + to_string(k / directions) + (k % directions ? "_reverse" : ""), visit);
    }
  }

 private:
  const char* name_;
  Index hidden_, directions_;
  double dropout_;
  std::vector<RecurrentParameters<S>> passes_;  // layer by layer, in each the direction forward in time first
};
}  // namespace detail

/// Elman network, h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) with f = tanh or relu.  torch.nn.RNN(batch_first=True)
///
/// x: (batch, length, input_size)  [h0: (num_layers directions, batch, hidden_size), zeros if not given]
///   ->  RecurrentResult
///
/// Call options: lengths, with the semantics of PyTorch's packed sequences: beyond a sample's length the output is
/// zero, the last state is the one at its own end, the reverse direction starts there, and x may hold anything.
/// weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 (shapes: RnnCell), _l1 ..., with _reverse for the second
/// direction.
template <class S>
class Rnn : public Layer<Rnn<S>> {
 public:
  using CallOptions = RecurrentCall;
  Rnn(const RnnOptions& o, Rng& rng) : nonlinearity_(o.nonlinearity), stack_("Rnn", 1, o, rng) {}

  RecurrentResult<S, Variable> forward(const Variable<S, 3>& x, const RecurrentCall& call) const {
    return forward(x, absent<S, 3>(), call);
  }
  RecurrentResult<S, Variable> forward(const Variable<S, 3>& x, const Variable<S, 3>& h0,
                                       const RecurrentCall& call) const {
    const auto none = absent<S, 3>();
    const auto all = nonlinearity_ == Nonlinearity::tanh ? stack_.template run<recurrent::ElmanTanh>(x, h0, none, call)
                                                         : stack_.template run<recurrent::ElmanRelu>(x, h0, none, call);
    return {all.output, all.hidden};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::RecurrentStack<S>::visit_all(self.stack_, visit);
  }

 private:
  Nonlinearity nonlinearity_;
  detail::RecurrentStack<S> stack_;
};

/// Long short-term memory (formula: LstmCell).  torch.nn.LSTM(batch_first=True)
///
/// x: (batch, length, input_size)  [h0, c0: (num_layers directions, batch, hidden_size), zeros if not given]
///   ->  LstmResult
///
/// Lengths and parameter names as Rnn, shapes as LstmCell.
template <class S>
class Lstm : public Layer<Lstm<S>> {
 public:
  using CallOptions = RecurrentCall;
  Lstm(const LstmOptions& o, Rng& rng) : stack_("Lstm", 4, o, rng) {}

  LstmResult<S, Variable> forward(const Variable<S, 3>& x, const RecurrentCall& call) const {
    return forward(x, absent<S, 3>(), absent<S, 3>(), call);
  }
  LstmResult<S, Variable> forward(const Variable<S, 3>& x, const Variable<S, 3>& h0, const Variable<S, 3>& c0,
                                  const RecurrentCall& call) const {
    return stack_.template run<recurrent::Lstm>(x, h0, c0, call);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::RecurrentStack<S>::visit_all(self.stack_, visit);
  }

 private:
  detail::RecurrentStack<S> stack_;
};

/// Gated recurrent unit (formula: GruCell).  torch.nn.GRU(batch_first=True)
///
/// x: (batch, length, input_size)  [h0: (num_layers directions, batch, hidden_size), zeros if not given]
///   ->  RecurrentResult
///
/// Lengths and parameter names as Rnn, shapes as GruCell.
template <class S>
class Gru : public Layer<Gru<S>> {
 public:
  using CallOptions = RecurrentCall;
  Gru(const GruOptions& o, Rng& rng) : stack_("Gru", 3, o, rng) {}

  RecurrentResult<S, Variable> forward(const Variable<S, 3>& x, const RecurrentCall& call) const {
    return forward(x, absent<S, 3>(), call);
  }
  RecurrentResult<S, Variable> forward(const Variable<S, 3>& x, const Variable<S, 3>& h0,
                                       const RecurrentCall& call) const {
    const auto all = stack_.template run<recurrent::Gru>(x, h0, absent<S, 3>(), call);
    return {all.output, all.hidden};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::RecurrentStack<S>::visit_all(self.stack_, visit);
  }

 private:
  detail::RecurrentStack<S> stack_;
};

ATTEND_END
