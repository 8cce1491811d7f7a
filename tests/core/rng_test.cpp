#include "attend/core/rng.hpp"

#include <gtest/gtest.h>

#include <set>

namespace rng_test {
namespace {
using attend::Index;
using attend::Rng;

// Philox4x32-10 known answers of the authors' Random123 distribution (kat_vectors): key and counter zero.
TEST(Rng, philox_known_answer) {
  const auto words = Rng(0).block(0);
  EXPECT_EQ(words[0], 0x6627e8d5u);
  EXPECT_EQ(words[1], 0xe169c58du);
  EXPECT_EQ(words[2], 0xbc57ac4cu);
  EXPECT_EQ(words[3], 0x9b00dbd8u);
}

TEST(Rng, drawing_in_order_and_by_counter_agree) {
  Rng in_order(42);
  const Rng by_counter(42);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(in_order.uniform(), by_counter.uniform_at(i));
  Rng normal(43);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(normal.normal(), Rng(43).normal_at(i));
}

TEST(Rng, split_streams_differ_from_each_other_and_from_their_parent) {
  Rng parent(7);
  Rng first = parent.split(), second = parent.split();
  std::set<double> seen;
  for (int i = 0; i < 1000; ++i) seen.insert({parent.uniform(), first.uniform(), second.uniform()});
  EXPECT_EQ(seen.size(), 3000u);
}

TEST(Rng, state_restores_the_stream) {
  Rng rng(9);
  for (int i = 0; i < 5; ++i) rng.uniform();
  Rng again = Rng::restored(rng.state());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(rng.uniform(), again.uniform());
}

// Sample moments of n draws of a unit-variance variable stray by sigma / sqrt(n); 4 sigma are allowed, the seed is
// fixed.
TEST(Rng, moments) {
  constexpr int n = 200000;
  Rng rng(3);
  double sum = 0, squares = 0, fourth = 0, mean = 0;
  for (int i = 0; i < n; ++i) {
    mean += rng.uniform();
    const double x = rng.normal();
    sum += x, squares += x * x, fourth += x * x * x * x;
  }
  EXPECT_NEAR(mean / n, 0.5, 4 * std::sqrt(1.0 / 12 / n));
  EXPECT_NEAR(sum / n, 0, 4 / std::sqrt(double(n)));
  EXPECT_NEAR(squares / n, 1, 4 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth / n, 3, 4 * std::sqrt(96.0 / n));
}

// The inverse distribution function against the error function of the C library, over all three of its ranges.
TEST(Rng, normal_is_the_inverse_distribution_function) {
  const Rng rng(5);
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const double p = rng.uniform_at(i), x = rng.normal_at(i);
    EXPECT_NEAR(0.5 * std::erfc(-x / std::sqrt(2.0)), p, 2e-15);
  }
}

TEST(Rng, permutation_is_one_and_below_stays_below) {
  Rng rng(1);
  auto order = rng.permutation(1000);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (Index i = 0; i < 1000; ++i) EXPECT_EQ(order[std::size_t(i)], i);
  EXPECT_TRUE(rng.permutation(0).empty());
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.below(3), 3);
  EXPECT_THROW(rng.below(0), attend::OptionError);
  EXPECT_THROW(rng.permutation(-1), attend::OptionError);
}

// The first numbers are part of the interface: the same on every machine and compiler.
TEST(Rng, first_numbers_are_pinned) {
  EXPECT_EQ(Rng(42).block(0), (std::array<std::uint32_t, 4>{2632642643, 2012563771, 314527917, 1463989207}));
  EXPECT_EQ(Rng(42).uniform_at(0), 0x1.39d5e0a6efea9p-1);
  EXPECT_EQ(Rng(42).normal_at(0), 0x1.25ee4fdbb73d8p-2);
  EXPECT_EQ(Rng(42).normal_at(123456789), 0x1.37fd6cb4cbf4fp+0);
}
}  // namespace
}  // namespace rng_test
