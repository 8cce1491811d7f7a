/// A tile of attention at work: the scores of some queries, side by side in vector lanes, and `attention_keys` keys
/// below each other.
#ifndef ATTEND_KERNELS_ATTENTION_BLOCK
#define ATTEND_KERNELS_ATTENTION_BLOCK
#include "attend/core/threads.hpp"
#include "attend/kernels/attention_modifier.hpp"
#include "attend/kernels/attention_panel.hpp"
#include "attend/kernels/attention_problem.hpp"
#include "attend/kernels/attention_tile.hpp"
#include "attend/kernels/dropout.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_block.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

template <class S>
constexpr Index attention_queries = detail::tile_vectors* simd::lanes<S>;
constexpr Index attention_keys = 128;

namespace detail {

/// The queries [begin, end) in as few blocks of up to `attention_queries` as there can be, as equal as whole vectors
/// allow, for products of single vectors are slow; the smaller ones first.
template <class S>
struct QueryBlocks {
  Index begin, end, count, smaller;

  QueryBlocks(Index first, Index after) : begin(first), end(after) {
    const Index vectors = (end - begin + simd::lanes<S> - 1) / simd::lanes<S>;
    count = (vectors + tile_vectors - 1) / tile_vectors;
    smaller = count * tile_vectors - vectors;
  }
  /// The first query of a block; of the one behind the last, `end`.
  Index operator[](Index block) const {
    return std::min(end, begin + (block * tile_vectors - std::min(block, smaller)) * simd::lanes<S>);
  }
};

/// Of each lane: the largest score, the sum of exponentials, and what was there before. Lanes without a query see
/// scores of 0.
template <class S>
struct RunningSoftmax {
  static constexpr Index lanes = attention_queries<S>;
  alignas(64) S top[lanes], before[lanes], sum[lanes], shrink[lanes];
  void start() {
    std::fill_n(top, lanes, -std::numeric_limits<S>::infinity());
    std::copy_n(top, lanes, before);
    std::fill_n(sum, lanes, S(0));
  }
};

/// A block of queries and its panels, which lie in one piece of scratch memory.
template <class S, class Modifier>
struct AttentionBlock {
  using Vector = simd::Vector<S>;
  using Words = simd::Bits<Vector>;
  static constexpr Index lanes = attention_queries<S>, step = simd::lanes<S>;
  static constexpr S nothing = -std::numeric_limits<S>::infinity();

  const AttentionProblem<S>& p;
  const Modifier& modifier;
  Index b = 0, h = 0, first = 0, count = 0;  // sample, head, first query, number of queries
  Index width = 0;                           // lanes in use: count, rounded up to whole vectors
  AttentionMask::Range range{0, 0};          // of the ordinary keys that some query of the block may see
  Index seen[tile_vectors] = {};             // of the tile's keys, those that each vector of queries may see; ascending
  S* query;                                  // (dim, width), scaled
  S* scores;                                 // (attention_keys, width)
  S* raw;                                    // (attention_keys, width): before the user's score_mod
  FetchQueue* fetch = nullptr;               // asked in the products of the forward pass

  /// Blocks that take turns may share the memory of their tiles.
  AttentionBlock(const AttentionProblem<S>& problem, const Modifier& user, S* panel, S* tile)
      : p(problem), modifier(user), query(panel), scores(tile), raw(tile + attention_keys * lanes) {}
  static Index panel_size(const AttentionProblem<S>& p) { return p.dim * lanes; }
  static constexpr Index tile_size = (Modifier::changes ? 2 : 1) * attention_keys * lanes;

