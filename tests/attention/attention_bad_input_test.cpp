// Wrong shapes and options of attention: the right exception, with what was given and what was needed in its text.
#include <gtest/gtest.h>

#include "attend/attention/multi_head_attention.hpp"
#include "attend/attention/score/additive.hpp"
#include "attend/attention/score/general.hpp"

namespace attention_bad_input_test {
using namespace attend;

namespace {
using F3 = Tensor<float, 3>;
using F4 = Tensor<float, 4>;
F4 zeros(Index a, Index b, Index c, Index d) {
  F4 t(a, b, c, d);
  t.setZero();
  return t;
}
F3 zeros(Index a, Index b, Index c) {
  F3 t(a, b, c);
  t.setZero();
  return t;
}
Tensor<bool, 4> bools(Index a, Index b, Index c, Index d) {
  Tensor<bool, 4> t(a, b, c, d);
  t.setConstant(true);
  return t;
}
Tensor<bool, 2> bools(Index a, Index b) {
  Tensor<bool, 2> t(a, b);
  t.setConstant(true);
  return t;
}

enum class Type { shape, option };
struct Case {
  Type type;
  std::function<void()> call;
  std::vector<std::string> parts;  // all must be in the text
};
void expect(const std::vector<Case>& cases) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    std::string text;
    bool right = false;
    try {
      cases[i].call();
    } catch (const ShapeError& e) {
      text = e.what(), right = cases[i].type == Type::shape;
    } catch (const OptionError& e) {
      text = e.what(), right = cases[i].type == Type::option;
    }
    EXPECT_TRUE(right) << "case " << i << ": " << (text.empty() ? "nothing was thrown" : text);
    for (const auto& part : cases[i].parts)
      EXPECT_NE(text.find(part), std::string::npos) << "case " << i << ": " << text << "\nlacks " << part;
  }
}
constexpr float inf = std::numeric_limits<float>::infinity();
}  // namespace

