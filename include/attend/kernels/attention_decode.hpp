/// Attention of a few queries to many keys, as in decoding with a cache: bound by reading keys and values once.
///
/// Keys are cut into chunks of 256 by their position. The unit of work is (sample, key head, chunk): all query heads that
/// read a key head share its rows while they are near (grouped-query attention, Ainslie et al. 2023). Each unit leaves a
/// maximum, a sum and a weighted sum of values for each row of queries; whoever finishes the last chunk of a key head
/// merges them in the order of the keys by their log-sum-exp (Dao et al. 2023, Flash-Decoding). So a row of queries has
/// the same bits for any number of threads, in any batch, and whatever rows are beside it.
#ifndef ATTEND_KERNELS_ATTENTION_DECODE
#define ATTEND_KERNELS_ATTENTION_DECODE
#include <atomic>
#include <cmath>

#include "attend/core/threads.hpp"
#include "attend/kernels/attention_problem.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/transpose.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/attention_decode.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(attention_decode)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace decode {

constexpr Index chunk_keys = 256;
#if ATTEND_LEVEL == 3 || defined(__aarch64__)
constexpr int sums = 16;                           // accumulators of a tile: half of the registers
#else
constexpr int sums = 8;
#endif
constexpr int most_rows = sums / 4;                // of queries in a tile
constexpr Index score_stride = chunk_keys + sums;  // a tile may reach beyond the chunk
constexpr Index fetch_bytes = 16384;               // how far ahead to ask: the hardware stops at the end of a page

/// Asks for the line that lies `ahead` bytes behind `address`, be there one or not.
ATTEND_INLINE void fetch(const void* address, std::uintptr_t ahead) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(address) + ahead));
}
/// From a row to the one that is read some kilobytes later: `next` is what follows after row `end`.
template <class S>
struct FetchAhead {
  const S *rows, *next;
  Index stride, end, by;
  FetchAhead(const S* from, const S* then, Index row_stride, Index columns, Index last)
      : rows(from),
        next(then),
        stride(row_stride),
        end(last),
        by(fetch_bytes / (columns * static_cast<Index>(sizeof(S))) + 1) {}
  std::uintptr_t operator()(Index row) const {
    const auto address = [this](const S* base, Index i) {  // a number: it may lie beyond all memory
      return reinterpret_cast<std::uintptr_t>(base) + static_cast<std::uintptr_t>(i * stride) * sizeof(S);
    };
    return (row + by < end ? address(rows, row + by) : address(next, row + by - end)) - address(rows, row);
  }
};

/// One running pointer: compilers would replace it by as many as the unrolled loop has rows.
template <class T>
ATTEND_INLINE void advance(const T*& p, Index stride) {
  p += stride;
#if defined(__GNUC__) || defined(__clang__)
  asm("" : "+r"(p));
#endif
}

/// sum[r][w] += query[r] key[w] lane by lane, over `vectors` vectors of columns or the first `part` lanes of one.
template <int rows, int vectors, bool whole, class S>
ATTEND_INLINE void score_columns(const S* key, Index stride, const S* query, Index query_stride, Index part,
                                 std::uintptr_t ahead, simd::Vector<S> (&sum)[sums]) {
  using V = simd::Vector<S>;
  constexpr Index step = simd::lanes<S>;
  constexpr int width = sums / rows;
  V q[rows][vectors];
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) q[r][i] = simd::load(query + r * query_stride + i * step);
#pragma GCC unroll 16
  for (int w = 0; w < width; ++w, advance(key, stride))
#pragma GCC unroll 4
    for (int i = 0; i < vectors; ++i) {
      V k;
      if constexpr (whole)
        k = simd::load(key + i * step);
      else
        k = simd::load_part(key, part);
      if (static_cast<std::size_t>(i) * sizeof(V) % 64 == 0) fetch(key + i * step, ahead);
#pragma GCC unroll 4
      for (int r = 0; r < rows; ++r) sum[r * width + w] = simd::multiply_add(k, q[r][i], sum[r * width + w]);
    }
}

