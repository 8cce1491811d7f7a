// A user's score_mod and mask_mod.
#include <gtest/gtest.h>

#include "attend/testing/reference_attention.hpp"
#include "functional/attention_cases.hpp"

namespace attention_modifier_test {
using namespace attention_cases;
using attend::testing::check_function_gradients;

namespace {

/// Gemma's soft cap and a distance penalty: 3 tanh(s / 3) - (i - j)^2 / 64.
struct CapAndDistance {
  template <class S>
  S operator()(S score, AttentionIndex at) const {
    const S far = static_cast<S>(at.i - at.j);
    return S(3) * attend::tanh(score / S(3)) - far * far / S(64);
  }
  template <class S>
  S backward(S score, S gradient, AttentionIndex) const {
    const S t = attend::tanh(score / S(3));
    return gradient * (S(1) - t * t);
  }
};
/// As a part of the batch, the heads and the keys has it.
struct Striped {
  bool operator()(AttentionIndex at) const { return ((at.b + at.h + at.i + at.j) & 3) != 0; }
};
const auto near_only = [](AttentionIndex at) { return at.i - at.j < 20 && at.j - at.i < 20; };

/// The plain computation: scores (B, H, Lq, Lk) in double, changed, softmax over what may be seen.
template <class F, class G>
T4 plain(const Inputs& in, const Sizes& s, const F& score_mod, const G& mask_mod) {
  T4 y(s.batch, s.queries, s.heads, s.value_dim);
  y.setZero();
  for (int b = 0; b < s.batch; ++b)
    for (int h = 0; h < s.heads; ++h)
      for (int i = 0; i < s.queries; ++i) {
        const Index group = h / (s.heads / s.key_heads);
        double sum = 0;
        for (int j = 0; j < s.keys; ++j) {
          if (!mask_mod(AttentionIndex{b, h, i, j})) continue;
          double score = 0;
          for (Index d = 0; d < s.dim; ++d) score += in.q(b, i, h, d) * in.k(b, j, group, d);
          const double w =
              std::exp(score_mod(score / std::sqrt(static_cast<double>(s.dim)), AttentionIndex{b, h, i, j}));
          sum += w;
          for (Index d = 0; d < s.value_dim; ++d) y(b, i, h, d) += w * in.v(b, j, group, d);
        }
        for (Index d = 0; d < s.value_dim && sum > 0; ++d) y(b, i, h, d) /= sum;
      }
  return y;
}
}  // namespace

TEST(AttentionModifier, AgreesWithPlainLoops) {
  const auto same = [](double score, AttentionIndex) { return score; };
  const auto all = [](AttentionIndex) { return true; };
  for (const Sizes& s : {Sizes{2, 5, 7, 2, 1, 4, 3}, Sizes{2, 50, 150, 4, 2, 5, 6}, Sizes{1, 130, 64, 1, 1, 16, 17}}) {
    SCOPED_TRACE(text(s));
    const Inputs in(s);
    EXPECT_LE(difference(scaled_dot_product_attention(in.q, in.k, in.v, CapAndDistance()),
                         plain(in, s, CapAndDistance(), all)),
              1e-13);
    EXPECT_LE(difference(scaled_dot_product_attention(in.q, in.k, in.v, Striped()), plain(in, s, same, Striped())),
              1e-13);
    EXPECT_LE(difference(scaled_dot_product_attention(in.q, in.k, in.v, CapAndDistance(), near_only),
                         plain(in, s, CapAndDistance(), near_only)),
              1e-13);
    EXPECT_LE(
        difference(
            scaled_dot_product_attention(in.q, in.k, in.v, CapAndDistance(), Striped(), {.causal = Causal::top_left}),
            plain(in, s, CapAndDistance(), [](AttentionIndex at) { return Striped()(at) && at.j <= at.i; })),
        1e-13);
  }
}

TEST(AttentionModifier, IsTheMaskAndTheBiasThatItComputes) {
  const Sizes s{2, 50, 150, 4, 2, 5, 6};
  const Inputs in(s);
  Tensor<bool, 4> mask(s.batch, s.heads, s.queries, s.keys);
  for (int b = 0; b < s.batch; ++b)
    for (int h = 0; h < s.heads; ++h)
      for (int i = 0; i < s.queries; ++i)
        for (int j = 0; j < s.keys; ++j) mask(b, h, i, j) = Striped()({b, h, i, j});
  EXPECT_TRUE(same_bits(scaled_dot_product_attention(in.q, in.k, in.v, Striped()),
                        scaled_dot_product_attention(in.q, in.k, in.v, {.mask = AttendMask(mask)})));
}

TEST(AttentionModifier, GradientChecks) {
  for (const Sizes& s : {Sizes{2, 5, 7, 4, 2, 3, 2}, Sizes{1, 30, 3, 1, 1, 2, 3}}) {
    const Inputs in(s);
    auto report =
        check_function_gradients([](const auto& q, const auto& k,
                                    const auto& v) { return scaled_dot_product_attention(q, k, v, CapAndDistance()); },
                                 in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_function_gradients(
        [](const auto& q, const auto& k, const auto& v) {
          return scaled_dot_product_attention(q, k, v, CapAndDistance(), Striped(),
                                              {.causal = Causal::top_left, .dropout = 0.4});
        },
        in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
    report = check_function_gradients(
        [](const auto& q, const auto& k, const auto& v) { return scaled_dot_product_attention(q, k, v, Striped()); },
        in.q, in.k, in.v);
    EXPECT_TRUE(report.ok()) << report.text();
  }
}

// What mask_mod hides reaches nothing, NaN or not; a query that sees nothing gives zeros.
TEST(AttentionModifier, FM_2_1_hidden_keys_have_no_influence_even_if_they_are_nan) {
  const Sizes s{1, 20, 40, 1, 1, 4, 3};
  Inputs in(s);
  const auto even = [](AttentionIndex at) { return at.j % 2 == 0 && at.i != 7; };
  const auto run = [&] {
    Tape<double> tape(Mode::training);
    const auto q = tape.want(tape.input(in.q)), k = tape.want(tape.input(in.k)), v = tape.want(tape.input(in.v));
    const auto y = scaled_dot_product_attention(q, k, v, CapAndDistance(), even);
    const auto g = tape.backward_from(y, in.q.data());
    return std::array<T4, 4>{y.tensor(), g.of(q), g.of(k), g.of(v)};
  };
  const auto clean = run();
  for (Index j = 1; j < s.keys; j += 2) {
    for (Index d = 0; d < s.dim; ++d) in.k(0, j, 0, d) = std::numeric_limits<double>::quiet_NaN();
    for (Index d = 0; d < s.value_dim; ++d) in.v(0, j, 0, d) = std::numeric_limits<double>::infinity();
  }
  const auto dirty = run();
  for (std::size_t i = 0; i < clean.size(); ++i) EXPECT_TRUE(same_bits(clean[i], dirty[i])) << i;
  for (Index d = 0; d < s.value_dim; ++d) EXPECT_EQ(clean[0](0, 7, 0, d), 0);
}

TEST(AttentionModifier, TrainingNeedsABackward) {
  const Inputs in({1, 2, 3, 1, 1, 2, 2});
  const auto doubled = [](double score, AttentionIndex) { return 2 * score; };
  EXPECT_NO_THROW(scaled_dot_product_attention(in.q, in.k, in.v, doubled));
  Tape<double> tape(Mode::training);
  const auto q = tape.want(tape.input(in.q));
  EXPECT_THROW(scaled_dot_product_attention(q, in.k, in.v, doubled), OptionError);
}
}  // namespace attention_modifier_test
