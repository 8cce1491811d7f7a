/// Fused exact attention: softmax(scale q k^T + bias) v in tiles, with the running maximum of Milakov & Gimelshein 2018
/// and the recomputing backward pass of FlashAttention (Dao et al. 2022). No score matrix exists in memory.
///
/// The unit of work is a few blocks of queries that read one key head of a sample (attention_turns.hpp); what is computed
/// for a query depends on its own row, keys and mask alone, so results are the same bits for any number of threads and in
/// any batch.
#ifndef ATTEND_KERNELS_ATTENTION
#define ATTEND_KERNELS_ATTENTION
#include <optional>

#include "attend/kernels/attention_fetch.hpp"
#include "attend/kernels/attention_statistics.hpp"

ATTEND_BEGIN
/// What the forward pass left, the gradient of its output, and where gradients go; null where nobody needs one.
template <class S>
struct AttentionGradients {
  HeadRows<const S> output, output_gradient;
  const S *maximum = nullptr, *inverse_sum = nullptr;
  HeadAccumulator<S> query, key, value;
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

namespace detail {

/// A block of queries on its way through the keys.
template <class S, class Modifier, class Statistics>
struct AttentionForward {
  using Block = AttentionBlock<S, Modifier>;
  using Rows = RowStatisticsOf<S, Statistics>;
  static constexpr Index lanes = Block::lanes;

  Block block;
  S* const sum_v;  // (value_dim, width)
  RunningSoftmax<S> running;
  Rows rows;

  AttentionForward(const AttentionProblem<S>& p, const Modifier& modifier, const Statistics& statistics, S* memory,
                   S* tile)
      : block(p, modifier, memory, tile),
        sum_v(memory + Block::panel_size(p)),
        rows(statistics, sum_v + p.value_dim * lanes) {}
  static Index scratch(const AttentionProblem<S>& p, const Statistics& statistics) {
    return Block::panel_size(p) + p.value_dim * lanes + Rows::scratch(statistics);
  }