/// scores[r][w] = query[r] . key[w] for the `sums / rows` keys from `key` on. Whatever the tile, a score is summed over
/// the same lanes in the same order.
template <int rows, class S>
ATTEND_OUT_OF_LINE void score_tile(const S* key, Index stride, Index columns, const S* query, Index query_stride,
                                   std::uintptr_t ahead, S* scores) {
  using V = simd::Vector<S>;
  constexpr Index step = simd::lanes<S>;
  constexpr int width = sums / rows, groups = sums / static_cast<int>(step), wide = 4 / rows;
  static_assert(groups * step == sums, "attend: sums are transposed in squares");
  V sum[sums] = {};
  Index d = 0;
  for (; d + wide * step <= columns; d += wide * step)
    score_columns<rows, wide, true>(key + d, stride, query + d, query_stride, Index(0), ahead, sum);
  for (; wide > 1 && d + step <= columns; d += step)
    score_columns<rows, 1, true>(key + d, stride, query + d, query_stride, Index(0), ahead, sum);
  if (d < columns) score_columns<rows, 1, false>(key + d, stride, query + d, query_stride, columns - d, ahead, sum);
  S flat[sums];
#pragma GCC unroll 16
  for (int g = 0; g < groups; ++g) {
    V square[step];
#pragma GCC unroll 16
    for (int i = 0; i < step; ++i) square[i] = sum[g * step + i];
    simd::store(flat + g * step, simd::row_sums(square));
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) std::memcpy(scores + r * score_stride, flat + r * width, width * sizeof(S));
}

/// scores[r][j] for the keys j in [from, to). `next` is read afterwards; `spare`: (sums, columns), for ranges shorter than
/// a tile.
template <int rows, class S>
void score(const S* keys, Index stride, Index columns, Index from, Index to, const S* query, Index query_stride,
           S* scores, const S* next, S* spare) {
  constexpr Index width = sums / rows;
  const FetchAhead<S> ahead(keys, next, stride, columns, to);
  Index j = from;
  for (; j + width <= to; j += width)
    score_tile<rows>(keys + j * stride, stride, columns, query, query_stride, ahead(j), scores + j);
  if (j == to) return;
  if (to - from >= width) {  // the last tile once more, moved back
    j = to - width;
    score_tile<rows>(keys + j * stride, stride, columns, query, query_stride, ahead(j), scores + j);
    return;
  }
  for (Index w = 0; w < width; ++w)
    std::copy_n(keys + std::min(from + w, to - 1) * stride, columns, spare + w * columns);
  score_tile<rows>(spare, columns, columns, query, query_stride, 0, scores + from);
}

/// output[r][c] += sum_j weights[r][j] value[j][c] over j in order, for `vectors` vectors of columns, or for the first
/// `part` lanes of one. A weight of zero touches no value.
template <int rows, int vectors, bool whole, class S>
ATTEND_OUT_OF_LINE void weigh_columns(const S* value, Index stride, Index keys, const S* weights, Index part,
                                      std::uintptr_t ahead, S* output, Index output_stride) {
  using V = simd::Vector<S>;
  constexpr Index step = simd::lanes<S>;
  V sum[rows][vectors];
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) sum[r][i] = simd::load(output + r * output_stride + i * step);
  for (Index j = 0; j < keys; ++j, advance(value, stride)) {
    V v[vectors];
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) {
      if constexpr (whole)
        v[i] = simd::load(value + i * step);
      else
        v[i] = simd::load_part(value, part);
      if (static_cast<std::size_t>(i) * sizeof(V) % 64 == 0) fetch(value + i * step, ahead);
    }
