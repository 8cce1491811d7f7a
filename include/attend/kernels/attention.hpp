/// Fused exact attention: softmax(scale q k^T + bias) v in tiles, with the running maximum of Milakov & Gimelshein 2018
/// and the recomputing backward pass of FlashAttention (Dao et al. 2022). No score matrix exists in memory.
///
/// The unit of work is (sample, head, block of queries); what is computed for a query depends on its own row, keys and
/// mask alone, so results are the same bits for any number of threads and in any batch.
#ifndef ATTEND_KERNELS_ATTENTION
#define ATTEND_KERNELS_ATTENTION
#include "attend/kernels/attention_block.hpp"

ATTEND_BEGIN
/// What the forward pass left, the gradient of its output, and where gradients are added; null where nobody needs one.
template <class S>
struct AttentionGradients {
  HeadRows<const S> output, output_gradient;
  const S *maximum = nullptr, *inverse_sum = nullptr;
  HeadRows<S> query, key, value;
  S* bias = nullptr;  ///< with the strides of the bias
};
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/attention.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(attention_forward)
ATTEND_DISPATCH(attention_weights)
ATTEND_DISPATCH(attention_backward)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// output(b, i, h, :) = sum_j weight_ij value(b, j, :). Of each row, `maximum` takes the largest score (0 if there is
/// none) and `inverse_sum` 1 / sum_j exp(score - maximum) (0 for a row that sees nothing, whose output is zero):
/// together they are the log-sum-exp, kept apart because their sum would lose the second at large scores. (batch,
/// heads, queries) each.
template <class S, class Modifier = AttentionModifier<> >
void attention_forward(const AttentionProblem<S>& p, const HeadRows<S>& output, S* maximum, S* inverse_sum,
                       const Modifier& modifier = {}) {
  using Block = detail::AttentionBlock<S, Modifier>;
  constexpr Index lanes = Block::lanes;
  constexpr Index line = 64 / static_cast<Index>(sizeof(S));
  const Index blocks = (p.queries + lanes - 1) / lanes;
  parallel_for(p.batch * p.heads * blocks, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p) + p.value_dim * lanes);
    Block block(p, modifier, memory.get());
    S* const sum_v = memory.get() + Block::scratch(p);  // (value_dim, width)
    detail::RunningSoftmax<S> running;
    /// Rows are far apart and met once: asks for this block's output and the next block's queries ahead, a part with
    /// each tile.
    const auto fetch_row = [&](const S* row, Index length) {
      for (Index d = 0; d < length; d += line) __builtin_prefetch(row + d, 0, 2);
    };
    const auto fetch = [&](Index unit, Index key, Index keys) {
      const Index head = unit / blocks, tile = unit % blocks;
      const Index from = key * lanes / p.keys, to = (key + keys) * lanes / p.keys,
                  next = unit + 1 == p.batch * p.heads * blocks ? unit : unit + 1;
      for (Index i = from; i < to; ++i) {
        const Index here = unit % blocks * lanes + i, there = next % blocks * lanes + i;
        if (here < p.queries)
          for (Index d = 0; d < p.value_dim; d += line)
            __builtin_prefetch(output.at(head / p.heads, here, head % p.heads) + d, 1);
        if (there < p.queries) fetch_row(p.query.at(next / blocks / p.heads, there, next / blocks % p.heads), p.dim);
      }
      const Index next_head = head + 1;
      if (next_head >= p.batch * p.heads) return;
      const Index nb = next_head / p.heads, nk = p.key_head(next_head % p.heads);
      if (nb == head / p.heads && nk == p.key_head(head % p.heads)) return;
      for (Index j = (tile * p.keys + key) / blocks; j < (tile * p.keys + key + keys) / blocks; ++j) {
        fetch_row(p.key.at(nb, j, nk), p.dim);
        fetch_row(p.value.at(nb, j, nk), p.value_dim);
      }
    };
    for (Index unit = begin; unit < end; ++unit) {
      block.start(unit / blocks / p.heads, unit / blocks % p.heads, unit % blocks * lanes);
      running.start();
      std::fill_n(sum_v, p.value_dim * block.width, S(0));
      block.for_each_tile([&](Index key, Index keys) {
        fetch(unit, key, keys);
        const bool hides = block.score(key, keys, running.top);
        block.exponentiate(running);
        if (p.dropout.p > 0) block.drop(key, block.scores, block.scores);
        const S* value = p.value.at(block.b, key, p.key_head(block.h));
        detail::TileProduct<S> product{value, 1, p.value.position, block.scores, block.width, sum_v, block.width, keys};
        product.keep = running.shrink;
        block.product_over_keys(product, p.value_dim,
                                block.zeros_if(hides, TileZeros::of_b, value, keys, p.value_dim, p.value.position));
      });
      alignas(64) S inverse[lanes];
      for (Index i = 0; i < lanes; ++i)
        inverse[i] = i >= block.count || running.sum[i] == S(0) ? S(0) : 1 / running.sum[i];
      for (Index i = 0; i < block.count; ++i) {
        const Index row = p.row(block.b, block.h, block.first + i);
        maximum[row] = running.top[i] == Block::nothing ? S(0) : running.top[i];
        inverse_sum[row] = inverse[i];
      }
      detail::panel_to_rows(sum_v, block.width, block.count, p.value_dim, inverse,
                            [&](Index i, Index d, simd::Vector<S> v, Index n) {
                              S* to = output.at(block.b, block.first + i, block.h) + d;
                              n == Block::step ? simd::store(to, v) : simd::store_part(to, v, n);
                            });
    }
  });
}

