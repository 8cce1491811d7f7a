#pragma once
#include <numeric>
#include <string>
#include <vector>

#include "attend/core/recycler.hpp"
#include "attend/core/tensor_view.hpp"
#include "attend/kernels/attention_problem.hpp"

ATTEND_BEGIN

struct KeyValueCacheOptions {
  Index batch = 1;
  Index max_length = 0;  ///< positions that fit
  Index num_heads = 0;   ///< of key and value: those of the query, or fewer in grouped-query attention
  Index head_dim = 0;    ///< of the keys
  Index value_dim = 0;   ///< 0: head_dim
};

/// The keys and values of all positions so far, for generation step by step: each new position is projected once, and
/// its query reads what is kept (transformers' past_key_values).
///
///     KeyValueCache<float> cache({.batch = 8, .max_length = 1024, .num_heads = 12, .head_dim = 64});
///     cache.append(key, value);                                    // (batch, new positions, heads, dim) each
///     auto y = scaled_dot_product_attention(query, cache);         // the queries of the last positions
///     auto z = attention.with_cache(x, cache);                     // a layer that projects, appends and attends
///
/// Holds values only: no gradient passes through it. Its memory, (batch, heads, max_length, dim) so that each head is
/// read in one piece, is taken when it is made. A copy is independent. One call at a time may change a cache; any number
/// may read it. Throws ShapeError and OptionError; after an error it is unchanged.
template <class S>
class KeyValueCache {
 public:
  explicit KeyValueCache(const KeyValueCacheOptions& options)
      : options_(checked(options)),
        lengths_(static_cast<std::size_t>(options_.batch), 0),
        keys_(make_buffer<S>(
            element_count(Shape<4>{options_.batch, options_.num_heads, options_.max_length, options_.head_dim}))),
        values_(make_buffer<S>(
            element_count(Shape<4>{options_.batch, options_.num_heads, options_.max_length, options_.value_dim}))) {}
  KeyValueCache(const KeyValueCache& other) : KeyValueCache(other.options_) { take(other, identity()); }
  KeyValueCache& operator=(const KeyValueCache& other) {
    KeyValueCache copy(other);
    return *this = std::move(copy);
  }
  KeyValueCache(KeyValueCache&&) = default;
  KeyValueCache& operator=(KeyValueCache&&) = default;

  const KeyValueCacheOptions& options() const { return options_; }
  /// Positions of each sample.
  const std::vector<Index>& lengths() const { return lengths_; }
  /// Of the longest sample.
  Index length() const {
    return std::accumulate(lengths_.begin(), lengths_.end(), Index(0), [](Index a, Index b) { return std::max(a, b); });
  }

  /// key (batch, new positions, heads, head_dim)  value (batch, new positions, heads, value_dim).
  void append(TensorView<const S, 4> key, TensorView<const S, 4> value) {
    append(key, value, std::vector<Index>(lengths_.size(), key.dim(1)));
  }
  /// Of sample b only the first counts[b] new positions, as of prompts of different lengths.
  void append(TensorView<const S, 4> key, TensorView<const S, 4> value, const std::vector<Index>& counts) {
    const auto check = [&](bool ok, const char* name, const Shape<4>& shape, const Shape<4>& expected) {
      require(ok, "KeyValueCache::append",
              [&] { return message(name, " has shape ", shape, "; it must be ", expected); });
    };
    const Shape<4> k{options_.batch, key.dim(1), options_.num_heads, options_.head_dim};
    const Shape<4> v{options_.batch, key.dim(1), options_.num_heads, options_.value_dim};
    check(key.shape() == k, "key", key.shape(), k);
    check(value.shape() == v, "value", value.shape(), v);
    append(head_rows(key.data(), key.dim(1), key.dim(2), key.dim(3)),
           head_rows(value.data(), value.dim(1), value.dim(2), value.dim(3)), key.dim(1), counts);
  }
  /// Forgets all but the first `length` positions of each sample.
  void truncate(Index length) {
    require<OptionError>(length >= 0, "KeyValueCache::truncate",
                         [&] { return message("length is ", length, "; it must be 0 or more"); });
    for (Index& l : lengths_) l = std::min(l, length);
  }
  void clear() { truncate(0); }
  /// Sample b becomes what sample from[b] was: the survivors of a beam search.
  void reorder(const std::vector<Index>& from) {
    require<OptionError>(from.size() == lengths_.size(), "KeyValueCache::reorder", [&] {
      return message("from holds ", from.size(), " samples; it must hold batch = ", options_.batch);
    });
    for (const Index b : from)
      require<OptionError>(b >= 0 && b < options_.batch, "KeyValueCache::reorder",
                           [&] { return message("from holds ", b, "; samples are 0 to ", options_.batch - 1); });
    KeyValueCache reordered(options_);
    reordered.take(*this, from);
    *this = std::move(reordered);
  }

