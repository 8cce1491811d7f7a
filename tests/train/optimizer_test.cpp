#include <gtest/gtest.h>

#include "attend/layers/batch_norm.hpp"
#include "attend/layers/dense.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/train/adam.hpp"
#include "attend/train/clip.hpp"
#include "attend/train/ema.hpp"
#include "attend/train/loss.hpp"
#include "attend/train/schedule.hpp"
#include "attend/train/sgd.hpp"
#include "torch_values.hpp"
#include "wave.hpp"

namespace optimizer_test {
using namespace attend;
using namespace attend::testing;

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

/// y = x W^T + b with the values of tests/goldens/train_goldens.py.
template <class S>
struct Line : Layer<Line<S>> {
  using Scalar = S;
  Parameter<S, 2> weight{Shape<2>{2, 3}};
  Parameter<S, 1> bias{Shape<1>{2}};
  Line() {
    weight.edit() = wave({2, 3}, 1, 0.5).template cast<S>();
    bias.edit() = wave({2}, 1, 0.9).template cast<S>();
  }
  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return dense(x, weight.on(x), bias.on(x));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight);
    visit("bias", self.bias);
  }
  std::vector<double> values() const {
    std::vector<double> all(weight.data(), weight.data() + 6);
    all.insert(all.end(), bias.data(), bias.data() + 2);
    return all;
  }
};

template <class S>
Gradients<S> gradients_of(const Line<S>& line) {
  Tape<S> tape(Mode::training);
  const Tensor<S, 2> x = wave({5, 3}, 1.5).template cast<S>(), y = wave({5, 2}, 1, 2.5).template cast<S>();
  return tape.backward(mse(line(tape.input(x)), y, {.reduction = Reduction::sum}));
}

/// Those of them that `keep` picks.
template <class S>
Gradients<S> only(const Gradients<S>& gradients, const ParameterData<S>& kept) {
  Gradients<S> result;
  result.set(kept.id(), {copy_buffer(gradients.find(kept), kept.size()), kept.size()});
  return result;
}

struct Extra {
  std::function<void(Gradients<double>&)> clip = [](auto&) {};
  std::function<double(Index)> rate = {};
  std::function<double(Index)> momentum = {};
  std::set<int> skip_bias_at = {};
};
template <class Rule>
std::vector<double> trajectory(const typename Rule::Options& options, const Extra& extra = {}) {
  Line<double> line;
  Optimizer<double, Rule> optimizer(line, options);
  std::vector<double> shown;
  for (int step = 1; step <= torch_values::steps; ++step) {
    auto gradients = gradients_of(line);
    if (extra.skip_bias_at.count(step)) gradients = only<double>(gradients, line.weight);
    extra.clip(gradients);
    if (extra.rate) optimizer.set_learning_rate(extra.rate(step - 1));
    if (extra.momentum) optimizer.set_momentum(extra.momentum(step - 1));
    optimizer.step(line, gradients);
    for (const int s : torch_values::shown_steps)
      if (s == step)
        for (const double v : line.values()) shown.push_back(v);
  }
  return shown;
}

