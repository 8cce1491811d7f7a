// A user's score_mod with an exponential in it, and a mask_mod, for check.sh to look at.
#include <attend/functional/attention.hpp>

struct CapAndDistance {
  template <class S>
  S operator()(S score, attend::AttentionIndex at) const {
    const S far = static_cast<S>(at.i - at.j);
    return S(30) * attend::tanh(score / S(30)) - far * far / S(64);
  }
  template <class S>
  S backward(S score, S gradient, attend::AttentionIndex) const {
    const S t = attend::tanh(score / S(30));
    return gradient * (S(1) - t * t);
  }
};

attend::Variable<float, 4> use(const attend::Variable<float, 4>& q, const attend::Variable<float, 4>& k,
                               const attend::Variable<float, 4>& v) {
  return attend::scaled_dot_product_attention(
      q, k, v, CapAndDistance(), [](attend::AttentionIndex at) { return at.i - at.j < 20 && at.j - at.i < 20; });
}
