#include "attend/train/schedule.hpp"

#include <gtest/gtest.h>

#include "torch_values.hpp"

namespace schedule_test {
using namespace attend;

namespace {
Schedule schedule_named(const std::string& name) {
  if (name == "constant") return 0.3;
  if (name == "step") return StepSchedule({.learning_rate = 0.3, .step_size = 70, .gamma = 0.7});
  if (name == "cosine") return CosineSchedule({.learning_rate = 0.3, .total_steps = 1000});
  if (name == "cosine eta_min") return CosineSchedule({.learning_rate = 0.3, .total_steps = 1000, .eta_min = 0.02});
  if (name == "one cycle") return OneCycleSchedule({.max_learning_rate = 0.3, .total_steps = 1000});
  if (name == "one cycle linear")
    return OneCycleSchedule({.max_learning_rate = 0.3,
                             .total_steps = 1000,
                             .warmup_share = 0.21,
                             .anneal = Anneal::linear,
                             .div_factor = 10,
                             .final_div_factor = 50});
  if (name == "one cycle three phases")
    return OneCycleSchedule({.max_learning_rate = 0.3, .total_steps = 1000, .warmup_share = 0.4, .three_phase = true});
  const Index warm = name == "warm-up" ? 5 : 250;
  return LinearWarmup({.steps = warm, .start_factor = name == "warm-up" ? 1.0 / 3 : 0.01},
                      CosineSchedule({.learning_rate = 0.3, .total_steps = 1000 - warm, .eta_min = 0.01}));
}

TEST(Schedule, AgreesWithTorchOverAThousandSteps) {
  ASSERT_EQ(torch_values::schedules.size(), 9u);
  for (const auto& expected : torch_values::schedules) {
    const Schedule schedule = schedule_named(expected.name);
    // torch computes cosine and step recursively: a thousand roundings of relative size 1e-16, which near the end are
    // those of the larger rates before
    for (std::size_t i = 0; i < expected.steps.size(); ++i)
      EXPECT_NEAR(schedule.at(expected.steps[i]), expected.rates[i], 2e-14)
          << expected.name << " " << expected.steps[i];
    double sum = 0;
    for (Index step = 0; step < 1000; ++step) sum += schedule.at(step);
    EXPECT_NEAR(sum, expected.sum_of_1000, 1e-11) << expected.name;
  }
}

TEST(Schedule, OneCycleMomentumAgreesWithTorch) {
  for (const auto& expected : torch_values::schedules) {
    const std::string name = expected.name;
    if (name.rfind("one cycle", 0) != 0) continue;
    OneCycleScheduleOptions o{.max_learning_rate = 0.3, .total_steps = 1000};
    if (name == "one cycle linear") o.warmup_share = 0.21, o.anneal = Anneal::linear;
    if (name == "one cycle three phases")
      o.warmup_share = 0.4, o.three_phase = true, o.base_momentum = 0.7, o.max_momentum = 0.97;
    for (std::size_t i = 0; i < expected.steps.size(); ++i)
      EXPECT_NEAR(OneCycleSchedule(o).momentum_at(expected.steps[i]), expected.momenta[i], 1e-14) << name << " " << i;
  }
}

TEST(Schedule, TheEndsAreExact) {
  const CosineSchedule cosine({.learning_rate = 0.5, .total_steps = 10, .eta_min = 0.125});
  EXPECT_EQ(cosine.at(0), 0.5);
  EXPECT_EQ(cosine.at(10), 0.125);
  EXPECT_EQ(cosine.at(10000), 0.125);  // no restart
  EXPECT_EQ(cosine.at(-3), 0.5);
  const OneCycleSchedule cycle({.max_learning_rate = 1, .total_steps = 20, .div_factor = 4, .final_div_factor = 8});
  EXPECT_DOUBLE_EQ(cycle.at(0), 0.25);
  EXPECT_DOUBLE_EQ(cycle.at(5), 1);  // 0.3 * 20 - 1
  EXPECT_DOUBLE_EQ(cycle.at(19), 1.0 / 32);
  EXPECT_DOUBLE_EQ(cycle.at(50), 1.0 / 32);
  const StepSchedule step({.learning_rate = 8, .step_size = 3, .gamma = 0.5});
  for (Index i = 0; i < 9; ++i) EXPECT_EQ(step.at(i), 8 / double(1 << (i / 3)));
  const LinearWarmup warm({.steps = 4, .start_factor = 0}, Schedule(2.0));
  for (Index i = 0; i < 6; ++i) EXPECT_DOUBLE_EQ(warm.at(i), std::min(2.0, 0.5 * double(i)));
  EXPECT_EQ(LinearWarmup({.steps = 0}, Schedule(2.0)).at(0), 2);
  // degenerate cycles: all rising, all falling
  for (const double share : {0.0, 1.0})
    for (Index total = 2; total < 5; ++total)
      for (Index i = 0; i < total; ++i)
        EXPECT_TRUE(std::isfinite(
            OneCycleSchedule({.max_learning_rate = 1, .total_steps = total, .warmup_share = share}).at(i)));
}

TEST(BadInput, Schedules) {
  const double nan = std::nan("");
  struct Row {
    const char* text;
    std::function<void()> make;
  };
  const std::vector<Row> rows = {
      {"learning_rate is -", [] { StepSchedule({.learning_rate = -1}); }},
      {"step_size is 0", [] { StepSchedule({.step_size = 0}); }},
      {"gamma is nan", [=] { StepSchedule({.gamma = nan}); }},
      {"total_steps is 0", [] { CosineSchedule({.total_steps = 0}); }},
      {"eta_min is -", [] { CosineSchedule({.eta_min = -0.1}); }},
      {"learning_rate is inf", [] { CosineSchedule({.learning_rate = HUGE_VAL}); }},
      {"total_steps is 1", [] { OneCycleSchedule({.total_steps = 1}); }},
      {"warmup_share is 1.5", [] { OneCycleSchedule({.warmup_share = 1.5}); }},
      {"warmup_share is nan", [=] { OneCycleSchedule({.warmup_share = nan}); }},
      {"div_factor is 0", [] { OneCycleSchedule({.div_factor = 0}); }},
      {"final_div_factor -1", [] { OneCycleSchedule({.final_div_factor = -1}); }},
      {"base_momentum is -", [] { OneCycleSchedule({.base_momentum = -1}); }},
      {"steps is -1", [] { LinearWarmup({.steps = -1}, 1.0); }},
      {"start_factor is 2", [] { LinearWarmup({.start_factor = 2}, 1.0); }},
  };
  for (const Row& row : rows) try {
      row.make();
      ADD_FAILURE() << row.text << ": nothing was thrown";
    } catch (const OptionError& e) {
      EXPECT_NE(std::string(e.what()).find(row.text), std::string::npos) << e.what();
    }
}
}  // namespace
}  // namespace schedule_test
