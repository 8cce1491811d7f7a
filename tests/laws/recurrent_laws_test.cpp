#include <gtest/gtest.h>

#include "attend/layers/learned_position.hpp"
#include "attend/layers/recurrent.hpp"
#include "attend/layers/relative_position_bias.hpp"
#include "attend/layers/rotary_position.hpp"
#include "attend/layers/sinusoidal_position.hpp"
#include "attend/layers/t5_position_bias.hpp"
#include "attend/testing/layer_laws.hpp"

namespace recurrent_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
template <template <class> class L, class Options>
auto made(const Options& options) {
  return [options](auto scalar, Rng& rng) { return L<decltype(scalar)>(options, rng); };
}
template <template <class> class L, class Options>
auto made_without_rng(const Options& options) {
  return [options](auto scalar, Rng&) { return L<decltype(scalar)>(options); };
}
// The last states have another first axis than the batch: laws look at the outputs, the gradient checks at both.
const auto output = [](const auto& layer, const auto& x) { return layer(x).output; };
const auto x = random_tensor<double, 3>({3, 5, 4}, 1);
const auto state = random_tensor<double, 2>({3, 6}, 2);
const auto step = random_tensor<double, 2>({3, 4}, 3);
}  // namespace

TEST(Laws, Rnn) {
  EXPECT_EQ(
      text(broken_laws(LawOptions{}, made<Rnn>(RnnOptions{.input_size = 4, .hidden_size = 6, .bidirectional = true}),
                       output, x)),
      "");
}
TEST(Laws, Lstm) {
  EXPECT_EQ(text(broken_laws(LawOptions{}, made<Lstm>(LstmOptions{.input_size = 4, .hidden_size = 6, .num_layers = 2}),
                             output, x)),
            "");
}
TEST(Laws, Gru) {
  EXPECT_EQ(
      text(broken_laws(LawOptions{},
                       made<Gru>(GruOptions{.input_size = 4, .hidden_size = 6, .dropout = 0.2, .bidirectional = true}),
                       output, x)),
      "");
}
TEST(Laws, RnnCell) {
  EXPECT_EQ(text(broken_laws(made<RnnCell>(RnnCellOptions{.input_size = 4, .hidden_size = 6}), step, state)), "");
}
TEST(Laws, LstmCell) {
  EXPECT_EQ(text(broken_laws(made<LstmCell>(LstmCellOptions{.input_size = 4, .hidden_size = 6}), step, state, state)),
            "");
}
TEST(Laws, GruCell) {
  EXPECT_EQ(text(broken_laws(made<GruCell>(GruCellOptions{.input_size = 4, .hidden_size = 6}), step, state)), "");
}

TEST(Laws, SinusoidalPosition) {
  EXPECT_EQ(text(broken_laws(
                made_without_rng<SinusoidalPosition>(SinusoidalPositionOptions{.embed_dim = 4, .max_length = 3}), x)),
            "");
}
TEST(Laws, LearnedPosition) {
  EXPECT_EQ(text(broken_laws(made<LearnedPosition>(LearnedPositionOptions{.max_length = 5, .embed_dim = 4}), x)), "");
}
TEST(Laws, PositionEmbedding) {
  EXPECT_EQ(text(broken_laws(made<PositionEmbedding>(LearnedPositionOptions{.max_length = 5, .embed_dim = 4}), x)), "");
}
TEST(Laws, RotaryPosition) {
  EXPECT_EQ(
      text(broken_laws(made_without_rng<RotaryPosition>(RotaryOptions{}), random_tensor<double, 4>({3, 5, 2, 6}, 1))),
      "");
}
TEST(Laws, RelativePositionBias) {
  EXPECT_EQ(
      text(broken_laws(made<RelativePositionBias>(RelativePositionBiasOptions{.height = 2, .width = 3, .num_heads = 2}),
                       random_tensor<double, 4>({3, 2, 6, 6}, 1))),
      "");
}
TEST(Laws, T5PositionBias) {
  EXPECT_EQ(
      text(broken_laws(made<T5PositionBias>(T5PositionBiasOptions{.num_heads = 2, .num_buckets = 8, .max_distance = 9}),
                       random_tensor<double, 4>({3, 2, 5, 7}, 1))),
      "");
}
}  // namespace recurrent_laws_test
