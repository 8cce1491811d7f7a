#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/pooling.hpp"

ATTEND_BEGIN

/// The largest cell of each window, `max_pool2d`.  x: (batch, height, width, channels)
class MaxPool2d : public Layer<MaxPool2d> {
 public:
  explicit MaxPool2d(const MaxPoolOptions& options) : options_(options) {
    detail::pool_shape("MaxPool2d", options.kernel_size, options.stride, options.padding, options.dilation);
  }
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    return max_pool2d(x, options_);
  }
  const MaxPoolOptions& options() const { return options_; }

 private:
  MaxPoolOptions options_;
};

/// `max_pool1d`.  x: (batch, length, channels)
class MaxPool1d : public Layer<MaxPool1d> {
 public:
  explicit MaxPool1d(const MaxPoolOptions& options) : options_(options) {
    detail::pool_shape("MaxPool1d", options.kernel_size, options.stride, options.padding, options.dilation);
  }
  template <class S>
  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    return max_pool1d(x, options_);
  }
  const MaxPoolOptions& options() const { return options_; }

 private:
  MaxPoolOptions options_;
};

ATTEND_END