std::vector<double> named(const std::string& name) {
  using AdamRule_ = AdamRule<AdamOptions>;
  using AdamWRule = AdamRule<AdamWOptions>;
  const auto sgd = [](SgdOptions o, const Extra& extra = {}) {
    o.learning_rate = 0.02;
    return trajectory<SgdRule>(o, extra);
  };
  const auto adam = [](AdamOptions o, const Extra& extra = {}) {
    o.learning_rate = 0.05;
    return trajectory<AdamRule_>(o, extra);
  };
  const auto adamw = [](AdamWOptions o, const Extra& extra = {}) {
    o.learning_rate = 0.05;
    return trajectory<AdamWRule>(o, extra);
  };
  if (name == "sgd") return sgd({});
  if (name == "sgd momentum") return sgd({.momentum = 0.9});
  if (name == "sgd dampening") return sgd({.momentum = 0.9, .dampening = 0.4});
  if (name == "sgd nesterov") return sgd({.momentum = 0.8, .nesterov = true});
  if (name == "sgd decay") return sgd({.weight_decay = 0.3});
  if (name == "sgd nesterov decay") return sgd({.momentum = 0.8, .weight_decay = 0.3, .nesterov = true});
  if (name == "adam") return adam({});
  if (name == "adam decay") return adam({.weight_decay = 0.3});
  if (name == "adam amsgrad") return adam({.amsgrad = true});
  if (name == "adam eps") return adam({.beta1 = 0.7, .beta2 = 0.95, .eps = 0.3});
  if (name == "adamw") return adamw({});
  if (name == "adamw decay") return adamw({.weight_decay = 0.5});
  if (name == "adamw amsgrad") return adamw({.beta1 = 0.5, .beta2 = 0.6, .weight_decay = 0.5, .amsgrad = true});
  if (name == "adamw groups")
    return trajectory<AdamWRule>(
        {.learning_rate = 0.02,
         .weight_decay = 0.2,
         .groups = {{.matches = biases_and_norms(), .learning_rate_scale = 0.1, .weight_decay = 0.0}}});
  if (name == "adam skip") return adam({}, {.skip_bias_at = {1, 4, 5}});
  if (name == "sgd skip")
    return sgd({.momentum = 0.9, .dampening = 0.4, .weight_decay = 0.1}, {.skip_bias_at = {1, 4, 5}});
  if (name == "sgd clip") return sgd({.momentum = 0.9}, {.clip = [](auto& g) { clip_grad_norm(g, 0.7); }});
  if (name == "sgd clip 1") return sgd({.momentum = 0.9}, {.clip = [](auto& g) { clip_grad_norm(g, 0.7, 1); }});
  if (name == "sgd clip inf")
    return sgd({.momentum = 0.9}, {.clip = [](auto& g) { clip_grad_norm(g, 0.7, infinity); }});
  if (name == "sgd clip value") return sgd({.momentum = 0.9}, {.clip = [](auto& g) { clip_grad_value(g, 0.5); }});
  if (name == "adamw one cycle") {
    const OneCycleSchedule cycle({.max_learning_rate = 0.1, .total_steps = torch_values::steps + 1});
    return adamw({.weight_decay = 0.1}, {.rate = [=](Index i) { return cycle.at(i); },
                                         .momentum = [=](Index i) { return cycle.momentum_at(i); }});
  }
  ADD_FAILURE() << "no case " << name;
  return {};
}

TEST(Optimizer, SixtyStepsAsTorch) {
  EXPECT_EQ(torch_values::optimizers.size(), 21u);
  for (const auto& expected : torch_values::optimizers) {
    const auto found = named(expected.name);
    ASSERT_EQ(found.size(), expected.values.size()) << expected.name;
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_NEAR(found[i], expected.values[i], 1e-12) << expected.name << " [" << i << "]";
  }
}

TEST(Optimizer, FloatStaysCloseToDouble) {
  Line<float> line;
  Line<double> exact;
  AdamW<float> optimizer(line, {.learning_rate = 0.05});
  AdamW<double> exactly(exact, {.learning_rate = 0.05});
  for (int i = 0; i < 50; ++i) {
    optimizer.step(line, gradients_of(line));
    exactly.step(exact, gradients_of(exact));
  }
  const auto a = line.values(), b = exact.values();
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);  // 50 steps of rate 0.05, float rounding
}

TEST(Optimizer, FrozenParametersAndThoseWithoutGradientStay) {
  Line<double> line;
  const auto before = line.values();
  line.weight.set_trainable(false);
  AdamW<double> optimizer(line, {.learning_rate = 0.1, .weight_decay = 0.5});
  for (int i = 0; i < 3; ++i) optimizer.step(line, gradients_of(line));
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(line.values()[i], before[i]);  // not even decayed
  EXPECT_NE(line.values()[6], before[6]);
  EXPECT_EQ(optimizer.states().count("weight"), 0u);
  line.weight.set_trainable(true);
  const auto bias = line.values()[6];
  optimizer.step(line, only<double>(gradients_of(line), line.weight));
  EXPECT_EQ(line.values()[6], bias);
  EXPECT_EQ(optimizer.states().at("bias").steps, 3);
  EXPECT_EQ(optimizer.states().at("weight").steps, 1);
}

