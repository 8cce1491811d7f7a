#pragma once
#include "attend/autograd/walk.hpp"
#include "attend/kernels/optimizer.hpp"
#include "attend/train/state.hpp"

ATTEND_BEGIN

struct EmaOptions {
  double decay = 0.9999;          ///< in [0, 1]; an average over about 1 / (1 - decay) steps
  bool warmup = false;            ///< begin with a small decay that grows: 1 - (1 + n / gamma)^-power, up to `decay`
  double warmup_gamma = 1;        ///< positive
  double warmup_power = 2.0 / 3;  ///< 2/3 for runs of a million steps, 3/4 for shorter ones
  double min_decay = 0;           ///< the warm-up's least
};

/// Exponential moving average of a model's parameters: average += (1 - decay) (value - average) after each step, often
/// better than the last weights (Polyak and Juditsky 1992). Buffers are copied. Kept by dotted name.
/// timm.utils.ModelEmaV3 with exclude_buffers = True; update number n is its step n.
template <class S>
class Ema {
 public:
  /// Starts at the model's values.
  template <class Model>
  explicit Ema(const Model& model, const EmaOptions& options = {}) : options_(options) {
    const auto in_unit = [](const char* what, double v) {
      attend::require<OptionError>(v >= 0 && v <= 1, "Ema",
                                   [&] { return message(what, " is ", v, "; it must lie in [0, 1]"); });
    };
    in_unit("decay", options.decay);
    in_unit("min_decay", options.min_decay);
    attend::require<OptionError>(options.warmup_gamma > 0 && options.warmup_power > 0, "Ema", [&] {
      return message("warmup_gamma is ", options.warmup_gamma, " and warmup_power ", options.warmup_power,
                     "; both must be positive");
    });
    for (const auto& p : distinct_parameters<S>(model))
      values_.emplace(p.name, std::vector<S>(p->data(), p->data() + p->size()));
  }

  /// The decay that update number `update` (from 1) uses.
  double decay_at(Index update) const {
    if (!options_.warmup) return options_.decay;
    const double n = static_cast<double>(update - 1);
    if (n <= 0) return 0;
    const double grown = 1 - std::pow(1 + n / options_.warmup_gamma, -options_.warmup_power);
    return std::max(std::min(grown, options_.decay), options_.min_decay);
  }
  Index updates() const { return updates_; }

  /// After each step of the optimizer.
  template <class Model>
  void update(const Model& model) {
    const auto all = matched(distinct_parameters<S>(model));
    const double decay = decay_at(++updates_);
    for (const auto& [p, average] : all) {
      if (p->kind() == Kind::parameter)
        optimizer_kernels::blend(decay, p->size(), p->data(), average->data());
      else
        std::copy_n(p->data(), p->size(), average->data());
    }
  }
  /// Sets the model to the average.
  template <class Model>
  void copy_to(Model& model) const {
    const auto all = distinct_parameters<S>(model);
    for (const auto& p : all) matched(p.name, p->size());  // throws before anything is changed
    for (const auto& p : all) {
      const auto& average = matched(p.name, p->size());
      std::copy(average.begin(), average.end(), p->edit_flat().data());
    }
  }
  /// Exchanges the model's values with the average: once to evaluate with it, once more to go on training.
  template <class Model>
  void swap(Model& model) {
    for (auto& [p, average] : matched(distinct_parameters<S>(model)))
      std::swap_ranges(average->begin(), average->end(), p->edit_flat().data());
  }

  void save(State& to, const std::string& path) const {
    to.put(path + ".updates", std::vector<std::int64_t>{updates_});
    for (const auto& [name, average] : values_) to.put(path + ".average." + name, average);
  }
  /// Reads it all and checks it; the returned function puts it in place and cannot fail.
  [[nodiscard]] std::function<void()> stage(const State& from, const std::string& path) {
    const Index updates = from.array<std::int64_t>(path + ".updates", 1)[0];
    from.require(updates >= 0, [&] { return message(path, ".updates is negative"); });
    std::map<std::string, std::vector<S>> values;
    for (const auto& [name, average] : values_)
      values.emplace(name, from.array<S>(path + ".average." + name, static_cast<Index>(average.size())));
    return [this, updates, values = std::move(values)]() mutable {
      updates_ = updates;
      values_.swap(values);
    };
  }

 private:
  const std::vector<S>& matched(const std::string& name, Index size) const {
    const auto found = values_.find(name);
    attend::require<OptionError>(
        found != values_.end() && static_cast<Index>(found->second.size()) == size, "Ema",
        [&] { return message(name, " with ", size, " elements is not in the model that was averaged"); });
    return found->second;
  }
  template <class Ref>
  std::vector<std::pair<Ref, std::vector<S>*>> matched(const std::vector<Ref>& all) {
    std::vector<std::pair<Ref, std::vector<S>*>> pairs;
    for (const Ref& p : all) pairs.emplace_back(p, &const_cast<std::vector<S>&>(matched(p.name, p->size())));
    return pairs;
  }
  EmaOptions options_;
  Index updates_ = 0;
  std::map<std::string, std::vector<S>> values_;
};

ATTEND_END
