#pragma once
/// Learning rates as pure functions of the step, counted from 0: `optimizer.set_learning_rate(schedule.at(step))`
/// before each step. Nothing to save or to keep in order.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// Any of the schedules below, or a function of the step, chosen at run time.
class Schedule {
 public:
  /// A constant rate.
  Schedule(double rate) : at_([rate](Index) { return rate; }) {}
  /// From any value with `double at(Index) const`.
  template <class F, class = decltype(double(std::declval<const F&>().at(Index())))>
  Schedule(F schedule) : at_([schedule = std::move(schedule)](Index step) { return schedule.at(step); }) {}
  double at(Index step) const { return at_(step); }

 private:
  std::function<double(Index)> at_;
};

namespace detail {
inline void require_rate(const char* schedule, const char* what, double rate) {
  require<OptionError>(rate >= 0 && std::isfinite(rate), schedule,
                       [&] { return message(what, " is ", rate, "; it must be finite and not negative"); });
}
inline void require_steps(const char* schedule, const char* what, Index steps, Index least = 1) {
  require<OptionError>(steps >= least, schedule,
                       [&] { return message(what, " is ", steps, "; it must be at least ", least); });
}
/// From a at 0 to b at 1 along half a cosine.
inline double cosine_between(double a, double b, double share) {
  return b + (a - b) / 2 * (1 + std::cos(3.14159265358979323846 * share));
}
}  // namespace detail

struct StepScheduleOptions {
  double learning_rate = 0.1;
  Index step_size = 1;  ///< steps between two reductions
  double gamma = 0.1;   ///< each reduction multiplies by it
};
/// rate gamma^floor(step / step_size).  torch.optim.lr_scheduler.StepLR
class StepSchedule {
 public:
  explicit StepSchedule(const StepScheduleOptions& options) : options_(options) {
    detail::require_rate("StepSchedule", "learning_rate", options.learning_rate);
    detail::require_rate("StepSchedule", "gamma", options.gamma);
    detail::require_steps("StepSchedule", "step_size", options.step_size);
  }
  double at(Index step) const {
    const Index times = std::max<Index>(step, 0) / options_.step_size;
    return options_.learning_rate * std::pow(options_.gamma, static_cast<double>(times));
  }

 private:
  StepScheduleOptions options_;
};

struct CosineScheduleOptions {
  double learning_rate = 0.1;
  Index total_steps = 1;  ///< after which the rate stays at eta_min
  double eta_min = 0;
};
/// eta_min + (rate - eta_min) (1 + cos(pi step / total_steps)) / 2, then eta_min. (torch's would rise again.)
/// torch.optim.lr_scheduler.CosineAnnealingLR; Loshchilov and Hutter 2017 without restarts.
class CosineSchedule {
 public:
  explicit CosineSchedule(const CosineScheduleOptions& options) : options_(options) {
    detail::require_rate("CosineSchedule", "learning_rate", options.learning_rate);
    detail::require_rate("CosineSchedule", "eta_min", options.eta_min);
    detail::require_steps("CosineSchedule", "total_steps", options.total_steps);
  }
  double at(Index step) const {
    if (step >= options_.total_steps) return options_.eta_min;
    const double share = static_cast<double>(std::max<Index>(step, 0)) / static_cast<double>(options_.total_steps);
    return detail::cosine_between(options_.learning_rate, options_.eta_min, share);
  }

 private:
  CosineScheduleOptions options_;
};

enum class Anneal { cosine, linear };

