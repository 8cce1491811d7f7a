#include "attend/functional/attention_scores.hpp"

#include <gtest/gtest.h>

#include "attend/functional/dense_rows.hpp"
#include "error_of.hpp"
#include "functional/attention_cases.hpp"

namespace attention_scores_test {
using namespace attention_cases;
using attend::testing::check_function_gradients;

namespace {
const T4 q = random_tensor<double, 4>({2, 3, 4, 5}, 1), k = random_tensor<double, 4>({2, 6, 2, 5}, 2),
         v = random_tensor<double, 4>({2, 6, 2, 3}, 3), scores = random_tensor<double, 4>({2, 4, 3, 6}, 4, -2, 2);

template <class F, class... In>
void check(const char* name, const F& f, const In&... inputs) {
  const auto report = check_function_gradients(f, inputs...);
  EXPECT_TRUE(report.ok()) << name << ": " << report.text();
}
}  // namespace

TEST(AttentionSteps, GradientChecks) {
  check(
      "dot_scores", [](const auto& a, const auto& b) { return dot_scores(a, b, 0.7); }, q, k);
  check(
      "additive_scores", [](const auto& a, const auto& b, const auto& w) { return additive_scores(a, b, w); }, q, k,
      random_tensor<double, 1>({5}, 5));
  check(
      "weighted_sum", [](const auto& w, const auto& x) { return weighted_sum(w, x); }, scores, v);
  const AttentionDropout<double> dropout{Rng(3), 0.4};
  check(
      "weighted_sum with dropout", [&](const auto& w, const auto& x) { return weighted_sum(w, x, dropout); }, scores,
      v);
  check(
      "drop_weights", [&](const auto& w) { return drop_weights(w, dropout); }, scores);
  check(
      "mean_over_heads", [](const auto& w) { return mean_over_heads(w); }, scores);
  check(
      "repeat_heads", [](const auto& x) { return repeat_heads(x, 3); }, k);
  check(
      "append_position", [](const auto& x, const auto& row) { return append_position(x, row); }, k,
      random_tensor<double, 3>({1, 1, 10}, 5));
  check(
      "append_position of zeros", [](const auto& x) { return append_position(x, absent<double, 3>()); }, k);
  check(
      "take_heads", [](const auto& x) { return take_heads(HeadView<double>(x, 3, 2, 4)); },
      random_tensor<double, 3>({2, 3, 13}, 5));
  check(
      "weighted_sum of a part",
      [](const auto& w, const auto& x) { return weighted_sum(w, HeadView<double>(x, 3, 2, 4)); }, scores,
      random_tensor<double, 3>({2, 6, 13}, 5));
  for (const Shape<4>& shape : {Shape<4>{2, 4, 3, 6}, Shape<4>{1, 4, 1, 6}, Shape<4>{2, 1, 3, 1}})
    check(
        "add_bias", [](const auto& s, const auto& b) { return add_bias(s, b); }, scores,
        random_tensor<double, 4>(shape, 5));
  check(
      "add_bias before appended keys", [](const auto& s, const auto& b) { return add_bias(s, b, 2); }, scores,
      random_tensor<double, 4>({1, 4, 3, 4}, 5));
  for (const MaskCase& mask : mask_cases({2, 3, 6, 4, 2, 5, 3}))
    check(
        mask.name.c_str(),
        [&](const auto& s) {
          return masked_softmax(s, MayAttend("test", mask.options.masks(), {2, 4, 3, 6}));
        },
        scores);
}

TEST(DenseRows, GradientChecksOfPartsOfAPackedWeight) {
  const auto x = random_tensor<double, 3>({2, 3, 5}, 1);
  const auto weight = random_tensor<double, 2>({9, 5}, 2);
  check(
      "rows and bias", [](const auto& a, const auto& w, const auto& b) { return dense_rows(a, w, b, 2, 4, 3); }, x,
      weight, random_tensor<double, 1>({8}, 3));
  check(
      "rows alone", [](const auto& a, const auto& w) { return dense_rows(a, w, absent<double, 1>(), 6, 0, 3); }, x,
      weight);
}

TEST(DenseRows, ComputesTheRowsOfTheWholeProduct) {
  const auto x = random_tensor<double, 3>({2, 3, 5}, 1);
  const auto weight = random_tensor<double, 2>({9, 5}, 2);
  const auto bias = random_tensor<double, 1>({9}, 3);
  const Variable<double, 3> v3(x);
  const Variable<double, 2> w(weight);
  const Variable<double, 1> b(bias);
  const auto whole = dense_rows(v3, w, b, 0, 0, 9), part = dense_rows(v3, w, b, 4, 4, 3);
  for (Index r = 0; r < 6; ++r)
    for (Index c = 0; c < 3; ++c) {
      EXPECT_EQ(part.data()[r * 3 + c],
                whole.data()[r * 9 + 4 + c]);  // an entry's bits do not depend on its neighbours
      double sum = bias(4 + c);
      for (Index i = 0; i < 5; ++i) sum += x.data()[r * 5 + i] * weight(4 + c, i);
      EXPECT_NEAR(part.data()[r * 3 + c], sum, 1e-15);
    }
}

// What is forbidden is an exact zero, whatever the rest of its row holds.
TEST(AttentionSteps, MaskedSoftmaxKeepsAVisibleNanInItsRow) {  // FM 2.1
  T4 s(1, 1, 2, 3);
  s.setZero();
  s(0, 0, 0, 1) = std::numeric_limits<double>::quiet_NaN();
  s(0, 0, 1, 2) = std::numeric_limits<double>::infinity();
  Tensor<bool, 2> allowed(2, 3);
  allowed.setValues({{true, true, false}, {true, true, false}});
  const auto w = masked_softmax(Variable<double, 4>(s),
                                MayAttend("test", AttentionMasks{.mask = AttendMask(allowed)}, {1, 1, 2, 3}))
                     .tensor();
  EXPECT_TRUE(std::isnan(w(0, 0, 0, 0)) && std::isnan(w(0, 0, 0, 1)));
  EXPECT_EQ(w(0, 0, 0, 2), 0);
  EXPECT_EQ(w(0, 0, 1, 0), 0.5);
  EXPECT_EQ(w(0, 0, 1, 2), 0);  // an infinite score behind a mask does no harm
}

TEST(BadInput, AttentionSteps) {
  const Variable<double, 3> x(random_tensor<double, 3>({2, 3, 5}, 1));
  const Variable<double, 2> w(random_tensor<double, 2>({9, 5}, 2)), narrow(random_tensor<double, 2>({9, 4}, 2));
  const Variable<double, 1> b(random_tensor<double, 1>({4}, 3));
  EXPECT_EQ(error_of<ShapeError>([&] { dense_rows(x, narrow, b, 0, 0, 4); }),
            "[dense_rows] x has shape (2, 3, 5); its last axis must be in_features = 4");
  EXPECT_EQ(error_of<ShapeError>([&] { dense_rows(x, w, b, 8, 0, 2); }),
            "[dense_rows] weight has shape (9, 5); it must hold rows 8 to 10");
  EXPECT_EQ(error_of<ShapeError>([&] { dense_rows(x, w, b, 0, 3, 2); }),
            "[dense_rows] bias has shape (4); it must hold entries 3 to 5");
  const Variable<double, 4> heads(random_tensor<double, 4>({2, 3, 2, 5}, 1));
  EXPECT_EQ(error_of<ShapeError>([&] { append_position(heads, x); }),
            "[append_position] row has shape (2, 3, 5); it must hold the 10 numbers of a position of x (2, 3, 2, 5)");
}
}  // namespace attention_scores_test