/// weights (batch, heads, queries, keys), before dropout, from the statistics that the forward pass left.
template <class S>
void attention_weights(const AttentionProblem<S>& p, const S* maximum, const S* inverse_sum, S* weights) {
  using Block = detail::AttentionBlock<S, AttentionModifier<> >;
  constexpr Index lanes = Block::lanes;
  const Index blocks = (p.queries + lanes - 1) / lanes;
  parallel_for(p.batch * p.heads * blocks, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p));
    const AttentionModifier<> none;
    Block block(p, none, memory.get());
    for (Index unit = begin; unit < end; ++unit) {
      block.start(unit / blocks / p.heads, unit / blocks % p.heads, unit % blocks * lanes);
      alignas(64) S top[lanes], inverse[lanes];
      block.statistics(maximum, inverse_sum, top, inverse);
      S* const rows = weights + p.row(block.b, block.h, block.first) * p.keys;
      std::fill_n(rows, block.count * p.keys, S(0));
      block.for_each_tile([&](Index key, Index keys) {
        block.score(key, keys, nullptr);
        block.weigh(keys, top, inverse);
        for (Index i = 0; i < block.count; ++i)
          for (Index j = 0; j < keys; ++j) rows[i * p.keys + key + j] = block.scores[j * block.width + i];
      });
    }
  });
}

namespace detail {

/// One pass over some queries: adds to the gradients of query and bias, and to sums of those of key and value.
template <class S, class Modifier>
class AttentionBackward {
 public:
  using Block = AttentionBlock<S, Modifier>;
  static constexpr Index lanes = Block::lanes, wide = Block::step;
  static Index padded(Index columns) { return (columns + wide - 1) / wide * wide; }

  AttentionBackward(const AttentionProblem<S>& problem, const AttentionGradients<S>& gradients,
                    const Modifier& modifier)
      : p(problem),
        g(gradients),
        dim(padded(p.dim)),
        value_dim(padded(p.value_dim)),
        memory_(make_buffer<S>(Block::scratch(p) + (p.dim + p.value_dim + 2 * attention_keys) * lanes +
                               lanes * (dim + value_dim) + std::max({dim, value_dim, lanes}))),
        block_(p, modifier, memory_.get()),
        out_gradient_(memory_.get() + Block::scratch(p)),
        d_scores_(out_gradient_ + p.value_dim * lanes),
        dropped_(d_scores_ + attention_keys * lanes),
        query_gradient_(dropped_ + attention_keys * lanes),
        query_rows_(query_gradient_ + p.dim * lanes),
        gradient_rows_(query_rows_ + lanes * dim),
        ones_(gradient_rows_ + lanes * value_dim) {
    std::fill_n(query_rows_, lanes * (dim + value_dim), S(0));
    std::fill_n(ones_, std::max({dim, value_dim, lanes}), S(1));
  }

  /// Queries [begin, end) of all heads that read the key head. key_sum (keys, dim) and value_sum (keys, value_dim),
  /// rows padded to whole vectors; null where nobody needs them.
  void run(Index b, Index key_head, Index begin, Index end, S* bias_gradient, S* key_sum, S* value_sum) {
    const Index group = p.heads / p.key_heads;
    for (Index h = key_head * group; h < (key_head + 1) * group; ++h)
      for (Index first = begin; first < end; first += lanes) {
        start(b, h, first);
        block_.for_each_tile([&](Index key, Index keys) { tile(key, keys, bias_gradient, key_sum, value_sum); });
        if (g.query)
          panel_to_rows(query_gradient_, block_.width, block_.count, p.dim, scale_,
                        [&](Index i, Index d, simd::Vector<S> v, Index n) {
                          S* to = g.query.at(b, first + i, h) + d;
                          if (n == wide)
                            simd::store(to, simd::load(to) + v);
                          else
                            simd::store_part(to, simd::load_part(to, n) + v, n);
                        });
      }
  }

