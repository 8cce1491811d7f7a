#include "attend/autograd/checkpoint.hpp"

#include <gtest/gtest.h>

#include "attend/autograd/recording.hpp"
#include "autograd/models.hpp"
#include "error_of.hpp"

namespace checkpoint_test {
namespace {
using namespace models;
using attend::testing::random_tensor;

TEST(Checkpoint, gives_the_gradients_that_the_block_gives) {
  Rng rng(6);
  Dropping block(rng);
  const auto x = random_tensor<double, 2>({3, 4}, 1);
  const auto report = attend::testing::check_gradients(
      block, [&](const auto& v) { return checkpoint(block, v); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(report.checked, 12 + 16 + 4);
}

/// Two checkpoints within one, each with dropout.
struct Nested : Layer<Nested> {
  explicit Nested(Rng& rng) : first(rng), second(rng) {}
  Variable<double, 2> forward(const Variable<double, 2>& x) const {
    return checkpoint(second, dropout(checkpoint(first, x), 0.3));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("first", self.first);
    visit("second", self.second);
  }
  Dropping first, second;
};
TEST(Checkpoint, within_a_checkpoint_repeats_the_same_draws) {
  Rng rng(6);
  Nested block(rng);
  const auto x = random_tensor<double, 2>({3, 4}, 1);
  const auto report = attend::testing::check_gradients(
      block, [&](const auto& v) { return checkpoint(block, v); }, x);
  EXPECT_TRUE(report.ok()) << report.text();
}

/// One layer under two names.
struct Shared : Layer<Shared> {
  explicit Shared(Rng& rng) : dense({4, 4}, rng) {}
  Variable<double, 2> forward(const Variable<double, 2>& x) const { return dense(dense(x)); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("first", self.dense);
    visit("second", self.dense);
  }
  Dense<double> dense;
};
TEST(Checkpoint, of_shared_parameters_counts_their_gradient_once) {
  Rng rng(6);
  Shared block(rng);
  const auto report = attend::testing::check_gradients(
      block, [&](const auto& v) { return checkpoint(block, v); }, random_tensor<double, 2>({3, 4}, 1));
  EXPECT_TRUE(report.ok()) << report.text();
  EXPECT_EQ(report.checked, 12 + 16 + 4);
}

TEST(Checkpoint, reports_moments_once_and_saves_only_the_input) {
  const Watch<double> watch(4);
  const auto x = random_tensor<double, 2>({3, 4}, 1);
  Tape<double> tape(Mode::training);
  const auto v = tape.want(tape.input(x));
  const auto y = checkpoint(watch, v);
  const auto gradients = tape.backward(dot(y, y));
  ASSERT_EQ(gradients.moments().size(), 1u);
  EXPECT_EQ(gradients.moments()[0].count, 3);
  for (Index i = 0; i < 12; ++i) EXPECT_EQ(gradients.of(v).data()[i], 2 * x.data()[i]);
}

TEST(Checkpoint, is_recorded_once) {
  Rng rng(7);
  const Block<double> block(Dense<double>({4, 4}, rng));
  Recording recording(block);
  Tape<double> tape(Mode::training);
  const auto y = checkpoint(block, tape.want(tape.input(random_tensor<double, 2>({3, 4}, 1))));
  tape.backward(dot(y, y));
  EXPECT_EQ((recording.all<2, double>("gate").size()), 1u);
}

// The block would be computed again with other weights than the ones whose result went on.
TEST(Checkpoint, refuses_a_block_that_was_edited_meanwhile) {
  Rng rng(7);
  Dense<double> block({4, 4}, rng);
  Tape<double> tape(Mode::training);
  const auto y = checkpoint(block, tape.input(random_tensor<double, 2>({3, 4}, 1)));
  const auto loss = dot(y, y);
  (void)tape.backward(loss, Keep::tape);
  parameters<double>(block)[0]->edit_flat().setZero();
  EXPECT_EQ(error_of([&] { tape.backward(loss); }),
            "[checkpoint] a parameter was edited before the backward pass, which computes the layer again");
}
}  // namespace
}  // namespace checkpoint_test
