#include "attend/attention/key_value_cache.hpp"

#include <gtest/gtest.h>

#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

namespace key_value_cache_test {
namespace {
using namespace attend;
using attend::testing::random_tensor;
using T4 = Tensor<double, 4>;

/// Position i of sample b and head h, as the cache holds it.
std::vector<double> key_at(const KeyValueCache<double>& cache, Index b, Index i, Index h) {
  const double* row = cache.keys().at(b, i, h);
  return {row, row + cache.options().head_dim};
}
std::vector<double> value_at(const KeyValueCache<double>& cache, Index b, Index i, Index h) {
  const double* row = cache.values().at(b, i, h);
  return {row, row + cache.options().value_dim};
}
std::vector<double> row_of(const T4& t, Index b, Index i, Index h) {
  return {&t(b, i, h, 0), &t(b, i, h, 0) + t.dimension(3)};
}

const KeyValueCacheOptions options{.batch = 2, .max_length = 5, .num_heads = 3, .head_dim = 4, .value_dim = 2};
const T4 key = random_tensor<double, 4>({2, 3, 3, 4}, 1), value = random_tensor<double, 4>({2, 3, 3, 2}, 2);

TEST(KeyValueCache, HoldsWhatWasAppendedInOrder) {
  KeyValueCache<double> cache(options);
  EXPECT_EQ(cache.length(), 0);
  cache.append(key, value, {3, 1});
  EXPECT_EQ(cache.lengths(), (std::vector<Index>{3, 1}));
  cache.append(key, value, {0, 3});
  EXPECT_EQ(cache.lengths(), (std::vector<Index>{3, 4}));
  EXPECT_EQ(cache.length(), 4);
  for (Index h = 0; h < 3; ++h) {
    for (Index i = 0; i < 3; ++i) {
      EXPECT_EQ(key_at(cache, 0, i, h), row_of(key, 0, i, h));
      EXPECT_EQ(value_at(cache, 0, i, h), row_of(value, 0, i, h));
      EXPECT_EQ(key_at(cache, 1, i + 1, h), row_of(key, 1, i, h));
      EXPECT_EQ(value_at(cache, 1, i + 1, h), row_of(value, 1, i, h));
    }
    EXPECT_EQ(key_at(cache, 1, 0, h), row_of(key, 1, 0, h));
  }
}

TEST(KeyValueCache, ACopyIsIndependentAndAMovedCacheKeepsItsMemory) {
  KeyValueCache<double> cache(options);
  cache.append(key, value, {2, 2});
  KeyValueCache<double> copy(cache);
  cache.clear();
  cache.append(random_tensor<double, 4>({2, 3, 3, 4}, 7), value);
  EXPECT_EQ(copy.lengths(), (std::vector<Index>{2, 2}));
  EXPECT_EQ(key_at(copy, 1, 1, 2), row_of(key, 1, 1, 2));
  EXPECT_NE(key_at(cache, 1, 1, 2), row_of(key, 1, 1, 2));
  cache = copy;
  EXPECT_EQ(key_at(cache, 1, 1, 2), row_of(key, 1, 1, 2));
  const double* memory = cache.keys().data;
  const KeyValueCache<double> moved(std::move(cache));
  EXPECT_EQ(moved.keys().data, memory);
  EXPECT_EQ(moved.length(), 2);
}

TEST(KeyValueCache, TruncatesAndReorders) {
  KeyValueCache<double> cache(options);
  cache.append(key, value, {3, 2});
  cache.reorder({1, 1});
  EXPECT_EQ(cache.lengths(), (std::vector<Index>{2, 2}));
  for (Index b = 0; b < 2; ++b) EXPECT_EQ(value_at(cache, b, 1, 2), row_of(value, 1, 1, 2));
  cache.truncate(1);
  EXPECT_EQ(cache.lengths(), (std::vector<Index>{1, 1}));
  cache.truncate(4);
  EXPECT_EQ(cache.lengths(), (std::vector<Index>{1, 1}));
  EXPECT_EQ(key_at(cache, 0, 0, 0), row_of(key, 1, 0, 0));
}

TEST(KeyValueCache, LargeOnesHoldWhatSmallOnesHold) {  // from 4 MB on, memory is of another kind
  KeyValueCache<double> small({.batch = 1, .max_length = 4, .num_heads = 2, .head_dim = 128});
  KeyValueCache<double> large({.batch = 1, .max_length = 4096, .num_heads = 2, .head_dim = 128});
  const T4 k = random_tensor<double, 4>({1, 4, 2, 128}, 1), v = random_tensor<double, 4>({1, 4, 2, 128}, 2);
  for (auto* cache : {&small, &large}) cache->append(k, v);
  const KeyValueCache<double> copy(large);
  for (Index h = 0; h < 2; ++h)
    for (Index i = 0; i < 4; ++i) {
      EXPECT_EQ(key_at(large, 0, i, h), key_at(small, 0, i, h));
      EXPECT_EQ(value_at(copy, 0, i, h), value_at(small, 0, i, h));
    }
}

TEST(KeyValueCache, RefusesWhatDoesNotFitAndStaysAsItWas) {
  KeyValueCache<double> cache(options);
  cache.append(key, value);
  const auto unchanged = [&] { EXPECT_EQ(cache.lengths(), (std::vector<Index>{3, 3})); };
  expect_error<ShapeError>([&] { cache.append(key, value); },
                           {"KeyValueCache::append", "sample 0 holds 3", "max_length = 5", "3 more do not fit"});
  expect_error<ShapeError>([&] { cache.append(key, value, {2, 3}); }, {"sample 1 holds 3", "3 more"});
  expect_error<ShapeError>([&] { cache.append(value, value); }, {"key has shape (2, 3, 3, 2)", "(2, 3, 3, 4)"});
  expect_error<ShapeError>([&] { cache.append(key, key); }, {"value has shape (2, 3, 3, 4)", "(2, 3, 3, 2)"});
  expect_error<ShapeError>(
      [&] {
        cache.append(random_tensor<double, 4>({1, 3, 3, 4}, 1), value);
      },
      {"key has shape (1, 3, 3, 4)", "(2, 3, 3, 4)"});
  expect_error<ShapeError>(
      [&] {
        cache.append(key, random_tensor<double, 4>({2, 2, 3, 2}, 1));
      },
      {"value has shape (2, 2, 3, 2)", "(2, 3, 3, 2)"});
  expect_error<OptionError>([&] { cache.append(key, value, {1}); }, {"counts holds 1", "one per sample: 2"});
  expect_error<OptionError>([&] { cache.append(key, value, {0, 4}); }, {"counts holds 4 for sample 1", "[0, 3]"});
  expect_error<OptionError>([&] { cache.append(key, value, {-1, 0}); }, {"counts holds -1 for sample 0"});
  expect_error<OptionError>([&] { cache.truncate(-1); }, {"length is -1"});
  expect_error<OptionError>([&] { cache.reorder({0}); }, {"from holds 1", "batch = 2"});
  expect_error<OptionError>([&] { cache.reorder({0, 2}); }, {"from holds 2", "0 to 1"});
  unchanged();
  const auto made = [](KeyValueCacheOptions o) { return [o] { KeyValueCache<float> c(o); }; };
  expect_error<OptionError>(made({.batch = 0, .max_length = 1, .num_heads = 1, .head_dim = 1}), {"batch = 0"});
  expect_error<OptionError>(made({.batch = 1, .max_length = 0, .num_heads = 1, .head_dim = 1}), {"max_length = 0"});
  expect_error<OptionError>(made({.batch = 1, .max_length = 1, .num_heads = -1, .head_dim = 1}), {"num_heads = -1"});
  expect_error<OptionError>(made({.batch = 1, .max_length = 1, .num_heads = 1}), {"head_dim = 0"});
  expect_error<ShapeError>(
      made({.batch = Index(1) << 30, .max_length = Index(1) << 30, .num_heads = Index(1) << 30, .head_dim = 1}),
      {"too large"});
}

}  // namespace
}  // namespace key_value_cache_test
