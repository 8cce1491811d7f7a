/// The building blocks of `gemm`, for kernels that make A on the fly (convolution) or keep B packed (weights of a
/// layer).
///
///     auto packed = make_buffer<S>(packed_size<S>(k, n));                  // once per set of weights
///     pack_b(Side::transposed, k, n, weight, k, packed.get());             // weight: (n, k) as PyTorch has it
///     gemm_packed(m, n, k, S(1), PlainRows<S>{x, k}, packed.get(), S(0), y, n);
///
/// An A made on the fly gives blocks of itself, row by row (or, for Side::transposed, k by k):
///
///     auto patches = made_rows<S>([&](Index row, Index rows, Index k0, Index depth, S* out, Index ld) {
///       for (Index i = 0; i < rows; ++i) ...  // elements (row + i, k0 ... k0 + depth) to out[i * ld ...]
///     });
///     gemm_packed(pixels, out_channels, taps * channels, S(1), patches, packed.get(), S(0), y, out_channels);
///
/// Each block is asked for once per block of columns of C (mostly once), from any thread. Rows may be cut anywhere, k
/// only where `KBlocks` says. A GemmEpilogue is applied to the elements of C as they are finished, in registers.
#ifndef ATTEND_KERNELS_GEMM_PACKED
#define ATTEND_KERNELS_GEMM_PACKED
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/gemm_tile.hpp"
#include "attend/simd/transpose.hpp"

ATTEND_BEGIN
/// k in blocks that depend on k alone: the order of additions is a property of the product.
struct KBlocks {
  static constexpr Index largest = 256;
  Index k, depth;
  explicit KBlocks(Index all) : k(all), depth(all <= largest ? all : rounded(all)) {}
  Index end(Index k0) const { return std::min(k, k0 + depth); }

 private:
  static Index rounded(Index all) {
    const Index count = (all + largest - 1) / largest, each = (all + count - 1) / count;
    return (each + 7) / 8 * 8;
  }
};

/// A in memory, row-major (m, k).
template <class S>
struct PlainRows {
  static constexpr Side side = Side::plain;
  const S* data;
  Index ld;
  static constexpr bool in_place = true;
  const S* block(Index row, Index, Index k0, Index, S*, Index& block_ld) const {
    block_ld = ld;
    return data + row * ld + k0;
  }
};
/// A made by f(row, rows, k0, depth, out, ld) in blocks: out[i ld + l] (plain) or out[l ld + i] (transposed).
template <class S, Side order, class F>
struct MadeRows {
  static constexpr Side side = order;
  F f;
  static constexpr bool in_place = false;
  const S* block(Index row, Index rows, Index k0, Index depth, S* scratch, Index& block_ld) const {
    f(row, rows, k0, depth, scratch, block_ld);
    return scratch;
  }
};
template <class S, Side order = Side::plain, class F>
MadeRows<S, order, F> made_rows(F f) {
  return {f};
}

/// Rows of A that lie in memory in pieces, at the same places of each row, `ld` apart: for tiles of rows where `tile`
/// finds them so, or copies what they share to `scratch` (of `capacity` numbers; where A is one block of k).
template <class S>
struct RowsInPieces {
  enum Place { elsewhere, in_place, copied };
  const void* source;
  const S* (*tile)(const void*, Index row, Index rows, S* scratch, Index capacity, Place&);
  Index (*cut)(const void*, Place, Index rows, Index k0, Index depth, GemmPiece* pieces);  // how many
  Index ld[3];                                                                             // of each place
};

namespace detail {

/// Uninitialised memory of this thread for the time of one call.
template <class S>
class Scratch {
 public:
  explicit Scratch(Index count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(S)),
        data_(count > 0 ? static_cast<S*>(Recycler::acquire(bytes_)) : nullptr) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    if (data_) Recycler::give_back(data_, bytes_);
  }
  S* get() const { return data_; }

