/// What decoding computes on a tile of keys, for each instruction set; attention_decode.hpp, which is compiled once, cuts
/// the problem into tiles and calls these through a table.
#ifndef ATTEND_KERNELS_ATTENTION_DECODE_TILE
#define ATTEND_KERNELS_ATTENTION_DECODE_TILE
#include "attend/core/shape.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/transpose.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace decode {

constexpr Index chunk_keys = 256;
constexpr Index score_stride = chunk_keys + 16;  // between the scores of rows: a tile may reach beyond the chunk

/// The kernels of an instruction set, each for one row of queries and for `most_rows` of them.
template <class S>
struct Tiles {
  Index lanes, sums, most_rows;
  /// scores[r][w] = query[r] . key[w] for `sums / rows` keys. Whatever the tile, a score is summed over the same lanes in
  /// the same order. Memory that lies `ahead` bytes behind what is read is asked for.
  void (*score[2])(const S* key, Index stride, Index columns, const S* query, Index query_stride, std::uintptr_t ahead,
                   S* scores);
  /// output[r][c] += sum_j weights[r][j] value[j][c] over j in order. A weight of zero touches no value. Rows of `output`
  /// are padded to whole vectors.
  void (*weigh[2])(const S* value, Index stride, Index keys, Index columns, const S* weights, std::uintptr_t ahead,
                   S* output, Index output_stride);
  /// Scores in [from, to) to exp(score - largest); statistics = {largest, sum}. A NaN is passed over in the maximum and
  /// stays in the sum. Writes whole vectors, by position.
  void (*exponentiate)(Index from, Index to, S* scores, S* statistics);
  /// y = factor x
  void (*scale)(Index n, S factor, const S* x, S* y);
  /// How many vectors of values a row keeps in registers at most.
  Index wide(Index rows) const { return std::min<Index>(8, sums / rows); }
};

}  // namespace decode
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/attention_decode_tile.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_OF(decode_tiles)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace decode {

using attend::decode::score_stride;
#if ATTEND_LEVEL == 3 || defined(__aarch64__)
constexpr int sums = 16;             // accumulators of a tile: half of the registers
#else
constexpr int sums = 8;
#endif
constexpr int most_rows = sums / 4;  // of queries in a tile

/// Asks for the line that lies `ahead` bytes behind `address`, be there one or not.
ATTEND_INLINE void fetch(const void* address, std::uintptr_t ahead) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(address) + ahead));
}
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

/// The same for all columns.
template <int rows, class S>
ATTEND_OUT_OF_LINE void weigh_tile(const S* value, Index stride, Index keys, Index columns, const S* weights,
                                   std::uintptr_t ahead, S* output, Index output_stride) {
  constexpr Index step = simd::lanes<S>;
  constexpr int wide = std::min(8, sums / rows);
  Index c = 0;
  for (; c + wide * step <= columns; c += wide * step)
    weigh_columns<rows, wide, true>(value + c, stride, keys, weights, Index(0), ahead, output + c, output_stride);
  for (; wide > 4 && c + 4 * step <= columns; c += 4 * step)
    weigh_columns<rows, 4, true>(value + c, stride, keys, weights, Index(0), ahead, output + c, output_stride);
  for (; c + step <= columns; c += step)
    weigh_columns<rows, 1, true>(value + c, stride, keys, weights, Index(0), ahead, output + c, output_stride);
  if (c < columns)
    weigh_columns<rows, 1, false>(value + c, stride, keys, weights, columns - c, ahead, output + c, output_stride);
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

}  // namespace decode

template <class S>
attend::decode::Tiles<S> decode_tiles() {
  using namespace decode;
  return {simd::lanes<S>,
          sums,
          most_rows,
          {score_tile<1, S>, score_tile<most_rows, S>},
          {weigh_tile<1, S>, weigh_tile<most_rows, S>},
          exponentiate<S>,
          scale<S>};
}

ATTEND_END_ISA
#endif
