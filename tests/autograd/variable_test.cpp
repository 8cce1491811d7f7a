#include <gtest/gtest.h>

#include <thread>

#include "autograd/models.hpp"
#include "error_of.hpp"

namespace variable_test {
namespace {
using namespace models;
using attend::testing::random_tensor;

TEST(Variable, reshape_shares_buffer_and_gradient) {
  Tape<double> tape(Mode::training);
  const auto x = tape.want(tape.input(random_tensor<double, 3>({2, 3, 4}, 1)));
  const auto flat = x.reshape(Shape<2>{6, 4});
  EXPECT_EQ(flat.data(), x.data());
  const auto gradients = tape.backward(dot(flat, flat));
  EXPECT_EQ(gradients.of(x)(1, 2, 3), 2 * x.tensor()(1, 2, 3));
  EXPECT_EQ(gradients.of(flat)(5, 3), gradients.of(x)(1, 2, 3));
  EXPECT_EQ(error_of([&] { x.reshape(Shape<2>{5, 4}); }), "[reshape] x has shape (2, 3, 4); it cannot become (5, 4)");
}

TEST(Variable, outlives_its_tape_as_a_plain_value) {
  const auto t = random_tensor<double, 2>({2, 2}, 2);
  Variable<double, 2> survivor(t);
  {
    Tape<double> tape(Mode::training);
    const auto x = tape.want(tape.input(t));
    survivor = x + x;
  }
  EXPECT_FALSE(survivor.link());
  EXPECT_EQ((survivor + survivor).tensor()(1, 0), 4 * t(1, 0));
}

TEST(Variable, detach_stops_the_gradient) {
  Tape<double> tape(Mode::training);
  const auto x = tape.want(tape.input(random_tensor<double, 1>({5}, 3)));
  const auto gradients = tape.backward(dot(x, x.detach()));
  for (Index i = 0; i < 5; ++i) EXPECT_EQ(gradients.of(x)(i), x.data()[i]);
}

TEST(Variable, memory_may_be_dropped_on_another_thread_and_after_the_recycler) {
  std::thread([v = Variable<float, 1>(random_tensor<float, 1>({64}, 1))]() mutable {
    thread_local std::optional<Variable<float, 1>>
        outlives_the_list;  // registered before the thread's list, destroyed after
    outlives_the_list.emplace(random_tensor<float, 1>({8}, 1));
    v = *outlives_the_list;  // the caller's block is dropped here
  }).join();
  static std::optional<Variable<float, 1>> outlives_main;
  outlives_main.emplace(random_tensor<float, 1>({64}, 1));
  EXPECT_EQ(outlives_main->size(), 64);
}

// The backward pass needs a borrowed input: it is copied into the tape once, and the temporary may die.
TEST(Borrowed, a_temporary_second_input_is_copied_once) {
  Rng rng(1);
  const Blend<double> blend(4, rng);
  const auto a = random_tensor<double, 2>({3, 4}, 1), b = random_tensor<double, 2>({3, 4}, 2);
  Tape<double> tape(Mode::training);
  const auto x = tape.want(tape.input(a));
  const auto y = blend(x, Tensor<double, 2>(b));
  EXPECT_EQ(tape.copies(), 1u);
  const auto got = tape.backward(dot(y, y));
  Tape<double> other(Mode::training);
  const auto z = other.want(other.input(a));
  const auto w = blend(z, other.input(b));
  const auto expected = other.backward(dot(w, w));
  EXPECT_TRUE(same(got.of(x), expected.of(z)));
  for (const auto& p : parameters<double>(blend)) {  // also of the layer that saw the borrowed tensor alone
    ASSERT_TRUE(got.find(*p.data)) << p.name;
    EXPECT_TRUE(std::equal(got.find(*p.data), got.find(*p.data) + p->size(), expected.find(*p.data)));
  }
}

TEST(Borrowed, nothing_borrowed_leaves_a_mixed_call) {
  Tape<float> tape(Mode::training);
  const auto v = tape.input(random_tensor<float, 2>({1, 3}, 1));
  const auto t = random_tensor<float, 2>({2, 2}, 7);
  const Variable<float, 2> kept = Second()(v, Tensor<float, 2>(t));
  EXPECT_TRUE(kept.buffer() != nullptr);
  EXPECT_TRUE(same(kept.tensor(), t));
}
}  // namespace
}  // namespace variable_test