TEST(Optimizer, StateFollowsTheNameNotTheObject) {
  Line<double> line, other;
  Sgd<double> optimizer(line, {.learning_rate = 0.02, .momentum = 0.9});
  Sgd<double> same(other, {.learning_rate = 0.02, .momentum = 0.9});
  for (int i = 0; i < 3; ++i) {
    optimizer.step(line, gradients_of(line));
    same.step(other, gradients_of(other));
    Line<double> elsewhere = line;  // a copy has parameters of its own
    line = std::move(elsewhere);
  }
  EXPECT_EQ(line.values(), other.values());
}

TEST(Optimizer, GradientsOfAnotherModelAreRefused) {
  Line<double> line;
  const Line<double> copy = line;
  const auto before = line.values();
  Sgd<double> optimizer(line);
  EXPECT_THROW(optimizer.step(line, gradients_of(copy)), OptionError);
  EXPECT_EQ(line.values(), before);
  optimizer.step(line, Gradients<double>());  // nothing took part: nothing happens
  EXPECT_EQ(line.values(), before);
}

struct Twice : Layer<Twice> {
  Line<double> line;
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("first", self.line);
    visit("second", self.line);
  }
};

TEST(Optimizer, SharedParametersMoveOnce) {
  Twice twice;
  Line<double> once;
  Sgd<double>(twice, {.learning_rate = 0.02}).step(twice, gradients_of(twice.line));
  Sgd<double>(once, {.learning_rate = 0.02}).step(once, gradients_of(once));
  EXPECT_EQ(twice.line.values(), once.values());
}

TEST(Optimizer, FirstMatchingGroupCounts) {
  Line<double> line;
  const auto before = line.values();
  Sgd<double> optimizer(line, {.learning_rate = 0.02,
                               .groups = {{.matches = below("bias"), .learning_rate_scale = 0},
                                          {.matches = biases_and_norms(), .learning_rate_scale = 100}}});
  optimizer.step(line, gradients_of(line));
  EXPECT_EQ(line.values()[6], before[6]);
  EXPECT_NE(line.values()[0], before[0]);
  EXPECT_TRUE(below("head")("head.weight", {}));
  EXPECT_TRUE(below("head")("head", {}));
  EXPECT_FALSE(below("head")("header.weight", {}));
}

// T14: the running variance is unbiased
TEST(Trap, T14_StepStoresUnbiasedRunningVariance) {
  BatchNorm<double> norm({.channels = 2, .momentum = 0.1});
  Sgd<double> optimizer(norm, {.learning_rate = 0});
  Tensor<double, 2> x(4, 2);
  x.setValues({{1, 0}, {2, 0}, {3, 4}, {6, 4}});  // means 3, 2; unbiased variances 14/3, 16/3
  const auto buffer = [&](const std::string& name) {
    for (const auto& p : parameters<double>(norm))
      if (p.name == name) return p.data;
    throw std::runtime_error(name);
  };
  Tape<double> tape(Mode::training);
  const auto gradients = tape.backward(mse(norm(tape.input(x)), x));
  EXPECT_EQ(buffer("running_mean")->data()[0], 0.0);  // only the step writes
  optimizer.step(norm, gradients);
  EXPECT_NEAR(buffer("running_mean")->data()[0], 0.3, 1e-15);
  EXPECT_NEAR(buffer("running_mean")->data()[1], 0.2, 1e-15);
  EXPECT_NEAR(buffer("running_var")->data()[0], 0.9 + 0.1 * 14 / 3, 1e-15);
  EXPECT_NEAR(buffer("running_var")->data()[1], 0.9 + 0.1 * 16 / 3, 1e-15);
  EXPECT_EQ(buffer("num_batches_tracked")->data()[0], 1.0);
}

