#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/mathematics.hpp"
#include "attend/functional/reduction.hpp"

ATTEND_BEGIN

struct LsePoolOptions {
  double r = 10;          ///< start value of the sharpness
  bool learnable = true;  ///< false: r is a buffer
};

/// Pooling between mean and maximum, with a learned sharpness (timm's LsePlus1d and LsePlus2d; log-sum-exp pooling of
/// Pinheiro and Collobert 2015):
///
///   y = max x + log(mean exp(r (x - max x))) / r   over the positions of each channel.
///
/// Towards r = 0 it becomes the mean, which r = 0 itself is not (0 / 0); below 0 it tends to the minimum, as long as
/// exp(|r| range of x) does not overflow.
/// x: (batch, height, width, channels) or (batch, length, channels)  ->  (batch, channels).  r ().
/// Saved: x - max x, its exponentials and their means. Throws OptionError for r = 0, ShapeError without positions.
template <class S>
class LsePool : public Layer<LsePool<S>> {
 public:
  explicit LsePool(const LsePoolOptions& options = {})
      : r_(Shape<0>{}, S(checked(options).r), options.learnable ? Kind::parameter : Kind::buffer) {}

  Variable<S, 2> forward(const Variable<S, 4>& x) const {
    return forward(x.reshape(Shape<3>{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)}));
  }
  Variable<S, 2> forward(const Variable<S, 3>& x) const {
    require(x.dim(1) > 0, "LsePool",
            [&] { return message("x has shape ", x.shape(), "; there must be positions to pool"); });
    const auto r = r_.on(x).reshape(Shape<3>{1, 1, 1});
    const auto largest = max(x, {1}, keep_dims);
    const auto y = largest + log(mean(exp(r * (x - largest)), {1}, keep_dims)) / r;
    return y.reshape(Shape<2>{x.dim(0), x.dim(2)});
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("r", self.r_);
  }

 private:
  static const LsePoolOptions& checked(const LsePoolOptions& o) {
    require<OptionError>(std::isfinite(o.r) && o.r != 0, "LsePool",
                         [&] { return message("r is ", o.r, "; it must be finite and not 0"); });
    return o;
  }
  Parameter<S, 0> r_;
};

ATTEND_END
