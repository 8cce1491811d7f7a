#pragma once
#include "attend/layers/tracked_norm.hpp"

ATTEND_BEGIN

struct GroupNormOptions {
  Index num_groups = 1;
  Index channels = 0;  ///< a multiple of num_groups
  double eps = 1e-5;   ///< added to the variance, under the root
  bool affine = true;  ///< weight and bias per channel
};

/// y = (x - mean) / sqrt(variance + eps) weight + bias, mean and biased variance of each sample over its middle axes
/// and the channels of one group.  x: (batch, ..., channels), any rank from 2 on.  Wu and He 2018; torch.nn.GroupNorm.
template <class S>
class GroupNorm : public Layer<GroupNorm<S>> {
 public:
  explicit GroupNorm(const GroupNormOptions& options) : options_(options) {
    detail::check_norm_options("GroupNorm", options.channels, options.eps);
    require<OptionError>(options.num_groups > 0 && options.channels % options.num_groups == 0, "GroupNorm", [&] {
      return message("channels is ", options.channels, "; it must be divisible by num_groups = ", options.num_groups);
    });
    if (options.affine) weight_.emplace(Shape<1>{options.channels}, S(1)), bias_.emplace(Shape<1>{options.channels});
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    require(x.dim(-1) == options_.channels, "GroupNorm", [&] {
      return message("x has shape ", x.shape(), "; its last axis must be channels = ", options_.channels);
    });
    return group_norm(x, options_.num_groups, on(weight_, x), on(bias_, x), options_.eps);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    if (self.weight_) visit("weight", *self.weight_), visit("bias", *self.bias_);
  }

 private:
  GroupNormOptions options_;
  std::optional<Parameter<S, 1>> weight_, bias_;
};

ATTEND_END
