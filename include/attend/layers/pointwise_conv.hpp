#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/absent.hpp"
#include "attend/functional/dense.hpp"

ATTEND_BEGIN

struct PointwiseConvOptions {
  Index in_channels = 0;
  Index out_channels = 0;
  bool bias = true;
};

/// A 1x1 convolution, which channels-last is one matrix product over the last axis of any tensor: a feature map, a
/// token grid, or the pooled channels of a gate.
///
/// x: (..., in_channels)  ->  (..., out_channels).  weight: (out_channels, in_channels, 1, 1)  bias: (out_channels),
/// both uniform in +-1/sqrt(in_channels); names and layout of torch.nn.Conv2d(in, out, 1).
template <class S>
class PointwiseConv : public Layer<PointwiseConv<S>> {
 public:
  PointwiseConv(const PointwiseConvOptions& o, Rng& rng)
      : weight_({o.out_channels, checked(o).in_channels, 1, 1}, rng, 1 / std::sqrt(double(o.in_channels))) {
    if (o.bias) bias_.emplace(Shape<1>{o.out_channels}, rng, 1 / std::sqrt(double(o.in_channels)));
  }

  template <int R>
  Variable<S, R> forward(const Variable<S, R>& x) const {
    const Index out = weight_.shape()[0], in = weight_.shape()[1];
    require(x.dim(-1) == in, "PointwiseConv",
            [&] { return message("x has shape ", x.shape(), "; its last axis must be in_channels = ", in); });
    return dense(x, weight_.on(x).reshape(Shape<2>{out, in}), on(bias_, x), PackedDense<S>::of(weight_, out, in));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
    if (self.bias_) visit("bias", *self.bias_);
  }
  /// Write access for a block that draws its weights in another way.
  Parameter<S, 4>& weight() { return weight_; }
  const Parameter<S, 4>& weight() const { return weight_; }
  std::optional<Parameter<S, 1>>& bias() { return bias_; }

 private:
  static const PointwiseConvOptions& checked(const PointwiseConvOptions& o) {
    require<OptionError>(o.in_channels > 0 && o.out_channels > 0, "PointwiseConv", [&] {
      return message("in_channels = ", o.in_channels, " and out_channels = ", o.out_channels, " must be above 0");
    });
    return o;
  }
  Parameter<S, 4> weight_;
  std::optional<Parameter<S, 1>> bias_;
};

ATTEND_END
