/// Attention of a few queries to many keys, as in decoding with a cache: bound by reading keys and values once.
///
/// Keys are cut into chunks of 256 by their position. The unit of work is (sample, key head, chunk), or some key heads that
/// lie side by side in memory: all query heads that read a key head share its rows while they are near (grouped-query
/// attention, Ainslie et al. 2023). Each unit leaves a maximum, a sum and a weighted sum of values for each row of
/// queries; whoever finishes the last chunk of a key head merges them in the order of the keys by their log-sum-exp (Dao
/// et al. 2023, Flash-Decoding). So a row of queries has the same bits for any number of threads, in any batch, in any
/// layout of the heads, and whatever rows are beside it.
#pragma once
#include <atomic>
#include <cmath>

#include "attend/core/threads.hpp"
#include "attend/kernels/attention_decode_tile.hpp"
#include "attend/kernels/attention_problem.hpp"

ATTEND_BEGIN
namespace decode {

constexpr Index fetch_bytes = 16384;  // how far ahead to ask: the hardware stops at the end of a page

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

/// scores[g][r][j] for the keys j in [from, to) of each head g. `next` is read afterwards; `spare`: (sums, columns), for
/// ranges shorter than a tile.
template <class S>
void score(const Tiles<S>& tiles, Index rows, const Rows<S>& keys, Index heads, Index columns, Index from, Index to,
           const S* query, Index query_stride, S* scores, const Rows<S>& next, S* spare) {
  const Index width = tiles.sums / rows;
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
      tiles.score[rows > 1](key, stride, columns, q, query_stride, by, scores + g * rows * score_stride + first);
    }
  }
}

/// output[g][r][c] += sum_j weights[g][r][j] value[j][g][c], a few keys at a time, so that memory is read in its order.
/// Rows of `output` are padded to whole vectors; `next` is read afterwards.
template <class S>
void weigh(const Tiles<S>& tiles, Index rows, const Rows<S>& values, Index heads, Index columns, Index from, Index to,
           const S* weights, S* output, Index output_stride, Index output_head, const Rows<S>& next) {
  const Index step = tiles.lanes;
  // Many heads: rows a page apart would drive each other out of the nearest cache. One pass over a tile, or several.
  const Index height = heads > 1 ? 8 : columns == tiles.wide(rows) * step || columns == 4 * step ? 64 : 16;
  const FetchAhead<S> ahead(values, next, columns, heads, height, to);
  for (Index j = from; j < to; j += height)
    for (Index g = 0; g < heads; ++g)
      tiles.weigh[rows > 1](values.at(j, g), values.position, std::min(height, to - j), columns,
                            weights + g * rows * score_stride + j, ahead(j, g), output + g * output_head,
                            output_stride);
}

/// A call: its problem, how it is cut, and what the units leave for the merge.
template <class S>
struct Call {
  const AttentionProblem<S>& p;
  const Index* start;  // (batch), or null: added to the number of a query where the mask compares it with a key's
  HeadRows<S> output;
  Tiles<S> tiles;
  static constexpr S nothing = -std::numeric_limits<S>::infinity();
  Index rows = p.heads / p.key_heads * p.queries;                                     // that read one key head
  Index places = rows % tiles.most_rows == 1 ? rows : padded(rows, tiles.most_rows);  // of rows in tiles
  Index dim = padded(p.dim, tiles.lanes), value_dim = padded(p.value_dim, tiles.lanes);
  Index chunks = (p.keys + chunk_keys - 1) / chunk_keys;
  Index together = heads_together();  // key heads of a unit, at most

