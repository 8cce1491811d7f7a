// Attention and recurrent operators.
#include "attend/functional/attention.hpp"
#include "attend/functional/recurrent.hpp"
#include "onnx/node.hpp"

namespace onnx::sequence_ops_test {
namespace {
using namespace attend;

// ---- attention: inputs query, key, value, mask (bool or added), past key, past value, valid keys ----

const Register attention_op("Attention", [](const Node& n) {
  const bool packed = n[0].rank() == 3;  // (batch, length, heads dim)
  const auto heads = [&](std::size_t i) {
    const Array& x = n[i];
    if (!packed) return x.transposed({0, 2, 1, 3}).as<4>();
    const Index count = n.attribute<Index>(i == 0 ? "q_num_heads" : "kv_num_heads", 1);
    return x.as(Shape<4>{x.dim(0), x.dim(1), count, x.dim(2) / count});
  };
  const auto q = heads(0), k = heads(1), v = heads(2);
  ScaledDotProductAttentionOptions o;
  o.scale = n.attribute("scale", 0.0);
  const bool causal = n.attribute("is_causal", 0) != 0;
  const Array* mask = n.optional(3);
  const auto over_scores = [&](const Array& m) {
    Shape<4> shape{1, 1, 1, 1};
    std::copy(m.shape.begin(), m.shape.end(), shape.end() - m.rank());
    return m.as(shape);
  };
  if (const Array* valid = n.optional(6)) {
    o.keys = valid->integers();
    if (causal) {  // the last query of a sample stands at its last valid key
      const Index queries = q.dim(1), keys = k.dim(1);
      Tensor<bool, 4> may(q.dim(0), Index(1), queries, keys);
      for (Index b = 0; b < q.dim(0); ++b)
        for (Index i = 0; i < queries; ++i)
          for (Index j = 0; j < keys; ++j)
            may(b, 0, i, j) = j <= i + static_cast<Index>(valid->values[static_cast<std::size_t>(b)]) - queries;
      if (mask && mask->type == "BOOL") {
        const auto given = over_scores(*mask).tensor();
        for (Index b = 0; b < q.dim(0); ++b)
          for (Index i = 0; i < queries; ++i)
            for (Index j = 0; j < keys; ++j) may(b, 0, i, j) = may(b, 0, i, j) && given(b, 0, i, j) != 0;
        mask = nullptr;
      }
      o.mask = AttendMask(may);
    }
  } else if (causal) {
    o.causal = Causal::top_left;
  }
  if (mask && mask->type == "BOOL") o.mask = AttendMask(Tensor<bool, 4>(over_scores(*mask).tensor().cast<bool>()));
  const auto y = mask && mask->type != "BOOL" ? scaled_dot_product_attention(q, k, v, over_scores(*mask), o)
                                              : scaled_dot_product_attention(q, k, v, o);
  Array out(y);
  if (packed) {
    out.shape = {y.dim(0), y.dim(1), y.dim(2) * y.dim(3)};
    return std::vector<Array>{out};
  }
  return std::vector<Array>{out.transposed({0, 2, 1, 3})};
});

// ---- recurrence: inputs x, W, R, B, lengths, h0, c0, peepholes; one direction ----

/// Blocks of `rows` rows of the one direction, in another order: ONNX and PyTorch order the gates differently.
template <int R>
Variable<float, R> gates(const Array& a, std::size_t first, const std::vector<std::size_t>& order, Index hidden) {
  const std::size_t columns = R == 1 ? 1 : static_cast<std::size_t>(a.dim(2)),
                    block = static_cast<std::size_t>(hidden) * columns;
  std::vector<float> values;
  for (const std::size_t gate : order)
    values.insert(values.end(), a.values.begin() + static_cast<std::ptrdiff_t>((first + gate) * block),
                  a.values.begin() + static_cast<std::ptrdiff_t>((first + gate + 1) * block));
  const auto rows = static_cast<Index>(order.size()) * hidden;
  if constexpr (R == 1)
    return Array({rows}, values).as<1>();
  else
    return Array({rows, static_cast<Index>(columns)}, values).as<2>();
}
template <class Cell>
std::vector<Array> recur(const Node& n, const std::vector<std::size_t>& order) {
  const Index hidden = n.attribute<Index>("hidden_size", 0);
  const bool batch_first = n.attribute("layout", 0) != 0;
  const auto x = (batch_first ? n[0] : n[0].transposed({1, 0, 2})).as<3>();
  const RecurrentWeights<float> w{gates<2>(n[1], 0, order, hidden), gates<2>(n[2], 0, order, hidden),
                                  n.optional(3) ? gates<1>(n[3], 0, order, hidden) : absent<float, 1>(),
                                  n.optional(3) ? gates<1>(n[3], order.size(), order, hidden) : absent<float, 1>()};
  const auto state = [&](std::size_t i) {
    return n.optional(i) ? n[i].as(Shape<2>{x.dim(0), hidden}) : absent<float, 2>();
  };
  std::vector<Index> lengths;
  if (n.optional(4)) lengths = n[4].integers();
  const auto r = recurrent_pass<Cell>(x, state(5), state(6), w, lengths);
  Array y(r.output), h(r.hidden);
  y.shape.insert(y.shape.begin() + 2, 1);  // (batch, steps, directions, hidden)
  if (!batch_first) y = y.transposed({1, 2, 0, 3});
  h.shape.insert(h.shape.begin() + (batch_first ? 1 : 0), 1);
  return {n.asks_for(0) ? y : Array(), h};
}
const Register rnn_op("RNN", [](const Node& n) { return recur<recurrent::ElmanTanh>(n, {0}); });
const Register lstm_op("LSTM", [](const Node& n) {
  if (n.optional(7)) throw Skip{reason::peepholes};
  return recur<recurrent::Lstm>(n, {0, 2, 3, 1});  // i o f c -> i f g o
});
const Register gru_op("GRU", [](const Node& n) {
  // Without a state and without a bias of the product, it is the same to reset before or after it.
  const Index hidden = n.attribute<Index>("hidden_size", 0), steps = n[0].dim(n.attribute("layout", 0) ? 1 : 0);
  bool same = steps == 1 && !n.optional(5);
  if (n.optional(3))
    for (Index i = 5 * hidden; i < 6 * hidden; ++i) same = same && n[3].values[static_cast<std::size_t>(i)] == 0;
  if (!same && !n.attribute("linear_before_reset", 0)) throw Skip{reason::reset};
  return recur<recurrent::Gru>(n, {1, 0, 2});  // z r h -> r z n
});
}  // namespace
}  // namespace onnx::sequence_ops_test
