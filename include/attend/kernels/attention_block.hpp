/// A tile of attention at work: the scores of `attention_queries` queries, side by side in vector lanes, and
/// `attention_keys` keys below each other.
#ifndef ATTEND_KERNELS_ATTENTION_BLOCK
#define ATTEND_KERNELS_ATTENTION_BLOCK
#include "attend/core/threads.hpp"
#include "attend/kernels/attention_problem.hpp"
#include "attend/kernels/attention_tile.hpp"
#include "attend/kernels/dropout.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_block.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

constexpr Index attention_queries = 32;
constexpr Index attention_keys = 64;

namespace detail {

/// A block of queries and its panels, which lie in one piece of scratch memory. Lanes without a query hold zeros.
template <class S>
struct AttentionBlock {
  static constexpr Index lanes = attention_queries;
  typedef S Vector __attribute__((vector_size(tile_vector_bytes)));
  static constexpr Index step = tile_lanes<S>;
  static constexpr S nothing = -std::numeric_limits<S>::infinity();

  const AttentionProblem<S>& p;
  Index b = 0, h = 0, first = 0, count = 0;  // sample, head, first query, number of queries
  Index width = 0;                           // lanes in use: count, rounded up to whole vectors
  S* query;                                  // (dim, lanes), scaled
  S* scores;                                 // (attention_keys, lanes)

  AttentionBlock(const AttentionProblem<S>& problem, S* scratch)
      : p(problem), query(scratch), scores(scratch + problem.dim * lanes) {}
  static Index scratch(const AttentionProblem<S>& p) { return (p.dim + attention_keys) * lanes; }