  // ---- for functions and layers ----
  HeadRows<const S> keys() const { return rows<const S>(keys_.get(), options_.head_dim); }
  HeadRows<const S> values() const { return rows<const S>(values_.get(), options_.value_dim); }
  /// From rows of heads, of which shapes have been checked.
  void append(const HeadRows<const S>& key, const HeadRows<const S>& value, Index positions,
              const std::vector<Index>& counts) {
    require<OptionError>(counts.size() == lengths_.size(), "KeyValueCache::append", [&] {
      return message("counts holds ", counts.size(), " numbers; it must hold one per sample: ", options_.batch);
    });
    for (std::size_t b = 0; b < counts.size(); ++b) {
      require<OptionError>(counts[b] >= 0 && counts[b] <= positions, "KeyValueCache::append", [&] {
        return message("counts holds ", counts[b], " for sample ", b, "; it must lie in [0, ", positions,
                       "], the new positions");
      });
      require(counts[b] <= options_.max_length - lengths_[b], "KeyValueCache::append", [&] {
        return message("sample ", b, " holds ", lengths_[b], " positions of max_length = ", options_.max_length, "; ",
                       counts[b], " more do not fit");
      });
    }
    for (Index b = 0; b < options_.batch; ++b) {
      Index& length = lengths_[static_cast<std::size_t>(b)];
      const Index count = counts[static_cast<std::size_t>(b)];
      for (Index h = 0; h < options_.num_heads; ++h)
        for (Index i = 0; i < count; ++i) {
          std::copy_n(key.at(b, i, h), options_.head_dim, rows<S>(keys_.get(), options_.head_dim).at(b, length + i, h));
          std::copy_n(value.at(b, i, h), options_.value_dim,
                      rows<S>(values_.get(), options_.value_dim).at(b, length + i, h));
        }
      length += count;
    }
  }

 private:
  static KeyValueCacheOptions checked(KeyValueCacheOptions o) {
    if (o.value_dim == 0) o.value_dim = o.head_dim;
    const auto check = [](const char* name, Index value) {
      require<OptionError>(value > 0, "KeyValueCache",
                           [&] { return message(name, " = ", value, "; it must be at least 1"); });
    };
    check("batch", o.batch);
    check("max_length", o.max_length);
    check("num_heads", o.num_heads);
    check("head_dim", o.head_dim);
    check("value_dim", o.value_dim);
    for (const Index dim : {o.head_dim, o.value_dim})
      element_count(Shape<4>{o.batch, o.num_heads, o.max_length, dim});  // throws before any memory is taken
    return o;
  }
  template <class T>
  HeadRows<T> rows(T* data, Index dim) const {
    return {data, options_.num_heads * options_.max_length * dim, dim, options_.max_length * dim};
  }
  std::vector<Index> identity() const {
    std::vector<Index> all(lengths_.size());
    std::iota(all.begin(), all.end(), Index(0));
    return all;
  }
  /// Of a cache of the same options.
  void take(const KeyValueCache& other, const std::vector<Index>& from) {
    for (Index b = 0; b < options_.batch; ++b) {
      const Index source = from[static_cast<std::size_t>(b)];
      const Index length = other.lengths_[static_cast<std::size_t>(source)];
      lengths_[static_cast<std::size_t>(b)] = length;
      for (Index h = 0; h < options_.num_heads; ++h) {
        std::copy_n(other.keys().at(source, 0, h), length * options_.head_dim,
                    rows<S>(keys_.get(), options_.head_dim).at(b, 0, h));
        std::copy_n(other.values().at(source, 0, h), length * options_.value_dim,
                    rows<S>(values_.get(), options_.value_dim).at(b, 0, h));
      }
    }
  }
  KeyValueCacheOptions options_;
  std::vector<Index> lengths_;
  Shared<S> keys_, values_;
};

ATTEND_END
