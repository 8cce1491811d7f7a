#include "attend/autograd/layer.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "autograd/models.hpp"
#include "error_of.hpp"

namespace layer_test {
namespace {
using namespace models;
using attend::testing::random_tensor;

TEST(Call, tensors_in_tensors_out_from_any_map_of_the_right_type) {
  Rng rng(2);
  const Blend<float> blend(4, rng);
  const auto a = random_tensor<float, 2>({3, 4}, 1), b = random_tensor<float, 2>({3, 4}, 2);
  const Tensor<float, 2> y = blend(a, b);
  Tensor<float, 2> built(blend(a, b)), assigned, written;
  assigned = blend(a, b, {3});
  blend.into(written, a, b);
  EXPECT_TRUE(same(y, built) && same(y, written) && !same(y, assigned));
  Tensor<float, 2> memory = a;
  const Eigen::TensorMap<const Tensor<float, 2>> constant(a.data(), 3, 4);
  const Eigen::TensorMap<Tensor<float, 2>, Eigen::Aligned> aligned(memory.data(), 3, 4);
  EXPECT_TRUE(same(y, blend(constant, b)) && same(y, blend(aligned, b)));
  std::vector<float> mine(12);
  blend.into(Eigen::TensorMap<Tensor<float, 2>>(mine.data(), 3, 4), a, b);
  EXPECT_TRUE(std::equal(mine.begin(), mine.end(), y.data()));
  EXPECT_EQ(error_of([&] { blend.into(Eigen::TensorMap<Tensor<float, 2>>(mine.data(), 4, 3), a, b); }),
            "[into] y has shape (4, 3); the result has (3, 4)");
}

/// The same numbers under another shape, without a copy.
struct Turned : Layer<Turned> {
  Variable<float, 2> forward(const Variable<float, 2>& x) const { return x.reshape(Shape<2>{x.dim(1), x.dim(0)}); }
};
TEST(Call, FM_2_3_into_may_write_over_the_input) {
  auto x = random_tensor<float, 2>({64, 3}, 1);
  const Tensor<float, 2> before = x;
  Turned().into(x, x);
  EXPECT_EQ(shape_of(x), (Shape<2>{3, 64}));
  EXPECT_TRUE(std::equal(x.data(), x.data() + x.size(), before.data()));
  std::vector<float> memory(static_cast<std::size_t>(x.size() + 5), 7.f);
  const Eigen::TensorMap<Tensor<float, 2>> from(memory.data(), 64, 3), to(memory.data() + 5, 3, 64);
  std::copy_n(before.data(), before.size(), memory.data());
  Turned().into(Eigen::TensorMap<Tensor<float, 2>>(to), from);  // they overlap
  EXPECT_TRUE(std::equal(to.data(), to.data() + to.size(), before.data()));
}

/// x + x + x, noting where each sum was made.
struct Tripled : Layer<Tripled> {
  Variable<float, 2> forward(const Variable<float, 2>& x) const {
    const auto twice = x + x, thrice = twice + x;
    *made = {twice.data(), thrice.data()};
    if (keep) *kept = {twice};
    return thrice;
  }
  bool keep = false;
  std::shared_ptr<std::vector<const float*>> made = std::make_shared<std::vector<const float*>>();
  std::shared_ptr<std::vector<Variable<float, 2>>> kept = std::make_shared<std::vector<Variable<float, 2>>>();
};
struct Doubled : Layer<Doubled> {
  Variable<float, 2> forward(const Variable<float, 2>& x) const {
    const auto twice = x + x;
    *made = twice.data();
    return twice;
  }
  std::shared_ptr<const float*> made = std::make_shared<const float*>(nullptr);
};
TEST(Call, a_result_is_made_in_the_memory_that_it_is_wanted_in) {
  const auto x = random_tensor<float, 2>({5, 7}, 1);
  Tensor<float, 2> y(5, 7);
  const float* const memory = y.data();
  const Doubled doubled;
  doubled.into(y, x);
  EXPECT_EQ(*doubled.made, memory);
  const Tensor<float, 2> z = doubled(x);
  EXPECT_EQ(*doubled.made, z.data());
  EXPECT_TRUE(same(y, z));

  const Tripled tripled;  // the first sum takes the place and lives on: the second is copied
  tripled.into(y, x);
  EXPECT_EQ((*tripled.made)[0], memory);
  EXPECT_TRUE(same(y, tripled(x)));
  auto over = x;
  tripled.into(over, over);
  EXPECT_TRUE(same(y, over));
  EXPECT_NE((*tripled.made)[0], over.data());  // it is the input

  Tripled keeping = tripled;
  keeping.keep = true;
  EXPECT_EQ(error_of([&] { keeping.into(y, x); }),
            "[into] the layer keeps a value of this call that lies in y; call it without into()");
}

TEST(Call, a_residual_is_written_alike_for_tensors_and_variables) {
  Rng rng(2);
  const Dense<float> dense({4, 4}, rng);
  const auto x = random_tensor<float, 2>({3, 4}, 1);
  const Tensor<float, 2> residual = x + dense(x);
  Tape<float> tape(Mode::evaluation);
  const Variable<float, 2> v = tape.input(x), sum = v + dense(v);
  EXPECT_TRUE(same(residual, sum.tensor()));
}

TEST(Names, are_the_dotted_paths_of_children) {
  Rng rng(3);
  Net<float> net(7, 4, 3, rng);
  std::string names;
  for (const auto& p : parameters<float>(std::as_const(net))) names += p.name + " ";
  EXPECT_EQ(
      names,
      "embedding.weight blocks.0.slot.weight blocks.0.slot.bias blocks.1.slot.weight blocks.1.slot.bias head.weight "
      "head.bias ");
  EXPECT_EQ(count_parameters<float>(net), 7 * 4 + 2 * 20 + 15);
}

TEST(Errors, bear_the_path_relative_to_the_outermost_layer) {
  Rng rng(3);
  const Dense<double> dense({4, 4}, rng);
  const auto wrong = random_tensor<double, 2>({1, 5}, 1);
  EXPECT_EQ(error_of([&] { dense(wrong); }), "[dense] x has shape (1, 5); its last axis must be in_features = 4");
  EXPECT_EQ(error_of([&] { Block<double>{AnyLayer<double, 2>(dense)}(wrong); }),
            "slot: [dense] x has shape (1, 5); its last axis must be in_features = 4");
  const Net<double> net(7, 4, 3, rng);
  EXPECT_EQ(error_of([&] { net(ids({9})); }).substr(0, 11), "embedding: ");
}

TEST(Parameters, a_copy_is_another_parameter_and_a_moved_one_the_same) {
  Rng rng(3);
  Dense<float> dense({4, 4}, rng);
  const auto id = parameters<float>(dense)[0]->id();
  const Dense<float> copy = dense;
  EXPECT_NE(parameters<float>(copy)[0]->id(), id);
  Dense<float> moved = std::move(dense);
  EXPECT_EQ(parameters<float>(moved)[0]->id(), id);
}

TEST(Parameters, a_layer_that_was_moved_from_says_so_until_it_is_assigned_to) {
  Rng rng(3);
  Block<double> block(Dense<double>({4, 4}, rng));
  const auto x = random_tensor<double, 2>({2, 4}, 1);
  const Tensor<double, 2> before = block(x);
  Net<double> net(7, 4, 3, rng), other = std::move(net);
  const std::string text =
      "[parameter] the layer was moved elsewhere and has no values; assign to it before using it again";
  EXPECT_EQ(error_of<OptionError>([&] { net(ids({1})); }), "embedding: " + text);
  EXPECT_EQ(error_of<OptionError>([&] {
              Tape<double> tape(Mode::training);
              net(tape.input(ids({1})));
            }),
            "embedding: " + text);
  EXPECT_EQ(error_of<OptionError>([&] { parameters<double>(net); }), text);
  const Dense<double> copy = net.head;  // of nothing
  EXPECT_EQ(error_of<OptionError>([&] { copy(x); }), text);
  Parameter<double, 0> scalar(Shape<0>{}, 2), taken = std::move(scalar);
  EXPECT_EQ(error_of<OptionError>([&] { scalar.value(); }), text);
  EXPECT_EQ(error_of<OptionError>([&] { scalar.edit_flat(); }), text);
  net = std::move(other);
  EXPECT_EQ(net(ids({1})).dimension(1), 3);
  Block<double> second = std::move(block);
  EXPECT_TRUE(same(second(x), before));
}

TEST(Parameters, an_edit_raises_the_version_drops_derived_forms_and_leaves_live_values_alone) {
  Parameter<float, 2> table(Shape<2>{2, 2}, 1.f);
  int built = 0;
  const auto doubled = [&] {
    return table.derived(4, [&](const float* from, float* to) {
      ++built;
      for (int i = 0; i < 4; ++i) to[i] = 2 * from[i];
    });
  };
  EXPECT_EQ(doubled()[3], 2);
  EXPECT_EQ(doubled()[3], 2);
  EXPECT_EQ(built, 1);
  const float* negated = table.derived(4, [](const float* from, float* to) {
    for (int i = 0; i < 4; ++i) to[i] = -from[i];
  });
  EXPECT_EQ(negated[3], -1);  // another form of the same version
  Tape<float> tape(Mode::training);
  const auto old = table.on(tape.input(random_tensor<float, 1>({1}, 1)));
  const auto version = table.version();
  table.edit()(1, 1) = 5;
  EXPECT_GT(table.version(), version);
  EXPECT_EQ(old.data()[3], 1);
  EXPECT_EQ(table.value()(1, 1), 5);
  EXPECT_EQ(doubled()[3], 10);
  EXPECT_EQ(built, 2);
}

TEST(Parameters, frozen_ones_get_no_gradient) {
  Rng rng(4);
  Net<float> net(7, 4, 3, rng);
  set_trainable<float>(net, false);
  set_trainable<float>(net.head, true);
  Tape<float> tape(Mode::training, rng);
  const auto y = net(tape.input(ids({1, 2})));
  const auto gradients = tape.backward(dot(y, y));
  EXPECT_FALSE(gradients.find(*parameters<float>(net)[0].data));
  EXPECT_TRUE(gradients.find(*parameters<float>(net.head)[0].data));
  EXPECT_EQ(gradients.of<2>(*parameter<float>(net, "embedding.weight").data)(0, 0), 0);  // zeros: it took no part
  EXPECT_EQ(error_of([&] { parameter<float>(net, "head.wait"); }),
            "[parameter] the model has no parameter named head.wait; the nearest are head.weight, head.bias and "
            "embedding.weight");
}

// One model from eight threads for inference, and differentiated on two tapes; run under the thread sanitizer as well.
TEST(Threads, share_one_model) {
  Rng rng(8);
  const Net<float> net(7, 4, 3, rng);
  const auto batch = ids({0, 1, 2, 2, 6, 2, 3, 4});
  const auto expected = net(batch);
  std::vector<Tensor<float, 2>> results(8);
  std::vector<std::thread> callers;
  for (auto& result : results)
    callers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) result = net(batch);
    });
  for (auto& caller : callers) caller.join();
  for (const auto& result : results) EXPECT_TRUE(same(result, expected));

  Gradients<float> parts[2];
  std::vector<std::thread> differentiating;
  for (Index t = 0; t < 2; ++t)
    differentiating.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        Tape<float> tape(Mode::training);
        const auto y = net(tape.input(rows(batch, 4 * t, 4)));
        parts[t] = tape.backward(dot(y, y));
      }
    });
  for (auto& thread : differentiating) thread.join();
  Tape<float> tape(Mode::training);
  const auto y = net(tape.input(batch));
  const auto whole = tape.backward(dot(y, y));
  parts[0] += parts[1];
  for (const auto& p : parameters<float>(net))
    for (Index i = 0; i < p->size(); ++i)
      EXPECT_NEAR(whole.find(*p.data)[i], parts[0].find(*p.data)[i], 1e-5f * (1 + std::abs(whole.find(*p.data)[i])))
          << p.name;
}
}  // namespace
}  // namespace layer_test
