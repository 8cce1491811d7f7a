/// Attention of a few queries to many keys, as in decoding with a cache: bound by reading keys and values once.
///
/// Keys are cut into chunks of 256 by their position. The unit of work is (sample, key head, chunk), or some key heads that
/// lie side by side in memory: all query heads that read a key head share its rows while they are near (grouped-query
/// attention, Ainslie et al. 2023). Each unit leaves a maximum, a sum and a weighted sum of values for each row of
/// queries; whoever finishes the last chunk of a key head merges them in the order of the keys by their log-sum-exp (Dao
/// et al. 2023, Flash-Decoding). So a row of queries has the same bits for any number of threads, in any batch, in any
/// layout of the heads, and whatever rows are beside it.
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
/// Rows of some key heads of a sample.
template <class S>
struct Rows {
  const S* data;
  Index position, head;  // strides
  const S* at(Index j, Index g) const { return data + j * position + g * head; }
};
/// How far it is, in bytes, from a row to the one that is read some kilobytes later. Rows are read in tiles of `height`
/// positions of a head, all heads of a tile before the next tile; `next` is what follows after position `end`.
template <class S>
struct FetchAhead {
  Rows<S> rows, next;
  Index heads, height, end;
  Index by = 0, skip = 0;  // positions of a lone head, or heads of many
  std::uintptr_t most;     // what most rows have: those that neither end a tile nor all
  FetchAhead(const Rows<S>& from, const Rows<S>& then, Index columns, Index of_heads, Index of_height, Index last)
      : rows(from), next(then), heads(of_heads), height(of_height), end(last) {
    const Index size = columns * static_cast<Index>(sizeof(S));
    if (heads == 1)
      by = fetch_bytes / size + 1;
    else
      skip = std::clamp<Index>(fetch_bytes / (size * height), 1, heads);
    most = address(rows, by, skip) - address(rows, 0, 0);
  }
  /// A number: it may lie beyond all memory.
  static std::uintptr_t address(const Rows<S>& r, Index j, Index g) {
    return reinterpret_cast<std::uintptr_t>(r.data) +
           static_cast<std::uintptr_t>(j * r.position + g * r.head) * sizeof(S);
  }
  std::uintptr_t operator()(Index j, Index g) const {
    if (j + by < end && g + skip < heads) return most;
    const bool wraps = g + skip >= heads;
    const Index head = wraps ? g + skip - heads : g + skip, at = j + by + (wraps ? height : 0);
    return (at < end ? address(rows, at, head) : address(next, at - end, head)) - address(rows, j, g);
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

/// scores[g][r][j] for the keys j in [from, to) of each head g. `next` is read afterwards; `spare`: (sums, columns), for
/// ranges shorter than a tile.
template <int rows, class S>
void score(const Rows<S>& keys, Index heads, Index columns, Index from, Index to, const S* query, Index query_stride,
           S* scores, const Rows<S>& next, S* spare) {
  constexpr Index width = sums / rows;
  const FetchAhead<S> ahead(keys, next, columns, heads, width, to);
  for (Index j = from; j < to; j += width) {
    const Index first = std::max(from, std::min(j, to - width));  // the last tile moved back
    for (Index g = 0; g < heads; ++g) {
      const S *key = keys.at(first, g), *q = query + g * rows * query_stride;
      Index stride = keys.position;
      std::uintptr_t by = ahead(first, g);
      if (to - from < width) {
        for (Index w = 0; w < width; ++w)
          std::copy_n(keys.at(std::min(from + w, to - 1), g), columns, spare + w * columns);
        key = spare, stride = columns, by = 0;
      }
      score_tile<rows>(key, stride, columns, q, query_stride, by, scores + g * rows * score_stride + first);
    }
  }
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

/// The same for all columns and heads, a few keys at a time, so that memory is read in its order. Rows of `output` are
/// padded to whole vectors; `next` is read afterwards.
template <int rows, class S>
void weigh(const Rows<S>& values, Index heads, Index columns, Index from, Index to, const S* weights, S* output,
           Index output_stride, Index output_head, const Rows<S>& next) {
  constexpr Index step = simd::lanes<S>;
  constexpr int wide = std::min(8, sums / rows);
  // Many heads: rows a page apart would drive each other out of the nearest cache. One pass over a tile, or several.
  const Index tile = heads > 1 ? 8 : columns == wide * step || columns == 4 * step ? 64 : 16;
  const FetchAhead<S> fetch_ahead(values, next, columns, heads, tile, to);
  for (Index j = from; j < to; j += tile)
    for (Index g = 0; g < heads; ++g) {
      const Index keys = std::min(tile, to - j), stride = values.position;
      const S *const value = values.at(j, g), *const weight = weights + g * rows * score_stride + j;
      S* const out = output + g * output_head;
      const std::uintptr_t ahead = fetch_ahead(j, g);
      Index c = 0;
      for (; c + wide * step <= columns; c += wide * step)
        weigh_columns<rows, wide, true>(value + c, stride, keys, weight, Index(0), ahead, out + c, output_stride);
      for (; wide > 4 && c + 4 * step <= columns; c += 4 * step)
        weigh_columns<rows, 4, true>(value + c, stride, keys, weight, Index(0), ahead, out + c, output_stride);
      for (; c + step <= columns; c += step)
        weigh_columns<rows, 1, true>(value + c, stride, keys, weight, Index(0), ahead, out + c, output_stride);
      if (c < columns)
        weigh_columns<rows, 1, false>(value + c, stride, keys, weight, columns - c, ahead, out + c, output_stride);
    }
}

/// Scores in [from, to) to exp(score - largest); statistics = {largest, sum}. A NaN is passed over in the maximum and stays
/// in the sum.
template <class S>
void exponentiate(Index from, Index to, S* scores, S* statistics) {
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
  const S largest = simd::fold(top, [&](V a, V b) { return simd::select(b > a, b, a); });
  const V shift = simd::all<V>(largest == nothing ? S(0) : largest);
  for (Index j = first; j < last; j += step) {
    const V x = simd::exp_nonpositive(simd::load(scores + j) - shift);
    sum += x;
    simd::store(scores + j, x);
  }
  statistics[0] = largest, statistics[1] = simd::sum_of_lanes(sum);
}
/// y = factor x
template <class S>
ATTEND_OUT_OF_LINE void scale(Index n, S factor, const S* x, S* y) {
  simd::map(
      n, y, [factor](auto v) { return v * factor; }, x);
}

/// A call: its problem, how it is cut, and what the units leave for the merge.
template <class S>
struct Call {
  const AttentionProblem<S>& p;
  const Index* start;  // (batch), or null: added to the number of a query where the mask compares it with a key's
  HeadRows<S> output;
  static constexpr Index step = simd::lanes<S>;
  static constexpr S nothing = -std::numeric_limits<S>::infinity();
  Index rows = p.heads / p.key_heads * p.queries;  // that read one key head
  Index places = rows % most_rows == 1 ? rows : (rows + most_rows - 1) / most_rows * most_rows;  // of rows in tiles
  Index dim = (p.dim + step - 1) / step * step;                                                  // padded
  Index value_dim = (p.value_dim + step - 1) / step * step;                                      // padded
  Index chunks = (p.keys + chunk_keys - 1) / chunk_keys;
  Index together = heads_together();  // key heads of a unit, at most

  /// As many as a page of a position holds, where heads lie side by side and are read once: so memory is read in its order.
  Index heads_together() const {
    constexpr Index page = 4096;
    if (p.key.head >= p.key.position || rows > most_rows) return 1;
    const Index units = (p.key_heads * p.dim * static_cast<Index>(sizeof(S)) + page - 1) / page;
    return (p.key_heads + units - 1) / units;
  }
  Index scratch() const { return together * most_rows * (dim + score_stride) + sums * dim; }
  Index partial() const { return value_dim + 2; }  // of a row in a chunk: weighted values, largest score, sum
  Index head_of(Index key_head, Index row) const { return key_head * (p.heads / p.key_heads) + row / p.queries; }
  /// The keys of a chunk that a query may see, as far as ranges tell.
  AttentionMask::Range seen(Index b, Index i, Index chunk) const {
    const Index from = chunk * chunk_keys, to = std::min(from + chunk_keys, p.keys), at = i + (start ? start[b] : 0);
    const AttentionMask::Range r = p.mask.range(b, at, at);
    const Index begin = std::clamp(r.begin, from, to);
    return {begin, std::clamp(r.end, begin, to)};
  }

  /// Some key heads of a sample over one chunk.
  struct Unit {
    Index b, g, heads, chunk;
  };
  Rows<S> keys_of(const Unit& u) const {
    return {p.key.at(u.b, u.chunk * chunk_keys, u.g), p.key.position, p.key.head};
  }
  /// Where a unit leaves what it has found; that of the next head lies `between_heads` behind it.
  S* partials_of(const Unit& u, S* partials) const {
    return partials + ((u.b * p.key_heads + u.g) * chunks + u.chunk) * places * partial();
  }
  Index between_heads() const { return chunks * places * partial(); }

  /// The rows of each head from `first` on: the last one, or a tile of them, whose last may be empty.
  void tile(const Unit& u, Index first, const Rows<S>& next, S* memory, S* partials) const {
    const Index count = first + 1 == rows ? 1 : most_rows, real = std::min(count, rows - first);
    const Index origin = u.chunk * chunk_keys, keys = std::min(chunk_keys, p.keys - origin);
    S *const query = memory, *const scores = query + u.heads * count * dim;
    S* const found = partials_of(u, partials) + first * partial();
    Index from = keys, to = 0;
    for (Index r = 0; r < real; ++r) {
      const auto range = seen(u.b, (first + r) % p.queries, u.chunk);
      if (range.begin < range.end) from = std::min(from, range.begin - origin), to = std::max(to, range.end - origin);
    }
    for (Index g = 0; g < u.heads; ++g)
      for (Index r = 0; r < count; ++r) {
        S *const statistics = found + g * between_heads() + r * partial() + value_dim, *const q = query +
                                                                                                  (g * count + r) * dim;
        std::fill(statistics - value_dim, statistics, S(0));
        statistics[0] = nothing, statistics[1] = 0;
        const Index row = first + std::min(r, real - 1);
        scale(p.dim, p.scale, p.query.at(u.b, row % p.queries, head_of(u.g + g, row)), q);
        std::fill(q + p.dim, q + dim, S(0));
      }
    if (from >= to) return;
    const Rows<S> values{p.value.at(u.b, origin, u.g), p.value.position, p.value.head};
    const Rows<S> first_values{values.at(from, 0), values.position, values.head};
    S* const spare = scores + u.heads * count * score_stride;
    (count == 1 ? score<1, S> : score<most_rows, S>)(keys_of(u), u.heads, p.dim, from, to, query, dim, scores,
                                                     first_values, spare);
    for (Index g = 0; g < u.heads; ++g)
      for (Index r = 0; r < count; ++r) {
        S* const of_row = scores + (g * count + r) * score_stride;
        if (r >= real) {
          std::fill(of_row + from, of_row + to, S(0));  // weighs nothing
          continue;
        }
        finish_scores(u.b, head_of(u.g + g, first + r), (first + r) % p.queries, u.chunk, from, to, of_row);
        exponentiate(from, to, of_row, found + g * between_heads() + r * partial() + value_dim);
      }
    (count == 1 ? weigh<1, S> : weigh<most_rows, S>)(values, u.heads, p.value_dim, from, to, scores, found, partial(),
                                                     between_heads(), next);
  }
  /// Bias and masks of one row.
  void finish_scores(Index b, Index h, Index i, Index chunk, Index from, Index to, S* scores) const {
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
  /// All rows of a unit; `next` are the keys that will be read after it.
  void run(const Unit& u, const Rows<S>& next, S* memory, S* partials) const {
    for (Index row = 0; row < rows; row += most_rows) tile(u, row, next, memory, partials);
  }
  /// What the chunks of a key head left, (chunks, places, partial), to the output.
  void merge(Index b, Index g, const S* partials) const {
    for (Index row = 0; row < rows; ++row) {
      const Index h = head_of(g, row), i = row % p.queries;
      S* const out = output.at(b, i, h);
      S largest = nothing, sum = 0;
      const auto part = [&](Index chunk) { return partials + (chunk * places + row) * partial(); };
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
      if (sum != S(0)) scale(p.value_dim, 1 / sum, static_cast<const S*>(out), out);
    }
  }
};

}  // namespace decode

/// The output of attention_forward, to within rounding. `start` (batch), or null, is added to the number of a query where
/// the mask compares it with a key's: the position of each sample's first query. Keys beyond a sample's length or every
/// query's range are never read. Neither dropout nor appended keys.
template <class S>
void attention_decode(const AttentionProblem<S>& p, const HeadRows<S>& output, const Index* start = nullptr) {
  const decode::Call<S> call{p, start, output};
  const Index heads = p.batch * p.key_heads;
  const auto partials = make_buffer<S>(heads * call.between_heads());
  const auto left = make_buffer<std::atomic<Index> >(heads);  // chunks of each key head
  for (Index i = 0; i < heads; ++i) new (left.get() + i) std::atomic<Index>(call.chunks);
  if (call.chunks == 0) {
    for (Index i = 0; i < heads; ++i) call.merge(i / p.key_heads, i % p.key_heads, partials.get());
    return;
  }
  const bool heads_first = p.key.head < p.key.position;  // units that follow each other read the same pages
  const Index groups = (p.key_heads + call.together - 1) / call.together, units = p.batch * groups * call.chunks;
  const auto unit_of = [&](Index n) {
    const Index b = n / (groups * call.chunks), rest = n % (groups * call.chunks);
    const Index group = heads_first ? rest % groups : rest / call.chunks;
    const Index chunk = heads_first ? rest / groups : rest % call.chunks;
    const Index first = group * p.key_heads / groups, last = (group + 1) * p.key_heads / groups;
    return typename decode::Call<S>::Unit{b, first, last - first, chunk};
  };
  const Index work = std::min(decode::chunk_keys, p.keys) * (p.dim + p.value_dim) * (2 + call.rows) * call.together;
  const Index grain = std::max((Index(1) << 18) / std::max<Index>(1, work), units / (8 * num_threads()));
  parallel_for(units, grain, [&](Index begin, Index end) {
    const auto memory = make_buffer<S>(call.scratch());
    auto next = unit_of(begin);
    for (Index n = begin; n < end; ++n) {
      const auto unit = next;
      if (n + 1 < end) next = unit_of(n + 1);
      call.run(unit, call.keys_of(next), memory.get(), partials.get());
      for (Index g = unit.g; g < unit.g + unit.heads; ++g) {
        const Index head = unit.b * p.key_heads + g;
        if (left.get()[head].fetch_sub(1, std::memory_order_acq_rel) == 1)
          call.merge(unit.b, g, partials.get() + head * call.between_heads());
      }
    }
  });
}

ATTEND_END_ISA
#endif
