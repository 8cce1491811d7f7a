#include "attend/kernels/gemm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "attend/core/rng.hpp"

namespace gemm_test {
namespace {

using attend::gemm;
using attend::Index;
using attend::Side;
using attend::Zeros;

constexpr Side sides[] = {Side::plain, Side::transposed};

template <class S>
std::vector<S> numbers(Index count, std::uint64_t seed) {
  attend::Rng rng(seed);
  std::vector<S> x(static_cast<std::size_t>(count));
  for (S& e : x) e = static_cast<S>(rng.uniform() * 2 - 1);
  return x;
}

/// A product with its operands stored as asked, padded by leading dimensions larger than needed.
template <class S>
struct Product {
  Index m, n, k;
  Side side_a = Side::plain, side_b = Side::plain;
  S alpha = 1, beta = 0;
  Index lda = 0, ldb = 0, ldc = 0;
  std::vector<S> a, b, c;

  Product(Index m_, Index n_, Index k_, Side sa = Side::plain, Side sb = Side::plain, S al = 1, S be = 0, Index pad = 0)
      : m(m_), n(n_), k(k_), side_a(sa), side_b(sb), alpha(al), beta(be) {
    lda = (sa == Side::plain ? k : m) + pad;
    ldb = (sb == Side::plain ? n : k) + pad;
    ldc = n + pad;
    a = numbers<S>((sa == Side::plain ? m : k) * lda, 1);
    b = numbers<S>((sb == Side::plain ? k : n) * ldb, 2);
    c = numbers<S>(m * ldc, 3);
  }
  S at_a(Index i, Index l) const {
    return a[static_cast<std::size_t>(side_a == Side::plain ? i * lda + l : l * lda + i)];
  }
  S at_b(Index l, Index j) const {
    return b[static_cast<std::size_t>(side_b == Side::plain ? l * ldb + j : j * ldb + l)];
  }
  std::vector<S> run(Zeros zeros = Zeros::multiplied) const {
    std::vector<S> y = c;
    gemm<S>(side_a, side_b, m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, y.data(), ldc, zeros);
    return y;
  }
  /// Largest error against sums in a wider type, in units of what rounding can do: epsilon sqrt(k) times the sum of
  /// magnitudes.
  double error(const std::vector<S>& y) const {
    double worst = 0;
    for (Index i = 0; i < m; ++i)
      for (Index j = 0; j < ldc; ++j) {
        const auto at = static_cast<std::size_t>(i * ldc + j);
        if (j >= n) {
          if (y[at] != c[at]) return std::numeric_limits<double>::infinity();  // wrote beyond its columns
          continue;
        }
        using Wide = std::conditional_t<sizeof(S) == 4, double, long double>;
        Wide exact = beta == 0 ? 0 : Wide(beta) * Wide(c[at]), size = std::fabs(exact);
        for (Index l = 0; l < k; ++l) {
          const Wide term = Wide(alpha) * Wide(at_a(i, l)) * Wide(at_b(l, j));
          exact += term;
          size += std::fabs(term);
        }
        const double unit = static_cast<double>(size) * std::numeric_limits<S>::epsilon();
        const double off = static_cast<double>(std::fabs(Wide(y[at]) - exact));
        worst = std::max(worst, unit == 0 ? off * 1e30 : off / unit);
      }
    return worst;
  }
};

template <class S>
void check_all_forms(Index m, Index n, Index k) {
  for (Side sa : sides)
    for (Side sb : sides)
      for (auto [alpha, beta] : {std::pair<S, S>{1, 0}, {1, 1}, {S(-0.5), S(2.5)}}) {
        const Product<S> p(m, n, k, sa, sb, alpha, beta, 3);
        // sums of k terms err by up to k/2 units, by sqrt(k) typically; 4 + sqrt(k) is far below a wrong term's 1/k of
        // the sum
        EXPECT_LE(p.error(p.run()), 4 + std::sqrt(static_cast<double>(k)))
            << m << "x" << n << "x" << k << " sides " << int(sa) << int(sb) << " alpha " << alpha << " beta " << beta;
      }
}

TEST(Gemm, AgreesWithTheDefinitionForEverySmallShape) {
  for (Index m = 0; m <= 9; ++m)
    for (Index n : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 49})
      for (Index k : {0, 1, 2, 7, 19}) check_all_forms<float>(m, n, k);
}

TEST(Gemm, AgreesWithTheDefinitionForLargerShapes) {
  for (auto [m, n, k] :
       {std::array<Index, 3>{25, 65, 255}, {26, 64, 257}, {100, 30, 513}, {33, 130, 300}, {1, 100, 600}, {97, 3, 50}}) {
    check_all_forms<float>(m, n, k);
    check_all_forms<double>(m, n, k);
  }
}

TEST(Gemm, BetaZeroIgnoresWhatTheResultHeldAndAlphaZeroTheOperands) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (Index m : {3, 30}) {
    Product<float> p(m, 20, 5);
    p.c.assign(p.c.size(), nan);
    for (float y : p.run()) EXPECT_FALSE(std::isnan(y));
    Product<float> q(m, 20, 5, Side::plain, Side::plain, 0, 1);
    q.a[0] = q.b[0] = nan;
    EXPECT_EQ(q.run(), q.c);
    q.beta = 0;
    EXPECT_EQ(q.run(), std::vector<float>(q.c.size(), 0.0f));
  }
}