TEST(Optimizer, MomentsOfTwoTapesArePooledAndCountOneStep) {
  BatchNorm<double> whole({.channels = 3}), halves({.channels = 3});
  const auto x = random_tensor<double, 2>({10, 3}, 5);
  const auto run = [](BatchNorm<double>& norm, const auto& part) {
    Tape<double> tape(Mode::training);
    const auto y = norm(tape.input(part));
    return tape.backward(dot(y, y));
  };
  Sgd<double>(whole, {.learning_rate = 0}).step(whole, run(whole, x));
  auto sum = run(halves, rows(x, 0, 4));
  sum += run(halves, rows(x, 4, 6));
  Sgd<double>(halves, {.learning_rate = 0}).step(halves, sum);
  const auto a = parameters<double>(whole), b = parameters<double>(halves);
  for (std::size_t i = 0; i < a.size(); ++i)
    for (Index j = 0; j < a[i]->size(); ++j) EXPECT_NEAR(a[i]->data()[j], b[i]->data()[j], 1e-14) << a[i].name;
}

TEST(Optimizer, SameBitsForAnyNumberOfThreads) {
  const auto run = [] {
    Rng rng(3);
    Dense<float> model({.in_features = 300, .out_features = 200}, rng);  // 60,000 weights: several chunks
    AdamW<float> optimizer(model, {.learning_rate = 0.01});
    const auto x = random_tensor<float, 2>({4, 300}, 1), y = random_tensor<float, 2>({4, 200}, 2);
    for (int i = 0; i < 3; ++i) {
      Tape<float> tape(Mode::training);
      auto gradients = tape.backward(mse(model(tape.input(x)), y));
      clip_grad_norm(gradients, 0.01);
      optimizer.step(model, gradients);
    }
    const auto w = parameters<float>(model)[0];
    return std::vector<float>(w->data(), w->data() + w->size());
  };
  const int before = num_threads();
  set_num_threads(1);
  const auto one = run();
  for (const int n : {2, 5}) {
    set_num_threads(n);
    EXPECT_TRUE(run() == one) << n;
  }
  set_num_threads(before);
}

TEST(Clip, NormsAndCopies) {
  Line<double> line;
  auto gradients = gradients_of(line);
  const auto copy = gradients;
  double squares = 0, sum = 0, most = 0;
  for (const auto& p : parameters<double>(line))
    for (Index i = 0; i < p->size(); ++i) {
      const double g = std::abs(gradients.find(*p.data)[i]);
      squares += g * g, sum += g, most = std::max(most, g);
    }
  EXPECT_NEAR(gradient_norm(gradients), std::sqrt(squares), 1e-12);
  EXPECT_NEAR(gradient_norm(gradients, 1), sum, 1e-12);
  EXPECT_EQ(gradient_norm(gradients, infinity), most);
  EXPECT_NEAR(gradient_norm(gradients, 3),
              std::pow(
                  [&] {
                    double cubes = 0;
                    gradients.for_each_parameter([&](const double* g, Index size) {
                      for (Index i = 0; i < size; ++i) cubes += std::pow(std::abs(g[i]), 3);
                    });
                    return cubes;
                  }(),
                  1.0 / 3),
              1e-12);
  EXPECT_EQ(clip_grad_norm(gradients, 1e9), gradient_norm(copy));  // under the limit: untouched
  EXPECT_EQ(gradients.find(line.bias)[0], copy.find(line.bias)[0]);
  const double norm = clip_grad_norm(gradients, 1);
  EXPECT_EQ(norm, gradient_norm(copy));  // the copy kept its values
  EXPECT_NEAR(gradient_norm(gradients), 1, 1e-5);
  EXPECT_DOUBLE_EQ(gradients.find(line.bias)[0], copy.find(line.bias)[0] / (norm + 1e-6));
  clip_grad_norm(gradients, 0);
  EXPECT_EQ(gradient_norm(gradients), 0.0);
  EXPECT_EQ(clip_grad_norm(gradients, 0), 0.0);  // norm 0: no 0 / 0
  EXPECT_EQ(gradients.find(line.bias)[0], 0.0);
}

