/// A tile of attention at work: the scores of some queries, side by side in vector lanes, and `attention_keys` keys
/// below each other.
#ifndef ATTEND_KERNELS_ATTENTION_BLOCK
#define ATTEND_KERNELS_ATTENTION_BLOCK
#include "attend/core/threads.hpp"
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
constexpr Index attention_keys = 64;

namespace detail {

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
template <class S>
struct AttentionBlock {
  using Vector = simd::Vector<S>;
  static constexpr Index lanes = attention_queries<S>, step = simd::lanes<S>;
  static constexpr S nothing = -std::numeric_limits<S>::infinity();

  const AttentionProblem<S>& p;
  Index b = 0, h = 0, first = 0, count = 0;  // sample, head, first query, number of queries
  Index width = 0;                           // lanes in use: count, rounded up to whole vectors
  S* query;                                  // (dim, width), scaled
  S* scores;                                 // (attention_keys, width)

  AttentionBlock(const AttentionProblem<S>& problem, S* scratch)
      : p(problem), query(scratch), scores(scratch + problem.dim * lanes) {}
  static Index scratch(const AttentionProblem<S>& p) { return (p.dim + attention_keys) * lanes; }

  void transpose(const HeadRows<const S>& rows, Index columns, S factor, S* panel) const {
    rows_to_panel(rows.at(b, first, h), rows.position, count, columns, factor, panel, width);
  }
  void start(Index sample, Index head, Index first_query) {
    b = sample, h = head, first = first_query, count = std::min(lanes, p.queries - first_query);
    width = (count + step - 1) / step * step;
    transpose(p.query, p.dim, p.scale, query);
  }
  /// Calls tile(first key, number of keys) over all keys that some query of the block may see, in order. A key's tile
  /// depends on its position alone.
  template <class F>
  void for_each_tile(const F& tile) const {
    const auto seen = p.mask.range(b, first, first + count - 1);
    for (Index k0 = seen.begin / attention_keys * attention_keys; k0 < seen.end; k0 += attention_keys) {
      const Index from = std::max(k0, seen.begin), to = std::min(k0 + attention_keys, seen.end);
      if (from < to) tile(from, to - from);  // a window may begin beyond a short sample's end
    }
    for (Index k0 = p.mask.keys; k0 < p.keys; k0 += attention_keys) tile(k0, std::min(attention_keys, p.keys - k0));
  }

