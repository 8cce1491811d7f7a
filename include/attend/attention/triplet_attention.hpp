#pragma once
#include "attend/attention/channel/strips.hpp"
#include "attend/autograd/recording.hpp"
#include "attend/functional/concat.hpp"
#include "attend/functional/reduction.hpp"
#include "attend/functional/shape.hpp"
#include "attend/layers/conv_norm_act.hpp"

ATTEND_BEGIN

struct TripletAttentionOptions {
  Index kernel_size = 7;  ///< odd
  bool spatial = true;    ///< the branch of height and width; false: the paper's "no_spatial"
};

/// Triplet attention (Misra et al. 2021, section 3.2): three gates, each seeing two of height, width and channels, pooled
/// over the third.
///
///   g_cw = sigmoid(BN(conv([max, mean] over the rows))),  g_hc over the columns,  g_hw over the channels
///   y(b, i, j, c) = x(b, i, j, c) (g_cw(b, c, j) + g_hc(b, i, c) + g_hw(b, i, j)) / 3     (without g_hw: / 2)
///
/// with the maximum before the mean, and channels taken for neighbours as pixels are.
/// x: (batch, height, width, channels), any number of channels  ->  the same shape. Offers "column_gate" (batch, 1,
/// width, channels), "row_gate" (batch, height, 1, channels) and "spatial_gate" (batch, height, width, 1).
/// cw.conv.conv.weight (1, 2, kernel, kernel)  cw.conv.bn.*  hc...  hw...; the norms have momentum 0.01. Throws
/// OptionError for an even kernel, ShapeError for no positions or channels.
template <class S>
class TripletAttention : public Layer<TripletAttention<S>> {
  /// Of maximum and mean (batch, rows, columns, 2): a gate (batch, rows, columns, 1).
  struct Gate : Layer<Gate> {
    Gate(const ConvNormActOptions& options, Rng& rng) : conv(options, rng) {}
    Variable<S, 4> forward(const Variable<S, 4>& pooled) const { return sigmoid(conv(pooled)); }
    template <class Self, class Visit>
    static void children(Self& self, Visit&& visit) {
      visit("conv", self.conv);
    }
    ConvNormAct<S> conv;
  };

 public:
  TripletAttention(const TripletAttentionOptions& options, Rng& rng)
      : cw_(convolution(options), rng), hc_(convolution(options), rng) {
    if (options.spatial) hw_.emplace(convolution(options), rng);
  }

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    require(x.dim(1) > 0 && x.dim(2) > 0 && x.dim(3) > 0, "TripletAttention",
            [&] { return message("x has shape ", x.shape(), "; there must be positions and channels to judge from"); });
    const auto last = [](const auto& gate) { return gate.reshape(Shape<3>{gate.dim(0), gate.dim(1), gate.dim(2)}); };
    const auto over_rows = transpose(stack({max(x, {1}), mean(x, {1})}, 3), {0, 2, 1, 3});
    const auto columns = detail::of_columns(transpose(last(cw_(over_rows)), {0, 2, 1}));
    const auto rows = detail::of_rows(last(hc_(stack({max(x, {2}), mean(x, {2})}, 3))));
    offer(*this, "column_gate", columns);
    offer(*this, "row_gate", rows);
    if (!hw_) return x * ((columns + rows) * 0.5);
    const auto positions = (*hw_)(flip(mean_max_channels(x), 3));
    offer(*this, "spatial_gate", positions);
    return x * ((columns + rows + positions) / 3);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("cw", self.cw_);
    visit("hc", self.hc_);
    if (self.hw_) visit("hw", *self.hw_);
  }

 private:
  static ConvNormActOptions convolution(const TripletAttentionOptions& o) {
    require<OptionError>(o.kernel_size > 0 && o.kernel_size % 2 == 1, "TripletAttention",
                         [&] { return message("kernel_size = ", o.kernel_size, " must be odd and above 0"); });
    ConvNormActOptions conv;
    conv.in_channels = 2, conv.out_channels = 1, conv.kernel_size = o.kernel_size;
    conv.activation = Activation::identity, conv.momentum = 0.01;
    return conv;
  }
  Gate cw_, hc_;
  std::optional<Gate> hw_;
};

ATTEND_END