TEST(Clip, NotFinite) {
  Line<float> line;
  auto gradients = gradients_of(line);
  EXPECT_TRUE(all_finite(gradients));
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    auto spoilt = gradients;
    spoilt.edit_parameters([&](float* g, Index size) { g[size - 1] = size == 2 ? bad : g[size - 1]; });
    EXPECT_FALSE(all_finite(spoilt));
    EXPECT_TRUE(all_finite(gradients));
    EXPECT_FALSE(std::isfinite(gradient_norm(spoilt)));
    EXPECT_FALSE(std::isfinite(gradient_norm(spoilt, infinity)));
    EXPECT_FALSE(std::isfinite(clip_grad_norm(spoilt, 1)));
    EXPECT_FALSE(all_finite(spoilt));
  }
  EXPECT_TRUE(all_finite(Gradients<float>()));
  EXPECT_EQ(gradient_norm(Gradients<float>()), 0.0);
}

TEST(Ema, FollowsTheFormula) {
  Line<double> line;
  Ema<double> ema(line, {.decay = 0.9});
  Sgd<double> optimizer(line, {.learning_rate = 0.02});
  auto expected = line.values();
  for (int i = 0; i < 5; ++i) {
    optimizer.step(line, gradients_of(line));
    ema.update(line);
    const auto now = line.values();
    for (std::size_t j = 0; j < now.size(); ++j) expected[j] = 0.9 * expected[j] + 0.1 * now[j];
  }
  EXPECT_EQ(ema.updates(), 5);
  Line<double> averaged;
  ema.copy_to(averaged);
  for (std::size_t j = 0; j < expected.size(); ++j) EXPECT_NEAR(averaged.values()[j], expected[j], 1e-14);
  const auto trained = line.values();
  ema.swap(line);
  EXPECT_EQ(line.values(), averaged.values());
  ema.swap(line);
  EXPECT_EQ(line.values(), trained);
}

TEST(Ema, SharedParametersAreExchangedOnce) {
  Twice twice;
  EXPECT_EQ(count_parameters<double>(twice), 8);
  Ema<double> ema(twice, {.decay = 0.5});
  const auto before = twice.line.values();
  Sgd<double>(twice, {.learning_rate = 0.02}).step(twice, gradients_of(twice.line));
  const auto trained = twice.line.values();
  ema.update(twice);
  ema.swap(twice);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(twice.line.values()[i], (before[i] + trained[i]) / 2, 1e-15);
  ema.swap(twice);
  EXPECT_EQ(twice.line.values(), trained);
}

TEST(Ema, WarmUpIsThatOfTimm) {
  const Line<double> line;
  const Ema<double> ema(line, {.decay = 0.99, .warmup = true});
  EXPECT_EQ(ema.decay_at(1), 0.0);
  EXPECT_DOUBLE_EQ(ema.decay_at(2), 1 - std::pow(2.0, -2.0 / 3));
  EXPECT_DOUBLE_EQ(ema.decay_at(8), 1 - std::pow(8.0, -2.0 / 3));
  EXPECT_EQ(ema.decay_at(1000000), 0.99);
  const Ema<double> other(line, {.warmup = true, .warmup_gamma = 10, .warmup_power = 0.75, .min_decay = 0.3});
  EXPECT_EQ(other.decay_at(2), 0.3);
  EXPECT_DOUBLE_EQ(other.decay_at(101), 1 - std::pow(11.0, -0.75));
  EXPECT_EQ(Ema<double>(line).decay_at(1), 0.9999);
}

TEST(Ema, BuffersAreCopied) {
  BatchNorm<float> norm({.channels = 2});
  Ema<float> ema(norm, {.decay = 0.5});
  for (const auto& p : parameters<float>(norm))
    for (Index i = 0; i < p->size(); ++i) p->edit_flat()(i) += 1;
  ema.update(norm);
  BatchNorm<float> averaged({.channels = 2});
  ema.copy_to(averaged);
  for (const auto& p : parameters<float>(averaged)) {
    const float was = p.name == "weight" || p.name == "running_var" ? 1 : 0;
    EXPECT_EQ(p->data()[0], p->kind() == Kind::buffer ? was + 1 : was + 0.5f) << p.name;
  }
  Line<float> other;
  EXPECT_THROW(ema.update(other), OptionError);
  EXPECT_THROW(ema.swap(other), OptionError);
  EXPECT_THROW(ema.copy_to(other), OptionError);
  EXPECT_EQ(ema.updates(), 1);
}

