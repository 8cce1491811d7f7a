#pragma once
#include "attend/attention/channel/residual_encoding.hpp"
#include "attend/attention/channel/squeeze.hpp"
#include "attend/functional/activation.hpp"
#include "attend/layers/batch_norm.hpp"
#include "attend/layers/dense.hpp"
#include "attend/layers/pointwise_conv.hpp"

ATTEND_BEGIN

struct ContextEncodingOptions {
  Index channels = 0;
  Index classes = 0;     ///< of the scenes' contents, for the loss on what a scene holds; 0: none. PyTorch's nclass
  Index codewords = 32;  ///< PyTorch-Encoding's ncodes
};

/// A map whose channels were gated by the scene, and logits of the classes that the scene holds (batch, classes).
template <template <class, int> class Of, class S>
struct ContextEncoded {
  template <template <class, int> class Other>
  using of = ContextEncoded<Other, S>;
  Of<S, 4> features;
  Of<S, 2> class_logits;  ///< (batch, 0) without classes
  template <class Visit>
  auto members(Visit&& visit) const {
    return visit(features, class_logits);
  }
};

/// The context encoding module of EncNet (Zhang et al. 2018, section 3; PyTorch-Encoding's EncModule): the encoding of
/// the whole scene says which channels matter, and which classes there are.
///
///   e = mean over codewords of relu(BN_K(encoding(relu(BN(conv x))))),   features = relu(x + x sigmoid(fc e)),
///   class_logits = selayer e
///
/// where BN_K normalises each codeword over batch and channels.
/// x: (batch, height, width, channels)  ->  ContextEncoded. Offers "gate" (batch, channels) and
/// "encoding.3.weights". encoding.0.weight (channels, channels, 1, 1)  encoding.1.*  encoding.3.codewords
/// encoding.3.scale  encoding.4.* (codewords)  fc.0.weight  fc.0.bias  selayer.weight (classes, channels)  selayer.bias.
/// The loss: train/semantic_encoding.hpp. Throws OptionError for sizes that are not positive, ShapeError for other
/// channels or no positions.
template <class S>
class ContextEncoding : public Layer<ContextEncoding<S>> {
 public:
  ContextEncoding(const ContextEncodingOptions& options, Rng& rng)
      : channels_(options.channels),
        conv_({options.channels, options.channels, false}, rng),
        conv_norm_(norm(options.channels)),
        encoding_({options.channels, options.codewords}, rng),
        code_norm_(norm(options.codewords)),
        fc_({options.channels, options.channels}, rng) {
    require<OptionError>(options.classes >= 0, "ContextEncoding",
                         [&] { return message("classes = ", options.classes, " must not be below 0"); });
    if (options.classes > 0) selayer_.emplace(DenseOptions{options.channels, options.classes, true}, rng);
  }

  ContextEncoded<Variable, S> forward(const Variable<S, 4>& x) const {
    detail::check_map("ContextEncoding", x.shape(), channels_);
    const auto residuals = encoding_(relu(conv_norm_(conv_(x))));
    const auto codes = code_norm_(transpose(residuals, {0, 2, 1}));  // (batch, channels, codewords)
    const auto scene = mean(relu(codes), {2});
    const auto gate = sigmoid(fc_(scene));
    offer(*this, "gate", gate);
    const auto logits = selayer_ ? (*selayer_)(scene) : slice(scene, 0, 0, 1);
    return {relu(x + gate_channels(x, gate)), logits};
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("encoding.0", self.conv_);
    visit("encoding.1", self.conv_norm_);
    visit("encoding.3", self.encoding_);
    visit("encoding.4", self.code_norm_);
    visit("fc.0", self.fc_);
    if (self.selayer_) visit("selayer", *self.selayer_);
  }

 private:
  static BatchNormOptions norm(Index channels) {
    BatchNormOptions norm;
    norm.channels = channels;
    return norm;
  }
  Index channels_;
  PointwiseConv<S> conv_;
  BatchNorm<S> conv_norm_;
  ResidualEncoding<S> encoding_;
  BatchNorm<S> code_norm_;
  Dense<S> fc_;
  std::optional<Dense<S>> selayer_;
};

ATTEND_END