  void transpose(const HeadRows<const S>& rows, Index columns, S factor, S* panel) const {
    rows_to_panel(rows.at(b, first, h), rows.position, count, columns, factor, panel, width);
  }
  void start(Index sample, Index head, Index first_query, Index after) {
    b = sample, h = head, first = first_query, count = after - first_query;
    width = (count + step - 1) / step * step;
    range = p.mask.range(b, first, first + count - 1);
    transpose(p.query, p.dim, p.scale, query);
  }
  /// Calls tile(first key, number of keys) if some query of the block may see some of the ordinary keys of the tile that
  /// begins at `from`, a multiple of `attention_keys`: a key's tile depends on its position alone.
  template <class F>
  void tile_at(Index from, const F& tile) const {
    const Index begin = std::max(from, range.begin), end = std::min(from + attention_keys, range.end);
    if (begin < end) tile(begin, end - begin);
  }

  template <class F>
  void for_each_tile(const F& tile) const {
    for (Index from = range.begin / attention_keys * attention_keys; from < range.end; from += attention_keys)
      tile_at(from, tile);
    for_each_appended_tile(tile);
  }
  template <class F>
  void for_each_appended_tile(const F& tile) const {
    for (Index key = p.mask.keys; key < p.keys; key += attention_keys)
      tile(key, std::min(attention_keys, p.keys - key));
  }

  /// scores = scale k q^T + bias, -inf where the mask forbids; `top`, if given, rises to the largest of each lane.
  /// True if the mask may forbid any. What a vector does not see is left as it was.
  bool score(Index key, Index keys, S* top) {
    const bool ordinary = key < p.mask.keys;
    const bool hides = ordinary && !p.mask.all(first, first + count - 1, key, key + keys);
    for (Index v = 0; v < tile_vectors; ++v) {
      const Index visible = std::clamp<Index>(first + (v + 1) * step + p.mask.highest - key, 0, keys);
      seen[v] = hides ? std::min(keys, (visible + tile_rows - 1) / tile_rows * tile_rows) : keys;
    }
    TileProduct<S> product{p.key.at(b, key, p.key_head(h)), p.key.position, 1, query, width, scores, width, p.dim};
    product.fetch = fetch;
    alignas(64) S ones[lanes];
    if (ordinary && p.bias) {
      load_bias(key, keys);
      std::fill_n(ones, width, S(1));
      product.keep = ones;
    }
    const bool modifies = ordinary && (Modifier::changes || Modifier::hides);
    if (!modifies) product.top = top;
    const Index open =
        hides ? p.mask.open_keys(first, first + count - 1, key, key + keys) / tile_rows * tile_rows : keys;
    product_of_keys(product, open);
    if constexpr (Modifier::changes || Modifier::hides)
      if (modifies) modify(key, top, open);
    if (hides) hide(key, top, open);
    return hides || (ordinary && Modifier::hides);
  }
  /// (keys, width) from rows of keys and a panel (depth, width); `top` rises over the first `open` keys only.
  void product_of_keys(const TileProduct<S>& whole, Index open = attention_keys) const {
    for (Index v = 0, row = 0; v * step < width;) {
      const bool first_rows = row < open;
      const Index end = first_rows ? std::min(open, seen[v]) : seen[v];
      if (end > row) {
        TileProduct<S> t = whole;
        t.a += row * t.a_row, t.b += v * step, t.c += row * t.ldc + v * step;
        if (t.keep) t.keep += v * step;
        t.top = t.top && first_rows ? t.top + v * step : nullptr;
        tile_product(t, end - row, width - v * step);
        row = end;
      }
      if (row >= seen[v]) ++v;
    }
  }
  /// A panel (rows, width) from columns of keys and a panel (keys, width), in which what a vector does not see is zero:
  /// multiplying it costs less than register tiles of single vectors would.
  void product_over_keys(const TileProduct<S>& whole, Index rows, TileZeros zeros) const {
    TileProduct<S> t = whole;
    t.depth = seen[width / step - 1];
    tile_product(t, rows, width, zeros);
  }
  /// (keys, columns) from a panel (keys, width) and rows of queries.
  void product_over_queries(const TileProduct<S>& whole, Index columns, TileZeros zeros) const {
    for (Index v = 0, row = 0; v * step < width; row = seen[v++])
      if (seen[v] > row) {
        TileProduct<S> t = whole;
        t.a += row * t.a_row + v * step * t.a_column, t.b += v * step * t.ldb, t.c += row * t.ldc;
        t.depth = count - v * step;
        tile_product(t, seen[v] - row, columns, zeros);
      }
  }

