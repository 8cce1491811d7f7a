"""Recurrent cells and sequences, in both directions, with initial states and lengths."""
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recorder import Family


def packed(module, x, lengths, *state):
    """Positions behind a sequence's end give zeros; the final state is that of the last valid position."""
    y, final = module(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False),
                      *([state if len(state) > 1 else state[0]] if state else []))
    y, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return (y, *final) if isinstance(final, tuple) else (y, final)


def padded(module, x, *state):
    y, final = module(x, *([state if len(state) > 1 else state[0]] if state else []))
    return (y, *final) if isinstance(final, tuple) else (y, final)


def recurrent():
    f = Family("recurrent")
    for name, kind, options in [("rnn_tanh", nn.RNNCell, {}), ("rnn_relu", nn.RNNCell, dict(nonlinearity="relu")),
                                ("rnn_no_bias", nn.RNNCell, dict(bias=False)), ("gru", nn.GRUCell, {}),
                                ("gru_no_bias", nn.GRUCell, dict(bias=False))]:
        f.case("cell_" + name, kind(3, 5, **options), [(4, 3), (4, 5)], dict(input_size=3, hidden_size=5, **options))
    for name, options in [("lstm", {}), ("lstm_no_bias", dict(bias=False))]:
        f.case("cell_" + name, nn.LSTMCell(3, 5, **options), [(4, 3), (4, 5), (4, 5)],
               dict(input_size=3, hidden_size=5, **options), call=lambda m, x, h, c: m(x, (h, c)))
    lengths = torch.tensor([3, 6, 1, 4])
    for kind_name, kind, extra in [("rnn", nn.RNN, {}), ("rnn_relu", nn.RNN, dict(nonlinearity="relu")),
                                   ("lstm", nn.LSTM, {}), ("gru", nn.GRU, {})]:
        states = 2 if kind is nn.LSTM else 1
        for name, options, with_state, with_lengths in [
            ("plain", {}, False, False),
            ("no_bias", dict(bias=False), False, False),
            ("state", {}, True, False),
            ("lengths", {}, False, True),
            ("lengths_state", {}, True, True),
            ("bidirectional", dict(bidirectional=True), False, False),
            ("bidirectional_state", dict(bidirectional=True), True, False),
            ("bidirectional_lengths", dict(bidirectional=True), False, True),
            ("bidirectional_lengths_state", dict(bidirectional=True), True, True),
            ("two_layers", dict(num_layers=2, bidirectional=True), True, True),
        ]:
            if kind_name == "rnn_relu" and name not in ("plain", "bidirectional_lengths"):
                continue
            options = dict(input_size=3, hidden_size=5, **options, **extra)
            inputs = [(4, 6, 3)] + ([lengths] if with_lengths else [])
            if with_state:
                inputs += [((2 if options.get("bidirectional") else 1) * options.get("num_layers", 1), 4, 5)] * states
            f.case(f"{kind_name}_{name}", kind(batch_first=True, **options), inputs, options,
                   call=packed if with_lengths else padded)
    return f


FAMILIES = [recurrent]