/// Two norms, of which an average knows the first or both.
struct Norms : Layer<Norms> {
  explicit Norms(Index second) : a({.channels = 2}), b({.channels = second}) {}
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("a", self.a);
    visit("b", self.b);
  }
  BatchNorm<float> a, b;
};
TEST(Ema, SetsAllOfAModelOrNothing) {
  Norms three(3), four(4);
  parameter<float>(three, "a.weight")->edit_flat()(0) = 7;
  EXPECT_THROW(Ema<float>(three).copy_to(four), OptionError);
  EXPECT_EQ(parameter<float>(four, "a.weight")->data()[0], 1);
}

TEST(BadInput, Optimizers) {
  const double nan = std::nan("");
  Line<double> line;
  struct Row {
    const char* text;
    std::function<void()> make;
  };
  auto gradients = gradients_of(line);
  const std::vector<Row> rows = {
      {"learning_rate is -", [&] { Sgd<double>(line, {.learning_rate = -1}); }},
      {"learning_rate is nan", [&] { AdamW<double>(line, {.learning_rate = nan}); }},
      {"learning_rate is inf", [&] { Adam<double>(line, {.learning_rate = infinity}); }},
      {"learning_rate is -", [&] { Sgd<double>(line).set_learning_rate(-0.1); }},
      {"learning_rate is nan", [&] { Sgd<double>(line).set_learning_rate(nan); }},
      {"weight_decay is -", [&] { Sgd<double>(line, {.weight_decay = -1}); }},
      {"momentum is 1.5", [&] { Sgd<double>(line, {.momentum = 1.5}); }},
      {"momentum is -", [&] { Sgd<double>(line, {.momentum = -0.5}); }},
      {"made without momentum", [&] { Sgd<double>(line).set_momentum(0.5); }},
      {"dampening is not finite", [&] { Sgd<double>(line, {.momentum = 0.5, .dampening = nan}); }},
      {"nesterov needs momentum", [&] { Sgd<double>(line, {.nesterov = true}); }},
      {"nesterov needs momentum", [&] { Sgd<double>(line, {.momentum = 0.5, .dampening = 0.1, .nesterov = true}); }},
      {"beta1 is 1.0", [&] { Adam<double>(line, {.beta1 = 1}); }},
      {"beta2 is -", [&] { AdamW<double>(line, {.beta2 = -0.1}); }},
      {"beta1 is nan", [&] { Adam<double>(line).set_momentum(nan); }},
      {"eps is -", [&] { AdamW<double>(line, {.eps = -1e-3}); }},
      {"matches no parameter; the first are weight, bias",
       [&] { Sgd<double>(line, {.groups = {{.matches = below("wieght")}}}); }},
      {"groups[0].matches is empty", [&] { Sgd<double>(line, {.groups = {{}}}); }},
      {"learning_rate_scale of a group is -",
       [&] { Sgd<double>(line, {.groups = {{.matches = below("bias"), .learning_rate_scale = -1}}}); }},
      {"weight_decay of a group is -",
       [&] { Sgd<double>(line, {.groups = {{.matches = below("bias"), .weight_decay = -1}}}); }},
      {"the model has no parameters", [&] { Sgd<double>(NoModel{}); }},
      {"max_norm is -", [&] { clip_grad_norm(gradients, -1); }},
      {"max_norm is nan", [&] { clip_grad_norm(gradients, nan); }},
      {"norm_type is 0", [&] { clip_grad_norm(gradients, 1, 0); }},
      {"max_value is -", [&] { clip_grad_value(gradients, -1); }},
      {"decay is 1.5", [&] { Ema<double>(line, {.decay = 1.5}); }},
      {"decay is nan", [&] { Ema<double>(line, {.decay = nan}); }},
      {"min_decay is -", [&] { Ema<double>(line, {.min_decay = -1}); }},
      {"warmup_gamma is 0", [&] { Ema<double>(line, {.warmup_gamma = 0}); }},
  };
  for (const Row& row : rows) try {
      row.make();
      ADD_FAILURE() << row.text << ": nothing was thrown";
    } catch (const OptionError& e) {
      EXPECT_NE(std::string(e.what()).find(row.text), std::string::npos) << e.what();
    }
}
}  // namespace
}  // namespace optimizer_test