TEST(Gemm, NoInnerDimensionScalesTheResult) {
  Product<double> p(5, 20, 0, Side::plain, Side::plain, 1, 0.5);
  const auto y = p.run();
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], 0.5 * p.c[i]);
}

// The promise everything else rests on: bits depend on the row of A and the column of B alone.
template <class S>
void check_bits(Index m, Index n, Index k, Side sa, Side sb, S alpha, S beta) {
  const Product<S> p(m, n, k, sa, sb, alpha, beta);
  const auto whole = p.run();
  for (auto [row, rows, col, cols] : {std::array<Index, 4>{0, 1, 0, n},
                                      {m - 1, 1, 0, n},
                                      {m / 2, 3, 0, n},
                                      {m / 3, m / 2, 0, n},
                                      {0, m, n / 2, 1},
                                      {0, m, n / 3, n - n / 3},
                                      {1, 5, n - 1, 1},
                                      {2, 1, 1, 2}}) {
    rows = std::min(rows, m - row);
    cols = std::min(cols, n - col);
    std::vector<S> part(static_cast<std::size_t>(rows * cols));
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; ++j)
        part[static_cast<std::size_t>(i * cols + j)] = p.c[static_cast<std::size_t>((row + i) * n + col + j)];
    const S* a = p.a.data() + (sa == Side::plain ? row * p.lda : row);
    const S* b = p.b.data() + (sb == Side::plain ? col : col * p.ldb);
    gemm<S>(sa, sb, rows, cols, k, alpha, a, p.lda, b, p.ldb, beta, part.data(), cols);
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < cols; ++j)
        ASSERT_EQ(part[static_cast<std::size_t>(i * cols + j)],
                  whole[static_cast<std::size_t>((row + i) * n + col + j)])
            << "rows " << row << "+" << rows << " cols " << col << "+" << cols << " element " << i << "," << j << " of "
            << m << "x" << n << "x" << k;
  }
}
TEST(Gemm, EveryElementHasTheSameBitsWhereverItLies) {
  for (auto [m, n, k] : {std::array<Index, 3>{9, 17, 5}, {50, 70, 33}, {101, 130, 300}, {30, 5, 520}, {13, 49, 16}})
    for (Side sa : sides)
      for (Side sb : sides) {
        check_bits<float>(m, n, k, sa, sb, 1, 0);
        check_bits<float>(m, n, k, sa, sb, 0.3f, 1);
        check_bits<double>(m, n, k, sa, sb, -1.7, 0.7);
      }
}

