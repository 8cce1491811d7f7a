#pragma once
#include <algorithm>
#include <cmath>

#include "attend/autograd/layer.hpp"
#include "attend/functional/bias_table.hpp"

ATTEND_BEGIN

struct T5PositionBiasOptions {
  Index num_heads = 1;        ///< one bias per head
  Index num_buckets = 32;     ///< rows of the table; even if bidirectional
  Index max_distance = 128;   ///< everything farther shares the last bucket
  bool bidirectional = true;  ///< false: keys after the query share bucket 0 (decoders)
};

/// The bucket of a relative position, **key - query** (Raffel et al. 2020, section 2.1; transformers'
/// _relative_position_bucket): exact up to half of a side's buckets, logarithmic up to max_distance. The logarithm is
/// float32 and in transformers' order of operations, because the floor sits on bucket edges. Throws OptionError unless
/// each side has 2 buckets and max_distance is above its exact half.
inline Index t5_bucket(Index relative, bool bidirectional = true, Index num_buckets = 32, Index max_distance = 128) {
  Index bucket = 0, n = num_buckets;
  relative = std::max(relative, -std::numeric_limits<Index>::max());
  if (bidirectional) {
    n /= 2;
    if (relative > 0) bucket = n;
    relative = std::abs(relative);
  } else {
    relative = std::max<Index>(-relative, 0);
  }
  const Index exact = n / 2;
  require<OptionError>(exact > 0 && max_distance > exact, "t5_bucket", [&] {
    return message("num_buckets = ", num_buckets, " must give each side 2, and max_distance = ", max_distance,
                   " be above ", exact);
  });
  if (relative < exact) return bucket + relative;
  const float far = std::log(float(relative) / float(exact)) / float(std::log(double(max_distance) / double(exact)));
  return bucket + std::min(exact + Index(far * float(n - exact)), n - 1);
}

/// T5's bias by bucketed relative position; one table, in T5 shared by all layers.  weight: (num_buckets, num_heads),
/// drawn from the standard normal (transformers' `relative_attention_bias.weight`).
///
/// Called on scores (batch, heads, queries, keys) it returns scores + bias; `bias(queries, keys, x)` is the bias alone,
/// (1, heads, queries, keys), on the tape of x. Query i has position i + query_offset.
/// Throws OptionError for fewer than 4 (2 if one-directional) or, bidirectional, odd num_buckets, and for a
/// max_distance that is not above the exact buckets.
template <class S>
class T5PositionBias : public Layer<T5PositionBias<S>> {
 public:
  T5PositionBias(const T5PositionBiasOptions& options, Rng& rng)
      : options_(checked(options)), weight_({options.num_buckets, options.num_heads}) {
    auto weight = weight_.edit();
    for (Index i = 0; i < weight.size(); ++i) weight.data()[i] = S(rng.normal());
  }

  Variable<S, 4> forward(const Variable<S, 4>& scores) const {
    return add_relative_bias(scores, bias(scores.dim(2), scores.dim(3), scores));
  }
  template <class V>
  Variable<S, 4> bias(Index queries, Index keys, const V& on, Index query_offset = 0) const {
    require<OptionError>(queries >= 0 && keys >= 0, "T5PositionBias",
                         [&] { return message("queries = ", queries, " and keys = ", keys, " must not be negative"); });
    auto index = std::make_shared<BiasIndex>();
    index->queries = queries;
    index->keys = keys;
    index->rows.reserve(std::size_t(element_count(Shape<2>{queries, keys})));
    std::vector<Index> buckets;  // of the distances 1 - queries - query_offset ... keys - 1 - query_offset
    for (Index d = 1 - queries; d < keys; ++d)
      buckets.push_back(
          t5_bucket(d - query_offset, options_.bidirectional, options_.num_buckets, options_.max_distance));
    for (Index i = 0; i < queries; ++i)
      for (Index j = 0; j < keys; ++j) index->rows.push_back(buckets[std::size_t(j - i + queries - 1)]);
    return bias_from_table(weight_.on(on), Shared<const BiasIndex>(std::move(index)));
  }
  template <class Self, class Visit>
  static void children(Self& self, Visit&& visit) {
    visit("weight", self.weight_);
  }

 private:
  static const T5PositionBiasOptions& checked(const T5PositionBiasOptions& o) {
    const Index side = o.bidirectional ? 2 : 1;
    require<OptionError>(o.num_heads > 0 && o.num_buckets >= 2 * side && o.num_buckets % side == 0 &&
                             o.max_distance > o.num_buckets / side / 2,
                         "T5PositionBias", [&] {
                           return message(
                               "num_heads = ", o.num_heads, " must be above 0, num_buckets = ", o.num_buckets,
                               " at least 2 a side and even if bidirectional, max_distance = ", o.max_distance,
                               " above a quarter of num_buckets, half if one-directional");
                         });
    return o;
  }
  T5PositionBiasOptions options_;
  Parameter<S, 2> weight_;
};

ATTEND_END
