#pragma once
/// Fused exact attention: softmax(scale q k^T + bias) v in tiles, with the running maximum of Milakov & Gimelshein 2018
/// and the recomputing backward pass of FlashAttention (Dao et al. 2022). No score matrix exists in memory.
///
/// A tile holds the scores of `attention_queries` queries, side by side in vector lanes, and `attention_keys` keys
/// below each other. The unit of work is (sample, head, block of queries); what is computed for a query depends on its
/// own row, keys and mask alone, so results are the same bits for any number of threads and in any batch.
#include "attend/core/recycler.hpp"
#include "attend/core/rng.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/attention_mask.hpp"
#include "attend/kernels/attention_tile.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN

constexpr Index attention_queries = 32;
constexpr Index attention_keys = 64;

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

/// Zero with probability p, else 1 / (1 - p), for each (b, h, i, j) by its number: drawn again in the backward pass.
template <class S>
struct AttentionDropout {
  Rng stream{0};
  double p = 0;
  /// of the four scores that share a block of random words
  void factors(std::uint64_t block, S* four) const {
    const auto words = stream.block(block);
    const double threshold = p * 0x1p32;
    for (std::size_t i = 0; i < 4; ++i)
      four[i] = static_cast<double>(words[i]) < threshold ? S(0) : static_cast<S>(1 / (1 - p));
  }
  /// Multiplies `count` scores that are `stride` apart, the first of which has this number.
  void multiply(std::uint64_t number, Index count, Index stride, S* x) const {
    S four[4] = {};
    for (Index j = 0; j < count; ++j, ++number) {
      if (j == 0 || number % 4 == 0) factors(number / 4, four);
      x[j * stride] *= four[number % 4];
    }
  }
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
};

namespace detail {

/// A block of queries at work. All panels lie in one piece of scratch memory.
template <class S>
struct AttentionBlock {
  static constexpr Index lanes = attention_queries;
  const AttentionProblem<S>& p;
  Index b = 0, h = 0, first = 0, count = 0;  // sample, head, first query, number of queries
  S* query;                                  // (dim, lanes), scaled
  S* scores;                                 // (attention_keys, lanes)

  AttentionBlock(const AttentionProblem<S>& problem, S* scratch)
      : p(problem), query(scratch), scores(scratch + problem.dim * lanes) {}
  static Index scratch(const AttentionProblem<S>& p) { return (p.dim + attention_keys) * lanes; }

  /// rows (count, width), one below the other in memory -> panel (width, lanes), zeros in the lanes without a query
  static void transpose(const HeadRows<const S>& rows, Index b, Index h, Index first, Index count, Index width,
                        S factor, S* panel) {
    if (count < lanes) std::fill_n(panel, width * lanes, S(0));
    for (Index i = 0; i < count; ++i) {
      const S* row = rows.at(b, first + i, h);
      for (Index d = 0; d < width; ++d) panel[d * lanes + i] = row[d] * factor;
    }
  }
  void start(Index sample, Index head, Index first_query) {
    b = sample, h = head, first = first_query, count = std::min(lanes, p.queries - first_query);
    transpose(p.query, b, h, first, count, p.dim, p.scale, query);
  }
  /// Calls tile(first key, number of keys) over all keys that some query of the block may see, in order. A key's tile
  /// depends on its position alone.
  template <class F>
  void for_each_tile(const F& tile) const {
    const auto seen = p.mask.range(b, first, first + count - 1);
    for (Index k0 = seen.begin / attention_keys * attention_keys; k0 < seen.end; k0 += attention_keys) {
      const Index from = std::max(k0, seen.begin), to = std::min(k0 + attention_keys, seen.end);
      tile(from, to - from);
    }
    for (Index k0 = p.mask.keys; k0 < p.keys; k0 += attention_keys) tile(k0, std::min(attention_keys, p.keys - k0));
  }
  /// scores = scale k q^T + bias, -inf where the mask forbids. True if it forbids any.
  bool score(Index key, Index keys) {
    std::fill_n(scores, keys * lanes, S(0));
    tile_product<S>(TileZeros::multiplied, keys, lanes, p.dim, p.key.at(b, key, p.key_head(h)), p.key.position, 1,
                    query, lanes, scores, lanes);
    if (key >= p.mask.keys) return false;
    if (p.bias) {
      const S* bias =
          p.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + first * p.bias_stride[2] + key * p.bias_stride[3];
      for (Index j = 0; j < keys; ++j)
        for (Index i = 0; i < count; ++i) scores[j * lanes + i] += bias[i * p.bias_stride[2] + j * p.bias_stride[3]];
    }
    if (p.mask.all(first, first + count - 1, key, key + keys)) return false;
    bool hides = false;
    for (Index j = 0; j < keys; ++j)
      for (Index i = 0; i < count; ++i)
        if (!p.mask.may_attend(b, h, first + i, key + j)) {
          scores[j * lanes + i] = -std::numeric_limits<S>::infinity();
          hides = true;
        }
    return hides;
  }
  /// Weights from scores and saved statistics; exact zeros where forbidden.
  void weigh(Index keys, const S* maximum, const S* inverse_sum) {
    for (Index j = 0; j < keys; ++j)
      for (Index i = 0; i < lanes; ++i) {
        const S e = attend::exp(scores[j * lanes + i] - maximum[i]);
        scores[j * lanes + i] = e == S(0) ? S(0) : e * inverse_sum[i];  // hidden stays zero in a row of NaN
      }
    for (Index j = 0; j < keys; ++j)
      for (Index i = count; i < lanes; ++i) scores[j * lanes + i] = 0;
  }
  void drop(Index key, Index keys, S* weights) const {
    for (Index i = 0; i < count; ++i)
      p.dropout.multiply(static_cast<std::uint64_t>(p.row(b, h, first + i) * p.keys + key), keys, lanes, weights + i);
  }
  /// Loads the statistics of this block; lanes without a query weigh nothing.
  void statistics(const S* maximum, const S* inverse_sum, S* to_maximum, S* to_inverse_sum) const {
    for (Index i = 0; i < lanes; ++i) {
      to_maximum[i] = i < count ? maximum[p.row(b, h, first + i)] : S(0);
      to_inverse_sum[i] = i < count ? inverse_sum[p.row(b, h, first + i)] : S(0);
    }
  }
  TileZeros zeros_if(bool hides, TileZeros which, const S* rows, Index n, Index width, Index stride) const {
    return hides && !all_finite(rows, n, width, stride) ? which : TileZeros::multiplied;
  }
};

/// Units of work per chunk: about 2^18 multiply-adds; a function of the layer alone.
template <class S>
Index attention_grain(const AttentionProblem<S>& p, Index rows) {
  return std::max<Index>(1, (Index(1) << 18) / std::max<Index>(1, rows * p.keys * (p.dim + p.value_dim)));
}

}  // namespace detail