#pragma GCC unroll 4
    for (int r = 0; r < rows; ++r) {
      const S weight = weights[r * score_stride + j];
      if (weight == S(0)) continue;
#pragma GCC unroll 8
      for (int i = 0; i < vectors; ++i) sum[r][i] = simd::multiply_add(v[i], simd::all<V>(weight), sum[r][i]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 8
    for (int i = 0; i < vectors; ++i) simd::store(output + r * output_stride + i * step, sum[r][i]);
}

/// The same for all columns, a few keys at a time, so that memory is read in its order. Rows of `output` are padded to
/// whole vectors; `next` is read afterwards.
template <int rows, class S>
void weigh(const S* values, Index stride, Index columns, Index from, Index to, const S* weights, S* output,
           Index output_stride, const S* next) {
  constexpr Index step = simd::lanes<S>;
  constexpr int wide = std::min(8, sums / rows);
  const Index tile = columns == wide * step || columns == 4 * step ? 64 : 16;  // in one pass, or in several
  const FetchAhead<S> fetch_ahead(values, next, stride, columns, to);
  for (Index j = from; j < to; j += tile) {
    const Index keys = std::min(tile, to - j);
    const S* const value = values + j * stride;
    const std::uintptr_t ahead = fetch_ahead(j);
    Index c = 0;
    for (; c + wide * step <= columns; c += wide * step)
      weigh_columns<rows, wide, true>(value + c, stride, keys, weights + j, Index(0), ahead, output + c, output_stride);
    for (; wide > 4 && c + 4 * step <= columns; c += 4 * step)
      weigh_columns<rows, 4, true>(value + c, stride, keys, weights + j, Index(0), ahead, output + c, output_stride);
    for (; c + step <= columns; c += step)
      weigh_columns<rows, 1, true>(value + c, stride, keys, weights + j, Index(0), ahead, output + c, output_stride);
    if (c < columns)
      weigh_columns<rows, 1, false>(value + c, stride, keys, weights + j, columns - c, ahead, output + c,
                                    output_stride);
  }
}

/// What is known of a row of queries after some of its keys: the largest score, the sum of exp(score - largest), and,
/// beside it in memory, the values weighted with these exponentials.
template <class S>
struct Statistics {
  S largest = -std::numeric_limits<S>::infinity(), sum = 0;
};

/// Scores in [from, to) to exp(score - largest). A NaN is passed over in the maximum and stays in the sum.
template <class S>
Statistics<S> exponentiate(Index from, Index to, S* scores) {
  using V = simd::Vector<S>;
  constexpr Index step = simd::lanes<S>;
  constexpr S nothing = -std::numeric_limits<S>::infinity();
  const Index first = from / step * step, last = (to + step - 1) / step * step;  // whole vectors, by position
  std::fill(scores + first, scores + from, nothing);
  std::fill(scores + to, scores + last, nothing);
  V top = simd::all<V>(nothing), sum = {};
  for (Index j = first; j < last; j += step) {
    const V x = simd::load(scores + j);
    top = simd::select(x > top, x, top);
  }
  Statistics<S> s;
  s.largest = simd::fold(top, [&](V a, V b) { return simd::select(b > a, b, a); });
  const V shift = simd::all<V>(s.largest == nothing ? S(0) : s.largest);
  for (Index j = first; j < last; j += step) {
    const V x = simd::exp_nonpositive(simd::load(scores + j) - shift);
    sum += x;
    simd::store(scores + j, x);
  }
  s.sum = simd::sum_of_lanes(sum);
  return s;
}

/// A call: its problem, how it is cut, and what the units leave for the merge.
template <class S>
struct Call {
  const AttentionProblem<S>& p;
  const Index* start;  // (batch), or null: added to the number of a query where the mask compares it with a key's
  HeadRows<S> output;
  S *maximum, *inverse_sum;  // or null
  static constexpr Index step = simd::lanes<S>;
  Index rows = p.heads / p.key_heads * p.queries;            // that read one key head
  Index dim = (p.dim + step - 1) / step * step;              // padded
  Index value_dim = (p.value_dim + step - 1) / step * step;  // padded
  Index chunks = (p.keys + chunk_keys - 1) / chunk_keys;

  Index scratch() const { return most_rows * (dim + score_stride) + sums * dim; }
  Index partial() const { return value_dim + 2; }  // of a row in a chunk: weighted values, largest score, sum
  Index head_of(Index key_head, Index row) const { return key_head * (p.heads / p.key_heads) + row / p.queries; }
  /// The keys of a chunk that a query may see, as far as ranges tell.
  AttentionMask::Range seen(Index b, Index i, Index chunk) const {
    const Index from = chunk * chunk_keys, to = std::min(from + chunk_keys, p.keys), at = i + (start ? start[b] : 0);
    const AttentionMask::Range r = p.mask.range(b, at, at);
    const Index begin = std::clamp(r.begin, from, to);
    return {begin, std::clamp(r.end, begin, to)};
  }

  /// Rows [first, first + count) over one chunk.
  template <int count>
  void tile(Index b, Index g, Index chunk, Index first, const S* next, S* memory, S* partials) const {
    constexpr S nothing = -std::numeric_limits<S>::infinity();
    const Index origin = chunk * chunk_keys, keys = std::min(chunk_keys, p.keys - origin);
    S *const query = memory, *const scores = query + most_rows * dim;
    Index from = keys, to = 0;
    for (int r = 0; r < count; ++r) {
      S* const partial_row = partials + r * partial();
      std::fill_n(partial_row, value_dim, S(0));
      partial_row[value_dim] = nothing, partial_row[value_dim + 1] = 0;
      const auto range = seen(b, (first + r) % p.queries, chunk);
      if (range.begin < range.end) from = std::min(from, range.begin - origin), to = std::max(to, range.end - origin);
    }
    if (from >= to) return;
    for (int r = 0; r < count; ++r) {
      const S* q = p.query.at(b, (first + r) % p.queries, head_of(g, first + r));
      simd::map(
          p.dim, query + r * dim, [this](auto x) { return x * p.scale; }, q);
      std::fill(query + r * dim + p.dim, query + (r + 1) * dim, S(0));
    }
    const S* const values = p.value.at(b, origin, g);
    score<count>(p.key.at(b, origin, g), p.key.position, p.dim, from, to, query, dim, scores,
                 values + from * p.value.position, scores + most_rows * score_stride);
    for (int r = 0; r < count; ++r) {
      S* const row = scores + r * score_stride;
      finish_scores(b, head_of(g, first + r), (first + r) % p.queries, chunk, from, to, row);
      const Statistics<S> s = exponentiate(from, to, row);
      partials[r * partial() + value_dim] = s.largest;
      partials[r * partial() + value_dim + 1] = s.sum;
    }
    weigh<count>(values, p.value.position, p.value_dim, from, to, scores, partials, partial(), next);
  }
  /// Bias and masks of one row.
  void finish_scores(Index b, Index h, Index i, Index chunk, Index from, Index to, S* scores) const {
    constexpr S nothing = -std::numeric_limits<S>::infinity();
    const Index origin = chunk * chunk_keys;
    if (p.bias) {
      const S* bias = p.bias + b * p.bias_stride[0] + h * p.bias_stride[1] + i * p.bias_stride[2];
      for (Index j = from; j < to; ++j) scores[j] += bias[(origin + j) * p.bias_stride[3]];
    }
    const auto range = seen(b, i, chunk);
    const Index begin = std::clamp(range.begin - origin, from, to), end = std::clamp(range.end - origin, begin, to);
    std::fill(scores + from, scores + begin, nothing);
    std::fill(scores + end, scores + to, nothing);
    const AttentionMask& m = p.mask;
    for (Index j = begin; m.ignored && j < end; ++j)
      if (m.ignored[b * m.ignored_stride[0] + (origin + j) * m.ignored_stride[1]]) scores[j] = nothing;
    for (Index j = begin; m.allowed && j < end; ++j)
      if (!m.allowed[b * m.allowed_stride[0] + h * m.allowed_stride[1] + i * m.allowed_stride[2] +
                     (origin + j) * m.allowed_stride[3]])
        scores[j] = nothing;
  }
  /// All rows over one chunk; `next` are the keys that will be read after it.
  void unit(Index b, Index g, Index chunk, const S* next, S* memory, S* partials) const {
    Index row = 0;
    if constexpr (most_rows >= 4)
      for (; row + 4 <= rows; row += 4) tile<4>(b, g, chunk, row, next, memory, partials + row * partial());
    for (; row + 2 <= rows; row += 2) tile<2>(b, g, chunk, row, next, memory, partials + row * partial());
    for (; row < rows; ++row) tile<1>(b, g, chunk, row, next, memory, partials + row * partial());
  }
  /// What the chunks of a key head left, (chunks, rows, partial), to the output.
  void merge(Index b, Index g, const S* partials) const {
    constexpr S nothing = -std::numeric_limits<S>::infinity();
    for (Index row = 0; row < rows; ++row) {
      const Index h = head_of(g, row), i = row % p.queries;
      S* const out = output.at(b, i, h);
      S largest = nothing, sum = 0;
      const auto part = [&](Index chunk) { return partials + (chunk * rows + row) * partial(); };
      for (Index c = 0; c < chunks; ++c) largest = part(c)[value_dim] > largest ? part(c)[value_dim] : largest;
      const S shift = largest == nothing ? S(0) : largest;
      std::fill_n(out, p.value_dim, S(0));
      for (Index c = 0; c < chunks; ++c) {
        if (part(c)[value_dim + 1] == S(0)) continue;  // nothing seen
        const S factor = simd::exp_nonpositive(part(c)[value_dim] - shift);
        sum = simd::multiply_add(factor, part(c)[value_dim + 1], sum);
        simd::map(
            p.value_dim, out,
            [factor](auto x, auto y) { return simd::multiply_add(x, simd::all<decltype(x)>(factor), y); }, part(c),
            static_cast<const S*>(out));
      }
      const S inverse = sum == S(0) ? S(0) : 1 / sum;
      if (sum != S(0))
        simd::map(
            p.value_dim, out, [inverse](auto x) { return x * inverse; }, static_cast<const S*>(out));
      if (maximum) maximum[p.row(b, h, i)] = shift;
      if (inverse_sum) inverse_sum[p.row(b, h, i)] = inverse;
    }
  }
};

}  // namespace decode

