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
template <class S>
void attention_forward(const AttentionProblem<S>& p, const HeadRows<S>& output, S* maximum, S* inverse_sum) {
  using Block = detail::AttentionBlock<S>;
  constexpr Index lanes = Block::lanes;
  const Index blocks = (p.queries + lanes - 1) / lanes;
  parallel_for(p.batch * p.heads * blocks, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p) + p.value_dim * lanes);
    Block block(p, memory.get());
    S* const sum_v = memory.get() + Block::scratch(p);  // (value_dim, width)
    detail::RunningSoftmax<S> running;
    for (Index unit = begin; unit < end; ++unit) {
      block.start(unit / blocks / p.heads, unit / blocks % p.heads, unit % blocks * lanes);
      running.start();
      bool first_tile = true;
      block.for_each_tile([&](Index key, Index keys) {
        const bool hides = block.score(key, keys, running.top);
        block.exponentiate(keys, running);
        if (p.dropout.p > 0) block.drop(key, keys, block.scores);
        const S* value = p.value.at(block.b, key, p.key_head(block.h));
        detail::TileProduct<S> product{value, 1, p.value.position, block.scores, block.width, sum_v, block.width, keys};
        if (!first_tile) product.keep = running.shrink;
        detail::tile_product(product, p.value_dim, block.width,
                             block.zeros_if(hides, TileZeros::of_b, value, keys, p.value_dim, p.value.position));
        first_tile = false;
      });
      alignas(64) S inverse[lanes];
      for (Index i = 0; i < lanes; ++i)
        inverse[i] = i >= block.count || running.sum[i] == S(0) ? S(0) : 1 / running.sum[i];
      for (Index i = 0; i < block.count; ++i) {
        const Index row = p.row(block.b, block.h, block.first + i);
        maximum[row] = running.top[i] == Block::nothing ? S(0) : running.top[i];
        inverse_sum[row] = inverse[i];
      }
      if (first_tile) std::fill_n(sum_v, p.value_dim * block.width, S(0));
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
  using Block = detail::AttentionBlock<S>;
  constexpr Index lanes = Block::lanes;
  const Index blocks = (p.queries + lanes - 1) / lanes;
  parallel_for(p.batch * p.heads * blocks, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::scratch(p));
    Block block(p, memory.get());
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

/// With P the weights and Z the dropout factors:  dV += (P Z)^T dO;  dS = P (Z dO V^T - rowsum(dO O));  dQ += scale dS
/// K; dK += scale dS^T Q;  dbias += dS.  Unit of work: all heads that read one key head, all queries in order; where a
/// bias gradient is shared between samples or heads, all of them.
template <class S>
void attention_backward(const AttentionProblem<S>& p, const AttentionGradients<S>& g) {
  using Block = detail::AttentionBlock<S>;
  constexpr Index lanes = Block::lanes, wide = Block::step;
  const Index dim = (p.dim + wide - 1) / wide * wide, value_dim = (p.value_dim + wide - 1) / wide * wide;
  const bool shared_batch = g.bias && p.bias_stride[0] == 0, shared_heads = g.bias && p.bias_stride[1] == 0;
  const Index sample_units = shared_batch ? 1 : p.batch, head_units = shared_heads ? 1 : p.key_heads;
  const Index heads_per_key = p.heads / p.key_heads;
  const auto ones = make_buffer<S>(std::max({dim, value_dim, lanes}), S(1));

  const auto one_key_head = [&](Index b, Index key_head, Block& block, S* scratch) {
    S* const out_gradient = scratch;                             // (value_dim, width)
    S* const d_scores = out_gradient + p.value_dim * lanes;      // (attention_keys, width)
    S* const dropped = d_scores + attention_keys * lanes;        // (attention_keys, width)
    S* const query_gradient = dropped + attention_keys * lanes;  // (dim, width)
    S* const query_rows = query_gradient + p.dim * lanes;        // (lanes, dim), padded
    S* const gradient_rows = query_rows + lanes * dim;           // (lanes, value_dim), padded
    S* const key_sum = gradient_rows + lanes * value_dim;        // (keys, dim), padded
    S* const value_sum = key_sum + p.keys * dim;                 // (keys, value_dim), padded
    std::fill_n(key_sum, p.keys * (dim + value_dim), S(0));
    std::fill_n(query_rows, lanes * (dim + value_dim), S(0));
    for (Index h = key_head * heads_per_key; h < (key_head + 1) * heads_per_key; ++h)
      for (Index first = 0; first < p.queries; first += lanes) {
        block.start(b, h, first);
        block.transpose(g.output_gradient, p.value_dim, S(1), out_gradient);
        std::fill_n(query_gradient, p.dim * block.width, S(0));
        alignas(64) S top[lanes], inverse[lanes], mean[lanes] = {};
        block.statistics(g.maximum, g.inverse_sum, top, inverse);
        for (Index i = 0; i < block.count; ++i) {
          const S *q = p.query.at(b, first + i, h), *o = g.output.at(b, first + i, h),
                  *d = g.output_gradient.at(b, first + i, h);
          simd::map(
              p.dim, query_rows + i * dim, [&](auto x) { return x * p.scale; }, q);
          std::copy_n(d, p.value_dim, gradient_rows + i * value_dim);
          mean[i] = detail::inner_product(p.value_dim, d, o);
        }
        const bool finite_query = detail::all_finite(query_rows, block.count, p.dim, dim);
        const bool finite_gradient = detail::all_finite(gradient_rows, block.count, p.value_dim, value_dim);
        block.for_each_tile([&](Index key, Index keys) {
          const bool hides = block.score(key, keys, nullptr);
          block.weigh(keys, top, inverse);
          S* const weights = block.scores;
          const S *k = p.key.at(b, key, key_head), *v = p.value.at(b, key, key_head);
          const Index width = block.width;
          detail::tile_product<S>({v, p.value.position, 1, out_gradient, width, d_scores, width, p.value_dim}, keys,
                                  width);
          const S* used = weights;
          if (p.dropout.p > 0) {
            std::copy_n(weights, keys * width, dropped);
            block.drop(key, keys, d_scores, dropped);
            used = dropped;
          }
          block.differentiate(keys, weights, mean, d_scores);
          if (g.value)
            detail::tile_product<S>({used, width, 1, gradient_rows, value_dim, value_sum + key * value_dim, value_dim,
                                     block.count, ones.get()},
                                    keys, value_dim,
                                    hides && !finite_gradient ? TileZeros::of_a : TileZeros::multiplied);
          if (g.key)
            detail::tile_product<S>(
                {d_scores, width, 1, query_rows, dim, key_sum + key * dim, dim, block.count, ones.get()}, keys, dim,
                hides && !finite_query ? TileZeros::of_a : TileZeros::multiplied);
          if (g.query)
            detail::tile_product<S>({k, 1, p.key.position, d_scores, width, query_gradient, width, keys, ones.get()},
                                    p.dim, width,
                                    block.zeros_if(hides, TileZeros::of_b, k, keys, p.dim, p.key.position));
          if (g.bias && key < p.mask.keys) {
            S* bias = g.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + first * p.bias_stride[2] +
                      key * p.bias_stride[3];
            for (Index i = 0; i < block.count; ++i)
              for (Index j = 0; j < keys; ++j)
                bias[i * p.bias_stride[2] + j * p.bias_stride[3]] += d_scores[j * width + i];
          }
        });
        if (g.query)
          for (Index i = 0; i < block.count; ++i) {
            S* to = g.query.at(b, first + i, h);
            for (Index c = 0; c < p.dim; ++c) to[c] += p.scale * query_gradient[c * block.width + i];
          }
      }
    for (Index j = 0; g.key && j < p.keys; ++j) detail::add_row(p.dim, key_sum + j * dim, g.key.at(b, j, key_head));
    for (Index j = 0; g.value && j < p.keys; ++j)
      detail::add_row(p.value_dim, value_sum + j * value_dim, g.value.at(b, j, key_head));
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

ATTEND_END_ISA
#endif
