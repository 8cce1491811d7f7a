#pragma once
#include <map>

#include "attend/train/moments.hpp"
#include "attend/train/parameter_group.hpp"
#include "attend/train/state.hpp"

ATTEND_BEGIN

/// What an optimizer remembers of one parameter.
template <class S>
struct OptimizerState {
  Index steps = 0;                    // that had a gradient
  std::vector<std::vector<S>> slots;  // as many as the rule names
};

/// The part all optimizers share; `Rule` is the formula: `Options`, `name`, `slots()`, `update(...)`, `momentum()`.
///
/// State is kept by dotted name, so the model may be moved or loaded anew between steps. A step is deterministic,
/// whatever the number of threads.
template <class S, class Rule>
class Optimizer {
 public:
  using Options = typename Rule::Options;

  /// Throws OptionError: an option out of range, a group without parameters, a model without parameters.
  template <class Model>
  explicit Optimizer(const Model& model, const Options& options = {})
      : rule_(options), learning_rate_(options.learning_rate), groups_(options.groups) {
    const auto check = [](const char* what, double value) {
      attend::require<OptionError>(value >= 0 && std::isfinite(value), Rule::name, [&] {
        return message(what, " is ", value, "; it must be finite and not negative");
      });
    };
    check("learning_rate", options.learning_rate);
    check("weight_decay", options.weight_decay);
    const auto all = distinct_parameters<S>(model);
    std::vector<Index> matched(groups_.size());
    bool any = false;
    for (const auto& p : all) {
      any = any || p->kind() == Kind::parameter;
      for (std::size_t g = 0; g < groups_.size(); ++g)
        if (p->kind() == Kind::parameter && matches(g, p.name, p->shape())) ++matched[g];
    }
    attend::require<OptionError>(any, Rule::name, [] { return "the model has no parameters"; });
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      check("learning_rate_scale of a group", groups_[g].learning_rate_scale);
      check("weight_decay of a group", groups_[g].weight_decay.value_or(0));
      attend::require<OptionError>(matched[g] > 0, Rule::name, [&] {
        return message("groups[", g, "] matches no parameter; the first are ", first_names(all));
      });
    }
  }

  /// Changes the model: its trainable parameters that have a gradient, and the running moments of its norms. Frozen
  /// parameters and those that took no part stay as they are, without decay. Throws OptionError if the gradients are of
  /// another model, or a parameter changed its size since the last step; the model is then unchanged.
  template <class Model>
  void step(Model& model, const Gradients<S>& gradients) {
    const auto all = distinct_parameters<S>(model);
    std::vector<Work> work;
    bool ours = gradients.parameter_count() == 0;
    for (const auto& p : all) {
      const S* gradient = gradients.find(*p.data);
      ours = ours || gradient;
      if (gradient && p->trainable()) work.push_back({&p, gradient, nullptr});
    }
    attend::require<OptionError>(ours, Rule::name, [] {
      return "the gradients are of another model: a copy of a model has parameters of its own";
    });
    for (Work& w : work) w.state = &state_of(w.parameter->name, (*w.parameter)->size());
    for (const Work& w : work) {
      const auto [scale, weight_decay] = rates_of(w.parameter->name, (*w.parameter)->shape());
      auto values = (*w.parameter)->edit_flat();
      rule_.template update<S>(learning_rate_ * scale, weight_decay, values.size(), values.data(), w.gradient,
                               *w.state);
      ++w.state->steps;
    }
    store_moments(all, gradients);
  }

  double learning_rate() const { return learning_rate_; }
  /// For the next steps; groups scale it.
  void set_learning_rate(double rate) {
    attend::require<OptionError>(rate >= 0 && std::isfinite(rate), Rule::name, [&] {
      return message("learning_rate is ", rate, "; it must be finite and not negative");
    });
    learning_rate_ = rate;
  }
  /// Momentum of Sgd, beta1 of Adam: what OneCycleLR cycles.
  double momentum() const { return rule_.momentum(); }
  void set_momentum(double momentum) { rule_.set_momentum(momentum); }

  const std::map<std::string, OptimizerState<S>>& states() const { return states_; }

  /// Everything a resumed run needs: learning rate, momentum and, by name, steps and slots.
  void save(State& to, const std::string& path) const {
    to.put(path + ".rule", std::string(Rule::name));
    to.put(path + ".rates", std::vector<double>{learning_rate_, rule_.momentum()});
    const auto names = rule_.slots();
    for (const auto& [name, state] : states_) {
      to.put(path + ".state." + name + ".step", std::vector<std::int64_t>{state.steps});
      for (std::size_t i = 0; i < names.size(); ++i) to.put(path + ".state." + name + "." + names[i], state.slots[i]);
    }
  }
  /// Reads it all and checks it; the returned function puts it in place and cannot fail.
  [[nodiscard]] std::function<void()> stage(const State& from, const std::string& path) {
    const auto rule = from.text(path + ".rule");
    from.require(rule == Rule::name, [&] {
      return message(path, " holds the state of ", State::printable(rule), "; this optimizer is ", Rule::name);
    });
    const auto rates = from.array<double>(path + ".rates", 2);
    from.require(rates[0] >= 0 && std::isfinite(rates[0]),
                 [&] { return message(path, ".rates holds no learning rate"); });
    auto rule_then = rule_;
    if (rates[1] != rule_.momentum()) rule_then.set_momentum(rates[1]);
    std::map<std::string, OptimizerState<S>> states;
    const std::string front = path + ".state.", back = ".step";
    const auto names = rule_.slots();
    for (const std::string& entry : from.names(front)) {
      if (entry.size() < front.size() + back.size() ||
          entry.compare(entry.size() - back.size(), back.size(), back) != 0)
        continue;
      const std::string name = entry.substr(front.size(), entry.size() - front.size() - back.size());
      OptimizerState<S>& state = states[name];
      state.steps = from.array<std::int64_t>(entry, 1)[0];
      from.require(state.steps >= 0, [&] { return message(State::printable(entry), " is negative"); });
      for (const char* slot : names) {
        state.slots.push_back(from.array<S>(front + name + "." + slot));
        from.require(state.slots.back().size() == state.slots.front().size(),
                     [&] { return message("the slots of ", State::printable(name), " have different sizes"); });
      }
    }
    return [this, rule_then, rate = rates[0], states = std::move(states)]() mutable {
      rule_ = rule_then;
      learning_rate_ = rate;
      states_.swap(states);
    };
  }

 private:
  struct Work {
    const ParameterRef<S>* parameter;
    const S* gradient;
    OptimizerState<S>* state;
  };
  bool matches(std::size_t group, const std::string& name, const std::vector<Index>& shape) const {
    attend::require<OptionError>(static_cast<bool>(groups_[group].matches), Rule::name, [&] {
      return message("groups[", group, "].matches is empty; it picks the group's parameters");
    });
    return groups_[group].matches(name, shape);
  }
  std::pair<double, double> rates_of(const std::string& name, const std::vector<Index>& shape) const {
    for (std::size_t g = 0; g < groups_.size(); ++g)
      if (matches(g, name, shape))
        return {groups_[g].learning_rate_scale, groups_[g].weight_decay.value_or(rule_.options().weight_decay)};
    return {1, rule_.options().weight_decay};
  }
  OptimizerState<S>& state_of(const std::string& name, Index size) {
    OptimizerState<S>& state = states_[name];
    const auto count = static_cast<std::size_t>(size);
    if (state.slots.empty()) state.slots.assign(rule_.slots().size(), std::vector<S>(count));
    for (const auto& slot : state.slots)
      attend::require<OptionError>(slot.size() == count, Rule::name, [&] {
        return message(name, " has ", count, " elements; its state has ", slot.size());
      });
    return state;
  }
  template <class Refs>
  static std::string first_names(const Refs& all) {
    std::string text;
    for (std::size_t i = 0; i < all.size() && i < 3; ++i) text += (i ? ", " : "") + all[i].name;
    return text;
  }

  Rule rule_;
  double learning_rate_;
  std::vector<ParameterGroup> groups_;
  std::map<std::string, OptimizerState<S>> states_;
};

ATTEND_END