TEST(Gemm, FM_2_10_everyNumberOfThreadsGivesTheSameBits) {
  const int before = attend::num_threads();
  for (auto [m, n, k] :
       {std::array<Index, 3>{201, 150, 300}, {1, 3000, 1000}, {2000, 33, 70}, {20, 2000, 120}, {300, 1000, 16}})
    for (Side sa : sides)
      for (Side sb : sides) {
        const Product<float> p(m, n, k, sa, sb, 1, 1);
        attend::set_num_threads(1);
        const auto alone = p.run();
        EXPECT_LE(p.error(alone), 4 + std::sqrt(static_cast<double>(k)));
        for (int threads : {2, 3, 7}) {
          attend::set_num_threads(threads);
          EXPECT_EQ(p.run(), alone) << m << "x" << n << "x" << k << " on " << threads;
        }
      }
  attend::set_num_threads(before);
}

TEST(Gemm, FM_2_1_skippedZerosNeverTouchTheirRowsAndChangeNoBit) {
  for (auto [m, n, k] : {std::array<Index, 3>{1, 5, 7}, {11, 40, 30}, {40, 70, 300}})
    for (Side sa : sides)
      for (Side sb : sides) {
        Product<float> p(m, n, k, sa, sb);
        const Index dead[] = {0, k / 2, k - 1};  // keys that no row attends to
        for (Index l : dead) {
          for (Index i = 0; i < m; ++i)
            p.a[static_cast<std::size_t>(sa == Side::plain ? i * p.lda + l : l * p.lda + i)] = 0;
          for (Index j = 0; j < n; ++j)
            p.b[static_cast<std::size_t>(sb == Side::plain ? l * p.ldb + j : j * p.ldb + l)] = 0;
        }
        const auto clean = p.run();
        EXPECT_EQ(p.run(Zeros::skipped), clean);
        int turn = 0;
        for (Index l : dead)
          for (Index j = 0; j < n; ++j) {
            const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
            p.b[static_cast<std::size_t>(sb == Side::plain ? l * p.ldb + j : j * p.ldb + l)] = ++turn % 2 ? nan : inf;
          }
        EXPECT_EQ(p.run(Zeros::skipped), clean) << m << "x" << n << "x" << k;
        EXPECT_TRUE(std::isnan(p.run(Zeros::multiplied)[0]));
      }
  for (Side sa : sides)  // one zero, wherever it is
    for (Index i = 0; i < 3; ++i)
      for (Index l = 0; l < 37; ++l) {
        Product<float> p(3, 40, 37, sa);
        p.a[static_cast<std::size_t>(sa == Side::plain ? i * p.lda + l : l * p.lda + i)] = 0;
        std::fill_n(p.b.begin() + l * p.ldb, 40, std::numeric_limits<float>::quiet_NaN());
        const auto y = p.run(Zeros::skipped);
        for (Index row = 0; row < 3; ++row)
          EXPECT_EQ(std::isfinite(y[static_cast<std::size_t>(row * p.ldc)]), row == i) << i << ", " << l;
      }
  Product<float> p(2, 3, 4);  // a NaN of A is no zero, a row of B that is met arrives
  p.a[1] = std::numeric_limits<float>::quiet_NaN();
  p.a[4] = 0;
  p.b[0] = std::numeric_limits<float>::infinity();
  const auto y = p.run(Zeros::skipped);
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_TRUE(std::isfinite(y[3]));
}

TEST(GemmPacked, PackedWeightsGiveTheBitsOfThePlainProduct) {
  for (auto [m, n, k] : {std::array<Index, 3>{1, 10, 4}, {5, 64, 300}, {70, 49, 30}, {3, 700, 150}})
    for (Side sb : sides) {
      const Product<float> p(m, n, k, Side::plain, sb, 1, 1);
      std::vector<float> packed(static_cast<std::size_t>(attend::packed_size<float>(k, n))), y = p.c;
      attend::pack_b(sb, k, n, p.b.data(), p.ldb, packed.data());
      attend::gemm_packed(m, n, k, 1.0f, attend::PlainRows<float>{p.a.data(), p.lda}, packed.data(), 1.0f, y.data(),
                          p.ldc);
      EXPECT_EQ(y, p.run());
    }
}

