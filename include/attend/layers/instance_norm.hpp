#pragma once
#include "attend/layers/tracked_norm.hpp"

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
/// Ulyanov et al. 2016; torch.nn.InstanceNorm1d, 2d, 3d, except that num_batches_tracked counts (PyTorch leaves it 0).
template <class S>
class InstanceNorm : public Layer<InstanceNorm<S>> {
 public:
  explicit InstanceNorm(const InstanceNormOptions& options) : norm_("InstanceNorm", options) {}

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    return norm_.forward(x, [](const auto&... given) { return instance_norm(given...); });
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    detail::TrackedNorm<S>::visit_all(self.norm_, visit);
  }

 private:
  detail::TrackedNorm<S> norm_;
};

ATTEND_END