  const AttentionProblem<S>& p;
  const AttentionGradients<S>& g;
  const Index dim, value_dim;  // padded

 private:
  void start(Index b, Index h, Index first) {
    block_.start(b, h, first);
    block_.transpose(g.output_gradient, p.value_dim, S(1), out_gradient_);
    block_.statistics(g.maximum, g.inverse_sum, top_, inverse_);
    std::fill_n(query_gradient_, p.dim * block_.width, S(0));
    std::fill_n(scale_, lanes, p.scale);
    for (Index i = 0; i < block_.count; ++i) {
      const S *q = p.query.at(b, first + i, h), *o = g.output.at(b, first + i, h),
              *d = g.output_gradient.at(b, first + i, h);
      simd::map(
          p.dim, query_rows_ + i * dim, [&](auto x) { return x * p.scale; }, q);
      std::copy_n(d, p.value_dim, gradient_rows_ + i * value_dim);
      mean_[i] = inner_product(p.value_dim, d, o);
    }
    finite_query_ = all_finite(query_rows_, block_.count, p.dim, dim);
    finite_gradient_ = all_finite(gradient_rows_, block_.count, p.value_dim, value_dim);
  }
  void tile(Index key, Index keys, S* bias_gradient, S* key_sum, S* value_sum) {
    const Index b = block_.b, width = block_.width, key_head = p.key_head(block_.h);
    const bool hides = block_.score(key, keys, nullptr);
    block_.weigh(keys, top_, inverse_);
    S* const weights = block_.scores;
    const S *k = p.key.at(b, key, key_head), *v = p.value.at(b, key, key_head);
    block_.product_of_keys({v, p.value.position, 1, out_gradient_, width, d_scores_, width, p.value_dim});
    const S* used = weights;
    if (p.dropout.p > 0) {
      block_.drop(key, weights, dropped_, d_scores_);
      used = dropped_;
    }
    block_.differentiate(keys, weights, mean_, d_scores_);
    if constexpr (Modifier::changes) block_.differentiate_modifier(key, keys, weights, d_scores_);
    if (value_sum)
      block_.product_over_queries(
          {used, width, 1, gradient_rows_, value_dim, value_sum + key * value_dim, value_dim, 0, ones_}, value_dim,
          hides && !finite_gradient_ ? TileZeros::of_a : TileZeros::multiplied);
    if (key_sum)
      block_.product_over_queries({d_scores_, width, 1, query_rows_, dim, key_sum + key * dim, dim, 0, ones_}, dim,
                                  hides && !finite_query_ ? TileZeros::of_a : TileZeros::multiplied);
    if (g.query)
      block_.product_over_keys({k, 1, p.key.position, d_scores_, width, query_gradient_, width, 0, ones_}, p.dim,
                               block_.zeros_if(hides, TileZeros::of_b, k, keys, p.dim, p.key.position));
    if (bias_gradient && key < p.mask.keys) {
      const Shape<4>& stride = p.bias_stride;
      S* bias = bias_gradient + b * stride[0] + block_.h * stride[1] + block_.first * stride[2] + key * stride[3];
      for (Index i = 0; i < block_.count; ++i)
        for (Index j = 0; j < keys; ++j) bias[i * stride[2] + j * stride[3]] += d_scores_[j * width + i];
    }
  }

  std::shared_ptr<S> memory_;
  Block block_;
  S* const out_gradient_;    // (value_dim, width)
  S* const d_scores_;        // (attention_keys, width)
  S* const dropped_;         // (attention_keys, width)
  S* const query_gradient_;  // (dim, width)
  S* const query_rows_;      // (lanes, dim), padded and scaled
  S* const gradient_rows_;   // (lanes, value_dim), padded
  S* const ones_;
  alignas(64) S top_[lanes], inverse_[lanes], scale_[lanes], mean_[lanes] = {};
  bool finite_query_ = true, finite_gradient_ = true;
};

}  // namespace detail