TEST(BadInput, ScaledDotProductAttention) {
  const F4 q = zeros(2, 3, 4, 5), k = zeros(2, 6, 2, 5), v = zeros(2, 6, 2, 7);
  const auto call = [&](const F4& a, const F4& b, const F4& c, const ScaledDotProductAttentionOptions& o = {}) {
    return [=] { scaled_dot_product_attention(a, b, c, o); };
  };
  const auto with_bias = [&](const F4& bias) {
    return [=] { scaled_dot_product_attention_with_weights(q, k, v, bias); };
  };
  const std::string name = "[scaled_dot_product_attention] ";
  expect({
      {Type::shape, call(q, zeros(3, 6, 2, 5), v), {name + "key has shape (3, 6, 2, 5)", "query (2, 3, 4, 5)"}},
      {Type::shape,
       call(q, zeros(2, 6, 2, 4), v),
       {name + "key has shape (2, 6, 2, 4)", "query (2, 3, 4, 5)", "(2, keys, key heads, 5)"}},
      {Type::shape,
       call(q, zeros(2, 6, 3, 5), v),
       {"key has shape (2, 6, 3, 5)", "its heads, 3, must divide the 4 heads of query (2, 3, 4, 5)"}},
      {Type::shape, call(q, zeros(2, 6, 8, 5), v), {"key has shape (2, 6, 8, 5)", "8, must divide the 4"}},
      {Type::shape, call(q, zeros(2, 6, 0, 5), v), {"key has shape (2, 6, 0, 5)", "query (2, 3, 4, 5)"}},
      {Type::shape, call(zeros(2, 3, 0, 5), k, v), {"query has shape (2, 3, 0, 5)", "at least 1"}},
      {Type::shape, call(zeros(2, 3, 4, 0), k, v), {"query has shape (2, 3, 4, 0)", "at least 1"}},
      {Type::shape,
       call(q, k, zeros(2, 5, 2, 7)),
       {"value has shape (2, 5, 2, 7)", "key (2, 6, 2, 5)", "(2, 6, 2, value dim)"}},
      {Type::shape, call(q, k, zeros(1, 6, 2, 7)), {"value has shape (1, 6, 2, 7)", "key (2, 6, 2, 5)"}},
      {Type::shape, call(q, k, zeros(2, 6, 4, 7)), {"value has shape (2, 6, 4, 7)", "key (2, 6, 2, 5)"}},
      {Type::shape, call(q, k, zeros(2, 6, 2, 0)), {"value has shape (2, 6, 2, 0)", "at least 1"}},
      {Type::shape, with_bias(zeros(2, 4, 6, 3)), {"bias has shape (2, 4, 6, 3)", "scores (2, 4, 3, 6)"}},
      {Type::shape, with_bias(zeros(2, 2, 3, 6)), {"bias has shape (2, 2, 3, 6)", "scores (2, 4, 3, 6)"}},
      {Type::shape, with_bias(zeros(0, 4, 3, 6)), {"bias has shape (0, 4, 3, 6)", "scores (2, 4, 3, 6)"}},
      {Type::shape,
       call(q, k, v, {.mask = AttendMask(bools(2, 4, 6, 3))}),
       {"mask has shape (2, 4, 6, 3)", "scores (2, 4, 3, 6)"}},
      {Type::shape,
       call(q, k, v, {.mask = AttendMask(bools(3, 1, 1, 1))}),
       {"mask has shape (3, 1, 1, 1)", "scores (2, 4, 3, 6)"}},
      {Type::shape,
       call(q, k, v, {.mask = AttendMask(bools(3, 5))}),
       {"mask has shape (1, 1, 3, 5)", "scores (2, 4, 3, 6)"}},
      {Type::shape,
       call(q, k, v, {.padding = PaddingMask(bools(2, 3))}),
       {"padding has shape (2, 3)", "(2, 6) or (1, 6)"}},
      {Type::shape, call(q, k, v, {.padding = PaddingMask(bools(3, 6))}), {"padding has shape (3, 6)", "(2, 6)"}},
      {Type::shape, call(q, k, v, {.padding = PaddingMask(bools(2, 1))}), {"padding has shape (2, 1)", "(2, 6)"}},
      {Type::shape, call(q, k, v, {.keys = {6}}), {"keys has shape (1)", "one length per sample: (2)"}},
      {Type::shape, call(q, k, v, {.keys = {6, 6, 6}}), {"keys has shape (3)", "(2)"}},
      {Type::shape, call(q, k, v, {.keys = {6, 7}}), {"keys holds 7 for sample 1", "[0, 6]"}},
      {Type::shape, call(q, k, v, {.keys = {-1, 6}}), {"keys holds -1 for sample 0", "[0, 6]"}},
      {Type::option,
       call(q, k, v, {.causal = true}),
       {"causal = true with 3 queries and 6 keys", "Causal::bottom_right"}},
      {Type::option, call(q, k, v, {.window = {.left = 1}}), {"window with 3 queries and 6 keys", "Causal::top_left"}},
      {Type::option,
       call(q, k, v, {.causal = Causal::top_left, .window = {.left = -1}}),
       {"window is {-1, ", "0 or more"}},
      {Type::option, call(q, k, v, {.causal = Causal::top_left, .window = {.right = -2}}), {", -2}", "0 or more"}},
      {Type::option, call(q, k, v, {.scale = inf}), {"scale is inf", "finite"}},
      {Type::option, call(q, k, v, {.scale = -std::nan("")}), {"scale is", "finite"}},
      {Type::option, call(q, k, v, {.dropout = -0.1}), {"dropout is -0.1", "[0, 1]"}},
      {Type::option, call(q, k, v, {.dropout = 1.1}), {"dropout is 1.1", "[0, 1]"}},
      {Type::option,
       [&] {
         Tape<float> one(Mode::training), two(Mode::training);
         scaled_dot_product_attention(one.input(q), two.input(k), v);
       },
       {"two tapes"}},
      {Type::option,
       [&] {
         Tape<float> tape(Mode::training);
         scaled_dot_product_attention(tape.input(q), k, v, {.dropout = 0.5});
       },
       {"make the tape with Tape(mode, rng)"}},
  });
}

