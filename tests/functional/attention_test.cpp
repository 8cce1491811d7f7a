#include "attend/functional/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "attend/functional/arithmetic.hpp"
#include "attend/testing/gradient_check.hpp"
#include "attend/testing/reference_attention.hpp"

using namespace attend;
using attend::testing::check_function_gradients;
using attend::testing::random_tensor;
using attend::testing::ReferenceAttention;

namespace {

using T4 = Tensor<double, 4>;

template <class A, class B>
bool same_bits(const A& a, const B& b) {
  return shape_of(a) == shape_of(b) &&
         (a.size() == 0 ||
          std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(*a.data())) == 0);
}
template <class A, class B>
double difference(const A& a, const B& b) {
  EXPECT_EQ(shape_of(a), shape_of(b));
  double worst = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i]));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}
Tensor<bool, 4> random_mask(const Shape<4>& shape, std::uint64_t seed, double share = 0.7) {
  Tensor<bool, 4> mask(shape);
  const Rng rng(seed);
  for (Index i = 0; i < mask.size(); ++i) mask.data()[i] = rng.uniform_at(static_cast<std::uint64_t>(i)) < share;
  return mask;
}
Tensor<bool, 2> random_padding(const Shape<2>& shape, std::uint64_t seed) {
  Tensor<bool, 2> mask(shape);
  const Rng rng(seed);
  for (Index i = 0; i < mask.size(); ++i) mask.data()[i] = rng.uniform_at(static_cast<std::uint64_t>(i)) < 0.3;
  return mask;
}

struct Sizes {
  Index batch, queries, keys, heads, key_heads, dim, value_dim;
};
std::string text(const Sizes& s) {
  return "B" + std::to_string(s.batch) + " Lq" + std::to_string(s.queries) + " Lk" + std::to_string(s.keys) + " H" +
         std::to_string(s.heads) + "/" + std::to_string(s.key_heads) + " D" + std::to_string(s.dim) + "/" +
         std::to_string(s.value_dim);
}
/// Around the blocks of 32 queries and 64 keys, and around vectors of 2 to 16 numbers.
const Sizes shapes[] = {{2, 1, 1, 1, 1, 1, 1},      {1, 3, 5, 2, 1, 4, 3},    {2, 31, 63, 2, 2, 8, 5},
                        {1, 32, 64, 3, 1, 16, 16},  {2, 33, 65, 4, 2, 7, 9},  {1, 64, 64, 1, 1, 17, 2},
                        {1, 65, 129, 2, 2, 33, 31}, {3, 5, 200, 2, 1, 3, 12}, {1, 130, 3, 2, 1, 5, 40}};

/// A combination of masks: what the call is told, and the same as a plain predicate.
struct MaskCase {
  const char* name;
  ScaledDotProductAttentionOptions options;
  std::function<bool(Index, Index, Index, Index)> may;
};
std::vector<MaskCase> mask_cases(const Sizes& s) {
  std::vector<MaskCase> cases;
  const auto all = [](Index, Index, Index, Index) { return true; };
  const Index shift = s.keys - s.queries;
  cases.push_back({"none", {}, all});
  cases.push_back({"top left", {.causal = Causal::top_left}, [](Index, Index, Index i, Index j) { return j <= i; }});
  cases.push_back({"bottom right", {.causal = Causal::bottom_right}, [=](Index, Index, Index i, Index j) {
                     return j <= i + shift;
                   }});
  std::vector<Index> lengths;
  for (Index b = 0; b < s.batch; ++b) lengths.push_back((b * 37 + s.keys / 2) % (s.keys + 1));
  cases.push_back({"lengths", {.keys = lengths}, [=](Index b, Index, Index, Index j) {
                     return j < lengths[static_cast<std::size_t>(b)];
                   }});
  const auto full = random_mask({s.batch, s.heads, s.queries, s.keys}, 5);
  cases.push_back(
      {"mask", {.mask = AttendMask(full)}, [=](Index b, Index h, Index i, Index j) { return full(b, h, i, j); }});
  const auto rows = random_mask({1, s.heads, 1, s.keys}, 6);
  cases.push_back(
      {"broadcast mask", {.mask = AttendMask(rows)}, [=](Index, Index h, Index, Index j) { return rows(0, h, 0, j); }});
  const auto padding = random_padding({s.batch, s.keys}, 7);
  cases.push_back(
      {"padding", {.padding = PaddingMask(padding)}, [=](Index b, Index, Index, Index j) { return !padding(b, j); }});
  cases.push_back({"window",
                   {.causal = Causal::bottom_right, .window = {.left = 5}},
                   [=](Index, Index, Index i, Index j) { return j <= i + shift && j >= i + shift - 5; }});
  cases.push_back({"all",
                   {.causal = Causal::top_left,
                    .keys = lengths,
                    .mask = AttendMask(full),
                    .padding = PaddingMask(padding),
                    .window = {.left = 40}},
                   [=](Index b, Index h, Index i, Index j) {
                     return j <= i && j >= i - 40 && j < lengths[static_cast<std::size_t>(b)] && full(b, h, i, j) &&
                            !padding(b, j);
                   }});
  return cases;
}

}  // namespace

