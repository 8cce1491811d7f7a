#pragma once
#include <cmath>
#include <vector>

#include "attend/core/tensor.hpp"

ATTEND_BEGIN

/// One slope per head for attention with linear biases (Press et al. 2022, section 3): for a power of two, slope_i =
/// s^(i + 1) with s = 2^(-8 / heads); otherwise the slopes of the next smaller power of two, then every other one of
/// the next larger. Throws OptionError unless num_heads > 0.
inline std::vector<double> alibi_slopes(Index num_heads) {
  require<OptionError>(num_heads > 0, "alibi_slopes",
                       [&] { return message("num_heads = ", num_heads, " must be above 0"); });
  const auto power_of_two = [](Index n) {
    std::vector<double> slopes;
    for (Index i = 1; i <= n; ++i) slopes.push_back(std::exp2(-8.0 * double(i) / double(n)));
    return slopes;
  };
  Index closest = 1;
  while (closest <= num_heads / 2) closest *= 2;
  auto slopes = power_of_two(closest);
  if (closest == num_heads) return slopes;
  const auto finer = power_of_two(2 * closest);
  for (std::size_t i = 0; slopes.size() < std::size_t(num_heads); i += 2) slopes.push_back(finer[i]);
  return slopes;
}

/// The additive bias -slope_h |i + query_offset - j| of query i and key j, shape (1, heads, queries, keys), to be given
/// to an attention as its bias. With a causal mask only j <= i + query_offset remains and the bias is the paper's;
/// without one it is the symmetric form for encoders (x-transformers). query_offset is keys - queries when decoding
/// with a cache.
template <class S>
Tensor<S, 4> alibi_bias(Index num_heads, Index queries, Index keys, Index query_offset = 0) {
  require<OptionError>(queries >= 0 && keys >= 0, "alibi_bias",
                       [&] { return message("queries = ", queries, " and keys = ", keys, " must not be negative"); });
  const auto slopes = alibi_slopes(num_heads);
  element_count(Shape<4>{1, num_heads, queries, keys});
  Tensor<S, 4> bias(1, num_heads, queries, keys);
  for (Index h = 0; h < num_heads; ++h)
    for (Index i = 0; i < queries; ++i)
      for (Index j = 0; j < keys; ++j)
        bias(0, h, i, j) = S(-slopes[std::size_t(h)] * std::abs(double(i) + double(query_offset) - double(j)));
  return bias;
}

ATTEND_END
