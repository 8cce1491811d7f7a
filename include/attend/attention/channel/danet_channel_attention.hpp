#pragma once
#include "attend/attention/channel/squeeze.hpp"
#include "attend/autograd/layer.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/functional/softmax.hpp"

ATTEND_BEGIN

struct DanetChannelAttentionOptions {
  Index channels = 0;
};

/// The channel half of DANet's dual attention (Fu et al. 2019, section 3.3; CAM_Module of its code): every channel looks
/// at every other by the product of their maps, without query or key.
///
///   e(b, c, d) = sum over positions of x_c x_d,   a = softmax over d of (max_d e - e)
///   y(b, ., ., c) = gamma sum_d a(b, c, d) x(b, ., ., d) + x(b, ., ., c)
///
/// The sign is that of the authors' code, where unlike channels attend to each other; the paper's eq. 3 has softmax(e).
/// x: (batch, height, width, channels)  ->  the same shape. Offers "weights" a (batch, channels, channels).
/// gamma (1), from zero: it starts as the identity. Saved: x, a and the sum. Throws OptionError without channels,
/// ShapeError for other channels or no positions.
template <class S>
class DanetChannelAttention : public Layer<DanetChannelAttention<S>> {
 public:
  using StartsAsIdentity = void;
  explicit DanetChannelAttention(const DanetChannelAttentionOptions& options)
      : channels_(options.channels), gamma_({1}) {
    require<OptionError>(channels_ > 0, "DanetChannelAttention",
                         [&] { return message("channels = ", channels_, " must be above 0"); });
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    detail::check_map("DanetChannelAttention", x.shape(), channels_);
    const auto tokens = x.reshape(Shape<3>{x.dim(0), x.dim(1) * x.dim(2), channels_});
    // softmax(max - e) is softmax(-e): the maximum is one number per row, and softmax subtracts its own
    const auto weights = softmax(-matmul(tokens, tokens, Side::transposed, Side::plain));
    offer(*this, "weights", weights);
    const auto read = matmul(tokens, weights, Side::plain, Side::transposed);
    return read.reshape(x.shape()) * gamma_.on(x).reshape(Shape<4>{1, 1, 1, 1}) + x;
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("gamma", self.gamma_);
  }

 private:
  Index channels_;
  Parameter<S, 1> gamma_;
};

ATTEND_END
