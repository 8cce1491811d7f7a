// How attention went wrong elsewhere (issues of PyTorch, mlpack, FlashAttention, OPT), one test each; more of them stand in
// attention_invariants_test.cpp.
#include <gtest/gtest.h>

#include "functional/attention_cases.hpp"

namespace attention_failures_test {
using namespace attention_cases;

namespace {
Tensor<bool, 4> mask_of(const Shape<4>& shape, const std::function<bool(Index, Index, Index, Index)>& may) {
  Tensor<bool, 4> mask(shape);
  for (Index b = 0; b < shape[0]; ++b)
    for (Index h = 0; h < shape[1]; ++h)
      for (Index i = 0; i < shape[2]; ++i)
        for (Index j = 0; j < shape[3]; ++j) mask(b, h, i, j) = may(b, h, i, j);
  return mask;
}
}  // namespace

// One mask was applied to the whole batch, whatever its extents (mlpack #3969).
TEST(AttentionFailure, FM_2_1_every_sample_head_and_query_has_its_own_mask) {
  const Sizes s{3, 5, 7, 4, 2, 6, 2};
  const Inputs in(s);
  const auto some = random_bools<4>({s.batch, s.heads, s.queries, s.keys}, 5, 0.6);
  for (int axes = 0; axes < 16; ++axes) {  // which of them the mask has; along the others it broadcasts
    const Shape<4> shape{axes & 1 ? s.batch : 1, axes & 2 ? s.heads : 1, axes & 4 ? s.queries : 1,
                         axes & 8 ? s.keys : 1};
    const auto may = [&](Index b, Index h, Index i, Index j) {
      return some(axes & 1 ? b : 0, axes & 2 ? h : 0, axes & 4 ? i : 0, axes & 8 ? j : 0);
    };
    const auto whole = mask_of({s.batch, s.heads, s.queries, s.keys}, may);
    const auto [y, w] =
        scaled_dot_product_attention_with_weights(in.q, in.k, in.v, {.mask = AttendMask(mask_of(shape, may))});
    EXPECT_TRUE(same_bits(y, scaled_dot_product_attention(in.q, in.k, in.v, {.mask = AttendMask(whole)}))) << axes;
    for (Index i = 0; i < w.size(); ++i) EXPECT_EQ(w.data()[i] > 0, whole.data()[i]) << axes;
  }
}

// Softmax ran along the wrong axis (mlpack #3969): then columns would sum to one.
TEST(AttentionFailure, FM_2_1_columns_of_weights_do_not_sum_to_one) {
  const Sizes s{1, 6, 6, 1, 1, 4, 4};
  const Inputs in(s);
  const auto [y, w] = scaled_dot_product_attention_with_weights(in.q, in.k, in.v);
  double worst = 0;
  for (Index j = 0; j < 6; ++j) {
    double column = 0, row = 0;
    for (Index i = 0; i < 6; ++i) column += w(0, 0, i, j), row += w(0, 0, j, i);
    EXPECT_NEAR(row, 1, 4 * 6 * 2.3e-16);  // 4 eps L
    worst = std::max(worst, std::abs(column - 1));
  }
  EXPECT_GT(worst, 0.05);
}

// A head that may see nothing gave different results with and without weights (pytorch #160064).
TEST(AttentionFailure, FM_2_1_a_fully_masked_head_is_zero_with_and_without_weights) {
  const Sizes s{2, 5, 7, 3, 3, 4, 2};
  const Inputs in(s);
  const AttendMask mask(mask_of({1, 3, 1, 1}, [](Index, Index h, Index, Index) { return h != 1; }));
  const T4 y = scaled_dot_product_attention(in.q, in.k, in.v, {.mask = mask});
  const auto [z, w] = scaled_dot_product_attention_with_weights(in.q, in.k, in.v, {.mask = mask});
  EXPECT_TRUE(same_bits(y, z));
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 5; ++i) {
      for (Index d = 0; d < 2; ++d) EXPECT_EQ(y(b, i, 1, d), 0);
      for (Index j = 0; j < 7; ++j) EXPECT_EQ(w(b, 1, i, j), 0);
      EXPECT_NE(y(b, i, 0, 0), 0);
    }
}

// Entries of 40 with 64 channels: 102400, beyond the 65504 of half precision (OPT).
TEST(AttentionFailure, FM_2_2_products_beyond_half_precision) {
  Tensor<float, 4> q(1, 2, 1, 64), k(1, 3, 1, 64), v(1, 3, 1, 1);
  q.setConstant(40);
  k.setConstant(40);
  for (Index d = 0; d < 64; ++d) k(0, 2, 0, d) = -40;
  v.data()[0] = 1, v.data()[1] = 3, v.data()[2] = 100;
  const Tensor<float, 4> y = scaled_dot_product_attention(q, k, v, {.scale = 1});
  for (Index i = 0; i < 2; ++i) EXPECT_EQ(y(0, i, 0, 0), 2);
}
}  // namespace attention_failures_test
