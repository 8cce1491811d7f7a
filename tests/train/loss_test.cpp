#include "attend/train/loss.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"
#include "torch_values.hpp"
#include "wave.hpp"

namespace loss_test {
using namespace attend;
using namespace attend::testing;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();
using X = Variable<double, 2>;
using Weights = std::vector<double>;
const Weights five_weights = {0.5, 1.0, 2.0, 0.25, 1.5};

/// (i * step) % modulus + offset: labels.
template <class Label, std::size_t R>
Tensor<Label, static_cast<int>(R)> labels_of(const std::array<Index, R>& shape, Index modulus, Index step = 7) {
  Tensor<Label, static_cast<int>(R)> t(shape);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = static_cast<Label>(i * step % modulus);
  return t;
}
template <class T>
Tensor<T, 1> list(std::initializer_list<T> values) {
  Tensor<T, 1> t(static_cast<Index>(values.size()));
  std::copy(values.begin(), values.end(), t.data());
  return t;
}
template <std::size_t R>
Tensor<double, static_cast<int>(R)> sigmoid_of(Tensor<double, static_cast<int>(R)> t, const std::array<Index, R>&) {
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = 1 / (1 + std::exp(-t.data()[i]));
  return t;
}
Tensor<double, 2> softmax_of(Tensor<double, 2> t) {
  for (Index r = 0; r < t.dimension(0); ++r) {
    double sum = 0;
    for (Index c = 0; c < t.dimension(1); ++c) sum += t(r, c) = std::exp(t(r, c));
    for (Index c = 0; c < t.dimension(1); ++c) t(r, c) /= sum;
  }
  return t;
}

struct Evaluated {
  double value;
  std::vector<double> gradient;
};
template <class F, int R>
Evaluated evaluate(const F& f, const Tensor<double, R>& x) {
  Tape<double> tape(Mode::training);
  const auto v = tape.want(tape.input(x));
  const auto loss = f(v);
  const auto gradient = tape.backward(loss).of(v);
  return {loss.item(), {gradient.data(), gradient.data() + gradient.size()}};
}
// ---- against torch ----------------------------------------------------------------------------------------------

Evaluated torch_case(const std::string& name) {
  const auto x = wave({7, 5}, 2), target = sigmoid_of(wave({7, 5}, 1, 2), Shape<2>{7, 5});
  const auto y = list<int>({0, 3, 4, 1, 1, 2, 4});
  const auto ignored = list<std::int64_t>({0, 3, 2, 1, 1, 2, 4});
  const auto t = softmax_of(wave({7, 5}, 1, 0.4));
  auto element = wave({7, 5}, 1, 3);
  for (Index i = 0; i < element.size(); ++i) element.data()[i] = 0.2 + std::abs(element.data()[i]);
  Tensor<double, 2> column(7, 1);
  for (Index r = 0; r < 7; ++r) column(r, 0) = element(r, 0);
  Tensor<double, 2> huge = wave({7, 5}, 10000), hard(7, 5);
  for (Index i = 0; i < hard.size(); ++i) hard.data()[i] = target.data()[i] > 0.5 ? 1 : 0;
  const auto sum = Reduction::sum;
  const auto ce = [&](const auto& labels, const CrossEntropyOptions& o) {
    return evaluate([&](const auto& v) { return cross_entropy(v, labels, o); }, x);
  };
  const auto bce = [&](const BinaryCrossEntropyOptions& o) {
    return evaluate([&](const auto& v) { return binary_cross_entropy_with_logits(v, target, o); }, x);
  };
  if (name == "ce") return ce(y, {});
  if (name == "ce sum") return ce(y, {.reduction = sum});
  if (name == "ce smooth") return ce(y, {.label_smoothing = 0.1});
  if (name == "ce weights") return ce(y, {.class_weights = five_weights});
  if (name == "ce weights smooth") return ce(y, {.label_smoothing = 0.3, .class_weights = five_weights});
  if (name == "ce ignore") return ce(ignored, {.ignore_index = 2});
  if (name == "ce ignore weights smooth")
    return ce(ignored, {.label_smoothing = 0.2, .class_weights = five_weights, .ignore_index = 2});
  if (name == "ce ignore weights smooth sum")
    return ce(ignored, {.label_smoothing = 0.2, .class_weights = five_weights, .ignore_index = 2, .reduction = sum});
  if (name == "ce probabilities") return ce(t, {});
  if (name == "ce probabilities weights smooth") return ce(t, {.label_smoothing = 0.2, .class_weights = five_weights});
  if (name == "ce probabilities sum") return ce(t, {.class_weights = five_weights, .reduction = sum});
  if (name == "ce image")
    return evaluate(
        [&](const auto& v) {
          return cross_entropy(v, labels_of<std::uint8_t>(Shape<3>{2, 3, 4}, 5),
                               {.label_smoothing = 0.1, .class_weights = five_weights});
        },
        wave({2, 3, 4, 5}, 2));
  if (name == "ce huge") return evaluate([&](const auto& v) { return cross_entropy(v, y); }, huge);
  if (name == "bce") return bce({});
  if (name == "bce sum") return bce({.reduction = sum});
  if (name == "bce pos_weight") return bce({.pos_weight = five_weights});
  if (name == "bce weight")
    return evaluate([&](const auto& v) { return binary_cross_entropy_with_logits(v, target, element); }, x);
  if (name == "bce weight column pos_weight")
    return evaluate(
        [&](const auto& v) {
          return binary_cross_entropy_with_logits(v, target, column, {.pos_weight = five_weights});
        },
        x);
  if (name == "bce huge")
    return evaluate([&](const auto& v) { return binary_cross_entropy_with_logits(v, hard); }, huge);
  if (name == "mse") return evaluate([&](const auto& v) { return mse(v, target); }, x);
  if (name == "mse sum") return evaluate([&](const auto& v) { return mse(v, target, {.reduction = sum}); }, x);
  ADD_FAILURE() << "no case " << name;
  return {};
}

TEST(Loss, AgreesWithTorch) {
  for (const auto& expected : torch_values::losses) {
    const Evaluated found = torch_case(expected.name);
    // rounding of at most 120 terms; the huge cases are as exact, because the large parts cancel before any exp
    EXPECT_NEAR(found.value, expected.value, 1e-13 * std::max(1.0, std::abs(expected.value))) << expected.name;
    ASSERT_EQ(found.gradient.size(), expected.gradient.size()) << expected.name;
    for (std::size_t i = 0; i < found.gradient.size(); ++i)
      EXPECT_NEAR(found.gradient[i], expected.gradient[i], 2e-13) << expected.name << " [" << i << "]";
  }
}

// ---- gradients --------------------------------------------------------------------------------------------------

TEST(LossGradient, CrossEntropyOfLabels) {
  const auto ignored = list<int>({1, 3, -100, 0, 2});
  const Weights four = {0.5, 2, 0, 1.25};
  for (const double smoothing : {0.0, 0.15, 1.0})
    for (const auto& weights : {Weights{}, four})
      for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        const CrossEntropyOptions o{.label_smoothing = smoothing, .class_weights = weights, .reduction = reduction};
        const auto report = check_function_gradients([&](const auto& x) { return cross_entropy(x, ignored, o); },
                                                     random_tensor<double, 2>({5, 4}, 3, -3, 3));
        EXPECT_TRUE(report.ok()) << smoothing << " " << weights.size() << " " << report.text();
      }
  CrossEntropyOptions own{.label_smoothing = 0.1, .ignore_index = 2};
  auto report = check_function_gradients(
      [&](const auto& x) {
        return cross_entropy(x, list<int>({2, 0, 1}), own);
      },
      random_tensor<double, 2>({3, 3}, 4));
  EXPECT_TRUE(report.ok()) << report.text();
  report = check_function_gradients(  // one sample without a batch axis
      [&](const auto& x) { return cross_entropy(x, Tensor<int, 0>(Shape<0>{}).setConstant(2)); },
      random_tensor<double, 1>({4}, 4));
  EXPECT_TRUE(report.ok()) << report.text();
  report = check_function_gradients(
      [&](const auto& x) {
        return cross_entropy(x, labels_of<short>(Shape<3>{2, 3, 5}, 4), {.label_smoothing = 0.1});
      },
      random_tensor<double, 4>({2, 3, 5, 4}, 4));
  EXPECT_TRUE(report.ok()) << report.text();
  report = check_function_gradients(  // labels on the tape
      [&](const auto& x, const auto& labels) { return cross_entropy(x, labels); }, random_tensor<double, 2>({5, 3}, 5),
      labels_of<int>(Shape<1>{5}, 3));
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(LossGradient, CrossEntropyOfProbabilities) {
  for (const double smoothing : {0.0, 0.2})
    for (const auto& weights : {Weights{}, Weights{0.5, 2, 1.25}})
      for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        const CrossEntropyOptions o{.label_smoothing = smoothing, .class_weights = weights, .reduction = reduction};
        const auto report = check_function_gradients(
            [&](const auto& x, const auto& t) { return cross_entropy(x, t, o); },
            random_tensor<double, 3>({2, 4, 3}, 3, -3, 3), random_tensor<double, 3>({2, 4, 3}, 6, 0, 1));
        EXPECT_TRUE(report.ok()) << smoothing << " " << weights.size() << " " << report.text();
      }
}