  /// scores = scale k q^T + bias, -inf where the mask forbids; `top`, if given, rises to the largest of each lane.
  /// True if the mask forbids any.
  bool score(Index key, Index keys, S* top) {
    alignas(64) S ones[lanes];
    TileProduct<S> product{p.key.at(b, key, p.key_head(h)), p.key.position, 1, query, width, scores, width, p.dim};
    const bool ordinary = key < p.mask.keys;
    if (ordinary && p.bias) {
      load_bias(key, keys);
      std::fill_n(ones, width, S(1));
      product.keep = ones;
    }
    const bool hides = ordinary && !p.mask.all(first, first + count - 1, key, key + keys);
    if (!hides) product.top = top;
    tile_product(product, keys, width);
    return hides && hide(key, keys, top);
  }
  /// Scores to exp(score - top), where `running.before` was the largest score of the tiles before; `shrink` is what
  /// their exponentials must be multiplied with.
  void exponentiate(Index keys, RunningSoftmax<S>& running) {
    for (Index at = 0; at < width; at += step) {
      const Vector before = simd::load(running.before + at), now = simd::load(running.top + at);
      const Vector shift = shift_of(now);
      const Vector factor = simd::select(now == before, simd::all<Vector>(S(1)), simd::exp_nonpositive(before - shift));
      Vector added = {};
      S* x = scores + at;
      for (Index j = 0; j < keys; ++j, x += width) {
        const Vector e = simd::exp_nonpositive(simd::load(x) - shift);
        added += e;
        simd::store(x, e);
      }
      simd::store(running.sum + at, simd::multiply_add(simd::load(running.sum + at), factor, added));
      simd::store(running.before + at, now);
      simd::store(running.shrink + at, factor);
    }
  }
  /// Weights from scores and saved statistics; exact zeros where forbidden, even in a row of NaN, and in lanes without
  /// a query.
  void weigh(Index keys, const S* maximum, const S* inverse_sum) {
    for (Index at = 0; at < width; at += step) {
      const Vector shift = simd::load(maximum + at), inverse = simd::load(inverse_sum + at);
      S* x = scores + at;
      for (Index j = 0; j < keys; ++j, x += width) {
        const Vector e = simd::exp_nonpositive(simd::load(x) - shift);
        simd::store(x, simd::select(e == Vector{}, Vector{}, e * inverse));
      }
    }
  }
  /// Gradients of the weights to gradients of the scores: w (d - mean); zero where the weight is.
  void differentiate(Index keys, const S* weights, const S* mean, S* gradients) const {
    for (Index at = 0; at < width; at += step) {
      const Vector m = simd::load(mean + at);
      for (Index j = 0; j < keys; ++j) {
        const Vector w = simd::load(weights + j * width + at), d = simd::load(gradients + j * width + at);
        simd::store(gradients + j * width + at, simd::select(w == Vector{}, Vector{}, w * (d - m)));
      }
    }
  }
  /// Multiplies a tile, and another with the same factors, by the dropout.
  void drop(Index key, Index keys, S* tile, S* other = nullptr) const {
    S factor[attention_keys];
    for (Index i = 0; i < count; ++i) {
      const Index number = p.row(b, h, first + i) * p.keys + key;
      detail::dropout_factors(p.dropout.stream, p.dropout.p, number, number + keys, factor);
      for (Index j = 0; j < keys; ++j) tile[j * width + i] *= factor[j];
      for (Index j = 0; other && j < keys; ++j) other[j * width + i] *= factor[j];
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
  /// The bias of a tile to the scores' place.
  void load_bias(Index key, Index keys) {
    const Index of_query = p.bias_stride[2], of_key = p.bias_stride[3];
    const S* bias = p.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + first * of_query + key * of_key;
    if (of_key == 1 && of_query != 0) return rows_to_panel(bias, of_query, count, keys, S(1), scores, width);
    for (Index j = 0; j < keys; ++j)
      for (Index i = 0; i < width; ++i) scores[j * width + i] = i < count ? bias[i * of_query + j * of_key] : S(0);
  }
  /// -inf where the mask forbids; raises `top`. True if it forbids any.
  bool hide(Index key, Index keys, S* top) {
    const AttentionMask& m = p.mask;  // the range of tiles has seen to the lengths
    bool hides = false;
    for (Index j = 0; j < keys; ++j) {
      S* row = scores + j * width;
      const bool ignored = m.ignored && m.ignored[b * m.ignored_stride[0] + (key + j) * m.ignored_stride[1]];
      const Index from = std::clamp<Index>(key + j - m.highest - first, 0, count);
      const Index to = ignored ? from : std::clamp<Index>(key + j - m.lowest - first + 1, from, count);
      std::fill(row, row + from, nothing);
      std::fill(row + to, row + count, nothing);
      hides = hides || to - from < count;
      if (m.allowed) {
        const bool* allowed = m.allowed + b * m.allowed_stride[0] + h * m.allowed_stride[1] +
                              first * m.allowed_stride[2] + (key + j) * m.allowed_stride[3];
        for (Index i = from; i < to; ++i)
          if (!allowed[i * m.allowed_stride[2]]) {
            row[i] = nothing;
            hides = true;
          }
      }
      for (Index at = 0; top && at < width; at += step) {
        const Vector x = simd::load(row + at), largest = simd::load(top + at);
        simd::store(top + at, simd::select(x > largest, x, largest));
      }
    }
    return hides;
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
/// y += x
template <class S>
void add_row(Index n, const S* x, S* y) {
  simd::map(
      n, y, [](auto a, auto b) { return a + b; }, static_cast<const S*>(y), x);
}

/// Units of work per chunk: about 2^18 multiply-adds; a function of the layer alone.
template <class S>
Index attention_grain(const AttentionProblem<S>& p, Index rows) {
  return std::max<Index>(1, (Index(1) << 18) / std::max<Index>(1, rows * p.keys * (p.dim + p.value_dim)));
}

}  // namespace detail

ATTEND_END_ISA
#endif