 private:
  std::size_t bytes_;
  S* data_;
};

}  // namespace detail
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/gemm_packed.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH_OF(packed_size)
ATTEND_DISPATCH(pack_b)
ATTEND_COMPILED_KERNEL(detail::multiply)
ATTEND_DISPATCH_AS(gemm_packed, gemm_packed)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// A in memory as its transpose, row-major (k, m).
template <class S>
struct TransposedRows {
  static constexpr Side side = Side::transposed;
  static constexpr Index line = 64 / sizeof(S), ahead = 16;
  const S* data;
  Index ld;
  static constexpr bool in_place = false;
  const S* block(Index row, Index rows, Index k0, Index depth, S* scratch, Index& block_ld) const {
    for (Index l = 0; l < depth; ++l) {
      const S* from = data + (k0 + l) * ld + row;
      for (Index i = 0; i < rows; i += line)
        __builtin_prefetch(from + ahead * ld + i);  // short runs far apart: no stream for the hardware
      std::copy_n(from, rows, scratch + l * block_ld);
    }
    return scratch;
  }
};
namespace detail {

template <class S>
constexpr Index padded(Index n) {
  return (n + gemm_tile::lanes<S> - 1) / gemm_tile::lanes<S> * gemm_tile::lanes<S>;
}
/// Vectors in the strip of B that starts at a column, `left` vectors from the end: 3, but 2 + 2 rather than 3 + 1.
inline int strip_vectors(Index left) {
  return left == 4 ? 2 : static_cast<int>(std::min(left, gemm_tile::tile_vectors));
}

/// B, packed or (for few rows of A, where packing would cost more than it gains) in place with its last columns packed.
template <class S>
struct Strips {
  const S* packed = nullptr;
  const S* plain = nullptr;
  Index ld = 0, in_place_cols = 0;  // of `plain`; columns from there on are packed, k by k, after one another
  Index packed_cols = 0;            // padded
  const S* at(Index k0, Index depth, Index col, int vectors, Index& strip_ld) const {
    if (col < in_place_cols) {
      strip_ld = ld;
      return plain + k0 * ld + col;
    }
    strip_ld = vectors * gemm_tile::lanes<S>;
    return packed + k0 * packed_cols + (col - in_place_cols) * depth;
  }
};

/// Columns [col, col + cols) of one block of k of B as a strip of vectors, zeros beyond.
template <class S>
void pack_strip(Side side, Index depth, Index cols, Index width, const S* b, Index ld, S* out) {
  using V = simd::Vector<S>;
  constexpr int lanes = static_cast<int>(gemm_tile::lanes<S>);
  if (side == Side::plain) {
    const Index whole = cols / lanes * lanes, bytes = (cols - whole) * static_cast<Index>(sizeof(S));
    for (Index l = 0; l < depth; ++l, b += ld, out += width) {
      V v;
      for (Index j = 0; j < whole; j += lanes) {
        v = simd::load(b + j);
        simd::store(out + j, v);
      }
      if (bytes == 0) continue;
      v = V{};
      std::memcpy(&v, b + whole, static_cast<std::size_t>(bytes));
      simd::store(out + whole, v);
    }
    return;
  }
  for (Index j = 0; j < width; j += lanes)
    for (Index l = 0; l < depth; l += lanes) {
      V square[lanes] = {};
      const Index valid = std::min<Index>(lanes, depth - l);
      if (valid == lanes && cols - j >= lanes) {
#pragma GCC unroll 16
        for (int i = 0; i < lanes; ++i) square[i] = simd::load(b + (j + i) * ld + l);
      } else {
        for (int i = 0; i < std::min<Index>(lanes, cols - j); ++i)
          std::memcpy(&square[i], b + (j + i) * ld + l, static_cast<std::size_t>(valid) * sizeof(S));
      }
      simd::transpose(square);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i)
        if (i < valid) simd::store(out + (l + i) * width + j, square[i]);
    }
}

/// Packs columns [from, n), one column-strip of one k block per task.
template <class S>
void pack_columns(Side side, Index k, Index from, Index n, const S* b, Index ld, S* packed) {
  const KBlocks blocks(k);
  const Index all_cols = padded<S>(n - from);
  const auto pack = [&](Index first, Index last) {  // strips of the widest kind, in columns
    for (Index k0 = 0; k0 < k; k0 = blocks.end(k0)) {
      const Index depth = blocks.end(k0) - k0;
      for (Index col = first; col < last;) {
        const Index width = strip_vectors((all_cols - col) / gemm_tile::lanes<S>) * gemm_tile::lanes<S>;
        const S* source = b + (side == Side::plain ? k0 * ld + from + col : (from + col) * ld + k0);
        pack_strip(side, depth, std::min(width, n - from - col), width, source, ld,
                   packed + k0 * all_cols + col * depth);
        col += width;
      }
    }
  };
  if (k * all_cols < 65536) return pack(0, all_cols);
  const Index step =
      gemm_tile::tile_vectors * gemm_tile::lanes<S>;  // every strip but the last two starts at a multiple
  const Index tasks = std::max<Index>(1, all_cols / step - 1);
  parallel_for(tasks, 1, [&](Index begin, Index end) { pack(begin * step, end == tasks ? all_cols : end * step); });
}