TEST(LossGradient, BinaryCrossEntropy) {
  const auto x = random_tensor<double, 3>({2, 5, 3}, 7, -4, 4), t = random_tensor<double, 3>({2, 5, 3}, 8, 0, 1);
  for (const auto& positive : {Weights{}, Weights{2.5}, Weights{0.5, 3, 0}})
    for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
      const BinaryCrossEntropyOptions o{.pos_weight = positive, .reduction = reduction};
      auto report = check_function_gradients(
          [&](const auto& a, const auto& b) { return binary_cross_entropy_with_logits(a, b, o); }, x, t);
      EXPECT_TRUE(report.ok()) << positive.size() << " " << report.text();
      report = check_function_gradients(
          [&](const auto& a, const auto& b) {
            return binary_cross_entropy_with_logits(a, b, random_tensor<double, 3>({1, 5, 1}, 9, 0, 2), o);
          },
          x, t);
      EXPECT_TRUE(report.ok()) << positive.size() << " " << report.text();
    }
  const auto report = check_function_gradients(
      [&](const auto& a) {
        return binary_cross_entropy_with_logits(a, labels_of<std::uint8_t>(Shape<3>{2, 5, 3}, 2, 1));
      },
      x);
  EXPECT_TRUE(report.ok()) << report.text();
}

