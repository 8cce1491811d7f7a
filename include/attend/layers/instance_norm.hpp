#pragma once
#include "attend/layers/batch_norm.hpp"

ATTEND_BEGIN

struct InstanceNormOptions {
  Index channels = 0;
  double eps = 1e-5;                     ///< added to the variance, under the root
  std::optional<double> momentum = 0.1;  ///< of the running statistics; nullopt: average of all steps
  bool affine = false;                   ///< weight and bias per channel: unlike the other norms, off by default
  bool track_running_stats = false;      ///< true: evaluation uses running averages over samples and steps
};

/// y = (x - mean) / sqrt(variance + eps) weight + bias, mean and biased variance of each sample and channel over the
/// middle axes. x: (batch, ..., channels), any rank from 3 on.  Throws ShapeError for one value per sample and channel.
/// Ulyanov et al. 2016; torch.nn.InstanceNorm1d, 2d, 3d.
template <class S>
class InstanceNorm : public Layer<InstanceNorm<S>> {
 public:
  explicit InstanceNorm(const InstanceNormOptions& options) : options_(options) {
    detail::check_norm_options("InstanceNorm", options.channels, options.eps, options.momentum);
    if (options.affine) weight_.emplace(Shape<1>{options.channels}, S(1)), bias_.emplace(Shape<1>{options.channels});
    if (options.track_running_stats) running_.emplace(options.channels);
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    Operation<S> op("InstanceNorm", x);
    op.require(x.dim(-1) == options_.channels, [&] {
      return "x has shape " + to_string(x.shape()) +
             "; its last axis must be channels = " + std::to_string(options_.channels);
    });
    if (running_ && !op.training())
      return batch_norm_with(x, running_->mean.on(x), running_->variance.on(x), on(weight_, x), on(bias_, x),
                             options_.eps);
    BatchStatistics<S> found;
    const auto y = instance_norm(x, on(weight_, x), on(bias_, x), options_.eps, running_ ? &found : nullptr);
    if (running_) running_->report(*op.tape(), options_.momentum, found);
    return y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.weight_) visit("weight", *self.weight_), visit("bias", *self.bias_);
    if (self.running_) self.running_->children(*self.running_, visit);
  }

 private:
  InstanceNormOptions options_;
  std::optional<Parameter<S, 1>> weight_, bias_;
  std::optional<detail::RunningStatistics<S>> running_;
};

ATTEND_END