/// Any source of rows of A, so that the loops around the tiles are compiled once.
template <class S>
struct AnyRows {
  const void* source;
  const S* (*block)(const void*, Index, Index, Index, Index, S*, Index&);
  Side side;
  bool in_place;
  const RowsInPieces<S>* pieces = nullptr;  // tiles of rows that need no block
};
template <class S, class A>
const S* block_of(const void* source, Index row, Index rows, Index k0, Index depth, S* scratch, Index& block_ld) {
  return static_cast<const A*>(source)->block(row, rows, k0, depth, scratch, block_ld);
}
template <class S, class A>
AnyRows<S> any_rows(const A& a) {
  return {&a, block_of<S, A>, A::side, A::in_place};
}

constexpr Index longest_sum = 96;  // terms of a product with RowsInPieces that are summed up without a fold
constexpr Index most_tiles = 16;   // above one another in a block of A

/// All of k for rows [row, row_end) and columns [col, col_end) of C; col and col_end lie on strips.
template <class S>
void multiply_part(bool skips_zeros, Index row, Index row_end, Index col, Index col_end, Index n, Index k, S alpha,
                   const AnyRows<S>& a, const Strips<S>& b, S beta, S* c, Index ldc, const GemmEpilogue<S>& epilogue,
                   S* scratch) {
  using namespace gemm_tile;
  const Index height = skips_zeros ? 1 : tile_rows;  // skipping is rare, and slow anyway
  const KBlocks blocks(k);
  const Index rows = row_end - row, whole = rows / height * height, rest = rows - whole;
  S *const tail = scratch, *const turned = tail + blocks.depth * tile_rows,
           *const made = turned + (skips_zeros && a.side == Side::transposed ? blocks.depth * rows : 0);
  using Pieces = RowsInPieces<S>;
  const Scratch<GemmPiece> all_pieces(a.pieces ? 2 * blocks.depth : 0);
  const auto pieces = [&](typename Pieces::Place place) {
    return all_pieces.get() + (place == Pieces::copied ? blocks.depth : 0);
  };
  if (beta != S(0) && beta != S(1))
    for (Index i = row; i < row_end; ++i)
      for (Index j = col; j < std::min(col_end, n); ++j) c[i * ldc + j] *= beta;
  Index k0 = 0;
  do {  // once also for k = 0
    const Index depth = blocks.end(k0) - k0;
    Side side = a.side;
    Index lda = side == Side::plain ? blocks.depth : rows;
    const S* tiles[most_tiles];  // of rows in pieces
    typename Pieces::Place places[most_tiles] = {};
    const Index half = a.pieces && depth > longest_sum ? depth / 2 : 0;
    Index piece_count[3] = {half > 0 ? 2 : 1, 0, 0}, fold[3] = {half > 0 ? 1 : 0, 0, 0};
    const GemmPiece halves[2] = {{0, half}, {half, depth - half}};  // of a row in line
    const S* block = made;
    if (a.pieces) {
      for (Index i = 0; i < whole; i += height) {
        const Index tile = i / height;
        S* const to = made + i * lda;
        tiles[tile] =
            a.pieces->tile(a.pieces->source, row + i, height, to, k <= depth ? height * lda : 0, places[tile]);
        const auto place = places[tile];
        if (place == Pieces::elsewhere)
          a.block(a.source, row + i, height, k0, depth, to, lda);
        else if (piece_count[place] == 0) {
          GemmPiece* const first = pieces(place);
          fold[place] = a.pieces->cut(a.pieces->source, place, height, k0, half, first);
          piece_count[place] = fold[place] + a.pieces->cut(a.pieces->source, place, height, k0 + half, depth - half,
                                                           first + fold[place]);
        }
      }
      if (rest > 0) a.block(a.source, row + whole, rest, k0, depth, made + whole * lda, lda);
    } else {
      block = a.block(a.source, row, rows, k0, depth, made, lda);
    }
    if (skips_zeros && side == Side::transposed) {  // single rows are read in line
      for (Index l = 0; l < depth; ++l)
        for (Index i = 0; i < rows; ++i) turned[i * depth + l] = block[l * lda + i];
      block = turned, lda = depth, side = Side::plain;
    }
    // Rows short of a tile: one row in line, most of a tile with rows of the tile before, else with rows of zeros, k by k
    // or, where sums are folded, in line.
    const S* last = tail;
    const Index tail_height = rest == 1 ? 1 : rest <= 4 && half == 0 ? 4 : height;
    const bool repeats = tail_height == tile_rows && whole > 0 && side == Side::plain && !a.pieces,
               in_line = repeats || half > 0;
    if (half > 0 && rest > 1) std::fill_n(made + rows * lda, (height - rest) * lda, S(0));
    if (repeats)
      last = block + (rows - height) * lda;
    else if (half > 0 || (rest == 1 && side == Side::plain))
      last = block + whole * lda;
    else if (rest > 0)
      for (Index l = 0; l < depth; ++l)
        for (Index i = 0; i < tail_height; ++i)
          tail[l * tail_height + i] = i >= rest             ? S(0)
                                      : side == Side::plain ? block[(whole + i) * lda + l]
                                                            : block[l * lda + whole + i];
    S aside[tile_rows * tile_vectors * lanes<S>];  // of a tile, before the fold
    for (Index j = col; j < col_end;) {
      int vectors = strip_vectors((padded<S>(n) - j) / lanes<S>);
      Index strip_ld = 0;
      const S* strip = b.at(k0, depth, j, vectors, strip_ld);
      if (rows == 1 && j + 6 * lanes<S> <= std::min(col_end, b.in_place_cols))
        vectors = 6;  // of one row: two strips at once
      Tile<S> tile{depth,
                   block,
                   strip,
                   c + row * ldc + j,
                   lda,
                   strip_ld,
                   ldc,
                   height,
                   std::min<Index>(vectors * lanes<S>, n - j),
                   alpha,
                   k0 > 0 || beta != S(0),
                   false,
                   k0 + depth >= k && !epilogue.nothing(),
                   epilogue.at(row, j)};
      tile.aside = aside;
      // What of B comes after this strip: the next one, or the first of the next block of k, or of the next group.
      const bool last_strip = j + vectors * lanes<S> >= col_end;
      const Index next_k0 = !last_strip ? k0 : blocks.end(k0) < k ? blocks.end(k0) : 0;
      const Index next_col = !last_strip ? j + vectors * lanes<S> : next_k0 > 0 ? col : col_end;
      Index any_ld = 0;
      const S* const next = next_col >= b.in_place_cols && next_col < padded<S>(n)
                                ? b.at(next_k0, blocks.end(next_k0) - next_k0, next_col, vectors, any_ld)
                                : nullptr;
      constexpr int most = static_cast<int>(tile_rows);
      if (whole > 0) {
        const auto kernel = skips_zeros           ? of_width<1, Side::plain, true, S>(vectors)
                            : side == Side::plain ? of_width<most, Side::plain, false, S>(vectors)
                                                  : of_width<most, Side::transposed, false, S>(vectors);
        for (Index i = 0; i < whole; i += height) {
          if (next) tile.fetch(next, whole / height, i / height);
          const auto place = a.pieces ? places[i / height] : Pieces::elsewhere;
          const bool whole_rows = place == Pieces::elsewhere;
          tile.a = whole_rows ? block + (side == Side::plain ? i * lda : i) : tiles[i / height];
          tile.lda = whole_rows ? lda : a.pieces->ld[place];
          tile.pieces = !whole_rows ? pieces(place) : half > 0 ? halves : nullptr;
          tile.piece_count = piece_count[place], tile.fold = fold[place];
          tile.fetches = j == col && (a.in_place || place == Pieces::in_place);
          if (k <= 96) tile.fetch_result();
          kernel(tile);
          if (tile.finishes) epilogue.activate(tile.rows, tile.cols, tile.c, ldc);
          tile.c += height * ldc;
          tile.epilogue = tile.epilogue.at(height, 0);
        }
      }
      if (rest > 0) {
        tile.rows = rest, tile.a = last, tile.lda = in_line ? lda : tail_height, tile.fetches = false;
        tile.lines = 0, tile.repeated = repeats ? height - rest : 0;
        tile.pieces = half > 0 ? halves : nullptr, tile.piece_count = piece_count[Pieces::elsewhere];
        tile.fold = fold[Pieces::elsewhere];
        const auto kernel = rest == 1   ? of_width<1, Side::plain, false, S>(vectors)
                            : in_line   ? of_width<most, Side::plain, false, S>(vectors)
                            : rest <= 4 ? of_width<4, Side::transposed, false, S>(vectors)
                                        : of_width<most, Side::transposed, false, S>(vectors);
        kernel(tile);
        if (tile.finishes) epilogue.activate(rest, tile.cols, tile.c, ldc);
      }
      j += vectors * lanes<S>;
    }
    k0 = blocks.end(k0);
  } while (k0 < k);
}

