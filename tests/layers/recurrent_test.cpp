#include "attend/layers/recurrent.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace recurrent_test {
namespace {
using namespace attend;
using attend::testing::check_gradients;
using attend::testing::random_tensor;

const auto x = random_tensor<double, 3>({3, 5, 4}, 1);
const auto call = [](const auto& layer, const RecurrentCall& options) {
  return [&layer, options](const auto&... in) { return layer(in..., options); };
};
Tensor<double, 3> states(Index passes, std::uint64_t seed) { return random_tensor<double, 3>({passes, 3, 2}, seed); }

TEST(Rnn, Gradients) {
  Rng rng(1);
  for (const bool both : {false, true})
    for (const RecurrentCall& lengths : {RecurrentCall{}, RecurrentCall{{2, 5, 0}}}) {
      Rnn<double> rnn({.input_size = 4, .hidden_size = 2, .bidirectional = both}, rng);
      const auto report = check_gradients(rnn, call(rnn, lengths), x, states(both ? 2 : 1, 2));
      EXPECT_TRUE(report.ok()) << report.text();
    }
  Rnn<double> rectified({.input_size = 4, .hidden_size = 2, .bias = false, .nonlinearity = Nonlinearity::relu}, rng);
  const auto report = check_gradients(rectified, call(rectified, {}), x);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Lstm, Gradients) {
  Rng rng(1);
  for (const bool both : {false, true})
    for (const RecurrentCall& lengths : {RecurrentCall{}, RecurrentCall{{2, 5, 0}}}) {
      Lstm<double> lstm({.input_size = 4, .hidden_size = 2, .bidirectional = both}, rng);
      const auto with = check_gradients(lstm, call(lstm, lengths), x, states(both ? 2 : 1, 2), states(both ? 2 : 1, 3));
      EXPECT_TRUE(with.ok()) << with.text();
      const auto without = check_gradients(lstm, call(lstm, lengths), x);
      EXPECT_TRUE(without.ok()) << without.text();
    }
  Lstm<double> deep({.input_size = 4, .hidden_size = 2, .num_layers = 3, .dropout = 0.3, .bidirectional = true}, rng);
  const auto report = check_gradients(deep, call(deep, {{4, 1, 5}}), x, states(6, 2), states(6, 3));
  EXPECT_TRUE(report.ok()) << report.text();
  Lstm<double> bare({.input_size = 4, .hidden_size = 2, .bias = false}, rng);
  const auto cell = check_gradients(
      bare, [&](const auto& in) { return bare(in).cell; }, x);
  EXPECT_TRUE(cell.ok()) << cell.text();
  const auto hidden = check_gradients(
      bare,
      [&](const auto& in) {
        return bare(in, {{3, 5, 1}}).hidden;
      },
      x);
  EXPECT_TRUE(hidden.ok()) << hidden.text();
}

TEST(Gru, Gradients) {
  Rng rng(1);
  for (const bool both : {false, true})
    for (const RecurrentCall& lengths : {RecurrentCall{}, RecurrentCall{{2, 5, 0}}}) {
      Gru<double> gru({.input_size = 4, .hidden_size = 2, .bidirectional = both}, rng);
      const auto report = check_gradients(gru, call(gru, lengths), x, states(both ? 2 : 1, 2));
      EXPECT_TRUE(report.ok()) << report.text();
    }
  Gru<double> deep({.input_size = 4, .hidden_size = 2, .num_layers = 2, .bias = false}, rng);
  const auto report = check_gradients(deep, call(deep, {}), random_tensor<double, 3>({3, 1, 4}, 5));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(Recurrent, NamesAndShapesArePyTorchs) {
  Rng rng(1);
  const Lstm<float> lstm({.input_size = 4, .hidden_size = 2, .num_layers = 2, .bidirectional = true}, rng);
  std::string text;
  for (const auto& p : parameters<float>(lstm)) {
    text += p.name + "(";
    for (const Index extent : p->shape()) text += std::to_string(extent) + ",";
    text += ") ";
  }
  EXPECT_EQ(
      text,
      "weight_ih_l0(8,4,) weight_hh_l0(8,2,) bias_ih_l0(8,) bias_hh_l0(8,) weight_ih_l0_reverse(8,4,) "
      "weight_hh_l0_reverse(8,2,) bias_ih_l0_reverse(8,) bias_hh_l0_reverse(8,) weight_ih_l1(8,4,) weight_hh_l1(8,2,) "
      "bias_ih_l1(8,) bias_hh_l1(8,) weight_ih_l1_reverse(8,4,) weight_hh_l1_reverse(8,2,) bias_ih_l1_reverse(8,) "
      "bias_hh_l1_reverse(8,) ");
}

/// Sample b of x, its first `length` steps alone.
Tensor<double, 3> alone(Index b, Index length) {
  Tensor<double, 3> one(1, length, 4);
  std::copy_n(x.data() + b * 20, length * 4, one.data());
  return one;
}

// The padded batch, NaN in the padding, gives the bits that every sample gives alone; beyond its end, zeros.
template <class Network>
void expect_padded_equals_ragged(const Network& network) {
  const std::vector<Index> lengths{2, 5, 3};
  auto padded = x;
  for (Index b = 0; b < 3; ++b)
    for (Index l = lengths[std::size_t(b)]; l < 5; ++l)
      for (Index c = 0; c < 4; ++c) padded(b, l, c) = std::nan("");
  const auto together = network(padded, {.lengths = lengths});
  const Index width = together.output.dimension(2), passes = together.hidden.dimension(0),
              hidden = together.hidden.dimension(2);
  for (Index b = 0; b < 3; ++b) {
    const Index length = lengths[std::size_t(b)];
    const auto one = network(alone(b, length));
    for (Index i = 0; i < 5 * width; ++i)
      EXPECT_EQ(together.output.data()[b * 5 * width + i], i < length * width ? one.output.data()[i] : 0)
          << b << " " << i;
    for (Index k = 0; k < passes; ++k)
      for (Index j = 0; j < hidden; ++j) EXPECT_EQ(together.hidden(k, b, j), one.hidden(k, 0, j));
  }
}
TEST(Recurrent, PaddedEqualsRaggedInBothDirections) {
  Rng rng(1);
  expect_padded_equals_ragged(
      Lstm<double>({.input_size = 4, .hidden_size = 3, .num_layers = 2, .bidirectional = true}, rng));
  expect_padded_equals_ragged(Gru<double>({.input_size = 4, .hidden_size = 3, .bidirectional = true}, rng));
  expect_padded_equals_ragged(Rnn<double>({.input_size = 4, .hidden_size = 3}, rng));
}

TEST(Recurrent, PaddingReachesNoGradient) {
  Rng rng(1);
  const Lstm<double> lstm({.input_size = 4, .hidden_size = 3, .bidirectional = true}, rng);
  auto padded = x;
  for (Index l = 2; l < 5; ++l)
    for (Index c = 0; c < 4; ++c) padded(0, l, c) = std::nan("");
  Tape<double> tape(Mode::training);
  const auto in = tape.want(tape.input(padded));
  const auto y = lstm(in, {.lengths = {2, 5, 3}});
  const auto gradients = tape.backward(dot(y.output, y.output));
  const auto dx = gradients.of(in);
  for (Index i = 0; i < dx.size(); ++i) EXPECT_TRUE(std::isfinite(dx.data()[i]));
  for (Index l = 2; l < 5; ++l)
    for (Index c = 0; c < 4; ++c) EXPECT_EQ(dx(0, l, c), 0);
  for (const auto& p : parameters<double>(lstm))
    for (Index i = 0; i < p->size(); ++i) EXPECT_TRUE(std::isfinite(gradients.find(*p.data)[i])) << p.name;
}

// The reverse direction is the forward one on the sequence turned round, with its own weights.
TEST(Recurrent, TheReverseDirectionRunsOnTheTurnedSequence) {
  Rng rng(1);
  Gru<double> both({.input_size = 4, .hidden_size = 2, .bidirectional = true}, rng),
      one({.input_size = 4, .hidden_size = 2}, rng);
  const auto from = parameters<double>(both);
  const auto to = parameters<double>(one);
  for (std::size_t i = 0; i < 4; ++i)
    for (Index j = 0; j < to[i]->size(); ++j) to[i]->edit_flat()(j) = from[4 + i]->data()[j];
  auto turned = x;
  for (Index b = 0; b < 3; ++b)
    for (Index l = 0; l < 5; ++l) std::copy_n(x.data() + (b * 5 + l) * 4, 4, turned.data() + (b * 5 + 4 - l) * 4);
  const auto y = both(x), z = one(turned);
  for (Index b = 0; b < 3; ++b)
    for (Index l = 0; l < 5; ++l)
      for (Index j = 0; j < 2; ++j) EXPECT_EQ(y.output(b, l, 2 + j), z.output(b, 4 - l, j));
  for (Index b = 0; b < 3; ++b) EXPECT_EQ(y.hidden(1, b, 0), z.hidden(0, b, 0));
}

TEST(Recurrent, ASequenceIsItsCellStepByStep) {
  Rng rng(1);
  Lstm<double> lstm({.input_size = 4, .hidden_size = 3}, rng);
  LstmCell<double> cell({.input_size = 4, .hidden_size = 3}, rng);
  const auto from = parameters<double>(lstm);
  const auto to = parameters<double>(cell);
  for (std::size_t i = 0; i < 4; ++i)
    for (Index j = 0; j < to[i]->size(); ++j) to[i]->edit_flat()(j) = from[i]->data()[j];
  const auto whole = lstm(x);
  Tensor<double, 2> h = Tensor<double, 2>(3, 3).setZero(), c = h;
  for (Index l = 0; l < 5; ++l) {
    Tensor<double, 2> step(3, 4);
    for (Index b = 0; b < 3; ++b) std::copy_n(x.data() + (b * 5 + l) * 4, 4, step.data() + b * 4);
    const auto next = cell(step, h, c);
    h = next.hidden, c = next.cell;
    for (Index b = 0; b < 3; ++b)
      for (Index j = 0; j < 3; ++j) EXPECT_EQ(whole.output(b, l, j), h(b, j));
  }
  for (Index i = 0; i < 9; ++i) {
    EXPECT_EQ(whole.hidden.data()[i], h.data()[i]);
    EXPECT_EQ(whole.cell.data()[i], c.data()[i]);
  }
}

// Two halves with the state carried over are the whole.
TEST(Recurrent, StatesCarryOver) {
  Rng rng(1);
  const Lstm<double> lstm({.input_size = 4, .hidden_size = 3, .num_layers = 2}, rng);
  const auto whole = lstm(x);
  const auto part = [](Index begin, Index end) {
    Tensor<double, 3> some(3, end - begin, 4);
    for (Index b = 0; b < 3; ++b)
      std::copy_n(x.data() + (b * 5 + begin) * 4, (end - begin) * 4, some.data() + b * (end - begin) * 4);
    return some;
  };
  const auto first = lstm(part(0, 2));
  const auto second = lstm(part(2, 5), first.hidden, first.cell);
  for (Index b = 0; b < 3; ++b)
    for (Index j = 0; j < 3; ++j) EXPECT_EQ(second.output(b, 2, j), whole.output(b, 4, j));
  for (Index i = 0; i < whole.cell.size(); ++i) EXPECT_EQ(second.cell.data()[i], whole.cell.data()[i]);
}

TEST(Recurrent, EmptyBatchAndLength) {
  Rng rng(1);
  const Gru<float> gru({.input_size = 4, .hidden_size = 2, .bidirectional = true}, rng);
  EXPECT_EQ(shape_of(gru(Tensor<float, 3>(0, 5, 4)).output), (Shape<3>{0, 5, 4}));
  const auto none = gru(Tensor<float, 3>(3, 0, 4));
  EXPECT_EQ(shape_of(none.output), (Shape<3>{3, 0, 4}));
  for (Index i = 0; i < none.hidden.size(); ++i) EXPECT_EQ(none.hidden.data()[i], 0);
}

TEST(BadInput, Recurrent) {
  Rng rng(1);
  const Gru<double> gru({.input_size = 4, .hidden_size = 2}, rng);
  const Lstm<double> lstm({.input_size = 4, .hidden_size = 2, .num_layers = 2}, rng);
  expect_error<ShapeError>([&] { gru(Tensor<double, 3>(3, 5, 3)); }, {"(3, 5, 3)", "input_size = 4"});
  expect_error<ShapeError>([&] { gru(x, states(2, 1)); }, {"(2, 3, 2)", "(1, 3, 2)"});
  expect_error<ShapeError>([&] { lstm(x, states(2, 1), states(1, 1)); }, {"(1, 3, 2)", "(2, 3, 2)"});
  expect_error<ShapeError>([&] { gru(x, {.lengths = {5, 5}}); }, {"(3, 5, 4)", "2 entries", "3"});
  expect_error<OptionError>([&] { gru(x, {.lengths = {5, 6, 1}}); }, {"6", "(3, 5, 4)", "0 ... 5"});
  expect_error<OptionError>([&] { gru(x, {.lengths = {5, -1, 1}}); }, {"-1", "(3, 5, 4)"});
  expect_error<OptionError>([&] { Gru<float>({.input_size = 4, .hidden_size = 0}, rng); }, {"hidden_size = 0"});
  expect_error<OptionError>([&] { Lstm<float>({.input_size = 4, .hidden_size = 2, .num_layers = 0}, rng); },
                            {"num_layers = 0"});
  expect_error<OptionError>([&] { Rnn<float>({.input_size = 4, .hidden_size = 2, .dropout = -0.1}, rng); },
                            {"dropout = -0.1"});
}

}  // namespace
}  // namespace recurrent_test
