#include "attend/layers/recurrent_cell.hpp"
#include "parity/golden.hpp"

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
}  // namespace
