#pragma once
#include "attend/kernels/optimizer.hpp"
#include "attend/train/optimizer.hpp"

ATTEND_BEGIN

struct SgdOptions {
  double learning_rate = 1e-3;
  double momentum = 0;      ///< in [0, 1]
  double dampening = 0;     ///< the gradient enters the momentum times 1 - dampening
  double weight_decay = 0;  ///< added to the gradient times the parameter
  bool nesterov = false;    ///< needs momentum and no dampening
  std::vector<ParameterGroup> groups = {};
};

class SgdRule {
 public:
  using Options = SgdOptions;
  static constexpr const char* name = "Sgd";

  explicit SgdRule(const SgdOptions& options) : options_(options) {
    check(options.momentum);
    require<OptionError>(std::isfinite(options.dampening), name, [&] { return "dampening is not finite"; });
    require<OptionError>(!options.nesterov || (options.momentum > 0 && options.dampening == 0), name, [&] {
      return message("nesterov needs momentum > 0 and dampening = 0; they are ", options.momentum, " and ",
                     options.dampening);
    });
  }
  const SgdOptions& options() const { return options_; }
  std::vector<const char*> slots() const {
    return has_buffer_ ? std::vector<const char*>{"momentum_buffer"} : std::vector<const char*>{};
  }
  double momentum() const { return options_.momentum; }
  void set_momentum(double momentum) {
    check(momentum);
    require<OptionError>(has_buffer_, name, [] { return "this optimizer was made without momentum"; });
    options_.momentum = momentum;
  }
  template <class S>
  void update(double learning_rate, double weight_decay, Index size, S* values, const S* gradient,
              OptimizerState<S>& state) const {
    optimizer_kernels::sgd(optimizer_kernels::SgdStep{learning_rate, weight_decay, options_.momentum,
                                                      options_.dampening, options_.nesterov, state.steps == 0},
                           size, values, gradient, has_buffer_ ? state.slots[0].data() : nullptr);
  }

 private:
  static void check(double momentum) {
    require<OptionError>(momentum >= 0 && momentum <= 1, name,
                         [&] { return message("momentum is ", momentum, "; it must lie in [0, 1]"); });
  }
  SgdOptions options_;
  bool has_buffer_ = options_.momentum > 0;
};

/// Stochastic gradient descent with momentum: g = gradient + decay p;  b = momentum b + (1 - dampening) g, at first g;
/// p -= rate b, or rate (g + momentum b) for Nesterov.  torch.optim.SGD; Sutskever et al. 2013.
template <class S>
using Sgd = Optimizer<S, SgdRule>;

ATTEND_END
