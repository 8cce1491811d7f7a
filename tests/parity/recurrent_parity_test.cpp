#include "attend/layers/recurrent.hpp"

#include "parity/golden.hpp"

namespace recurrent_parity_test {
namespace {
using namespace attend;
using golden::layer;

const auto lstm_cell = [](const LstmCellOptions& o) {
  return golden::check([o](auto& run) -> void {
    auto cell = golden::make_layer<LstmCell<typename std::decay_t<decltype(run)>::Scalar>>(o);
    run.load(cell);
    const auto next = cell(run.template input<2>(0), run.template input<2>(1), run.template input<2>(2));
    run.outputs(next.hidden, next.cell);
    run.finish();
  });
};
const golden::Cases cells(
    "recurrent",
    {
        {"cell_rnn_tanh", layer<RnnCell, 2, 2>(RnnCellOptions{.input_size = 3, .hidden_size = 5})},
        {"cell_rnn_relu",
         layer<RnnCell, 2, 2>(RnnCellOptions{.input_size = 3, .hidden_size = 5, .nonlinearity = Nonlinearity::relu})},
        {"cell_rnn_no_bias", layer<RnnCell, 2, 2>(RnnCellOptions{.input_size = 3, .hidden_size = 5, .bias = false})},
        {"cell_gru", layer<GruCell, 2, 2>(GruCellOptions{.input_size = 3, .hidden_size = 5})},
        {"cell_gru_no_bias", layer<GruCell, 2, 2>(GruCellOptions{.input_size = 3, .hidden_size = 5, .bias = false})},
        {"cell_lstm", lstm_cell({.input_size = 3, .hidden_size = 5})},
        {"cell_lstm_no_bias", lstm_cell({.input_size = 3, .hidden_size = 5, .bias = false})},
    });

/// x is input 0; then come lengths and initial states, where the case has them.
enum class Given { nothing, state, lengths, both };
template <class Net, class S>
void sequence(golden::Run<S>& run, Net net, Given given) {
  run.load(net);
  RecurrentCall call;
  const bool lengths = given == Given::lengths || given == Given::both;
  if (lengths) call.lengths = run.golden().integers("input.1");
  const int first = lengths ? 2 : 1;
  constexpr bool has_cell = std::is_same_v<Net, Lstm<S>>;
  const auto x = run.template input<3>(0);
  const auto state = [&](int i) {
    return given == Given::state || given == Given::both ? run.template input<3>(first + i) : absent<S, 3>();
  };
  if constexpr (has_cell) {
    const auto h0 = state(0), c0 = state(1);
    const auto r = net.forward(x, h0, c0, call);
    run.outputs(r.output, r.hidden, r.cell);
  } else {
    const auto r = net.forward(x, state(0), call);
    run.outputs(r.output, r.hidden);
  }
  run.finish();
}
template <template <class> class Net, class Options>
golden::Check net(const Options& options, Given given) {
  return golden::check([=](auto& run) -> void {
    sequence(run, golden::make_layer<Net<typename std::decay_t<decltype(run)>::Scalar>>(options), given);
  });
}
template <template <class> class Net, class Options>
std::vector<golden::Named> family(const std::string& name) {
  const auto made = [](bool bias, bool bidirectional, Index layers = 1) {
    Options o;
    o.input_size = 3, o.hidden_size = 5, o.num_layers = layers, o.bias = bias, o.bidirectional = bidirectional;
    return o;
  };
  const Options one = made(true, false), both = made(true, true);
  return {{name + "_plain", net<Net>(one, Given::nothing)},
          {name + "_no_bias", net<Net>(made(false, false), Given::nothing)},
          {name + "_state", net<Net>(one, Given::state)},
          {name + "_lengths", net<Net>(one, Given::lengths)},
          {name + "_lengths_state", net<Net>(one, Given::both)},
          {name + "_bidirectional", net<Net>(both, Given::nothing)},
          {name + "_bidirectional_state", net<Net>(both, Given::state)},
          {name + "_bidirectional_lengths", net<Net>(both, Given::lengths)},
          {name + "_bidirectional_lengths_state", net<Net>(both, Given::both)},
          {name + "_two_layers", net<Net>(made(true, true, 2), Given::both)}};
}
const golden::Cases rnn("recurrent", family<Rnn, RnnOptions>("rnn"));
const golden::Cases lstm("recurrent", family<Lstm, LstmOptions>("lstm"));
const golden::Cases gru("recurrent", family<Gru, GruOptions>("gru"));
const golden::Cases relu(
    "recurrent",
    {
        {"rnn_relu_plain",
         net<Rnn>(RnnOptions{.input_size = 3, .hidden_size = 5, .nonlinearity = Nonlinearity::relu}, Given::nothing)},
        {"rnn_relu_bidirectional_lengths",
         net<Rnn>(
             RnnOptions{.input_size = 3, .hidden_size = 5, .bidirectional = true, .nonlinearity = Nonlinearity::relu},
             Given::lengths)},
    });
}  // namespace
}  // namespace recurrent_parity_test