  /// rows (count, columns), one below the other in memory -> panel (columns, lanes)
  void transpose(const HeadRows<const S>& rows, Index columns, S factor, S* panel) const {
    if (count < width) std::fill_n(panel, columns * lanes, S(0));
    for (Index i = 0; i < count; ++i) {
      const S* row = rows.at(b, first + i, h);
      for (Index d = 0; d < columns; ++d) panel[d * lanes + i] = row[d] * factor;
    }
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
  /// scores = scale k q^T + bias, -inf where the mask forbids. True if it forbids any.
  bool score(Index key, Index keys) {
    tile_product<S>(TileZeros::multiplied, false, keys, width, p.dim, p.key.at(b, key, p.key_head(h)), p.key.position,
                    1, query, lanes, scores, lanes);
    if (key >= p.mask.keys) return false;
    if (p.bias) {
      const S* bias =
          p.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + first * p.bias_stride[2] + key * p.bias_stride[3];
      for (Index j = 0; j < keys; ++j)
        for (Index i = 0; i < count; ++i) scores[j * lanes + i] += bias[i * p.bias_stride[2] + j * p.bias_stride[3]];
    }
    if (p.mask.all(first, first + count - 1, key, key + keys)) return false;
    const AttentionMask& m = p.mask;  // the range of tiles has seen to the lengths
    bool hides = false;
    for (Index j = 0; j < keys; ++j) {
      S* row = scores + j * lanes;
      const bool ignored = m.ignored && m.ignored[b * m.ignored_stride[0] + (key + j) * m.ignored_stride[1]];
      const Index from = std::clamp<Index>(key + j - m.highest - first, 0, count);
      const Index to = ignored ? from : std::clamp<Index>(key + j - m.lowest - first + 1, from, count);
      std::fill(row, row + from, nothing);
      std::fill(row + to, row + count, nothing);
      hides = hides || to - from < count;
      if (!m.allowed) continue;
      const bool* allowed = m.allowed + b * m.allowed_stride[0] + h * m.allowed_stride[1] +
                            first * m.allowed_stride[2] + (key + j) * m.allowed_stride[3];
      for (Index i = from; i < to; ++i)
        if (!allowed[i * m.allowed_stride[2]]) {
          row[i] = nothing;
          hides = true;
        }
    }
    return hides;
  }
  /// Scores to exp(score - top), with `top` the running maximum and `sum` the running sum of each lane. `shrink` is
  /// what earlier exponentials must be multiplied with; false if that is 1 everywhere.
  bool exponentiate(Index keys, S* top, S* sum, S* shrink) {
    bool grew = false;
    for (Index at = 0; at < width; at += step) {
      Vector before, now, total, exponential, factor;
      std::memcpy(&before, top + at, sizeof before);
      now = before;
      for (Index j = 0; j < keys; ++j) {
        std::memcpy(&exponential, scores + j * lanes + at, sizeof(Vector));
        now = simd::select(exponential > now, exponential, now);  // a NaN is passed over, and found by the sum
      }
      const Vector shift = shift_of(now);
      factor = simd::select(now == before, simd::all<Vector>(S(1)), simd::exp(before - shift));
      Vector added = {};
      for (Index j = 0; j < keys; ++j) {
        std::memcpy(&exponential, scores + j * lanes + at, sizeof(Vector));
        exponential = simd::exp(exponential - shift);
        added += exponential;
        std::memcpy(scores + j * lanes + at, &exponential, sizeof(Vector));
      }
      std::memcpy(&total, sum + at, sizeof total);
      total = total * factor + added;
      std::memcpy(sum + at, &total, sizeof total);
      std::memcpy(top + at, &now, sizeof now);
      std::memcpy(shrink + at, &factor, sizeof factor);
      for (Index i = at; i < at + step; ++i) grew = grew || shrink[i] != S(1);
    }
    return grew;
  }
  /// Where nothing was seen so far, 0 in place of the maximum: -inf - (-inf) does not come up.
  static ATTEND_INLINE Vector shift_of(const Vector& top) {
    return simd::select(top == simd::all<Vector>(nothing), simd::all<Vector>(S(0)), top);
  }
  /// Weights from scores and saved statistics; exact zeros where forbidden, even in a row of NaN, and in lanes without
  /// a query.
  void weigh(Index keys, const S* maximum, const S* inverse_sum) {
    for (Index at = 0; at < width; at += step) {
      Vector shift, inverse, x;
      std::memcpy(&shift, maximum + at, sizeof shift);
      std::memcpy(&inverse, inverse_sum + at, sizeof inverse);
      for (Index j = 0; j < keys; ++j) {
        std::memcpy(&x, scores + j * lanes + at, sizeof x);
        x = simd::exp(x - shift);
        x = simd::select(x == Vector{}, Vector{}, x * inverse);
        std::memcpy(scores + j * lanes + at, &x, sizeof x);
      }
    }
    for (Index j = 0; j < keys; ++j)
      for (Index i = count; i < width; ++i) scores[j * lanes + i] = 0;
  }
  /// Gradients of the weights to gradients of the scores: w (d - mean); zero where the weight is.
  void differentiate(Index keys, const S* weights, const S* mean, S* gradients) const {
    for (Index at = 0; at < width; at += step) {
      Vector m, w, d;
      std::memcpy(&m, mean + at, sizeof m);
      for (Index j = 0; j < keys; ++j) {
        std::memcpy(&w, weights + j * lanes + at, sizeof w);
        std::memcpy(&d, gradients + j * lanes + at, sizeof d);
        d = simd::select(w == Vector{}, Vector{}, w * (d - m));
        std::memcpy(gradients + j * lanes + at, &d, sizeof d);
      }
    }
  }
  /// Multiplies a tile, and another with the same factors, by the dropout.
  void drop(Index key, Index keys, S* tile, S* other = nullptr) const {
    S factor[attention_keys];
    for (Index i = 0; i < count; ++i) {
      const Index number = p.row(b, h, first + i) * p.keys + key;
      detail::dropout_factors(p.dropout.stream, p.dropout.p, number, number + keys, factor);
      for (Index j = 0; j < keys; ++j) tile[j * lanes + i] *= factor[j];
      for (Index j = 0; other && j < keys; ++j) other[j * lanes + i] *= factor[j];
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
