#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/norm.hpp"

ATTEND_BEGIN

namespace detail {
inline void check_norm_options(const char* layer, Index channels, double eps,
                               std::optional<double> momentum = std::nullopt) {
  require<OptionError>(channels > 0, layer,
                       [&] { return message("channels is ", channels, "; it must be at least 1"); });
  require<OptionError>(eps >= 0, layer, [&] { return message("eps is ", eps, "; it must be 0 or more"); });
  require<OptionError>(!momentum || (*momentum >= 0 && *momentum <= 1), layer,
                       [&] { return message("momentum is ", *momentum, "; it must lie in [0, 1]"); });
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

/// What batch and instance norm share: weight, bias, running statistics, and which statistics count when.
template <class S>
class TrackedNorm {
 public:
  template <class Options>
  TrackedNorm(const char* layer, const Options& o)
      : layer_(layer), channels_(o.channels), eps_(o.eps), momentum_(o.momentum) {
    check_norm_options(layer, o.channels, o.eps, o.momentum);
    if (o.affine) weight_.emplace(Shape<1>{o.channels}, S(1)), bias_.emplace(Shape<1>{o.channels});
    if (o.track_running_stats) running_.emplace(o.channels);
  }
  /// normalize(x, weight, bias, eps, found): with the statistics of x, which it reports if `found` is not null.
  template <int R, class Normalize>
  Variable<S, R> forward(const Variable<S, R>& x, const Normalize& normalize) const {
    Operation<S> op(layer_, x);
    op.require(x.dim(-1) == channels_,
               [&] { return message("x has shape ", x.shape(), "; its last axis must be channels = ", channels_); });
    const auto weight = on(weight_, x), bias = on(bias_, x);
    if (running_ && !op.training())
      return batch_norm_with(x, running_->mean.on(x), running_->variance.on(x), weight, bias, eps_);
    BatchStatistics<S> found;
    const Variable<S, R> y = normalize(x, weight, bias, eps_, running_ ? &found : nullptr);
    if (running_) running_->report(*op.tape(), momentum_, found);
    return y;
  }
  /// scale and shift (channels each) with which evaluation computes x scale + shift; false if it needs statistics of x.
  bool fold(S* scale, S* shift) const {
    if (!running_) return false;
    const auto data = [](const auto& parameter) -> const S* { return parameter ? parameter->data() : nullptr; };
    channel_norm::fold_running(channels_, eps_, running_->mean.data(), running_->variance.data(), data(weight_),
                               data(bias_), scale, shift);
    return true;
  }
  template <class Self, class Visit>
  static void visit_all(Self& self, Visit&& visit) {
    if (self.weight_) visit("weight", *self.weight_), visit("bias", *self.bias_);
    if (self.running_) self.running_->children(*self.running_, visit);
  }

 private:
  const char* layer_;
  Index channels_;
  double eps_;
  std::optional<double> momentum_;
  std::optional<Parameter<S, 1>> weight_, bias_;
  std::optional<RunningStatistics<S>> running_;
};
}  // namespace detail

ATTEND_END