TEST(GemmPacked, AnOperandMadeOnTheFlyGivesTheBitsOfTheStoredOne) {
  for (Side order : sides)
    for (auto [m, n, k] : {std::array<Index, 3>{7, 10, 4}, {205, 40, 300}, {96, 130, 520}}) {
      const Product<double> p(m, n, k, order);
      std::vector<double> packed(static_cast<std::size_t>(attend::packed_size<double>(k, n))), y = p.c;
      attend::pack_b(Side::plain, k, n, p.b.data(), p.ldb, packed.data());
      const auto make = [&p, order = order](Index row, Index rows, Index k0, Index depth, double* out, Index ld) {
        for (Index i = 0; i < rows; ++i)
          for (Index l = 0; l < depth; ++l)
            out[order == Side::plain ? i * ld + l : l * ld + i] = p.at_a(row + i, k0 + l);
      };
      if (order == Side::plain)
        attend::gemm_packed(m, n, k, 1.0, attend::made_rows<double>(make), packed.data(), 0.0, y.data(), p.ldc);
      else
        attend::gemm_packed(m, n, k, 1.0, attend::made_rows<double, Side::transposed>(make), packed.data(), 0.0,
                            y.data(), p.ldc);
      EXPECT_EQ(y, p.run());
    }
}

TEST(GemmPacked, TheEpilogueFollowsEveryFinishedElement) {
  for (auto [m, n, k] : {std::array<Index, 3>{7, 10, 4}, {1, 130, 9}, {13, 3, 1}, {205, 140, 300}, {5, 6, 0}})
    for (const int parts : {1, 2, 3, 7, 8, 15}) {  // bits: bias, residual, relu, scale
      const Product<float> p(m, n, k);
      std::vector<float> packed(static_cast<std::size_t>(attend::packed_size<float>(k, n))), y = p.c;
      attend::pack_b(Side::plain, k, n, p.b.data(), p.ldb, packed.data());
      const Index ld = n + 3;
      std::vector<float> bias(static_cast<std::size_t>(n)), scale = bias, residual(static_cast<std::size_t>(m * ld));
      for (Index j = 0; j < n; ++j) bias[static_cast<std::size_t>(j)] = 0.5f * static_cast<float>(j % 7 - 3);
      for (Index j = 0; j < n; ++j) scale[static_cast<std::size_t>(j)] = j % 2 ? 0.5f : -2.0f;  // exact
      for (std::size_t i = 0; i < residual.size(); ++i) residual[i] = 0.25f * static_cast<float>(i % 11) - 1;
      const attend::GemmEpilogue<float> epilogue{parts & 1 ? bias.data() : nullptr,
                                                 parts & 2 ? residual.data() : nullptr, ld, (parts & 4) != 0,
                                                 parts & 8 ? scale.data() : nullptr};
      attend::gemm_packed(m, n, k, 1.0f, attend::PlainRows<float>{p.a.data(), p.lda}, packed.data(), 0.0f, y.data(),
                          p.ldc, epilogue);
      const auto plain = p.run();
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
          float expected = plain[static_cast<std::size_t>(i * p.ldc + j)];
          if (parts & 8) expected *= scale[static_cast<std::size_t>(j)];
          if (parts & 1) expected += bias[static_cast<std::size_t>(j)];
          if (parts & 2) expected += residual[static_cast<std::size_t>(i * ld + j)];
          if (parts & 4) expected = expected < 0 ? 0 : expected;
          ASSERT_EQ(y[static_cast<std::size_t>(i * p.ldc + j)], expected) << m << " " << n << " " << k << " " << parts;
        }
    }
}

}  // namespace
}  // namespace gemm_test
