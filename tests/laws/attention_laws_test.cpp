#include <gtest/gtest.h>

#include "attend/attention/multi_head_attention.hpp"
#include "attend/attention/score/additive.hpp"
#include "attend/attention/score/general.hpp"
#include "attend/testing/layer_laws.hpp"

namespace attention_laws_test {
using namespace attend;
using namespace attend::testing;

namespace {
const auto x = random_tensor<double, 3>({3, 5, 8}, 1), memory = random_tensor<double, 3>({3, 4, 8}, 2);
const auto q = random_tensor<double, 4>({3, 5, 4, 6}, 3), k = random_tensor<double, 4>({3, 7, 2, 6}, 4),
           v = random_tensor<double, 4>({3, 7, 2, 3}, 5);

template <class S>
MultiHeadAttention<S> heads(Rng& rng, MultiHeadAttentionOptions o) {
  o.embed_dim = 8, o.num_heads = 4;
  return {o, rng};
}
}  // namespace

TEST(Laws, AttentionScores) {
  const LawOptions o;
  EXPECT_EQ(text(broken_laws([](auto s, Rng&) { return Attention<decltype(s)>(); }, q, k, v)), "");
  EXPECT_EQ(
      text(broken_laws([](auto s, Rng& rng) { return Attention<decltype(s), score::General>({.head_dim = 6}, rng); }, q,
                       k, v)),
      "");
  EXPECT_EQ(text(broken_laws(
                o,
                [](auto s, Rng& rng) {
                  return Attention<decltype(s), score::Additive>({.head_dim = 6, .dropout = 0.3}, rng);
                },
                [](const auto& layer, const auto& a, const auto& b, const auto& c) {
                  return layer.with_weights(a, b, c, {.causal = Causal::bottom_right});
                },
                q, k, v)),
            "");
}
TEST(Laws, MultiHeadSelfAttention) {
  EXPECT_EQ(text(broken_laws(
                LawOptions{}, [](auto s, Rng& rng) { return heads<decltype(s)>(rng, {.dropout = 0.2}); },
                [](const auto& layer, const auto& a) { return layer(a, {.causal = true}); }, x)),
            "");
}
TEST(Laws, MultiHeadCrossAttention) {
  EXPECT_EQ(
      text(broken_laws(
          LawOptions{},
          [](auto s, Rng& rng) {
            return heads<decltype(s)>(
                rng, {.add_bias_kv = true, .add_zero_attn = true, .num_kv_heads = 2, .rotary_base = 100});
          },
          [](const auto& layer, const auto& a, const auto& m) { return layer.with_average_weights(a, m); }, x, memory)),
      "");
}
TEST(Laws, ScoresAlone) {
  const auto keys = random_tensor<double, 4>({3, 7, 4, 6}, 4);
  EXPECT_EQ(text(broken_laws([](auto s, Rng&) { return score::Dot<decltype(s)>(); }, q, keys)), "");
  EXPECT_EQ(text(broken_laws([](auto s, Rng&) { return score::ScaledDot<decltype(s)>(); }, q, keys)), "");
  EXPECT_EQ(text(broken_laws([](auto s, Rng& rng) { return score::General<decltype(s)>(6, rng); }, q, keys)), "");
  EXPECT_EQ(text(broken_laws([](auto s, Rng& rng) { return score::Additive<decltype(s)>(6, rng); }, q, keys)), "");
}
}  // namespace attention_laws_test
