#include "attend/autograd/tape.hpp"

#include <gtest/gtest.h>

#include "autograd/models.hpp"
#include "error_of.hpp"

namespace tape_test {
namespace {
using namespace models;
using attend::testing::random_tensor;

struct Tapes : ::testing::Test {
  Rng rng{4};
  Dense<double> dense{{4, 4}, rng};
  Tensor<double, 2> x = random_tensor<double, 2>({3, 4}, 5);
};

TEST_F(Tapes, weighted_losses_in_one_pass_equal_their_sum) {
  Tape<double> tape(Mode::training);
  const auto hidden = dense(tape.input(x)), out = dense(hidden);
  tape.want(hidden);
  const auto a = dot(out, out), b = dot(hidden, hidden);
  const auto both = tape.backward({{a, 0.5}, {b, 2}}, Keep::tape);
  auto sum = tape.backward({{a, 0.5}}, Keep::tape);
  const auto copy = sum;
  sum += tape.backward({{b, 2}});
  const auto& weight = *parameters<double>(dense)[0].data;
  for (Index i = 0; i < 12; ++i) EXPECT_NEAR(both.of(hidden).data()[i], sum.of(hidden).data()[i], 1e-12);
  for (Index i = 0; i < 16; ++i) EXPECT_NEAR(both.find(weight)[i], sum.find(weight)[i], 1e-12);
  EXPECT_NE(copy.find(weight)[5], sum.find(weight)[5]);  // += leaves a copy of the value alone
}

TEST_F(Tapes, a_second_pass_over_a_kept_tape_gives_the_same) {
  Tape<double> tape(Mode::training);
  const auto y = dense(tape.input(x));
  const auto loss = dot(y, y);
  const auto& weight = *parameters<double>(dense)[0].data;
  const auto first = tape.backward(loss, Keep::tape), second = tape.backward(loss);
  for (Index i = 0; i < 16; ++i) EXPECT_EQ(first.find(weight)[i], second.find(weight)[i]);
}

// A sum hands its gradient on without a copy: whoever adds to it, or edits a result, must not change the others.
TEST_F(Tapes, gradients_that_a_sum_hands_on_are_values_of_their_own) {
  Tape<double> tape(Mode::training);
  const auto a = tape.want(tape.input(x)), b = tape.want(tape.input(x));
  const auto sum = tape.want(a + b);
  const auto y = sum + sum;               // the same operand twice
  const auto residual = y + a * (b - y);  // a and y get terms after the shared one
  const auto once = Tensor<double, 2>(tape.backward_from(residual, x.data(), Keep::tape).of(sum));
  auto gradients = tape.backward_from(residual, x.data());
  for (Index i = 0; i < 12; ++i) {
    const double g = x.data()[i], v = x.data()[i];  // a = b = v, y = 4 v
    const double of_y = g - g * v, of_sum = 2 * of_y;
    EXPECT_NEAR(gradients.of(sum).data()[i], of_sum, 1e-12);
    EXPECT_NEAR(gradients.of(a).data()[i], of_sum + g * (v - 4 * v), 1e-12);
    EXPECT_NEAR(gradients.of(b).data()[i], of_sum + g * v, 1e-12);
    EXPECT_EQ(once.data()[i], gradients.of(sum).data()[i]);
  }
  Tape<double> shared(Mode::training);
  const Parameter<double, 2> c(Shape<2>{3, 4}), d(Shape<2>{3, 4});
  const auto start = shared.input(x), both = shared.want(c.on(start) + d.on(start));
  auto equal = shared.backward_from(both, x.data());
  equal.edit_parameters([](double* g, Index size) {
    for (Index i = 0; i < size; ++i) g[i] *= 2;
  });
  for (Index i = 0; i < 12; ++i) {
    EXPECT_EQ(equal.of(c).data()[i], 2 * x.data()[i]);
    EXPECT_EQ(equal.of(d).data()[i], 2 * x.data()[i]);
    EXPECT_EQ(equal.of(both).data()[i], x.data()[i]);
  }
}

TEST_F(Tapes, errors_say_what_to_do) {
  Tape<double> tape(Mode::training);
  const auto y = dense(tape.input(x));
  const auto loss = dot(y, y);
  tape.backward(loss);
  EXPECT_EQ(error_of([&] { tape.backward(loss); }),
            "[backward] the loss is not on this tape, or the tape is spent (Keep::tape keeps it)");
  EXPECT_EQ(error_of([&] { tape.input(x); }),
            "[tape] this tape is spent: make one per step, or keep it with Keep::tape");
  Tape<double> one(Mode::training), two(Mode::training);
  const auto first = one.input(x);
  EXPECT_EQ(error_of([&] { first + two.input(x); }), "[add] the arguments are on two tapes");
  dense(first);
  EXPECT_EQ(error_of([&] { one.want(first); }), "[tape] want(value) comes before computing with it");
  EXPECT_EQ(error_of([&] { one.want(two.input(x)); }), "[tape] the value is not on this tape");
  EXPECT_EQ(error_of([&] { dropout(first, 0.5); }),
            "[tape] this computation draws random numbers; make the tape with Tape(mode, rng)");
  const auto gradients = one.backward(dot(first, first));
  EXPECT_EQ(error_of([&] { gradients.of(first); }),
            "[gradients] nobody asked for this value; call tape.want(value) before backward");
}

TEST_F(Tapes, a_parameter_edited_while_on_a_tape_is_refused) {
  Tape<double> tape(Mode::training);
  dense(tape.input(x));
  parameters<double>(dense)[0]->edit_flat().setZero();
  EXPECT_EQ(error_of([&] { dense(tape.input(x)); }), "[tape] a parameter was edited while on this tape");
}

TEST_F(Tapes, a_parameter_may_be_wanted_as_a_value_too) {
  Parameter<double, 2> p(Shape<2>{3, 4}, rng, 1);
  Tape<double> tape(Mode::training);
  const auto v = tape.want(p.on(tape.input(x)));
  const auto gradients = tape.backward(dot(v, tape.input(x)));
  EXPECT_TRUE(same(gradients.of(v), x));
  EXPECT_TRUE(same(gradients.of(p), x));
}

TEST_F(Tapes, a_backward_pass_that_throws_spends_the_tape) {
  Tape<double> tape(Mode::training);
  const auto y = tape.want(tape.input(x));
  const Operation<double> op("fragile", y);
  const auto z = op.result(Shape<0>{});
  *op.data(z) = 0;
  op.record(z, [](Pass<double>&) { throw std::bad_alloc(); });
  const auto loss = dot(z, z);
  EXPECT_THROW(tape.backward(loss), std::bad_alloc);
  EXPECT_EQ(error_of([&] { tape.backward(loss); }),
            "[backward] the loss is not on this tape, or the tape is spent (Keep::tape keeps it)");
}

TEST_F(Tapes, closures_may_keep_what_cannot_be_copied_and_go_with_the_tape) {
  const auto seen = std::make_shared<int>(0);
  Tape<double> tape(Mode::training);
  const auto v = tape.want(tape.input(x));
  const Operation<double> op("twice", v);
  const auto y = op.result(v.shape());
  std::fill_n(op.data(y), y.size(), 0.0);
  op.record(y, [seen, factor = std::make_unique<double>(2), dy = op.slot(y), dx = op.slot(v)](Pass<double>& pass) {
    ++*seen;
    for (Index i = 0; i < dx.size; ++i) pass.add_to(dx)[i] += *factor * pass.of(dy)[i];
  });
  const auto kept = tape.backward_from(y, x.data(), Keep::tape);
  EXPECT_EQ(seen.use_count(), 2);
  const auto last = tape.backward_from(y, x.data());
  EXPECT_EQ(seen.use_count(), 1);
  EXPECT_EQ(*seen, 2);
  for (Index i = 0; i < x.size(); ++i) {
    EXPECT_EQ(kept.of(v).data()[i], 2 * x.data()[i]);
    EXPECT_EQ(last.of(v).data()[i], 2 * x.data()[i]);
  }
}

TEST_F(Tapes, integers_carry_the_tape) {
  Embedding<double> table({7, 4}, rng);
  Tape<double> tape(Mode::training);
  const auto y = table(tape.input(ids({2, 6, 2})));
  EXPECT_TRUE(y.link());
  const auto gradient = tape.backward(dot(y, y));
  const double* g = gradient.find(*parameters<double>(table)[0].data);
  ASSERT_TRUE(g);
  EXPECT_EQ(g[0], 0);
  EXPECT_EQ(g[2 * 4], 4 * y.tensor()(0, 0));  // used twice: added
}

TEST_F(Tapes, moments_of_half_batches_pool_into_those_of_the_batch) {
  Watch<double> watch(4);
  const auto report = [&](Index from, Index count) {
    Tape<double> step(Mode::training);
    const auto v = watch(step.want(step.input(rows(x, from, count))));
    return step.backward(dot(v, v));
  };
  auto pooled = report(0, 1);
  pooled += report(1, 2);
  const auto whole = report(0, 3);
  ASSERT_EQ(pooled.moments().size(), 1u);
  EXPECT_EQ(pooled.moments()[0].count, 3);
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(pooled.moments()[0].mean[c], whole.moments()[0].mean[c], 1e-14);
    EXPECT_NEAR(pooled.moments()[0].variance[c], whole.moments()[0].variance[c], 1e-14);
  }
}

// A reverse walk per path would take 2^60 steps here.
TEST_F(Tapes, a_value_used_twice_sixty_times_in_a_row_is_linear_work) {
  Tape<double> tape(Mode::training);
  const auto start = tape.want(tape.input(random_tensor<double, 1>({1}, 1)));
  auto y = start;
  for (int i = 0; i < 60; ++i) y = y + y;
  EXPECT_EQ(tape.backward(dot(y, y)).of(start)(0), 2 * start.data()[0] * std::pow(2.0, 120));
}
}  // namespace
}  // namespace tape_test