/// The same as attention_forward, to within rounding; `maximum` and `inverse_sum` may be null. `start` (batch), or null,
/// is added to the number of a query where the mask compares it with a key's: the position of each sample's first query.
/// Keys beyond a sample's length or every query's range are never read. Neither dropout nor appended keys.
template <class S>
void attention_decode(const AttentionProblem<S>& p, const HeadRows<S>& output, S* maximum, S* inverse_sum,
                      const Index* start = nullptr) {
  const decode::Call<S> call{p, start, output, maximum, inverse_sum};
  const Index heads = p.batch * p.key_heads, units = heads * call.chunks, part = call.rows * call.partial();
  const auto partials = make_buffer<S>(units * part);
  const auto left = make_buffer<std::atomic<Index> >(heads);  // chunks of each key head
  for (Index i = 0; i < heads; ++i) new (left.get() + i) std::atomic<Index>(call.chunks);
  // Where the heads of a position lie side by side, units that follow each other read the same pages.
  const bool heads_first = p.key.head < p.key.position;
  const Index work = std::min(decode::chunk_keys, p.keys) * (p.dim + p.value_dim) * (2 + call.rows);
  if (call.chunks == 0) {
    for (Index i = 0; i < heads; ++i) call.merge(i / p.key_heads, i % p.key_heads, partials.get());
    return;
  }
  struct Unit {
    Index b, g, chunk;
  };
  const auto unit_of = [&](Index n) {
    const Index b = n / (p.key_heads * call.chunks), rest = n % (p.key_heads * call.chunks);
    return heads_first ? Unit{b, rest % p.key_heads, rest / p.key_heads}
                       : Unit{b, rest / call.chunks, rest % call.chunks};
  };
  const Index grain = std::max((Index(1) << 18) / std::max<Index>(1, work), units / (8 * num_threads()));
  parallel_for(units, grain, [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(call.scratch());
    for (Index n = begin; n < end; ++n) {
      const Unit unit = unit_of(n), next = unit_of(std::min(n + 1, end - 1));
      const Index head = unit.b * p.key_heads + unit.g;
      S* const mine = partials.get() + head * call.chunks * part;
      call.unit(unit.b, unit.g, unit.chunk, p.key.at(next.b, next.chunk * decode::chunk_keys, next.g), memory.get(),
                mine + unit.chunk * part);
      if (left.get()[head].fetch_sub(1, std::memory_order_acq_rel) == 1) call.merge(unit.b, unit.g, mine);
    }
  });
}

ATTEND_END_ISA
#endif