  void start(Index b, Index h, Index first, Index after) {
    block.start(b, h, first, after);
    running.start();
    rows.start();
    std::fill_n(sum_v, block.p.value_dim * block.width, S(0));
  }
  ATTEND_OUT_OF_LINE void tile(Index key, Index keys) {
    const AttentionProblem<S>& p = block.p;
    const bool hides = block.see(key, keys, running, rows);
    if (p.dropout.p > 0) block.drop(key, block.scores, block.scores);
    const S* value = p.value.at(block.b, key, p.key_head(block.h));
    TileProduct<S> product{value, 1, p.value.position, block.scores, block.width, sum_v, block.width, keys};
    product.keep = running.shrink;
    product.fetch = block.fetch;
    block.product_over_keys(product, p.value_dim,
                            block.zeros_if(hides, TileZeros::of_b, value, keys, p.value_dim, p.value.position));
  }
  void finish(const HeadRows<S>& output, S* maximum, S* inverse_sum) const {
    const AttentionProblem<S>& p = block.p;
    alignas(64) S inverse[lanes];
    for (Index i = 0; i < lanes; ++i)
      inverse[i] = i >= block.count || running.sum[i] == S(0) ? S(0) : 1 / running.sum[i];
    for (Index i = 0; i < block.count; ++i) {
      const Index row = p.row(block.b, block.h, block.first + i);
      maximum[row] = running.top[i] == Block::nothing ? S(0) : running.top[i];
      inverse_sum[row] = inverse[i];
    }
    rows.finish(block, running, inverse);
    panel_to_rows(sum_v, block.width, block.count, p.value_dim, inverse,
                  [&](Index i, Index d, simd::Vector<S> v, Index n) {
                    S* to = output.at(block.b, block.first + i, block.h) + d;
                    n == Block::step ? simd::store(to, v) : simd::store_part(to, v, n);
                  });
  }
};

}  // namespace detail

/// output(b, i, h, :) = sum_j weight_ij value(b, j, :). Of each row, `maximum` takes the largest score (0 if there is
/// none) and `inverse_sum` 1 / sum_j exp(score - maximum) (0 for a row that sees nothing, whose output is zero):
/// together they are the log-sum-exp, kept apart because their sum would lose the second at large scores. (batch,
/// heads, queries) each. `statistics`, an AttentionStatistics<S>, changes nothing in them.
template <class S, class Modifier = AttentionModifier<>, class Statistics = NoAttentionStatistics>
void attention_forward(const AttentionProblem<S>& p, const HeadRows<S>& output, S* maximum, S* inverse_sum,
                       const Modifier& modifier = {}, const Statistics& statistics = {}) {
  using Turn = detail::AttentionForward<S, Modifier, Statistics>;
  constexpr Index turns = detail::attention_turns;
  const detail::AttentionUnits<S> units(p);
  parallel_for(units.count, units.grain(p), [&](Index begin, Index end) {
    const Index scratch = Turn::scratch(p, statistics);
    const auto memory = make_buffer<S>(Turn::Block::tile_size + turns * scratch);
    constexpr Index few_keys = 112;  // little to compute for each number of the output
    detail::AttentionFetch<S> fetch(p, {{p.query, p.dim}},
                                    {p.mask.keys < few_keys ? output : HeadRows<S>(), p.value_dim}, 1);
    std::optional<Turn> turn[turns];
    for (Index n = 0; n < turns; ++n) {
      turn[n].emplace(p, modifier, statistics, memory.get() + Turn::Block::tile_size + n * scratch, memory.get());
      turn[n]->block.fetch = fetch.queue();
    }
    const auto block = [&](Index n) -> const auto& { return turn[n]->block; };
    for (Index unit = begin; unit < end; ++unit) {
      const detail::AttentionRun<S> run = units[unit], next = units[std::min(unit + 1, units.count - 1)];
      for (Index n = 0; n < run.count; ++n) turn[n]->start(run.b, run.head[n], run.first[n], run.after[n]);
      fetch.start(run, next, detail::common_range(run.count, block));
      detail::take_turns(run.count, block, [&](Index n, Index key, Index keys) {
        fetch.tile(n, key, keys, (keys + p.value_dim) / detail::tile_rows);
        turn[n]->tile(key, keys);
      });
      for (Index n = 0; n < run.count; ++n) turn[n]->finish(output, maximum, inverse_sum);
    }
  });
}

/// weights (batch, heads, queries, keys), before dropout, from the statistics that the forward pass left.
template <class S>
void attention_weights(const AttentionProblem<S>& p, const S* maximum, const S* inverse_sum, S* weights) {
  using Block = detail::AttentionBlock<S, AttentionModifier<> >;
  constexpr Index lanes = Block::lanes;
  const detail::QueryBlocks<S> blocks(0, p.queries);
  parallel_for(p.batch * p.heads * blocks.count, detail::attention_grain(p, lanes), [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(Block::tile_size + Block::panel_size(p));
    const AttentionModifier<> none;
    Block block(p, none, memory.get() + Block::tile_size, memory.get());
    for (Index unit = begin; unit < end; ++unit) {
      const Index head = unit / blocks.count, n = unit % blocks.count;
      block.start(head / p.heads, head % p.heads, blocks[n], blocks[n + 1]);
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

/// A block of queries on its way back through the keys.
template <class S, class Modifier>
struct BackwardTurn {
  using Block = AttentionBlock<S, Modifier>;
  static constexpr Index lanes = Block::lanes, wide = Block::step;
  static Index padded(Index columns) { return (columns + wide - 1) / wide * wide; }

  Block block;
  const Index dim, value_dim;  // padded
  S* const out_gradient;       // (value_dim, width)
  S* const query_gradient;     // (dim, width)
  S* const query_rows;         // (lanes, dim), padded and scaled
  S* const gradient_rows;      // (lanes, value_dim), padded
  alignas(64) S top[lanes], inverse[lanes], mean[lanes] = {};
  bool finite_query = true, finite_gradient = true;

  BackwardTurn(const AttentionProblem<S>& p, const Modifier& modifier, S* memory, S* tile)
      : block(p, modifier, memory, tile),
        dim(padded(p.dim)),
        value_dim(padded(p.value_dim)),
        out_gradient(memory + Block::panel_size(p)),
        query_gradient(out_gradient + p.value_dim * lanes),
        query_rows(query_gradient + p.dim * lanes),
        gradient_rows(query_rows + lanes * dim) {
    std::fill_n(query_rows, lanes * (dim + value_dim), S(0));
  }
  static Index scratch(const AttentionProblem<S>& p) {
    return Block::panel_size(p) + lanes * (p.value_dim + p.dim + padded(p.dim) + padded(p.value_dim));
  }

  void start(const AttentionGradients<S>& g, Index b, Index h, Index first, Index after) {
    const AttentionProblem<S>& p = block.p;
    block.start(b, h, first, after);
    block.transpose(g.output_gradient, p.value_dim, S(1), out_gradient);
    block.statistics(g.maximum, g.inverse_sum, top, inverse);
    std::fill_n(query_gradient, p.dim * block.width, S(0));
    for (Index i = 0; i < block.count; ++i) {
      const S *q = p.query.at(b, first + i, h), *o = g.output.at(b, first + i, h),
              *d = g.output_gradient.at(b, first + i, h);
      simd::map(
          p.dim, query_rows + i * dim, [&](auto x) { return x * p.scale; }, q);
      std::copy_n(d, p.value_dim, gradient_rows + i * value_dim);
      mean[i] = inner_product(p.value_dim, d, o);
    }
    finite_query = all_finite(query_rows, block.count, p.dim, dim);
    finite_gradient = all_finite(gradient_rows, block.count, p.value_dim, value_dim);
  }
};

/// One pass over some queries: gives the gradients of query and bias their terms, and sums those of key and value.
template <class S, class Modifier>
class AttentionBackward {
 public:
  using Turn = BackwardTurn<S, Modifier>;
  using Block = typename Turn::Block;
  static constexpr Index lanes = Turn::lanes, wide = Turn::wide, turns = attention_turns;
  static Index padded(Index columns) { return Turn::padded(columns); }

  AttentionBackward(const AttentionProblem<S>& problem, const AttentionGradients<S>& gradients,
                    const Modifier& modifier)
      : p(problem),
        g(gradients),
        dim(padded(p.dim)),
        value_dim(padded(p.value_dim)),
        memory_(make_buffer<S>(Block::tile_size + 2 * attention_keys * lanes + std::max({dim, value_dim, lanes}) +
                               turns * Turn::scratch(p))),
        d_scores_(memory_.get() + Block::tile_size),
        dropped_(d_scores_ + attention_keys * lanes),
        ones_(dropped_ + attention_keys * lanes),
        fetch_(p, {{p.query, p.dim}, {g.output_gradient, p.value_dim}, {g.output, p.value_dim}}, {g.query.to, p.dim},
               2) {
    const Index ones = std::max({dim, value_dim, lanes});
    std::fill_n(ones_, ones, S(1));
    for (Index n = 0; n < turns; ++n) {
      turn_[n].emplace(p, modifier, ones_ + ones + n * Turn::scratch(p), memory_.get());
      turn_[n]->block.fetch = fetch_.queue();
    }
  }

  /// Queries [begin, end) of all heads that read the key head. Sums go to key_sum (keys, dim) and value_sum (keys,
  /// value_dim), rows padded to whole vectors, null where nobody needs them: to those keys that are returned.
  AttentionMask::Range run(Index b, Index key_head, Index begin, Index end, S* bias_gradient, S* key_sum,
                           S* value_sum) {
    const Index first_key = std::clamp<Index>(p.mask.range(b, begin, end - 1).begin, 0, p.mask.keys);
    summed_ = first_key;
    const Index group = p.heads / p.key_heads;
    const auto block = [&](Index n) -> const auto& { return turn_[n]->block; };
    /// The turns from number `from` on of the queries [first, after).
    const auto turns_of = [&](Index sample, Index of_key_head, Index first, Index after, Index from) {
      const QueryBlocks<S> blocks(first, after);
      AttentionRun<S> r{sample, of_key_head, std::clamp<Index>(blocks.count * group - from, 0, turns)};
      for (Index n = 0; n < r.count; ++n)
        r.set(n, of_key_head * group + (from + n) / blocks.count, blocks, (from + n) % blocks.count);
      return r;
    };
    AttentionRun<S> here = turns_of(b, key_head, begin, end, 0);
    for (Index from = turns; here.count > 0; from += turns) {
      const AttentionRun<S> rest = turns_of(b, key_head, begin, end, from);
      AttentionRun<S> next = rest;
      if (rest.count == 0) {  // what probably comes next
        const bool last = key_head + 1 == p.key_heads, more = end < p.queries;
        const Index sample = b + (!more && last), of = more ? key_head : last ? 0 : key_head + 1;
        if (sample < p.batch) next = turns_of(sample, of, more ? end : 0, p.queries, 0);
      }
      for (Index n = 0; n < here.count; ++n) turn_[n]->start(g, b, here.head[n], here.first[n], here.after[n]);
      fetch_.start(here, next, common_range(here.count, block));
      take_turns(here.count, block, [&](Index n, Index key, Index keys) {
        fetch_.tile(n, key, keys, 2 * keys / tile_rows);
        if (const Index more = key + keys - summed_; more > 0) {  // zeros when they are near
          if (key_sum) std::fill_n(key_sum + summed_ * dim, more * dim, S(0));
          if (value_sum) std::fill_n(value_sum + summed_ * value_dim, more * value_dim, S(0));
          summed_ += more;
        }
        tile(*turn_[n], key, keys, bias_gradient, key_sum, value_sum);
      });
      for (Index n = 0; n < here.count; ++n)
        if (g.query) add_query_gradient(*turn_[n]);
      here = rest;
    }
    return {first_key, summed_};
  }

  const AttentionProblem<S>& p;
  const AttentionGradients<S>& g;
  const Index dim, value_dim;  // padded

 private:
  void add_query_gradient(const Turn& turn) const {
    const Block& block = turn.block;
    alignas(64) S scale[lanes];
    std::fill_n(scale, lanes, p.scale);
    panel_to_rows(turn.query_gradient, block.width, block.count, p.dim, scale,
                  [&](Index i, Index d, simd::Vector<S> v, Index n) {
                    S* to = g.query.to.at(block.b, block.first + i, block.h) + d;
                    if (!g.query.empty) v += n == wide ? simd::load(to) : simd::load_part(to, n);
                    n == wide ? simd::store(to, v) : simd::store_part(to, v, n);
                  });
  }
  ATTEND_OUT_OF_LINE void tile(Turn& turn, Index key, Index keys, S* bias_gradient, S* key_sum, S* value_sum) {
    Block& block = turn.block;
    const Index b = block.b, width = block.width, key_head = p.key_head(block.h);
    const bool hides = block.score(key, keys, nullptr);
    block.weigh(keys, turn.top, turn.inverse);
    S* const weights = block.scores;
    const S *k = p.key.at(b, key, key_head), *v = p.value.at(b, key, key_head);
    TileProduct<S> of_values{v, p.value.position, 1, turn.out_gradient, width, d_scores_, width, p.value_dim};
    of_values.fetch = block.fetch;
    block.product_of_keys(of_values);
    const S* used = weights;
    if (p.dropout.p > 0) {
      block.drop(key, weights, dropped_, d_scores_);
      used = dropped_;
    }
    block.differentiate(keys, weights, turn.mean, d_scores_);
    if constexpr (Modifier::changes) block.differentiate_modifier(key, keys, weights, d_scores_);
    if (value_sum)
      block.product_over_queries(
          {used, width, 1, turn.gradient_rows, value_dim, value_sum + key * value_dim, value_dim, 0, ones_}, value_dim,
          hides && !turn.finite_gradient ? TileZeros::of_a : TileZeros::multiplied);
    if (key_sum)
      block.product_over_queries({d_scores_, width, 1, turn.query_rows, dim, key_sum + key * dim, dim, 0, ones_}, dim,
                                 hides && !turn.finite_query ? TileZeros::of_a : TileZeros::multiplied);
    if (g.query)
      block.product_over_keys({k, 1, p.key.position, d_scores_, width, turn.query_gradient, width, 0, ones_}, p.dim,
                              block.zeros_if(hides, TileZeros::of_b, k, keys, p.dim, p.key.position));
    if (bias_gradient && key < p.mask.keys) {
      const Shape<4>& stride = p.bias_stride;
      S* bias = bias_gradient + b * stride[0] + block.h * stride[1] + block.first * stride[2] + key * stride[3];
      for (Index i = 0; i < block.count; ++i)
        for (Index j = 0; j < keys; ++j) bias[i * stride[2] + j * stride[3]] += d_scores_[j * width + i];
    }
  }

  std::shared_ptr<S> memory_;
  S* const d_scores_;  // (attention_keys, width)
  S* const dropped_;   // (attention_keys, width)
  S* const ones_;
  Index summed_ = 0;  // up to here keys have sums
  AttentionFetch<S> fetch_;
  std::optional<Turn> turn_[turns];
};

/// Sums of the keys [keys.begin, keys.end) as the next terms of the gradient of a key head, of whose rows the first
/// `held` hold something: more after that.
template <class S>
void hand_over(const HeadAccumulator<S>& gradient, Index b, Index key_head, Index columns, const S* sums, Index stride,
               AttentionMask::Range keys, Index& held) {
  if (!gradient) return;
  for (; held < keys.begin; ++held) std::fill_n(gradient.to.at(b, held, key_head), columns, S(0));
  for (Index j = keys.begin; j < keys.end; ++j)
    simd::accumulate(
        columns, Accumulator<S>{gradient.to.at(b, j, key_head), j >= held}, [](const auto& v) { return v; },
        sums + j * stride);
  held = std::max(held, keys.end);
}

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
  using Keys = AttentionMask::Range;
  const Index range = std::max((p.queries + 4 * lanes - 1) / (4 * lanes), Index(16)) * lanes;
  const Index ranges = (p.queries + range - 1) / range;
  const Index dim = Backward::padded(p.dim), value_dim = Backward::padded(p.value_dim), row = dim + value_dim;
  const auto run = [&](Backward& backward, Index b, Index key_head, Index r, S* bias_gradient, S* sums) {
    return backward.run(b, key_head, r * range, std::min(p.queries, (r + 1) * range), bias_gradient,
                        g.key ? sums : nullptr, g.value ? sums + p.keys * dim : nullptr);
  };
  /// Sums of the ranges in order, sums_of(range, keys that have sums): to the rows [begin, end) of a key head.
  const auto hand_over = [&](Index b, Index key_head, Index begin, Index end, const auto& sums_of) {
    Index held_key = g.key.empty ? begin : end, held_value = g.value.empty ? begin : end;
    const auto next = [&](const S* key_sums, const S* value_sums, Keys keys) {
      keys = {std::clamp(keys.begin, begin, end), std::clamp(keys.end, begin, end)};
      detail::hand_over(g.key, b, key_head, p.dim, key_sums, dim, keys, held_key);
      detail::hand_over(g.value, b, key_head, p.value_dim, value_sums, value_dim, keys, held_value);
    };
    for (Index r = 0; r < ranges; ++r) {
      Keys keys;
      const S* const sums = sums_of(r, keys);
      next(sums, sums + p.keys * dim, keys);
    }
    next(nullptr, nullptr, {end, end});
  };

  const bool shared_batch = g.bias && p.bias_stride[0] == 0, shared_heads = g.bias && p.bias_stride[1] == 0;
  if (ranges > 1 && p.batch * p.key_heads < 8 && !(g.bias && (shared_batch || shared_heads || p.bias_stride[2] == 0))) {
    const Index units = p.batch * p.key_heads * ranges;
    const auto sums = make_buffer<S>(units * p.keys * row);
    std::vector<Keys> summed(static_cast<std::size_t>(units));
    parallel_for(units, 1, [&](Index begin, Index end) {
      Backward backward(p, g, modifier);
      for (Index unit = begin; unit < end; ++unit)
        summed[static_cast<std::size_t>(unit)] = run(backward, unit / ranges / p.key_heads, unit / ranges % p.key_heads,
                                                     unit % ranges, g.bias, sums.get() + unit * p.keys * row);
    });
    parallel_for(p.keys, std::max<Index>(1, (Index(1) << 14) / std::max<Index>(1, units * row)),
                 [&](Index begin, Index end) {
                   for (Index head = 0; head < units / ranges; ++head)
                     hand_over(head / p.key_heads, head % p.key_heads, begin, end, [&](Index r, Keys& keys) {
                       const Index unit = head * ranges + r;
                       keys = summed[static_cast<std::size_t>(unit)];
                       return sums.get() + unit * p.keys * row;
                     });
                 });
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
          hand_over(b, k, 0, p.keys, [&](Index r, Keys& keys) {
            keys = run(backward, b, k, r, bias, sums.get());
            return sums.get();
          });
    }
  });
  for (Index part = 0; parts > 1 && part < parts; ++part)
    for (Index i = 0; i < extent; ++i) g.bias[i] += parts_of_bias.get()[part * extent + i];
}

ATTEND_END_ISA
#endif
