#pragma once
/// What an attention kernel is asked to compute, as pointers, strides and a mask.
#include "attend/core/accumulator.hpp"
#include "attend/core/recycler.hpp"
#include "attend/core/rng.hpp"
#include "attend/kernels/attention_mask.hpp"

ATTEND_BEGIN

/// Rows of heads in memory: at(b, i, h) is a row of contiguous numbers.
template <class T>
struct HeadRows {
  T* data = nullptr;
  Index batch = 0, position = 0, head = 0;  ///< strides
  T* at(Index b, Index i, Index h) const { return data + b * batch + i * position + h * head; }
  explicit operator bool() const { return data != nullptr; }
};
/// Of a contiguous (batch, length, heads, dim).
template <class T>
HeadRows<T> head_rows(T* data, Index length, Index heads, Index dim) {
  return {data, length * heads * dim, heads * dim, dim};
}

/// Rows of heads as an Accumulator: terms are added to them or, while `empty`, stored.
template <class S>
struct HeadAccumulator {
  HeadRows<S> to = {};
  bool empty = false;
  explicit operator bool() const { return static_cast<bool>(to); }
};

/// Zero with probability p, else 1 / (1 - p), for each (b, h, i, j) by its number: drawn again in the backward pass.
template <class S>
struct AttentionDropout {
  Rng stream{0};
  double p = 0;
};

/// What a call computes. keys counts the mask's appended keys; head h reads key head h / (heads / key_heads).
template <class S>
struct AttentionProblem {
  Index batch = 0, queries = 0, keys = 0, heads = 0, key_heads = 0, dim = 0, value_dim = 0;
  HeadRows<const S> query, key, value;
  S scale = 1;
  const S* bias = nullptr;  ///< added to the scores of the ordinary keys, by stride, 0 where broadcast
  Shape<4> bias_stride{};
  AttentionMask mask;
  AttentionDropout<S> dropout;

  Index key_head(Index h) const { return h / (heads / key_heads); }
  Index row(Index b, Index h, Index i) const { return (b * heads + h) * queries + i; }  ///< of the statistics
  /// Is attention_decode the kernel for it? The tiles of attention_forward would be nearly empty. Whatever the number of
  /// samples and keys, so that a sample alone and without padding has the bits that it has in a batch.
  bool few_queries() const { return queries <= 4 && mask.appended == 0 && dropout.p == 0; }
};

ATTEND_END
