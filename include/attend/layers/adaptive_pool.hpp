#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/pooling.hpp"

ATTEND_BEGIN

struct AdaptivePoolOptions {
  Pair output_size = 1;  ///< height and width of the result; 0 keeps the input's
};

/// Means over windows that cover the input evenly, `adaptive_avg_pool2d`.
/// x: (batch, height, width, channels)  ->  (batch, output_size, channels)
class AdaptiveAvgPool2d : public Layer<AdaptiveAvgPool2d> {
 public:
  explicit AdaptiveAvgPool2d(const AdaptivePoolOptions& options = {}) : options_(options) {
    detail::check_output_size("AdaptiveAvgPool2d", options.output_size);
  }
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    return adaptive_avg_pool2d(x, options_.output_size);
  }

 private:
  AdaptivePoolOptions options_;
};

/// The largest cells of the same windows, `adaptive_max_pool2d`.
class AdaptiveMaxPool2d : public Layer<AdaptiveMaxPool2d> {
 public:
  explicit AdaptiveMaxPool2d(const AdaptivePoolOptions& options = {}) : options_(options) {
    detail::check_output_size("AdaptiveMaxPool2d", options.output_size);
  }
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    return adaptive_max_pool2d(x, options_.output_size);
  }

 private:
  AdaptivePoolOptions options_;
};

ATTEND_END
