#include "attend/functional/matmul.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "functional/plain_values.hpp"

namespace matmul_test {
using namespace attend;
using namespace attend::testing;

TEST(Matmul, GradientsAgreeWithDifferences) {
  const struct {
    Shape<2> batch_a, batch_b;
  } batches[] = {{{2, 3}, {2, 3}}, {{2, 3}, {1, 1}}, {{1, 1}, {2, 3}},
                 {{2, 1}, {1, 3}}, {{2, 3}, {2, 1}}, {{1, 1}, {1, 1}}};
  for (const auto& c : batches)
    for (const Side a : {Side::plain, Side::transposed})
      for (const Side b : {Side::plain, Side::transposed}) {
        const bool ta = a == Side::transposed, tb = b == Side::transposed;
        const auto left = random_tensor<double, 4>({c.batch_a[0], c.batch_a[1], ta ? 5 : 4, ta ? 4 : 5}, 1);
        const auto right = random_tensor<double, 4>({c.batch_b[0], c.batch_b[1], tb ? 3 : 5, tb ? 5 : 3}, 2);
        expect_ok(to_string(c.batch_a) + to_string(c.batch_b) + (ta ? " A^T" : "") + (tb ? " B^T" : ""),
                  check_function_gradients([=](const V4& x, const V4& z) { return matmul(x, z, a, b); }, left, right));
        const auto y = matmul(V4(left), V4(right), a, b).tensor();
        for (Index i = 0; i < y.dimension(0); ++i)
          for (Index j = 0; j < y.dimension(1); ++j)
            for (Index r = 0; r < 4; ++r)
              for (Index s = 0; s < 3; ++s) {
                double expected = 0;
                for (Index l = 0; l < 5; ++l) {
                  const Index ai = i % c.batch_a[0], aj = j % c.batch_a[1], bi = i % c.batch_b[0],
                              bj = j % c.batch_b[1];
                  expected +=
                      (ta ? left(ai, aj, l, r) : left(ai, aj, r, l)) * (tb ? right(bi, bj, s, l) : right(bi, bj, l, s));
                }
                ASSERT_NEAR(y(i, j, r, s), expected, 1e-14);
              }
      }
  const auto a2 = random_tensor<double, 2>({3, 4}, 1), b2 = random_tensor<double, 2>({4, 2}, 2);
  expect_ok("rank 2",
            check_function_gradients(
                [](const Variable<double, 2>& x, const Variable<double, 2>& z) { return matmul(x, z); }, a2, b2));
}

TEST(Matmul, EmptyOperands) {
  const V3 a(Tensor<double, 3>(2, 3, 0)), b(Tensor<double, 3>(2, 0, 4)), none(Tensor<double, 3>(0, 3, 4)),
      one(Tensor<double, 3>(Tensor<double, 3>(1, 4, 5).setZero()));
  EXPECT_EQ(values(matmul(a, b)), std::vector<double>(24, 0));  // a sum of nothing
  EXPECT_EQ(matmul(none, one).shape(), (Shape<3>{0, 3, 5}));
}

TEST(BadInput, Matmul) {
  const V3 x = zeros(2, 3, 4);
  expect_bad({
      {[&] { (void)matmul(x, zeros(2, 3, 4)); }, {"[matmul] b has shape (2, 3, 4)", "its rows must be 4", "(2, 3, 4)"}},
      {[&] { (void)matmul(x, zeros(2, 4, 3), Side::transposed); }, {"[matmul]", "rows must be 3", "(transposed)"}},
      {[&] { (void)matmul(x, zeros(2, 4, 3), Side::plain, Side::transposed); },
       {"(2, 4, 3) (transposed)", "rows must be 4"}},
      {[&] { (void)matmul(x, zeros(3, 4, 5)); }, {"[matmul] b has shape (3, 4, 5)", "batch axis 0 must be 2"}},
  });
}
}  // namespace matmul_test
