#pragma once
#include "attend/layers/tracked_norm.hpp"

ATTEND_BEGIN

struct BatchNormOptions {
  Index channels = 0;
  double eps = 1e-5;                     ///< added to the variance, under the root
  std::optional<double> momentum = 0.1;  ///< running = (1 - momentum) running + momentum batch; nullopt: average of all
  bool affine = true;                    ///< weight and bias per channel
  bool track_running_stats = true;       ///< false: batch statistics in evaluation as well, and no buffers
};

/// y = (x - mean) / sqrt(variance + eps) weight + bias per channel.  x: (..., channels), any rank from 2 on.
///
/// On a training tape mean and (biased) variance are those of the batch, over all axes but the last; the tape carries
/// them with the gradients, and the optimizer's step blends them, the variance unbiased, into running_mean and
/// running_var, and adds 1 to num_batches_tracked. Otherwise the running ones are used. Throws ShapeError for a
/// training batch of one value per channel.  Ioffe and Szegedy 2015; torch.nn.BatchNorm1d, 2d, 3d.
template <class S>
class BatchNorm : public Layer<BatchNorm<S>> {
 public:
  explicit BatchNorm(const BatchNormOptions& options) : options_(options), norm_("BatchNorm", options) {}

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return norm_.forward(x, [](const auto&... given) { return batch_norm(given...); });
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::TrackedNorm<S>::visit_all(self.norm_, visit);
  }
  const BatchNormOptions& options() const { return options_; }
  /// What evaluation computes, as x scale + shift per channel (up to rounding); false without running statistics.
  bool fold(S* scale, S* shift) const { return norm_.fold(scale, shift); }

 private:
  BatchNormOptions options_;
  detail::TrackedNorm<S> norm_;
};

ATTEND_END