/// output(b, i, h, :) = sum_j weight_ij value(b, j, :). Of each row, `maximum` takes the largest score (0 if there is
/// none) and `inverse_sum` 1 / sum_j exp(score - maximum) (0 for a row that sees nothing, whose output is zero):
/// together they are the log-sum-exp, kept apart because their sum would lose the second at large scores. (batch,
/// heads, queries) each.
template <class S>
void attention_forward(const AttentionProblem<S>& p, const HeadRows<S>& output, S* maximum, S* inverse_sum) {
  using Block = detail::AttentionBlock<S>;
  constexpr Index lanes = Block::lanes;
  const Index blocks = (p.queries + lanes - 1) / lanes;
  parallel_for(p.batch * p.heads * blocks, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p) + p.value_dim * lanes);
    Block block(p, memory.get());
    S* const sum_v = memory.get() + Block::scratch(p);  // (value_dim, lanes)
    for (Index unit = begin; unit < end; ++unit) {
      block.start(unit / blocks / p.heads, unit / blocks % p.heads, unit % blocks * lanes);
      S top[lanes], sum[lanes], shift[lanes];
      std::fill_n(top, lanes, -std::numeric_limits<S>::infinity());
      std::fill_n(sum, lanes, S(0));
      std::fill_n(shift, lanes, S(0));
      std::fill_n(sum_v, p.value_dim * lanes, S(0));
      block.for_each_tile([&](Index key, Index keys) {
        const bool hides = block.score(key, keys);
        S* const s = block.scores;
        S now[lanes], tile_sum[lanes], shrink[lanes];
        std::copy_n(top, lanes, now);
        for (Index j = 0; j < keys; ++j)
          for (Index i = 0; i < lanes; ++i) now[i] = s[j * lanes + i] > now[i] ? s[j * lanes + i] : now[i];
        bool grew = false;
        for (Index i = 0; i < lanes; ++i) {
          grew = grew || now[i] != top[i];
          shift[i] =
              now[i] == -std::numeric_limits<S>::infinity() ? S(0) : now[i];  // nothing seen so far: avoids inf - inf
          shrink[i] = now[i] == top[i] ? S(1) : attend::exp(top[i] - shift[i]);
          top[i] = now[i];
          tile_sum[i] = 0;
        }
        if (grew)
          for (Index d = 0; d < p.value_dim; ++d)
            for (Index i = 0; i < lanes; ++i) sum_v[d * lanes + i] *= shrink[i];
        for (Index j = 0; j < keys; ++j)
          for (Index i = 0; i < lanes; ++i) {
            const S e = attend::exp(s[j * lanes + i] - shift[i]);
            s[j * lanes + i] = e;
            tile_sum[i] += e;
          }
        for (Index i = 0; i < lanes; ++i) sum[i] = sum[i] * shrink[i] + tile_sum[i];
        if (p.dropout.p > 0) block.drop(key, keys, s);
        const S* value = p.value.at(block.b, key, p.key_head(block.h));
        const auto zeros = block.zeros_if(hides, detail::TileZeros::of_b, value, keys, p.value_dim, p.value.position);
        detail::tile_product<S>(zeros, p.value_dim, lanes, keys, value, 1, p.value.position, s, lanes, sum_v, lanes);
      });
      for (Index i = 0; i < block.count; ++i) {
        const S inverse = sum[i] == S(0) ? S(0) : 1 / sum[i];
        const Index row = p.row(block.b, block.h, block.first + i);
        maximum[row] = shift[i];
        inverse_sum[row] = inverse;
        S* out = output.at(block.b, block.first + i, block.h);
        for (Index d = 0; d < p.value_dim; ++d) out[d] = sum[i] == S(0) ? S(0) : sum_v[d * lanes + i] * inverse;
      }
    }
  });
}