  static Index padded(Index n, Index to) { return (n + to - 1) / to * to; }
  /// As many as a page of a position holds, where heads lie side by side and are read once: so memory is read in its order.
  Index heads_together() const {
    constexpr Index page = 4096;
    if (p.key.head >= p.key.position || rows > tiles.most_rows) return 1;
    const Index units = (p.key_heads * p.dim * static_cast<Index>(sizeof(S)) + page - 1) / page;
    return (p.key_heads + units - 1) / units;
  }
  Index scratch() const {
    const Index of_unit = together * tiles.most_rows * (dim + score_stride) + tiles.sums * dim;
    return std::max(of_unit, padded(chunks, tiles.lanes) + partial());
  }
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
    const Index count = first + 1 == rows ? 1 : tiles.most_rows, real = std::min(count, rows - first);
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
        tiles.scale(p.dim, p.scale, p.query.at(u.b, row % p.queries, head_of(u.g + g, row)), q);
        std::fill(q + p.dim, q + dim, S(0));
      }
    if (from >= to) return;
    const Rows<S> values{p.value.at(u.b, origin, u.g), p.value.position, p.value.head};
    const Rows<S> first_values{values.at(from, 0), values.position, values.head};
    S* const spare = scores + u.heads * count * score_stride;
    score(tiles, count, keys_of(u), u.heads, p.dim, from, to, query, dim, scores, first_values, spare);
    for (Index g = 0; g < u.heads; ++g)
      for (Index r = 0; r < count; ++r) {
        S* const of_row = scores + (g * count + r) * score_stride;
        if (r >= real) {
          std::fill(of_row + from, of_row + to, S(0));  // weighs nothing
          continue;
        }
        finish_scores(u.b, head_of(u.g + g, first + r), (first + r) % p.queries, u.chunk, from, to, of_row);
        tiles.exponentiate(from, to, of_row, found + g * between_heads() + r * partial() + value_dim);
      }
    weigh(tiles, count, values, u.heads, p.value_dim, from, to, scores, found, partial(), between_heads(), next);
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
    for (Index row = 0; row < rows; row += tiles.most_rows) tile(u, row, next, memory, partials);
  }
  /// What the chunks of a key head left, (chunks, places, partial), to the output: weighed by their share of the sum.
  void merge(Index b, Index g, const S* partials, S* memory) const {
    S *const weights = memory, *const weighed = weights + padded(chunks, tiles.lanes);
    for (Index row = 0; row < rows; ++row) {
      const S* const of_row = partials + row * partial();
      const Index stride = places * partial();
      for (Index c = 0; c < chunks; ++c) weights[c] = of_row[c * stride + value_dim];
      S statistics[2], sum = 0;
      tiles.exponentiate(0, chunks, weights, statistics);
      for (Index c = 0; c < chunks; ++c) sum += weights[c] * of_row[c * stride + value_dim + 1];
      std::fill_n(weighed, value_dim, S(0));
      tiles.weigh[0](of_row, stride, chunks, value_dim, weights, 0, weighed, value_dim);
      tiles.scale(p.value_dim, sum == S(0) ? S(0) : 1 / sum, weighed, output.at(b, row % p.queries, head_of(g, row)));
    }
  }
};

/// The output of attention_forward, to within rounding. `start` (batch), or null, is added to the number of a query where
/// the mask compares it with a key's: the position of each sample's first query. Keys beyond a sample's length or every
/// query's range are never read. Neither dropout nor appended keys. `tiles`: of the picked instruction set, or of another.
template <class S>
void attention_decode(const AttentionProblem<S>& p, const HeadRows<S>& output, const Index* start = nullptr,
                      const Tiles<S>& tiles = decode_tiles<S>()) {
  const Call<S> call{p, start, output, tiles};
  const Index heads = p.batch * p.key_heads;
  const auto partials = make_buffer<S>(heads * call.between_heads());
  const auto left = make_buffer<std::atomic<Index> >(heads);  // chunks of each key head
  for (Index i = 0; i < heads; ++i) new (left.get() + i) std::atomic<Index>(call.chunks);
  if (call.chunks == 0) {
    const auto memory = make_buffer<S>(call.scratch());
    for (Index i = 0; i < heads; ++i) call.merge(i / p.key_heads, i % p.key_heads, partials.get(), memory.get());
    return;
  }
  const bool heads_first = p.key.head < p.key.position;  // units that follow each other read the same pages
  const Index groups = (p.key_heads + call.together - 1) / call.together, units = p.batch * groups * call.chunks;
  const auto unit_of = [&](Index n) {
    const Index b = n / (groups * call.chunks), rest = n % (groups * call.chunks);
    const Index group = heads_first ? rest % groups : rest / call.chunks;
    const Index chunk = heads_first ? rest / groups : rest % call.chunks;
    const Index first = group * p.key_heads / groups, last = (group + 1) * p.key_heads / groups;
    return typename Call<S>::Unit{b, first, last - first, chunk};
  };
  const Index work = std::min(chunk_keys, p.keys) * (p.dim + p.value_dim) * (2 + call.rows) * call.together;
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
          call.merge(unit.b, g, partials.get() + head * call.between_heads(), memory.get());
      }
    }
  });
}

}  // namespace decode

ATTEND_COMPILED_TEMPLATE(decode::attention_decode)
using decode::attention_decode;
ATTEND_END
