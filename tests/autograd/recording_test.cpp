#include "attend/autograd/recording.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "attend/attention/multi_head_attention.hpp"
#include "attend/attention/score/additive.hpp"
#include "autograd/models.hpp"

namespace recording_test {
namespace {
using namespace models;
using attend::testing::random_tensor;

TEST(Recordings, keep_what_layers_offer_by_dotted_name) {
  Rng rng(5);
  const Net<float> net(7, 4, 3, rng);
  Recording recording(net);
  const auto plain = net(ids({0, 1, 2}));
  Tape<float> tape(Mode::evaluation);
  const auto y = net(tape.input(ids({0, 1, 2})));
  EXPECT_TRUE(same(plain, y.tensor()));
  const auto gates = recording.all<2>("blocks.0.gate");
  ASSERT_EQ(gates.size(), 2u);  // a layer called twice gives a list
  EXPECT_TRUE(same(gates[0].tensor(), gates[1].tensor()));
  EXPECT_TRUE(recording.all<2>("blocks.7.gate").empty());
  const auto gradient =
      tape.backward(dot(y, y)).of(gates[1]);  // on a tape, gradients of what was offered can be asked for
  EXPECT_NE(gradient(2, 3), 0);
}

TEST(Recordings, nest_and_see_their_own_model_only) {
  Rng rng(5);
  const Net<float> net(7, 4, 3, rng), other(7, 4, 3, rng);
  Recording outer(net);
  {
    Recording inner(net.blocks[1]);
    net(ids({1}));
    other(ids({1}));
    EXPECT_EQ(inner.all<2>("gate").size(), 1u);
  }
  EXPECT_EQ(outer.all<2>("blocks.1.gate").size(), 1u);
}

TEST(Recordings, may_end_in_any_order) {
  Rng rng(5);
  const Net<float> net(7, 4, 3, rng);
  auto first = std::make_unique<Recording>(net), second = std::make_unique<Recording>(net);
  first.reset();
  net(ids({1}));
  EXPECT_EQ(second->all<2>("blocks.1.gate").size(), 1u);
  second.reset();
  EXPECT_FALSE(Recording::wants(key_of(net.blocks[1])));
  net(ids({1}));
}

TEST(Recordings, take_the_calls_of_their_own_thread_only) {
  Rng rng(5);
  const Net<float> net(7, 4, 3, rng);
  Recording recording(net);
  std::thread([&] {
    Recording other(net);
    net(ids({1}));
    EXPECT_EQ(other.recorded().size(), 2u);
  }).join();
  EXPECT_TRUE(recording.recorded().empty());
}

TEST(Recordings, outlive_the_tape_and_the_model) {
  Rng rng(5);
  auto net = std::make_unique<Net<float>>(7, 4, 3, rng);
  Recording recording(*net);
  {
    Tape<float> tape(Mode::evaluation);
    (*net)(tape.input(ids({1})));
  }
  net.reset();
  EXPECT_EQ(recording.all<2>("blocks.0.gate")[0].tensor().size(), 4);
}

// Nothing here asks for a gradient: recording must not make the pass fail, whichever way the weights are computed.
TEST(Recordings, of_a_frozen_model_on_a_tape) {
  Rng rng(5);
  const auto x = random_tensor<float, 3>({2, 5, 8}, 1);
  const auto check = [&](auto attention) {
    set_trainable<float>(attention, false);
    const auto expected = attention(x);
    Recording recording(attention);
    Tape<float> tape(Mode::evaluation);
    const auto y = attention(tape.input(x));
    EXPECT_TRUE(same(y.tensor(), expected));
    ASSERT_EQ(recording.recorded().size(), 1u);
    const auto gradients = tape.backward(dot(y, y));
    const auto weights = recording.all<4>(recording.recorded()[0].name);
    ASSERT_EQ(weights.size(), 1u);
    const auto g = gradients.of(weights[0]);
    double largest = 0;
    for (Index i = 0; i < g.size(); ++i) largest = std::max(largest, std::abs(double(g.data()[i])));
    EXPECT_GT(largest, 0);
  };
  const MultiHeadAttentionOptions options{.embed_dim = 8, .num_heads = 2};
  check(MultiHeadAttention<float>(options, rng));
  check(MultiHeadAttention<float, score::Additive>(options, rng));
}
}  // namespace
}  // namespace recording_test
