#include "attend/autograd/multiply_adds.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "attend/attention/multi_head_attention.hpp"
#include "attend/functional/matmul.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/conv_transpose2d.hpp"
#include "attend/layers/recurrent.hpp"
#include "attend/testing/gradient_check.hpp"

namespace multiply_adds_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;

template <class F>
double counted(F&& call) {
  MultiplyAdds work;
  call();
  return work.count();
}

TEST(MultiplyAddsOf, convolutions_are_output_elements_times_window) {
  Rng rng(1);
  const auto x = random_tensor<float, 4>({2, 9, 7, 4}, 1);
  const Conv2d<float> strided({.in_channels = 4, .out_channels = 6, .kernel_size = 3, .stride = 2, .groups = 2}, rng);
  EXPECT_EQ(counted([&] { strided(x); }), 2 * 4 * 3 * 6 * (3 * 3 * 2));
  ConvTranspose2dOptions larger;
  larger.in_channels = 4, larger.out_channels = 3, larger.kernel_size = 2, larger.stride = 2;
  const ConvTranspose2d<float> transposed(larger, rng);
  EXPECT_EQ(counted([&] { transposed(x); }), 2 * 9 * 7 * 4 * (2 * 2 * 3));
}

TEST(MultiplyAddsOf, attention_is_projections_scores_and_sum) {
  Rng rng(2);
  MultiHeadAttentionOptions options;
  options.embed_dim = 8, options.num_heads = 2;
  const MultiHeadAttention<float> attention(options, rng);
  const auto x = random_tensor<float, 3>({3, 5, 8}, 1);
  const double definition = 3 * (4 * 5 * 8 * 8 + 2 * 5 * 5 * 8);
  EXPECT_EQ(counted([&] { attention(x); }), definition);
  EXPECT_EQ(counted([&] {  // the materialised path counts the same
              const Recording recording(attention);
              attention(x);
            }),
            definition);
}

TEST(MultiplyAddsOf, products_and_recurrent_cells) {
  Rng rng(3);
  const Variable<float, 3> a(random_tensor<float, 3>({2, 3, 4}, 1)), b(random_tensor<float, 3>({1, 4, 5}, 1));
  EXPECT_EQ(counted([&] { matmul(a, b); }), 2 * 3 * 4 * 5);
  const Lstm<float> lstm({.input_size = 4, .hidden_size = 6}, rng);
  EXPECT_EQ(counted([&] { lstm(random_tensor<float, 3>({2, 3, 4}, 1)); }), 2 * 3 * 4 * 6 * (4 + 6));
}

TEST(MultiplyAddsOf, counters_nest_and_see_their_thread_only) {
  Rng rng(4);
  const Variable<float, 2> a(random_tensor<float, 2>({3, 3}, 1));
  matmul(a, a);  // nobody counts
  MultiplyAdds outer;
  matmul(a, a);
  EXPECT_EQ(counted([&] { matmul(a, a); }), 27);
  std::thread([&] { matmul(a, a); }).join();
  EXPECT_EQ(outer.count(), 54);
}
}  // namespace
}  // namespace multiply_adds_test