/// C = alpha A B + beta C, cut for the cache and, when large, for the threads. The cut changes no result.
template <class S>
void multiply(bool skips_zeros, Index m, Index n, Index k, S alpha, const AnyRows<S>& a, const Strips<S>& b, S beta,
              S* c, Index ldc, const GemmEpilogue<S>& epilogue = {}) {
  constexpr Index height = gemm_tile::tile_rows, step = gemm_tile::tile_vectors * gemm_tile::lanes<S>;
  const Index all_cols = padded<S>(n), largest = most_tiles * height;
  const double operations = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const double elements = static_cast<double>(n) * static_cast<double>(k);  // of B: few rows of A wait for them
  const Index threads = num_threads();
  const bool worth_threads = threads > 1 && (operations > 4e6 || elements > 1e6 / sizeof(S));
  // Every block of rows reads all of B, every group of strips all of A: few blocks of rows, and as many groups as
  // keep the threads busy to the end.
  const Index strips = std::max<Index>(1, (all_cols / gemm_tile::lanes<S> + 1) / gemm_tile::tile_vectors);
  Index row_blocks = (m + largest - 1) / largest, groups = 1;
  if (worth_threads) {
    const Index tasks = std::clamp<Index>(static_cast<Index>(operations / 2e6), threads, 8 * threads);
    if (m < 64) {  // B takes longest to read: once, and few groups make A
      groups = std::min({strips, tasks, 2 * threads});
    } else {
      row_blocks = std::max(row_blocks, m >= 48 * tasks ? tasks : std::min(tasks, m / 96));
      groups = std::min(strips, (tasks + row_blocks - 1) / row_blocks);
    }
    const Index few = std::min<Index>(tasks, (m < 64 ? 2 : 8) * threads);
    if (row_blocks * groups < few) row_blocks = std::min((few + groups - 1) / groups, (m + height - 1) / height);
  }
  const Index block = ((m + row_blocks - 1) / row_blocks + height - 1) / height * height,
              per_group = (strips + groups - 1) / groups;
  row_blocks = (m + block - 1) / block, groups = (strips + per_group - 1) / per_group;
  const auto part = [&](Index begin, Index end) {
    const KBlocks blocks(k);
    const Index rows = std::min(m, block);
    const Scratch<S> scratch(blocks.depth * ((a.in_place ? 0 : rows + height) + height + (skips_zeros ? rows : 0)));
    for (Index task = begin; task < end; ++task) {
      // neighbouring tasks share the smaller of A and B
      const Index row = (m > n ? task / groups : task % row_blocks) * block,
                  group = m > n ? task % groups : task / row_blocks;
      multiply_part(skips_zeros, row, std::min(m, row + block), group * per_group * step,
                    group + 1 == groups ? all_cols : (group + 1) * per_group * step, n, k, alpha, a, b, beta, c, ldc,
                    epilogue, scratch.get());
    }
  };
  parallel_for(row_blocks * groups, worth_threads ? 1 : row_blocks * groups, part);
}

}  // namespace detail