  /// The scores of a tile to exp(score - top), and what they add to the statistics. True if the mask may hide any.
  template <class Statistics>
  ATTEND_OUT_OF_LINE bool see(Index key, Index keys, RunningSoftmax<S>& running, Statistics& statistics) {
    const bool hides = score(key, keys, running.top);
    statistics.see_scores(*this, key, keys);
    exponentiate(running, statistics);
    return hides;
  }
  /// Scores to exp(score - top), where `running.before` was the largest score of the tiles before; `shrink` is what
  /// their exponentials must be multiplied with.
  template <class Statistics>
  void exponentiate(RunningSoftmax<S>& running, Statistics& statistics) {
    for (Index at = 0; at < width; at += step) {
      const Vector before = simd::load(running.before + at), now = simd::load(running.top + at);
      const Vector shift = shift_of(now);
      const Vector factor = simd::select(now == before, simd::all<Vector>(S(1)), simd::exp_nonpositive(before - shift));
      auto sums = statistics.rise(at, before, now, factor, simd::load(running.sum + at));
      Vector added = {};
      S* x = scores + at;
      const Index row = width;
#pragma GCC unroll 4
      for (Index j = seen[at / step]; j > 0; --j, x += row) {
        const Vector distance = simd::load(x) - shift, e = simd::exp_nonpositive(distance);
        statistics.see(seen[at / step] - j, distance, e, sums);
        added += e;
        simd::store(x, e);
      }
      for (Index j = seen[at / step]; j < seen[width / step - 1]; ++j, x += row) simd::store(x, Vector{});
      statistics.keep(at, sums);
      simd::store(running.sum + at, simd::multiply_add(simd::load(running.sum + at), factor, added));
      simd::store(running.before + at, now);
      simd::store(running.shrink + at, factor);
    }
  }
  /// Weights from scores and saved statistics; exact zeros where forbidden, even in a row of NaN.
  void weigh(Index keys, const S* maximum, const S* inverse_sum) {
    for (Index at = 0; at < width; at += step) {
      const Vector shift = simd::load(maximum + at), inverse = simd::load(inverse_sum + at);
      S* x = scores + at;
      const Index row = width, visible = seen[at / step];
#pragma GCC unroll 4
      for (Index j = visible; j > 0; --j, x += row) {
        const Vector e = simd::exp_nonpositive(simd::load(x) - shift);
        simd::store(x, simd::select(e == Vector{}, Vector{}, e * inverse));
      }
      for (Index j = visible; j < keys; ++j, x += row) simd::store(x, Vector{});
    }
  }
  /// Gradients of the weights to gradients of the scores: w (d - mean); zero where the weight is.
  void differentiate(Index keys, const S* weights, const S* mean, S* gradients) const {
    for (Index at = 0; at < width; at += step) {
      const Vector m = simd::load(mean + at);
      for (Index j = 0, x = at; j < keys; ++j, x += width) {
        const Vector w = simd::load(weights + x), d = simd::load(gradients + x);
        simd::store(gradients + x, simd::select(w == Vector{}, Vector{}, w * (d - m)));
      }
    }
  }
  /// Gradients of the scores that score_mod gave to gradients of those it was given.
  ATTEND_OUT_OF_LINE ATTEND_FLATTEN void differentiate_modifier(Index key, Index keys, const S* weights,
                                                                S* gradients) const {
    if (key >= p.mask.keys) return;
    for (Index at = 0; at < width; at += step)
      for (Index j = 0, x = at; j < keys; ++j, x += width) {
        S gradient[step], before[step];
        simd::store(gradient, simd::load(gradients + x));
        simd::store(before, simd::load(raw + x));
        for (int l = 0; l < static_cast<int>(step); ++l)
          gradient[l] = static_cast<S>(modifier.score.backward(before[l], gradient[l], index_of(at, l, key + j)));
        const Vector w = simd::load(weights + x);
        simd::store(gradients + x, simd::select(w == Vector{}, Vector{}, simd::load(gradient)));
      }
  }
  /// Multiplies a tile by the dropout: to = tile Z. Another tile, if given, is multiplied in place.
  void drop(Index key, const S* tile, S* to, S* other = nullptr) const {
    const auto limit = dropout_limit(p.dropout.p);
    const S kept = p.dropout.p < 1 ? S(1 / (1 - p.dropout.p)) : S(0);
    Words words[attention_keys + 8];
    for (Index at = 0; at < width; at += step) {
      std::uint64_t blocks[static_cast<std::size_t>(step)];
      Words phase;  // a key's word of its block: equal in all lanes if the number of keys is a multiple of four
      for (Index l = 0; l < step; ++l) {
        const auto number = static_cast<std::uint64_t>(p.row(b, h, first + at + l) * p.keys + key);
        blocks[l] = number / 4;
        phase[l] = static_cast<typename simd::Lanes<Vector>::Word>(number % 4);
      }
      const Index visible = seen[at / step];
      simd::random_words_of_lanes<S>(p.dropout.stream, blocks, (visible + 3) / 4 + 1, words);
      const Words* first_word = words + phase[0];
      const bool uniform = p.keys % 4 == 0;
      for (Index j = 0, x = at; j < visible; ++j, x += width) {
        Words word = first_word[j];
        if (!uniform) {
          word = words[j];
          for (unsigned by = 1; by < 4; ++by) word = phase == by ? words[j + static_cast<Index>(by)] : word;
        }
        const auto dropped = word < limit;
        simd::store(to + x, simd::select(dropped, Vector{}, simd::load(tile + x) * kept));
        if (other) simd::store(other + x, simd::select(dropped, Vector{}, simd::load(other + x) * kept));
      }
    }
  }
  /// Loads the statistics of this block; lanes without a query weigh nothing.
  void statistics(const S* maximum, const S* inverse_sum, S* to_maximum, S* to_inverse_sum) const {
    for (Index i = 0; i < lanes; ++i) {
      to_maximum[i] = i < count ? maximum[p.row(b, h, first + i)] : S(0);
      to_inverse_sum[i] = i < count ? inverse_sum[p.row(b, h, first + i)] : S(0);
    }
  }
  TileZeros zeros_if(bool hides, TileZeros which, const S* rows, Index n, Index columns, Index stride) const {
    return hides && !all_finite(rows, n, columns, stride) ? which : TileZeros::multiplied;
  }

