#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/activation.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/mathematics.hpp"
#include "attend/functional/reduction.hpp"

ATTEND_BEGIN

struct SimAmOptions {
  double lambda = 1e-4;  ///< added to the variance
};

/// SimAM (Yang et al. 2021, section 3.2), attention without parameters: a value counts the more, the further it is from
/// the mean of its channel.
///
///   d = (x - mean)^2,   v = sum over positions of d / (H W - 1),   y = x sigmoid(d / (4 (v + lambda)) + 1/2)
///
/// x: (batch, height, width, channels), any number of channels  ->  the same shape. Offers "gate" (batch, height, width,
/// channels). Throws OptionError unless lambda is positive, ShapeError for less than two positions.
class SimAm : public Layer<SimAm> {
 public:
  explicit SimAm(const SimAmOptions& options = {}) : lambda_(options.lambda) {
    require<OptionError>(lambda_ > 0, "SimAm", [&] { return message("lambda = ", lambda_, " must be above 0"); });
  }
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const Index positions = x.dim(1) * x.dim(2);
    require(positions > 1, "SimAm",
            [&] { return message("x has shape ", x.shape(), "; a variance needs at least two positions"); });
    const auto distance = square(x - mean(x, {1, 2}, keep_dims));
    const auto variance = sum(distance, {1, 2}, keep_dims) / double(positions - 1);
    const auto gate = sigmoid(distance / ((variance + lambda_) * 4) + 0.5);
    offer(*this, "gate", gate);
    return x * gate;
  }

 private:
  double lambda_;
};

ATTEND_END