/// weights (batch, heads, queries, keys), before dropout, from the statistics that the forward pass left.
template <class S>
void attention_weights(const AttentionProblem<S>& p, const S* maximum, const S* inverse_sum, S* weights) {
  using Block = detail::AttentionBlock<S>;
  constexpr Index lanes = Block::lanes;
  const Index blocks = (p.queries + lanes - 1) / lanes;
  parallel_for(p.batch * p.heads * blocks, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p));
    Block block(p, memory.get());
    for (Index unit = begin; unit < end; ++unit) {
      block.start(unit / blocks / p.heads, unit / blocks % p.heads, unit % blocks * lanes);
      S top[lanes], inverse[lanes];
      block.statistics(maximum, inverse_sum, top, inverse);
      S* const rows = weights + p.row(block.b, block.h, block.first) * p.keys;
      std::fill_n(rows, block.count * p.keys, S(0));
      block.for_each_tile([&](Index key, Index keys) {
        block.score(key, keys);
        block.weigh(keys, top, inverse);
        for (Index i = 0; i < block.count; ++i)
          for (Index j = 0; j < keys; ++j) rows[i * p.keys + key + j] = block.scores[j * lanes + i];
      });
    }
  });
}

/// What the forward pass left, the gradient of its output, and where gradients are added; null where nobody needs one.
template <class S>
struct AttentionGradients {
  HeadRows<const S> output, output_gradient;
  const S *maximum = nullptr, *inverse_sum = nullptr;
  HeadRows<S> query, key, value;
  S* bias = nullptr;  ///< with the strides of the bias
};