TEST(BadInput, MultiHeadAttentionOptions) {
  const auto make = [](const MultiHeadAttentionOptions& o) {
    return [=] {
      Rng rng(1);
      MultiHeadAttention<float>{o, rng};
    };
  };
  expect({
      {Type::option, make({}), {"[MultiHeadAttention] embed_dim = 0", "at least 1"}},
      {Type::option, make({.embed_dim = -8}), {"embed_dim = -8"}},
      {Type::option, make({.embed_dim = 512, .num_heads = 10}), {"num_heads = 10 must divide embed_dim = 512"}},
      {Type::option, make({.embed_dim = 8, .num_heads = 0}), {"num_heads = 0 must divide embed_dim = 8"}},
      {Type::option, make({.embed_dim = 8, .num_heads = -2}), {"num_heads = -2"}},
      {Type::option,
       make({.embed_dim = 8, .num_heads = 4, .num_kv_heads = 3}),
       {"num_kv_heads = 3 must divide num_heads = 4"}},
      {Type::option,
       make({.embed_dim = 8, .num_heads = 4, .num_kv_heads = -1}),
       {"num_kv_heads = -1 must divide num_heads = 4"}},
      {Type::option, make({.embed_dim = 8, .num_heads = 4, .kdim = -3}), {"kdim = -3"}},
      {Type::option, make({.embed_dim = 8, .num_heads = 4, .vdim = -3}), {"vdim = -3"}},
      {Type::option, make({.embed_dim = 8, .num_heads = 4, .dropout = 2}), {"dropout is 2", "[0, 1]"}},
      {Type::option,
       make({.embed_dim = 6, .num_heads = 2, .rotary_base = 10}),
       {"rotary_dim = 0 with a head_dim of 3"}},
      {Type::option,
       make({.embed_dim = 8, .num_heads = 2, .rotary_base = 10, .rotary_dim = 6}),
       {"rotary_dim = 6 with a head_dim of 4"}},
      {Type::option, make({.embed_dim = 8, .num_heads = 2, .rotary_base = -10}), {"rotary_base is -10"}},
  });
}

TEST(BadInput, MultiHeadAttentionCalls) {
  Rng rng(1);
  const MultiHeadAttention<float> attention({.embed_dim = 8, .num_heads = 2, .kdim = 5, .vdim = 7}, rng);
  const MultiHeadAttention<float> self({.embed_dim = 8, .num_heads = 2, .add_zero_attn = true}, rng);
  const F3 q = zeros(2, 3, 8), k = zeros(2, 4, 5), v = zeros(2, 4, 7);
  expect({
      {Type::shape,
       [&] { attention(zeros(2, 3, 9), k, v); },
       {"[multi_head_attention] query has shape (2, 3, 9)", "embed_dim = 8"}},
      {Type::shape, [&] { attention(q, zeros(2, 4, 8), v); }, {"key has shape (2, 4, 8)", "kdim = 5"}},
      {Type::shape, [&] { attention(q, zeros(3, 4, 5), v); }, {"key has shape (3, 4, 5)", "query (2, 3, 8)"}},
      {Type::shape, [&] { attention(q, k, zeros(2, 4, 8)); }, {"value has shape (2, 4, 8)", "vdim = 7"}},
      {Type::shape, [&] { attention(q, k, zeros(2, 5, 7)); }, {"value has shape (2, 5, 7)", "key (2, 4, 5)"}},
      {Type::shape, [&] { attention(q); }, {"key has shape (2, 3, 8)", "kdim = 5"}},
      {Type::shape, [&] { self(q, zeros(1, 3, 3, 3)); }, {"bias has shape (1, 3, 3, 3)", "scores (2, 2, 3, 3)"}},
      {Type::shape,
       [&] { self(q, zeros(1, 1, 3, 4)); },
       {"bias has shape (1, 1, 3, 4)", "scores (2, 2, 3, 3)"}},  // appended keys have none
      {Type::shape,
       [&] {
         self(q, {.keys = {4, 3}});
       },
       {"keys holds 4 for sample 0", "[0, 3]"}},
      {Type::shape,
       [&] { self(q, {.mask = AttendMask(bools(4, 3))}); },
       {"mask has shape (1, 1, 4, 3)", "scores (2, 2, 3, 3)"}},
      {Type::option,
       [&] { self(q, zeros(2, 5, 8), {.causal = true}); },
       {"[attention] causal = true with 3 queries and 5 keys"}},
      {Type::shape, [&] { self.with_weights(zeros(2, 3, 7)); }, {"query has shape (2, 3, 7)", "embed_dim = 8"}},
      {Type::shape,
       [&] { self.with_average_weights(q, zeros(1, 3, 8)); },
       {"key has shape (1, 3, 8)", "query (2, 3, 8)"}},
  });
}