TEST(LossGradient, MeanSquaredError) {
  for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
    const auto report =
        check_function_gradients([&](const auto& a, const auto& b) { return mse(a, b, {.reduction = reduction}); },
                                 random_tensor<double, 3>({2, 1, 5}, 7), random_tensor<double, 3>({2, 1, 5}, 8));
    EXPECT_TRUE(report.ok()) << report.text();
  }
  const auto report =
      check_function_gradients([](const auto& a) { return mse(a, a); }, random_tensor<double, 1>({4}, 1));
  EXPECT_TRUE(report.ok()) << report.text();  // the same value on both sides: gradient 0
}

TEST(LossGradient, Dice) {
  const auto x = random_tensor<double, 4>({2, 3, 4, 3}, 7, -2, 2);
  auto labels = labels_of<int>(Shape<3>{2, 3, 4}, 3, 5);
  labels(1, 2, 3) = -100;
  const auto soft = random_tensor<double, 4>({2, 3, 4, 3}, 8, 0, 1);
  for (const bool squared : {false, true})
    for (const bool pooled : {false, true})
      for (const bool background : {false, true}) {
        DiceOptions o{.smooth = 0.3, .squared = squared, .pooled = pooled, .background = background};
        auto report = check_function_gradients([&](const auto& v) { return dice(v, labels, o); }, x);
        EXPECT_TRUE(report.ok()) << "labels " << squared << pooled << background << report.text();
        o.reduction = Reduction::sum;
        report = check_function_gradients([&](const auto& v, const auto& t) { return dice(v, t, o); }, x, soft);
        EXPECT_TRUE(report.ok()) << "targets " << squared << pooled << background << report.text();
        o.probabilities = true;
        report = check_function_gradients([&](const auto& v) { return dice(v, labels, o); }, soft);
        EXPECT_TRUE(report.ok()) << "probabilities " << squared << pooled << background << report.text();
      }
  const auto report = check_function_gradients(  // binary: labels without a class axis
      [&](const auto& v) {
        return dice(v, labels_of<std::uint8_t>(Shape<2>{3, 5}, 2, 1));
      },
      random_tensor<double, 3>({3, 5, 1}, 9));
  EXPECT_TRUE(report.ok()) << report.text();
}

