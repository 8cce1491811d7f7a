#pragma once
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/layer.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/dense.hpp"
#include "attend/functional/mathematics.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/shape.hpp"
#include "attend/functional/softmax.hpp"

ATTEND_BEGIN

struct ResidualEncodingOptions {
  Index channels = 0;   ///< D
  Index codewords = 0;  ///< K
};

/// Residual encoding with learned codewords (Zhang, Xue and Dana 2017, "Deep TEN", section 3; PyTorch-Encoding's
/// Encoding): which codewords the positions are near to, and what is left of them.
///
///   a(b, i, k) = softmax over k of scale_k ||x_i - codeword_k||^2,   e(b, k) = sum over i of a(b, i, k) (x_i - codeword_k)
///
/// scale is negative in use: the sign is in it, not in the formula. (The paper writes softmax(-s ||r||^2).)
/// x: (batch, height, width, channels) or (batch, length, channels)  ->  (batch, codewords, channels). Offers "weights"
/// (batch, codewords, positions): the share that each codeword has of each position.
/// codewords (K, D), uniform in +-1/sqrt(K D)  scale (K), uniform in (-1, 0). The gradient is that of the formula
/// (PyTorch-Encoding's CPU code has the wrong sign for the codewords). Throws OptionError for sizes that are not
/// positive, ShapeError for other channels or a map without positions.
template <class S>
class ResidualEncoding : public Layer<ResidualEncoding<S>> {
 public:
  ResidualEncoding(const ResidualEncodingOptions& options, Rng& rng)
      : codewords_({checked(options).codewords, options.channels}, rng,
                   1 / std::sqrt(double(options.codewords) * double(options.channels))),
        scale_({options.codewords}, rng, 0.5) {
    auto scale = scale_.edit_flat();
    for (Index k = 0; k < scale.size(); ++k) scale(k) -= S(0.5);
  }

  Variable<S, 3> forward(const Variable<S, 3>& x) const {
    const Index count = codewords_.shape()[0], channels = codewords_.shape()[1];
    detail::check_map_channels("ResidualEncoding", x.shape(), channels);
    const auto codewords = codewords_.on(x);
    // ||x - c||^2 = x x - 2 x c + c c: one product instead of a difference for every pair
    const auto lengths = sum(square(codewords), {1}).reshape(Shape<3>{1, 1, count});
    const auto distances = sum(square(x), {2}, keep_dims) - 2 * dense(x, codewords, absent<S, 1>()) + lengths;
    const auto weights = softmax(distances * scale_.on(x).reshape(Shape<3>{1, 1, count}));
    if (Recording::wants(key_of(*this))) offer(*this, "weights", transpose(weights, {0, 2, 1}));
    const auto taken = sum(weights, {1}).reshape(Shape<3>{x.dim(0), count, 1});
    return matmul(weights, x, Side::transposed, Side::plain) - taken * codewords.reshape(Shape<3>{1, count, channels});
  }
  Variable<S, 3> forward(const Variable<S, 4>& x) const {
    detail::check_map("ResidualEncoding", x.shape(), codewords_.shape()[1]);
    return forward(x.reshape(Shape<3>{x.dim(0), x.dim(1) * x.dim(2), x.dim(3)}));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("codewords", self.codewords_);
    visit("scale", self.scale_);
  }

 private:
  static const ResidualEncodingOptions& checked(const ResidualEncodingOptions& o) {
    require<OptionError>(o.channels > 0 && o.codewords > 0, "ResidualEncoding", [&] {
      return message("channels = ", o.channels, " and codewords = ", o.codewords, " must be above 0");
    });
    return o;
  }
  Parameter<S, 2> codewords_;
  Parameter<S, 1> scale_;
};

ATTEND_END
