#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/global_pooling.hpp"

ATTEND_BEGIN

/// The mean over all pixels.  x: (batch, height, width, channels)  ->  (batch, channels)
class GlobalAveragePool2d : public Layer<GlobalAveragePool2d> {
 public:
  template <class S>
  Variable<S, 2> forward(const Variable<S, 4>& x) const {
    return global_average_pool(x);
  }
};

/// The largest of all pixels.  x: (batch, height, width, channels)  ->  (batch, channels)
class GlobalMaxPool2d : public Layer<GlobalMaxPool2d> {
 public:
  template <class S>
  Variable<S, 2> forward(const Variable<S, 4>& x) const {
    return global_max_pool(x);
  }
};

struct GeM2dOptions {
  double p = 3;       ///< the power to start from; 1 is the mean, large the maximum
  double eps = 1e-6;  ///< smaller inputs count as this
};

/// Generalised-mean pooling with a learned power, `generalised_mean_pool`.
/// x: (batch, height, width, channels)  ->  (batch, channels).  p: (1)
template <class S>
class GeM2d : public Layer<GeM2d<S>> {
 public:
  explicit GeM2d(const GeM2dOptions& options = {})
      : options_(checked(options)), p_(Shape<1>{1}, static_cast<S>(options.p)) {}

  Variable<S, 2> forward(const Variable<S, 4>& x) const { return generalised_mean_pool(x, p_.on(x), options_.eps); }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("p", self.p_);
  }

 private:
  static const GeM2dOptions& checked(const GeM2dOptions& o) {
    require<OptionError>(o.p > 0 && o.eps > 0, "GeM2d",
                         [&] { return message("p is ", o.p, " and eps ", o.eps, "; both must be positive"); });
    return o;
  }
  GeM2dOptions options_;
  Parameter<S, 1> p_;
};

ATTEND_END