// ---- by hand ----------------------------------------------------------------------------------------------------

TEST(Loss, DiceByHand) {
  // p = 0.5 everywhere, t = (1, 0): 1 - (2 * 0.5 + 1) / (1 + 1 + 1) = 1/3; squared: 1 - (1 + 1) / (0.5 + 1 + 1) = 0.2
  Tensor<double, 3> x(1, 2, 1);
  x.setZero();
  const auto labels = labels_of<int>(Shape<2>{1, 2}, 2, 1);  // (0, 1)
  EXPECT_DOUBLE_EQ(dice(Variable(x), labels, {.smooth = 1}).item(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(dice(Variable(x), labels, {.smooth = 1, .squared = true}).item(), 0.2);
  // softmax over two equal logits is 0.5 for both classes: the same number for each
  Tensor<double, 3> two(1, 2, 2);
  two.setZero();
  EXPECT_DOUBLE_EQ(dice(Variable(two), labels, {.smooth = 1}).item(), 1.0 / 3);
  EXPECT_DOUBLE_EQ(dice(Variable(two), labels, {.smooth = 1, .reduction = Reduction::sum}).item(), 2.0 / 3);
  EXPECT_DOUBLE_EQ(dice(Variable(two), labels, {.smooth = 1, .background = false, .reduction = Reduction::sum}).item(),
                   1.0 / 3);
  // nothing predicted, nothing there: no cost
  Tensor<double, 2> none(1, 3);
  none.setConstant(-1e4);
  Tensor<double, 2> absent(1, 3);
  absent.setZero();
  EXPECT_NEAR(dice(Variable(none), absent).item(), 0, 1e-15);
}

TEST(Loss, PooledDiceCountsTheBatchAsOneSample) {
  const auto x = random_tensor<double, 3>({1, 8, 3}, 7, -2, 2);
  const auto labels = labels_of<int>(Shape<2>{1, 8}, 3, 5);
  Tensor<double, 3> split(2, 4, 3);
  std::copy_n(x.data(), x.size(), split.data());
  Tensor<int, 2> split_labels(2, 4);
  std::copy_n(labels.data(), labels.size(), split_labels.data());
  const double whole = dice(Variable(x), labels).item();
  EXPECT_NEAR(dice(Variable(split), split_labels, {.pooled = true}).item(), whole, 1e-15);
  EXPECT_GT(std::abs(dice(Variable(split), split_labels).item() - whole), 1e-4);
}

TEST(Loss, CrossEntropyOfOneHotProbabilitiesIsThatOfLabels) {
  const auto x = random_tensor<double, 2>({6, 4}, 1, -3, 3);
  const auto labels = labels_of<int>(Shape<1>{6}, 4);
  Tensor<double, 2> one_hot(6, 4);
  one_hot.setZero();
  for (Index r = 0; r < 6; ++r) one_hot(r, labels(r)) = 1;
  for (const double smoothing : {0.0, 0.1})
    EXPECT_NEAR(cross_entropy(Variable(x), labels, {.label_smoothing = smoothing}).item(),
                cross_entropy(Variable(x), one_hot, {.label_smoothing = smoothing}).item(), 1e-15);
}

TEST(Loss, FM_2_2_LogitsOfTenThousandAndFloatMaximum) {
  Tensor<float, 2> x(4, 3);
  x.setValues({{1e4f, -1e4f, 0}, {-1e4f, -1e4f + 1, -1e4f}, {1e4f, 1e4f, 1e4f - 1}, {-3e38f, 3e38f, 0}});
  const auto labels = list<int>({0, 1, 2, 1});
  const auto run = [&](const auto& f) {
    Tape<float> tape(Mode::training);
    const auto v = tape.want(tape.input(x));
    const auto loss = f(v);
    EXPECT_TRUE(std::isfinite(loss.item()));
    const auto gradient = tape.backward(loss).of(v);
    for (Index i = 0; i < gradient.size(); ++i) EXPECT_TRUE(std::isfinite(gradient.data()[i]));
    return gradient;
  };
  const auto g = run([&](const auto& v) { return cross_entropy(v, labels, {.reduction = Reduction::sum}); });
  // row 1 is (0, 1, 0) up to a shift: softmax (1, e, 1) / (2 + e); 8 ulp of float
  EXPECT_NEAR(g(1, 1), std::exp(1.0) / (2 + std::exp(1.0)) - 1, 5e-7);
  EXPECT_EQ(g(0, 0), 0.0f);
  Tensor<float, 2> t(4, 3);
  t.setConstant(1);
  run([&](const auto& v) {
    return binary_cross_entropy_with_logits(v.reshape(Shape<2>{3, 4}), Tensor<float, 2>(3, 4).setConstant(1));
  });
  run([&](const auto& v) { return dice(v.reshape(Shape<3>{2, 2, 3}), Tensor<int, 2>(2, 2).setZero()); });
  EXPECT_EQ(cross_entropy(Variable(x), list<int>({0, 1, 2, 1}), {.reduction = Reduction::sum}).item(),
            cross_entropy(Variable(x), list<std::uint8_t>({0, 1, 2, 1}), {.reduction = Reduction::sum}).item());
}

TEST(Loss, AnInfiniteLogitMasksItsClass) {
  Tensor<double, 2> x(1, 3);
  x.setValues({{0, -infinity, 0}});
  const Evaluated r = evaluate([](const auto& v) { return cross_entropy(v, Tensor<int, 1>(1).setZero()); }, x);
  EXPECT_NEAR(r.value, std::log(2.0), 1e-15);
  EXPECT_EQ(r.gradient[1], 0.0);
  Tensor<double, 2> t(1, 3);
  t.setValues({{1, 0, 0}});  // 0 * inf must not appear
  EXPECT_NEAR(cross_entropy(Variable(x), t).item(), std::log(2.0), 1e-15);
}

TEST(Loss, NothingToAverage) {
  const Tensor<double, 2> none(0, 3);
  EXPECT_TRUE(std::isnan(cross_entropy(Variable(none), Tensor<int, 1>(0)).item()));
  EXPECT_EQ(cross_entropy(Variable(none), Tensor<int, 1>(0), {.reduction = Reduction::sum}).item(), 0.0);
  EXPECT_TRUE(std::isnan(mse(Variable(none), none).item()));
  EXPECT_EQ(mse(Variable(none), none, {.reduction = Reduction::sum}).item(), 0.0);
  EXPECT_TRUE(std::isnan(binary_cross_entropy_with_logits(Variable(none), none).item()));
  EXPECT_TRUE(std::isnan(dice(Variable(none), Tensor<int, 1>(0)).item()));
  // all rows ignored: as PyTorch, a NaN mean whose gradient is zero
  const Evaluated r = evaluate([](const auto& v) { return cross_entropy(v, Tensor<int, 1>(2).setConstant(-100)); },
                               random_tensor<double, 2>({2, 3}, 1));
  EXPECT_TRUE(std::isnan(r.value));
  EXPECT_EQ(r.gradient, std::vector<double>(6, 0.0));
}

TEST(Loss, SameBitsForAnyNumberOfThreads) {
  const auto x = random_tensor<float, 2>({40000, 10}, 1, -5, 5);
  const auto labels = labels_of<int>(Shape<1>{40000}, 10);
  const auto soft = random_tensor<float, 2>({40000, 10}, 2, 0, 1);
  const auto run = [&] {
    Tape<float> tape(Mode::training);
    const auto v = tape.want(tape.input(x));
    const auto a = cross_entropy(v, labels, {.label_smoothing = 0.1}), b = mse(v, soft),
               c = binary_cross_entropy_with_logits(v, soft),
               d = dice(v.reshape(Shape<3>{4, 10000, 10}), Variable<float, 2>(soft).reshape(Shape<3>{4, 10000, 10}));
    const auto gradient = tape.backward({{a, 1}, {b, 1}, {c, 1}, {d, 1}}).of(v);
    std::vector<float> all(gradient.data(), gradient.data() + gradient.size());
    for (const auto& l : {a, b, c, d}) all.push_back(l.item());
    return all;
  };
  const int before = num_threads();
  set_num_threads(1);
  const auto one = run();
  for (const int n : {2, 3, 8}) {
    set_num_threads(n);
    EXPECT_TRUE(run() == one) << n;
  }
  set_num_threads(before);
}

TEST(Loss, WeightsOfSeveralLossesAndTemporaries) {
  const auto x = random_tensor<double, 2>({3, 4}, 1);
  Tape<double> tape(Mode::training);
  const auto v = tape.want(tape.input(x));
  const auto a = cross_entropy(v, labels_of<int>(Shape<1>{3}, 4)), b = mse(v, random_tensor<double, 2>({3, 4}, 2));
  const auto both = tape.backward({{a, 2}, {b, -0.5}}, Keep::tape).of(v);
  const auto ga = tape.backward(a, Keep::tape).of(v), gb = tape.backward(b).of(v);
  for (Index i = 0; i < both.size(); ++i) EXPECT_NEAR(both.data()[i], 2 * ga.data()[i] - 0.5 * gb.data()[i], 1e-15);
}

// ---- bad input --------------------------------------------------------------------------------------------------

TEST(BadInput, Losses) {
  const X x(random_tensor<double, 2>({3, 4}, 1));
  const Tensor<double, 2> t34 = random_tensor<double, 2>({3, 4}, 1), t43 = random_tensor<double, 2>({4, 3}, 1);
  const Tensor<int, 1> y3 = list<int>({0, 1, 2}), y4 = list<int>({0, 1, 2, 3});
  struct Row {
    const char* what;
    std::function<void()> call;
    std::vector<const char*> texts;
  };
  const std::vector<Row> shape_errors = {
      {"too many labels", [&] { cross_entropy(x, y4); }, {"(4)", "(3, 4)", "(3)"}},
      {"label too large",
       [&] {
         cross_entropy(x, list<int>({0, 1, 4}));
       },
       {"hold 4", "position 2", "[0, 4)"}},
      {"label negative",
       [&] {
         cross_entropy(x, list<int>({0, -1, 1}));
       },
       {"hold -1", "position 1"}},
      {"default ignore_index replaced",
       [&] {
         cross_entropy(x, list<int>({-100, 0, 0}), {.ignore_index = 1});
       },
       {"-100"}},
      {"no classes", [&] { cross_entropy(X(Tensor<double, 2>(2, 0)), Tensor<int, 1>(2).setZero()); }, {"(2, 0)"}},
      {"probabilities", [&] { cross_entropy(x, t43); }, {"(4, 3)", "(3, 4)"}},
      {"bce targets", [&] { binary_cross_entropy_with_logits(x, t43); }, {"(4, 3)", "(3, 4)"}},
      {"bce weights", [&] { binary_cross_entropy_with_logits(x, t34, t43); }, {"(4, 3)", "(3, 4)"}},
      {"bce weights, 2 for 4",
       [&] {
         binary_cross_entropy_with_logits(x, t34, random_tensor<double, 2>({1, 2}, 1));
       },
       {"(1, 2)", "(3, 4)"}},
      {"mse", [&] { mse(x, t43); }, {"(4, 3)", "(3, 4)"}},
      {"mse does not broadcast",
       [&] {
         mse(x, random_tensor<double, 2>({1, 4}, 1));
       },
       {"(1, 4)", "(3, 4)"}},
      {"dice labels", [&] { dice(x, y4); }, {"(4)", "(3, 4)"}},
      {"dice label too large",
       [&] {
         dice(x, list<int>({0, 1, 4}));
       },
       {"hold 4", "[0, 4)"}},
      {"dice label negative",
       [&] {
         dice(x, list<int>({0, -7, 1}));
       },
       {"hold -7"}},
      {"dice binary label 2",
       [&] { dice(X(Tensor<double, 2>(1, 1).setZero()), list<int>({2})); },
       {"hold 2", "[0, 2)"}},
      {"dice targets", [&] { dice(x, t43); }, {"(4, 3)", "(3, 4)"}},
  };
  for (const Row& row : shape_errors) {
    EXPECT_THROW(row.call(), ShapeError) << row.what;
    for (const char* text : row.texts)
      EXPECT_NE(error_of(row.call).find(text), std::string::npos) << row.what << ": " << error_of(row.call);
  }
  const double nan = std::nan("");
  const std::vector<Row> option_errors = {
      {"smoothing", [&] { cross_entropy(x, y3, {.label_smoothing = 1.5}); }, {"1.5", "[0, 1]"}},
      {"smoothing below 0", [&] { cross_entropy(x, y3, {.label_smoothing = -0.1}); }, {"-0.1"}},
      {"smoothing nan", [&] { cross_entropy(x, y3, {.label_smoothing = nan}); }, {"nan"}},
      {"weights", [&] { cross_entropy(x, y3, {.class_weights = five_weights}); }, {"5 entries", "4 classes"}},
      {"negative weight",
       [&] {
         cross_entropy(x, y3, {.class_weights = {1, 1, -1, 1}});
       },
       {"negative"}},
      {"weights of t",
       [&] {
         cross_entropy(x, t34, {.class_weights = {1, 1}});
       },
       {"2 entries", "4 classes"}},
      {"pos_weight",
       [&] {
         binary_cross_entropy_with_logits(x, t34, {.pos_weight = {1, 2, 3}});
       },
       {"3 entries", "4"}},
      {"pos_weight nan", [&] { binary_cross_entropy_with_logits(x, t34, {.pos_weight = {nan}}); }, {"finite"}},
      {"smooth 0", [&] { dice(x, y3, {.smooth = 0}); }, {"smooth is 0"}},
      {"smooth nan", [&] { dice(x, y3, {.smooth = nan}); }, {"nan"}},
  };
  for (const Row& row : option_errors) {
    EXPECT_THROW(row.call(), OptionError) << row.what;
    for (const char* text : row.texts)
      EXPECT_NE(error_of(row.call).find(text), std::string::npos) << row.what << ": " << error_of(row.call);
  }
}
}  // namespace
}  // namespace loss_test