/// With P the weights and Z the dropout factors:  dV += (P Z)^T dO;  dS = P (Z dO V^T - rowsum(dO O));  dQ += scale dS
/// K; dK += scale dS^T Q;  dbias += dS.
///
/// Gradients of keys and values are summed apart over up to four fixed ranges of queries, then added in order. Unit of
/// work: all heads that read one key head, with few of them one of the ranges; where a bias gradient is shared between
/// samples or heads, all of those, or a fixed part with a gradient of its own.
template <class S, class Modifier = AttentionModifier<> >
void attention_backward(const AttentionProblem<S>& p, const AttentionGradients<S>& g, const Modifier& modifier = {}) {
  using Backward = detail::AttentionBackward<S, Modifier>;
  constexpr Index lanes = Backward::lanes;
  const Index range = std::max((p.queries + 4 * lanes - 1) / (4 * lanes), Index(16)) * lanes;
  const Index ranges = (p.queries + range - 1) / range;
  const Index row = Backward::padded(p.dim) + Backward::padded(p.value_dim);
  const auto run = [&](Backward& backward, Index b, Index key_head, Index r, S* bias_gradient, S* sums) {
    std::fill_n(sums, p.keys * row, S(0));
    backward.run(b, key_head, r * range, std::min(p.queries, (r + 1) * range), bias_gradient, g.key ? sums : nullptr,
                 g.value ? sums + p.keys * backward.dim : nullptr);
  };
  const auto add = [&](Index b, Index key_head, const S* sums) {
    const Index dim = Backward::padded(p.dim), value_dim = row - dim;
    for (Index j = 0; g.key && j < p.keys; ++j) detail::add_row(p.dim, sums + j * dim, g.key.at(b, j, key_head));
    for (Index j = 0; g.value && j < p.keys; ++j)
      detail::add_row(p.value_dim, sums + p.keys * dim + j * value_dim, g.value.at(b, j, key_head));
  };

  const bool shared_batch = g.bias && p.bias_stride[0] == 0, shared_heads = g.bias && p.bias_stride[1] == 0;
  if (ranges > 1 && p.batch * p.key_heads < 8 && !(g.bias && (shared_batch || shared_heads || p.bias_stride[2] == 0))) {
    const Index units = p.batch * p.key_heads * ranges;
    const auto sums = make_buffer<S>(units * p.keys * row);
    parallel_for(units, 1, [&](Index begin, Index end) {
      Backward backward(p, g, modifier);
      for (Index unit = begin; unit < end; ++unit)
        run(backward, unit / ranges / p.key_heads, unit / ranges % p.key_heads, unit % ranges, g.bias,
            sums.get() + unit * p.keys * row);
    });
    for (Index unit = 0; unit < units; ++unit)
      add(unit / ranges / p.key_heads, unit / ranges % p.key_heads, sums.get() + unit * p.keys * row);
    return;
  }

  Index extent = 1;  // of a shared bias
  for (std::size_t axis = 1; axis < 4; ++axis) {
    const Index along = axis == 1 ? p.heads : axis == 2 ? p.queries : p.mask.keys;
    extent += std::max<Index>(along - 1, 0) * p.bias_stride[axis];
  }
  const Index parts =
      shared_batch ? std::clamp<Index>((Index(1) << 22) / extent, 1, std::clamp<Index>(p.batch, 1, 8)) : 0;
  const Index sample_units = shared_batch ? parts : p.batch, head_units = shared_heads ? 1 : p.key_heads;
  const auto parts_of_bias = parts > 1 ? make_buffer<S>(parts * extent, S(0)) : nullptr;
  const Index key_heads = p.key_heads / std::max<Index>(1, head_units);
  const Index work = detail::attention_grain(p, 3 * p.queries * (p.heads / p.key_heads));
  parallel_for(sample_units * head_units, shared_batch || shared_heads ? 1 : work, [&](Index begin, Index end) {
    const auto sums = make_buffer<S>(p.keys * row);
    Backward backward(p, g, modifier);
    for (Index unit = begin; unit < end; ++unit) {
      const Index part = unit / head_units;
      S* const bias = parts > 1 ? parts_of_bias.get() + part * extent : g.bias;
      for (Index b = part * p.batch / sample_units; b < (part + 1) * p.batch / sample_units; ++b)
        for (Index k = unit % head_units * key_heads; k < (unit % head_units + 1) * key_heads; ++k)
          for (Index r = 0; r < ranges; ++r) {
            run(backward, b, k, r, bias, sums.get());
            add(b, k, sums.get());
          }
    }
  });
  for (Index part = 0; parts > 1 && part < parts; ++part)
    for (Index i = 0; i < extent; ++i) g.bias[i] += parts_of_bias.get()[part * extent + i];
}

ATTEND_END_ISA
#endif