/// With P the weights and Z the dropout factors:  dV += (P Z)^T dO;  dS = P (Z dO V^T - rowsum(dO O));  dQ += scale dS
/// K; dK += scale dS^T Q;  dbias += dS.  Unit of work: all heads that read one key head, all queries in order; where a
/// bias gradient is shared between samples or heads, all of them.
template <class S>
void attention_backward(const AttentionProblem<S>& p, const AttentionGradients<S>& g) {
  using Block = detail::AttentionBlock<S>;
  constexpr Index lanes = Block::lanes;
  const Index wide = detail::tile_lanes<S>;
  const Index dim = (p.dim + wide - 1) / wide * wide, value_dim = (p.value_dim + wide - 1) / wide * wide;
  const bool shared_batch = g.bias && p.bias_stride[0] == 0, shared_heads = g.bias && p.bias_stride[1] == 0;
  const Index sample_units = shared_batch ? 1 : p.batch, head_units = shared_heads ? 1 : p.key_heads;
  const Index heads_per_key = p.heads / p.key_heads;

  const auto one_key_head = [&](Index b, Index key_head, Block& block, S* scratch) {
    S* const out_gradient = scratch;                             // (value_dim, lanes)
    S* const d_scores = out_gradient + p.value_dim * lanes;      // (attention_keys, lanes)
    S* const dropped = d_scores + attention_keys * lanes;        // (attention_keys, lanes)
    S* const query_gradient = dropped + attention_keys * lanes;  // (dim, lanes)
    S* const query_rows = query_gradient + p.dim * lanes;        // (lanes, dim), padded
    S* const gradient_rows = query_rows + lanes * dim;           // (lanes, value_dim), padded
    S* const key_sum = gradient_rows + lanes * value_dim;        // (keys, dim), padded
    S* const value_sum = key_sum + p.keys * dim;                 // (keys, value_dim), padded
    std::fill_n(key_sum, p.keys * (dim + value_dim), S(0));
    for (Index h = key_head * heads_per_key; h < (key_head + 1) * heads_per_key; ++h)
      for (Index first = 0; first < p.queries; first += lanes) {
        block.start(b, h, first);
        Block::transpose(g.output_gradient, b, h, first, block.count, p.value_dim, S(1), out_gradient);
        std::fill_n(query_gradient, p.dim * lanes, S(0));
        std::fill_n(query_rows, lanes * (dim + value_dim), S(0));
        S top[lanes], inverse[lanes], mean[lanes] = {};
        block.statistics(g.maximum, g.inverse_sum, top, inverse);
        for (Index i = 0; i < block.count; ++i) {
          const S *q = p.query.at(b, first + i, h), *o = g.output.at(b, first + i, h),
                  *d = g.output_gradient.at(b, first + i, h);
          for (Index c = 0; c < p.dim; ++c) query_rows[i * dim + c] = q[c] * p.scale;
          for (Index c = 0; c < p.value_dim; ++c) {
            gradient_rows[i * value_dim + c] = d[c];
            mean[i] += d[c] * o[c];
          }
        }
        const bool finite_query = detail::all_finite(query_rows, block.count, p.dim, dim);
        const bool finite_gradient = detail::all_finite(gradient_rows, block.count, p.value_dim, value_dim);
        block.for_each_tile([&](Index key, Index keys) {
          const bool hides = block.score(key, keys);
          block.weigh(keys, top, inverse);
          S* const weights = block.scores;
          const S *k = p.key.at(b, key, key_head), *v = p.value.at(b, key, key_head);
          std::fill_n(d_scores, keys * lanes, S(0));
          detail::tile_product<S>(detail::TileZeros::multiplied, keys, lanes, p.value_dim, v, p.value.position, 1,
                                  out_gradient, lanes, d_scores, lanes);
          const S* used = weights;
          if (p.dropout.p > 0) {
            block.drop(key, keys, d_scores);
            std::copy_n(weights, keys * lanes, dropped);
            block.drop(key, keys, dropped);
            used = dropped;
          }
          for (Index j = 0; j < keys; ++j)
            for (Index i = 0; i < lanes; ++i) {
              const S w = weights[j * lanes + i], d = w * (d_scores[j * lanes + i] - mean[i]);
              d_scores[j * lanes + i] = w == S(0) ? S(0) : d;
            }
          if (g.value)
            detail::tile_product<S>(hides && !finite_gradient ? detail::TileZeros::of_a : detail::TileZeros::multiplied,
                                    keys, value_dim, lanes, used, lanes, 1, gradient_rows, value_dim,
                                    value_sum + key * value_dim, value_dim);
          if (g.key)
            detail::tile_product<S>(hides && !finite_query ? detail::TileZeros::of_a : detail::TileZeros::multiplied,
                                    keys, dim, lanes, d_scores, lanes, 1, query_rows, dim, key_sum + key * dim, dim);
          if (g.query)
            detail::tile_product<S>(block.zeros_if(hides, detail::TileZeros::of_b, k, keys, p.dim, p.key.position),
                                    p.dim, lanes, keys, k, 1, p.key.position, d_scores, lanes, query_gradient, lanes);
          if (g.bias && key < p.mask.keys) {
            S* bias = g.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + first * p.bias_stride[2] +
                      key * p.bias_stride[3];
            for (Index i = 0; i < block.count; ++i)
              for (Index j = 0; j < keys; ++j)
                bias[i * p.bias_stride[2] + j * p.bias_stride[3]] += d_scores[j * lanes + i];
          }
        });
        if (g.query)
          for (Index i = 0; i < block.count; ++i) {
            S* to = g.query.at(b, first + i, h);
            for (Index c = 0; c < p.dim; ++c) to[c] += p.scale * query_gradient[c * lanes + i];
          }
      }
    for (Index j = 0; g.key && j < p.keys; ++j)
      for (Index c = 0; c < p.dim; ++c) g.key.at(b, j, key_head)[c] += key_sum[j * dim + c];
    for (Index j = 0; g.value && j < p.keys; ++j)
      for (Index c = 0; c < p.value_dim; ++c) g.value.at(b, j, key_head)[c] += value_sum[j * value_dim + c];
  };

  const Index samples = p.batch / std::max<Index>(1, sample_units),
              key_heads = p.key_heads / std::max<Index>(1, head_units);
  const Index work = detail::attention_grain(p, 3 * p.queries * heads_per_key);
  parallel_for(sample_units * head_units, shared_batch || shared_heads ? 1 : work, [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p) + (p.dim + p.value_dim + 2 * attention_keys) * lanes +
                                       (p.keys + lanes) * (dim + value_dim));
    Block block(p, memory.get());
    for (Index unit = begin; unit < end; ++unit)
      for (Index b = unit / head_units * samples; b < (unit / head_units + 1) * samples; ++b)
        for (Index k = unit % head_units * key_heads; k < (unit % head_units + 1) * key_heads; ++k)
          one_key_head(b, k, block, memory.get() + Block::scratch(p));
  });
}

ATTEND_END
