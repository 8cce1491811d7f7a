#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/pooling.hpp"

ATTEND_BEGIN

/// The mean of each window, `avg_pool2d`.  x: (batch, height, width, channels)
class AvgPool2d : public Layer<AvgPool2d> {
 public:
  explicit AvgPool2d(const AvgPoolOptions& options) : options_(options) {
    detail::pool_shape("AvgPool2d", options.kernel_size, options.stride, options.padding, 1);
  }
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    return avg_pool2d(x, options_);
  }
  const AvgPoolOptions& options() const { return options_; }

 private:
  AvgPoolOptions options_;
};

/// `avg_pool1d`.  x: (batch, length, channels)
class AvgPool1d : public Layer<AvgPool1d> {
 public:
  explicit AvgPool1d(const AvgPoolOptions& options) : options_(options) {
    detail::pool_shape("AvgPool1d", options.kernel_size, options.stride, options.padding, 1);
  }
  template <class S>
  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    return avg_pool1d(x, options_);
  }
  const AvgPoolOptions& options() const { return options_; }

 private:
  AvgPoolOptions options_;
};

ATTEND_END
