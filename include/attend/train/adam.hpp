#pragma once
#include "attend/kernels/optimizer.hpp"
#include "attend/train/optimizer.hpp"

ATTEND_BEGIN

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;       ///< of the mean of gradients, in [0, 1)
  double beta2 = 0.999;     ///< of the mean of their squares, in [0, 1)
  double eps = 1e-8;        ///< added to the root, outside it
  double weight_decay = 0;  ///< added to the gradient times the parameter
  bool amsgrad = false;     ///< divides by the largest mean square so far (Reddi et al. 2018)
  std::vector<ParameterGroup> groups = {};
};

struct AdamWOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;          ///< of the mean of gradients, in [0, 1)
  double beta2 = 0.999;        ///< of the mean of their squares, in [0, 1)
  double eps = 1e-8;           ///< added to the root, outside it
  double weight_decay = 1e-2;  ///< decoupled: each step takes rate times this share of the parameter away
  bool amsgrad = false;        ///< divides by the largest mean square so far (Reddi et al. 2018)
  std::vector<ParameterGroup> groups = {};
};

template <class AdamLikeOptions>
class AdamRule {
 public:
  using Options = AdamLikeOptions;
  static constexpr bool decoupled = std::is_same_v<Options, AdamWOptions>;
  static constexpr const char* name = decoupled ? "AdamW" : "Adam";

  explicit AdamRule(const Options& options) : options_(options) {
    check("beta1", options.beta1);
    check("beta2", options.beta2);
    require<OptionError>(options.eps >= 0 && std::isfinite(options.eps), name,
                         [&] { return message("eps is ", options.eps, "; it must be finite and not negative"); });
  }
  const Options& options() const { return options_; }
  std::vector<const char*> slots() const {
    std::vector<const char*> names{"exp_avg", "exp_avg_sq"};
    if (options_.amsgrad) names.push_back("max_exp_avg_sq");
    return names;
  }
  double momentum() const { return options_.beta1; }
  void set_momentum(double beta1) {
    check("beta1", beta1);
    options_.beta1 = beta1;
  }
  template <class S>
  void update(double learning_rate, double weight_decay, Index size, S* values, const S* gradient,
              OptimizerState<S>& state) const {
    optimizer_kernels::adam(optimizer_kernels::AdamStep{learning_rate, weight_decay, options_.beta1, options_.beta2,
                                                        options_.eps, decoupled, static_cast<double>(state.steps + 1)},
                            size, values, gradient, state.slots[0].data(), state.slots[1].data(),
                            options_.amsgrad ? state.slots[2].data() : nullptr);
  }

 private:
  static void check(const char* what, double beta) {
    require<OptionError>(beta >= 0 && beta < 1, name,
                         [&] { return message(what, " is ", beta, "; it must lie in [0, 1)"); });
  }
  Options options_;
};

/// Kingma and Ba 2015, with L2 decay inside the gradient.  torch.optim.Adam
template <class S>
using Adam = Optimizer<S, AdamRule<AdamOptions>>;
/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).  torch.optim.AdamW
template <class S>
using AdamW = Optimizer<S, AdamRule<AdamWOptions>>;

ATTEND_END