/// Elements that a packed B (k, n) takes.
template <class S>
Index packed_size(Index k, Index n) {
  return k * detail::padded<S>(n);
}

/// Packs B (k, n), given as it is (plain) or as its transpose (n, k), into `packed`: for each block of k, strips of up
/// to three vectors of columns, row after row. For gemm_packed with the same k and n, in programs of one instruction
/// set.
template <class S>
void pack_b(Side side, Index k, Index n, const S* b, Index ldb, S* packed) {
  detail::pack_columns(side, k, 0, n, b, ldb, packed);
}

/// C = alpha A B + beta C with A from a source of rows (above) and B packed; `pieces` names tiles of a made A that are
/// read where they lie, with the same result. beta = 0 ignores what C holds.
template <class S, class A>
void gemm_packed(Index m, Index n, Index k, S alpha, const A& a, const S* packed_b, S beta, S* c, Index ldc,
                 const GemmEpilogue<S>& epilogue = {}, const RowsInPieces<S>* pieces = nullptr) {
  if (m <= 0 || n <= 0) return;
  detail::Strips<S> strips;
  strips.packed = packed_b;
  strips.packed_cols = detail::padded<S>(n);
  detail::AnyRows<S> rows = detail::any_rows<S>(a);
  rows.pieces = pieces;
  detail::multiply(false, m, n, k, alpha, rows, strips, beta, c, ldc, epilogue);
}

ATTEND_END_ISA
#endif