 private:
  /// Where nothing was seen so far, 0 in place of the maximum: -inf - (-inf) does not come up.
  static ATTEND_INLINE Vector shift_of(Vector top) {
    return simd::select(top == simd::all<Vector>(nothing), simd::all<Vector>(S(0)), top);
  }
  /// Of a lane; lanes without a query have the last query's.
  ATTEND_INLINE AttentionIndex index_of(Index at, int lane, Index key) const {
    const int i = static_cast<int>(first + at) + lane, last = static_cast<int>(p.queries) - 1;
    return {static_cast<int>(b), static_cast<int>(h), i < last ? i : last, static_cast<int>(key)};
  }
  /// score_mod, then mask_mod; `top`, if given, rises over the first `open` keys.
  ATTEND_OUT_OF_LINE ATTEND_FLATTEN void modify(Index key, S* top, Index open) {
    for (Index at = 0; at < width; at += step) {
      Vector largest = top ? simd::load(top + at) : Vector{};
      for (Index j = 0, x = at; j < seen[at / step]; ++j, x += width) {
        S score[step];
        simd::store(score, simd::load(scores + x));
        if constexpr (Modifier::changes) {
          simd::store(raw + x, simd::load(scores + x));
          for (int l = 0; l < static_cast<int>(step); ++l)
            score[l] = static_cast<S>(modifier.score(score[l], index_of(at, l, key + j)));
        }
        if constexpr (Modifier::hides)
          for (int l = 0; l < static_cast<int>(step); ++l)
            score[l] = modifier.mask(index_of(at, l, key + j)) ? score[l] : nothing;
        const Vector changed = simd::load(score);
        simd::store(scores + x, changed);
        if (j < open) largest = simd::select(changed > largest, changed, largest);
      }
      if (top) simd::store(top + at, largest);
    }
  }
  /// The bias of a tile to the scores' place.
  void load_bias(Index key, Index keys) {
    const Index of_query = p.bias_stride[2], of_key = p.bias_stride[3];
    const S* bias = p.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + first * of_query + key * of_key;
    if (of_key == 1 && of_query != 0) return rows_to_panel(bias, of_query, count, keys, S(1), scores, width);
    for (Index j = 0; j < keys; ++j)
      for (Index i = 0; i < width; ++i) scores[j * width + i] = i < count ? bias[i * of_query + j * of_key] : S(0);
  }
  /// -inf where the mask forbids, which it does not among the first `open` keys; `top` rises over the others.
  void hide(Index key, S* top, Index open) {
    const AttentionMask& m = p.mask;  // the range of tiles has seen to the lengths
    const bool* allowed = m.allowed ? m.allowed + b * m.allowed_stride[0] + h * m.allowed_stride[1] +
                                          first * m.allowed_stride[2] + key * m.allowed_stride[3]
                                    : nullptr;
    const bool* ignored = m.ignored ? m.ignored + b * m.ignored_stride[0] + key * m.ignored_stride[1] : nullptr;
    for (Index at = 0; at < width; at += step) {
      Vector lane, largest = top ? simd::load(top + at) : Vector{};
      for (Index l = 0; l < step; ++l) lane[l] = static_cast<S>(at + l);
      const Index some = std::min(step, count - at);  // the vector's queries
      S* x = scores + open * width + at;
      for (Index j = open; j < seen[at / step]; ++j, x += width) {
        const Index from = std::clamp<Index>(key + j - m.highest - first, 0, width);
        const Index to = ignored && ignored[j * m.ignored_stride[1]]
                             ? 0
                             : std::clamp<Index>(key + j - m.lowest - first + 1, 0, width);
        Vector score = simd::load(x);
        score = simd::select(lane < static_cast<S>(from), simd::all<Vector>(nothing), score);
        score = simd::select(lane >= static_cast<S>(to), simd::all<Vector>(nothing), score);
        if (allowed)
          for (Index l = 0; l < some; ++l)
            if (!allowed[(at + l) * m.allowed_stride[2] + j * m.allowed_stride[3]]) score[l] = nothing;
        simd::store(x, score);
        largest = simd::select(score > largest, score, largest);
      }
      if (top) simd::store(top + at, largest);
    }
  }
};

template <class S>
S inner_product(Index n, const S* a, const S* b) {
  constexpr Index step = simd::lanes<S>;
  simd::Vector<S> sum = {};
  Index i = 0;
  for (; i + step <= n; i += step) sum = simd::multiply_add(simd::load(a + i), simd::load(b + i), sum);
  if (i < n) sum = simd::multiply_add(simd::load_part(a + i, n - i), simd::load_part(b + i, n - i), sum);
  S total = 0;
  for (Index l = 0; l < step; ++l) total += sum[l];
  return total;
}

/// Units of work per chunk: about 2^18 multiply-adds; a function of the layer alone.
template <class S>
Index attention_grain(const AttentionProblem<S>& p, Index rows) {
  return std::max<Index>(1, (Index(1) << 18) / std::max<Index>(1, rows * p.keys * (p.dim + p.value_dim)));
}

}  // namespace detail

ATTEND_END_ISA
#endif
