#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/interpolate.hpp"

ATTEND_BEGIN

/// Resizes feature maps, `interpolate`; torch.nn.Upsample.
/// x: (batch, height, width, channels)  ->  (batch, new height, new width, channels)
class Upsample : public Layer<Upsample> {
 public:
  explicit Upsample(const InterpolateOptions& options) : options_(options) {
    detail::check_interpolate("Upsample", options);
  }
  template <class S>
  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    return interpolate(x, options_);
  }
  const InterpolateOptions& options() const { return options_; }

 private:
  InterpolateOptions options_;
};

ATTEND_END