struct OneCycleScheduleOptions {
  double max_learning_rate = 0.1;
  Index total_steps = 2;
  double warmup_share = 0.3;  ///< of the steps that the rate rises, in [0, 1] (pct_start)
  Anneal anneal = Anneal::cosine;
  double div_factor = 25;         ///< the first rate is max / div_factor
  double final_div_factor = 1e4;  ///< the last rate is the first / final_div_factor
  bool three_phase = false;       ///< falls to the first rate as fast as it rose, then to the last
  double base_momentum = 0.85;    ///< of `momentum_at`, while the rate is highest
  double max_momentum = 0.95;     ///< of `momentum_at`, while the rate is lowest
};
/// Up, then down (Smith and Topin 2019); the last step, number total_steps - 1, and all after have the last rate.
/// torch.optim.lr_scheduler.OneCycleLR
class OneCycleSchedule {
 public:
  explicit OneCycleSchedule(const OneCycleScheduleOptions& o) : options_(o) {
    const char* name = "OneCycleSchedule";
    detail::require_rate(name, "max_learning_rate", o.max_learning_rate);
    detail::require_steps(name, "total_steps", o.total_steps, 2);
    require<OptionError>(o.warmup_share >= 0 && o.warmup_share <= 1, name,
                         [&] { return message("warmup_share is ", o.warmup_share, "; it must lie in [0, 1]"); });
    require<OptionError>(o.div_factor > 0 && o.final_div_factor > 0, name, [&] {
      return message("div_factor is ", o.div_factor, " and final_div_factor ", o.final_div_factor,
                     "; both must be positive");
    });
    detail::require_rate(name, "base_momentum", o.base_momentum);
    detail::require_rate(name, "max_momentum", o.max_momentum);
  }
  double at(Index step) const {
    const double first = options_.max_learning_rate / options_.div_factor;
    return between(step, first, options_.max_learning_rate, first / options_.final_div_factor);
  }
  /// For `optimizer.set_momentum`: low while the rate is high.
  double momentum_at(Index step) const {
    return between(step, options_.max_momentum, options_.base_momentum, options_.max_momentum);
  }

 private:
  /// first -> peak -> (first ->) last, by phases that end at fractional steps as torch's do.
  double between(Index step, double first, double peak, double last) const {
    const double total = static_cast<double>(options_.total_steps), up = options_.warmup_share * total - 1;
    const double back = 2 * options_.warmup_share * total - 2;
    const double at = std::clamp(static_cast<double>(step), 0.0, total - 1);
    if (at <= up) return anneal(first, peak, up == 0 ? 1 : at / up);
    if (!options_.three_phase) return anneal(peak, last, (at - up) / (total - 1 - up));
    if (at <= back) return anneal(peak, first, (at - up) / (back - up));
    return anneal(first, last, (at - back) / (total - 1 - back));
  }
  double anneal(double a, double b, double share) const {
    return options_.anneal == Anneal::cosine ? detail::cosine_between(a, b, share) : a + (b - a) * share;
  }
  OneCycleScheduleOptions options_;
};

struct LinearWarmupOptions {
  Index steps = 5;                ///< of the warm-up; 0: none
  double start_factor = 1.0 / 3;  ///< of the first rate, in [0, 1]
};
/// Before another schedule: its first rate times a factor that rises linearly from start_factor to 1 over `steps`
/// steps; then the schedule from its step 0 on.  torch: SequentialLR of LinearLR and the other.
class LinearWarmup {
 public:
  LinearWarmup(const LinearWarmupOptions& options, Schedule then) : options_(options), then_(std::move(then)) {
    detail::require_steps("LinearWarmup", "steps", options.steps, 0);
    require<OptionError>(options.start_factor >= 0 && options.start_factor <= 1, "LinearWarmup",
                         [&] { return message("start_factor is ", options.start_factor, "; it must lie in [0, 1]"); });
  }
  double at(Index step) const {
    if (step >= options_.steps) return then_.at(step - options_.steps);
    const double share = static_cast<double>(std::max<Index>(step, 0)) / static_cast<double>(options_.steps);
    return then_.at(0) * (options_.start_factor + (1 - options_.start_factor) * share);
  }

 private:
  LinearWarmupOptions options_;
  Schedule then_;
};

ATTEND_END
