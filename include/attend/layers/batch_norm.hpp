#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/norm.hpp"

ATTEND_BEGIN

struct BatchNormOptions {
  Index channels = 0;
  double eps = 1e-5;                     ///< added to the variance, under the root
  std::optional<double> momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch; nullopt: average of all
  bool affine = true;                    ///< weight and bias per channel
  bool track_running_stats = true;       ///< false: batch statistics in evaluation as well, and no buffers
};

namespace detail {
inline void check_norm_options(const char* layer, Index channels, double eps,
                               std::optional<double> momentum = std::nullopt) {
  require<OptionError>(channels > 0, layer,
                       [&] { return "channels is " + std::to_string(channels) + "; it must be at least 1"; });
  require<OptionError>(eps >= 0, layer, [&] { return "eps is " + std::to_string(eps) + "; it must be 0 or more"; });
  require<OptionError>(!momentum || (*momentum >= 0 && *momentum <= 1), layer,
                       [&] { return "momentum is " + std::to_string(*momentum) + "; it must lie in [0, 1]"; });
}

/// The buffers of a normalisation that tracks its statistics. Only an optimizer's step writes them: forward reports.
template <class S>
struct RunningStatistics {
  explicit RunningStatistics(Index channels)
      : mean({channels}, S(0), Kind::buffer),
        variance({channels}, S(1), Kind::buffer),
        batches({}, S(0), Kind::buffer) {}
  void report(Tape<S>& tape, std::optional<double> momentum, const BatchStatistics<S>& found) const {
    if (found.count < 2) return;
    const S share = momentum ? S(*momentum) : S(1) / (*batches.data() + S(1));
    tape.report(Moments<S>{mean.id(), variance.id(), share, found.count, found.mean, found.variance, batches.id()});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("running_mean", self.mean);
    visit("running_var", self.variance);
    visit("num_batches_tracked", self.batches);
  }
  Parameter<S, 1> mean, variance;
  Parameter<S, 0> batches;
};
}  // namespace detail

/// y = (x - mean) / sqrt(variance + eps) weight + bias per channel.  x: (..., channels), any rank from 2 on.
///
/// On a training tape mean and (biased) variance are those of the batch, over all axes but the last; the tape carries
/// them with the gradients, and the optimizer's step blends them, the variance unbiased, into running_mean and
/// running_var, and adds 1 to num_batches_tracked. Otherwise the running ones are used. Throws ShapeError for a
/// training batch of one value per channel.  Ioffe and Szegedy 2015; torch.nn.BatchNorm1d, 2d, 3d.
template <class S>
class BatchNorm : public Layer<BatchNorm<S>> {
 public:
  explicit BatchNorm(const BatchNormOptions& options) : options_(options) {
    detail::check_norm_options("BatchNorm", options.channels, options.eps, options.momentum);
    if (options.affine) weight_.emplace(Shape<1>{options.channels}, S(1)), bias_.emplace(Shape<1>{options.channels});
    if (options.track_running_stats) running_.emplace(options.channels);
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    Operation<S> op("BatchNorm", x);
    op.require(x.dim(-1) == options_.channels, [&] {
      return "x has shape " + to_string(x.shape()) +
             "; its last axis must be channels = " + std::to_string(options_.channels);
    });
    if (running_ && !op.training())
      return batch_norm_with(x, running_->mean.on(x), running_->variance.on(x), on(weight_, x), on(bias_, x),
                             options_.eps);
    BatchStatistics<S> found;
    const auto y = batch_norm(x, on(weight_, x), on(bias_, x), options_.eps, running_ ? &found : nullptr);
    if (running_) running_->report(*op.tape(), options_.momentum, found);
    return y;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.weight_) visit("weight", *self.weight_), visit("bias", *self.bias_);
    if (self.running_) self.running_->children(*self.running_, visit);
  }
  const BatchNormOptions& options() const { return options_; }

 private:
  BatchNormOptions options_;
  std::optional<Parameter<S, 1>> weight_, bias_;
  std::optional<detail::RunningStatistics<S>> running_;
};

ATTEND_END