TEST(BadInput, GenericAttentionScoresAndRotary) {
  Rng rng(1);
  const F4 q = zeros(2, 3, 4, 6), k = zeros(2, 5, 2, 6);
  const Variable<float, 4> qv(q), kv(k);
  const Variable<float, 1> five({5}, make_buffer<float>(5, 0.f));
  const Attention<float, score::Additive> additive({.head_dim = 6}, rng);
  expect({
      {Type::option, [&] { Attention<float, score::General>({}, rng); }, {"[Attention] head_dim is 0", "at least 1"}},
      {Type::option, [&] { Attention<float, score::Additive>({.head_dim = -1}, rng); }, {"head_dim is -1"}},
      {Type::option, [&] { Attention<float>({.dropout = 1.5}, rng); }, {"dropout is 1.5", "[0, 1]"}},
      {Type::shape,
       [&] {
         masked_softmax(qv, MayAttend("attention", {}, {2, 4, 3, 4}));
       },
       {"scores has shape " + to_string(qv.shape()), "(2, 4, 3, 4)"}},
      {Type::shape,
       [&] {
         HeadView<float>(qv.reshape(Shape<3>{2, 3, 24}), 12, 2, 7);
       },
       {"(2, 3, 24)", "2 heads of 7"}},
      {Type::shape,
       [&] { additive(zeros(2, 3, 4, 5), zeros(2, 5, 2, 5), k); },
       {"x has shape (2, 3, 4, 5)", "in_features = 6"}},
      {Type::shape, [&] { additive(q, k, zeros(2, 4, 2, 6)); }, {"value has shape (2, 4, 2, 6)", "key (2, 5, 2, 6)"}},
      {Type::shape,
       [&] { dot_scores(qv, Variable<float, 4>(zeros(2, 5, 3, 6)), 1.f); },
       {"[dot_scores] key has shape (2, 5, 3, 6)", "query (2, 3, 4, 6)"}},
      {Type::shape, [&] { additive_scores(qv, kv, five); }, {"v has shape (5)", "(6)", "query (2, 3, 4, 6)"}},
      {Type::shape,
       [&] { weighted_sum(Variable<float, 4>(zeros(2, 4, 3, 4)), kv); },
       {"value has shape (2, 5, 2, 6)", "(2, 4, 3, 4)"}},
      {Type::shape,
       [&] { add_bias(qv, Variable<float, 4>(zeros(1, 2, 1, 1))); },
       {"bias has shape (1, 2, 1, 1)", "scores (2, 3, 4, 6)"}},
      {Type::shape, [&] { rotary(qv, {.dim = 8}); }, {"[rotary] x has shape (2, 3, 4, 6)", "8, must be even"}},
      {Type::shape, [&] { rotary(qv, {.dim = 3}); }, {"x has shape (2, 3, 4, 6)", "3, must be even"}},
      {Type::shape,
       [&] { rotary(Variable<float, 4>(zeros(1, 2, 1, 5))); },
       {"x has shape (1, 2, 1, 5)", "5, must be even"}},
      {Type::option, [&] { rotary(qv, {.base = 0}); }, {"base is 0"}},
  });
}
}  // namespace attention_bad_input_test
