#pragma once
#include "attend/functional/arithmetic.hpp"
#include "attend/layers/any_layer.hpp"

ATTEND_BEGIN

/// An attention that starts as the identity and fades in as it is trained:
///
///   y = x + alpha (attention(x) - x),   alpha one number, 0 at the start
///
/// so at first y is x bit for bit, and the gradient of alpha says whether the attention helps (as ReZero does for
/// residual branches, Bachlechner et al. 2021; there is none of it in timm). Nothing would ever move if the attention
/// started as the identity too.
/// x: (batch, height, width, channels)  ->  the same; ShapeError if the attention changes the shape.
/// alpha (1), and the attention's own parameters under their own names.
template <class S>
class IdentityStart : public Layer<IdentityStart<S>> {
 public:
  using StartsAsIdentity = void;
  explicit IdentityStart(AnyLayer<S, 4> attention) : attention_(std::move(attention)), alpha_(Shape<1>{1}, S(0)) {}

  Variable<S, 4> forward(const Variable<S, 4>& x) const {
    const auto seen = attention_(x);
    require(seen.shape() == x.shape(), "IdentityStart",
            [&] { return message("the attention's result has shape ", seen.shape(), "; it must keep ", x.shape()); });
    return x + alpha_.on(x).reshape(Shape<4>{1, 1, 1, 1}) * (seen - x);
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("", self.attention_);
    visit("alpha", self.alpha_);
  }

 private:
  AnyLayer<S, 4> attention_;
  Parameter<S, 1> alpha_;
};

ATTEND_END