// double against long double: sums of up to 200 terms of order one, so 1e-13 is some tens of roundings
TEST(Attention, AgreesWithPlainLoopsAroundBlockBoundaries) {
  for (const Sizes& s : shapes)
    for (const MaskCase& mask : mask_cases(s)) {
      SCOPED_TRACE(text(s) + ", " + mask.name);
      const T4 q = random_tensor<double, 4>({s.batch, s.queries, s.heads, s.dim}, 1),
               k = random_tensor<double, 4>({s.batch, s.keys, s.key_heads, s.dim}, 2),
               v = random_tensor<double, 4>({s.batch, s.keys, s.key_heads, s.value_dim}, 3),
               dy = random_tensor<double, 4>({s.batch, s.queries, s.heads, s.value_dim}, 4),
               bias = random_tensor<double, 4>({1, s.heads, s.queries, s.keys}, 8),
               dw = random_tensor<double, 4>({s.batch, s.heads, s.queries, s.keys}, 9);
      ReferenceAttention reference;
      reference.may_attend = mask.may;
      reference.bias = [&](Index, Index h, Index i, Index j) { return bias(0, h, i, j); };
      for (const bool weights : {false, true}) {
        const auto expected = reference(q, k, v, dy, weights ? &dw : nullptr);
        Tape<double> tape(Mode::training);
        const auto qv = tape.want(tape.input(q)), kv = tape.want(tape.input(k)), vv = tape.want(tape.input(v)),
                   bv = tape.want(tape.input(bias));
        std::optional<Variable<double, 0>> loss;
        if (weights) {
          const auto r = scaled_dot_product_attention_with_weights(qv, kv, vv, bv, mask.options);
          EXPECT_LE(difference(r.weights.tensor(), expected.weights), 1e-13);
          EXPECT_LE(difference(r.output.tensor(), expected.output), 1e-13);
          loss = dot(r.output, tape.input(dy)) + dot(r.weights, tape.input(dw));
        } else {
          const auto y = scaled_dot_product_attention(qv, kv, vv, bv, mask.options);
          EXPECT_LE(difference(y.tensor(), expected.output), 1e-13);
          loss = dot(y, tape.input(dy));
        }
        const auto gradients = tape.backward(*loss);
        EXPECT_LE(difference(gradients.of(qv), expected.query_gradient), 1e-12);
        EXPECT_LE(difference(gradients.of(kv), expected.key_gradient), 1e-12);
        EXPECT_LE(difference(gradients.of(vv), expected.value_gradient), 1e-12);
        T4 bias_gradient(bias.dimensions());
        bias_gradient.setZero();
        for (Index b = 0; b < s.batch; ++b)
          for (Index h = 0; h < s.heads; ++h)
            for (Index i = 0; i < s.queries; ++i)
              for (Index j = 0; j < s.keys; ++j) bias_gradient(0, h, i, j) += expected.score_gradient(b, h, i, j);
        EXPECT_LE(difference(gradients.of(bv), bias_gradient), 1e-12);
      }
    }
}
