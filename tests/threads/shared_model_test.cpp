#include <gtest/gtest.h>

#include <thread>

#include "attend/attention/channel/squeeze_excite.hpp"
#include "attend/attention/multi_head_attention.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "attend/autograd/checkpoint.hpp"
#include "attend/blocks/attention_cnn_block.hpp"
#include "attend/functional/global_pooling.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/adam.hpp"
#include "attend/train/cross_entropy.hpp"

namespace shared_model_test {
// One model, many threads. Built with -fsanitize=thread by .ci/run as well.
namespace {
using namespace attend;
using attend::testing::random_tensor;

/// Convolution, batch norm, squeeze-and-excitation; attention of the grid on itself; multi-head attention over its
/// tokens; a mean of these; dense.
struct Net : Layer<Net> {
  using Scalar = float;
  explicit Net(Rng& rng)
      : block({.in_channels = 3, .out_channels = 8, .pool = 2}, SqueezeExcite<float>({.channels = 8}, rng), rng),
        spatial({.channels = 8, .rd_ratio = 0.5}, rng),
        norm({.normalized_shape = {8}}),
        attention({.embed_dim = 8, .num_heads = 2, .dropout = 0.1}, rng),
        head({.in_features = 8, .out_features = 5}, rng) {}
  Variable<float, 2> forward(const Variable<float, 4>& images) const {
    const auto grid = spatial(block(images));
    const auto tokens = grid.reshape(Shape<3>{grid.dim(0), grid.dim(1) * grid.dim(2), grid.dim(3)});
    const auto read = tokens + attention(norm(tokens));
    return head(global_average_pool(read.reshape(grid.shape())));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("block", self.block);
    visit("spatial", self.spatial);
    visit("norm", self.norm);
    visit("attention", self.attention);
    visit("head", self.head);
  }
  AttentionCnnBlock<float> block;
  NonLocal<float> spatial;
  LayerNorm<float> norm;
  MultiHeadAttention<float> attention;
  Dense<float> head;
};

const auto images = random_tensor<float, 4>({4, 10, 8, 3}, 1);
Tensor<int, 1> labels_of(Index first, Index count) {
  Tensor<int, 1> labels(count);
  for (Index i = 0; i < count; ++i) labels(i) = static_cast<int>((first + i) % 5);
  return labels;
}
template <class F>
void at_once(int threads, const F& f) {
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) all.emplace_back([&f, t] { f(t); });
  for (auto& thread : all) thread.join();
}
template <class A, class B>
bool same(const A& a, const B& b) {
  return shape_of(a) == shape_of(b) && std::equal(a.data(), a.data() + a.size(), b.data());
}
/// Loss and gradients of half `part` of the batch, on a tape of its own.
Gradients<float> differentiate(const Net& net, int part) {
  Rng rng(20 + static_cast<std::uint64_t>(part));
  Tape<float> tape(Mode::training, rng);
  return tape.backward(cross_entropy(net(tape.input(rows(images, 2 * part, 2))), labels_of(2 * part, 2)));
}

TEST(SharedModel, infers_on_eight_threads) {
  Rng rng(1);
  const Net net(rng);
  const Net untouched = net;  // its packed weights are made by whoever comes first, below
  const Tensor<float, 2> expected = untouched(images);
  std::vector<Tensor<float, 2>> results(8);
  at_once(8, [&](int t) {
    for (int i = 0; i < 10; ++i) results[std::size_t(t)] = net(images);
  });
  for (const auto& result : results) EXPECT_TRUE(same(result, expected));
}

TEST(SharedModel, is_differentiated_on_two_tapes) {
  Rng rng(1);
  Net net(rng);
  const Gradients<float> alone[] = {differentiate(net, 0), differentiate(net, 1)};
  Gradients<float> found[2];
  at_once(2, [&](int t) {
    for (int i = 0; i < 5; ++i) found[t] = differentiate(net, t);
  });
  for (const auto& p : parameters<float>(net))
    for (int t = 0; t < 2; ++t) {
      const float *a = alone[t].find(*p.data), *b = found[t].find(*p.data);
      ASSERT_EQ(a == nullptr, b == nullptr) << p.name;
      EXPECT_TRUE(!a || std::equal(a, a + p->size(), b)) << p.name;
    }

  AdamW<float> optimizer(net, {.learning_rate = 1e-2});  // and the sum of both makes one step
  found[0] += found[1];
  const Tensor<float, 2> before = net(images);
  optimizer.step(net, found[0]);
  EXPECT_FALSE(same(before, net(images)));
}

TEST(SharedModel, infers_while_it_is_differentiated) {
  Rng rng(1);
  const Net net(rng);
  const Tensor<float, 2> expected = net(images);
  at_once(4, [&](int t) {
    for (int i = 0; i < 5; ++i)
      if (t % 2 == 0)
        differentiate(net, t / 2);
      else
        EXPECT_TRUE(same(net(images), expected));
  });
}

TEST(SharedModel, is_recorded_by_each_thread_for_itself) {
  Rng rng(1);
  const Net net(rng);
  at_once(4, [&](int t) {
    Recording recording(net);
    for (int i = 0; i <= t; ++i) net(images);
    EXPECT_EQ(recording.all<4>("attention.weights").size(), std::size_t(t) + 1);
  });
}

TEST(SharedModel, is_checkpointed_on_two_tapes) {
  Rng rng(1);
  const Net net(rng);
  at_once(2, [&](int t) {
    Rng draw(3);
    Tape<float> tape(Mode::training, draw);
    const auto loss = cross_entropy(checkpoint(net, tape.input(rows(images, 2 * t, 2))), labels_of(2 * t, 2));
    EXPECT_EQ(tape.backward(loss).moments().size(), 2u);  // of both batch norms, once
  });
}
}  // namespace
}  // namespace shared_model_test
