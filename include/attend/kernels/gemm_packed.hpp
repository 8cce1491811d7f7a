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
#pragma once
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/gemm_tile.hpp"

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
  /// Rows from k0 on of a strip `width` columns wide.
  const S* at(Index k0, Index depth, Index col, Index width, Index& strip_ld) const {
    if (col < in_place_cols) {
      strip_ld = ld;
      return plain + k0 * ld + col;
    }
    strip_ld = width;
    return packed + k0 * packed_cols + (col - in_place_cols) * depth;
  }
};

/// Packs columns [from, n), one column-strip of one k block per task.
template <class S>
void pack_columns(const gemm_tile::Kernels<S>& kernels, Side side, Index k, Index from, Index n, const S* b, Index ld,
                  S* packed) {
  const KBlocks blocks(k);
  const Index all_cols = kernels.padded(n - from);
  const auto pack = [&](Index first, Index last) {  // strips of the widest kind, in columns
    for (Index k0 = 0; k0 < k; k0 = blocks.end(k0)) {
      const Index depth = blocks.end(k0) - k0;
      for (Index col = first; col < last;) {
        const Index width = strip_vectors((all_cols - col) / kernels.lanes) * kernels.lanes;
        const S* source = b + (side == Side::plain ? k0 * ld + from + col : (from + col) * ld + k0);
        kernels.pack_strip(side, depth, std::min(width, n - from - col), width, source, ld,
                           packed + k0 * all_cols + col * depth);
        col += width;
      }
    }
  };
  if (k * all_cols < 65536) return pack(0, all_cols);
  const Index step = kernels.widest();  // every strip but the last two starts at a multiple
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
constexpr Index short_sum = 96;    // terms that are summed up before C is there, unless it was asked for
constexpr Index most_tiles = 16;   // above one another in a block of A

/// Rows of A as a tile reads them.
template <class S>
struct TileRows {
  const S* data;  // element (i, l) at data[i ld + l] (plain) or data[l ld + i] (transposed)
  Index ld;
  Side side;
  bool far = false;  // from the caches
  const GemmPiece* pieces = nullptr;
  Index piece_count = 1, fold = 0;
};
/// Rows short of a tile, made one.
template <class S>
struct ShortTile {
  Index height, repeated;  // repeated: rows at its top that belong to the tile before
  TileRows<S> rows;
};

/// The rows of A that a part of C is made from, a block of k at a time: whole tiles, and what is left.
template <class S>
class RowBlock {
 public:
  /// `height` of whole tiles: `tile_rows`, or 1 for rows that are read in line.
  RowBlock(const AnyRows<S>& a, Index row, Index rows, Index height, Index tile_rows, const KBlocks& blocks, S* scratch)
      : a_(a),
        row_(row),
        rows_(rows),
        height_(height),
        tile_rows_(tile_rows),
        whole_(rows / height * height),
        left_(rows - whole_),
        blocks_(blocks),
        turned_(scratch),
        made_(scratch + blocks.depth * std::max(tile_rows, turns() ? rows : 0)),
        all_pieces_(a.pieces ? 2 * blocks.depth : 0) {}
  /// Numbers of `scratch`.
  static Index room(const AnyRows<S>& a, Index rows, Index height, Index tile_rows, const KBlocks& blocks) {
    const bool turns = a.side == Side::transposed && height == 1;
    return blocks.depth * (std::max(tile_rows, turns ? rows : 0) + (a.in_place ? 0 : rows + tile_rows));
  }

  void read(Index k0) {
    depth_ = blocks_.end(k0) - k0;
    half_ = a_.pieces && depth_ > longest_sum ? depth_ / 2 : 0;
    halves_[0] = {0, half_}, halves_[1] = {half_, depth_ - half_};
    side_ = a_.side;
    ld_ = side_ == Side::plain ? blocks_.depth : rows_;
    block_ = made_;
    if (a_.pieces)
      find_pieces(k0);
    else
      block_ = a_.block(a_.source, row_, rows_, k0, depth_, made_, ld_);
    if (turns()) {
      for (Index l = 0; l < depth_; ++l)
        for (Index i = 0; i < rows_; ++i) turned_[i * depth_ + l] = block_[l * ld_ + i];
      block_ = turned_, ld_ = depth_, side_ = Side::plain;
    }
  }
  Index tiles() const { return whole_ / height_; }
  Index left() const { return left_; }  // rows short of a tile
  Side side() const { return side_; }
  ATTEND_INLINE TileRows<S> tile(Index number) const {
    const Index i = number * height_;
    if (!a_.pieces || places_[number] == Pieces::elsewhere)
      return in_block(block_ + (side_ == Side::plain ? i * ld_ : i), a_.in_place);
    const auto place = places_[number];
    return {tiles_[number], a_.pieces->ld[place], Side::plain, place == Pieces::in_place,
            pieces(place),  piece_count_[place],  fold_[place]};
  }
  /// A row alone in line; most of a tile with rows of the tile before; else with rows of zeros, k by k or, where sums are
  /// folded, in line.
  ShortTile<S> short_tile() const {
    if (side_ == Side::plain && (left_ == 1 || half_ > 0)) {
      if (left_ > 1) std::fill_n(made_ + rows_ * ld_, (tile_rows_ - left_) * ld_, S(0));
      return {left_ == 1 ? 1 : tile_rows_, 0, in_block(block_ + whole_ * ld_, false)};
    }
    const Index height = left_ == 1 ? 1 : left_ <= 4 ? 4 : tile_rows_;
    if (height == tile_rows_ && whole_ > 0 && side_ == Side::plain && !a_.pieces)
      return {height, height - left_, in_block(block_ + (rows_ - height) * ld_, false)};
    for (Index l = 0; l < depth_; ++l)
      for (Index i = 0; i < height; ++i)
        turned_[l * height + i] = i >= left_             ? S(0)
                                  : side_ == Side::plain ? block_[(whole_ + i) * ld_ + l]
                                                         : block_[l * ld_ + whole_ + i];
    return {height, 0, {turned_, height, height == 1 ? Side::plain : Side::transposed}};
  }

 private:
  using Pieces = RowsInPieces<S>;
  bool turns() const { return height_ == 1 && a_.side == Side::transposed; }
  GemmPiece* pieces(typename Pieces::Place place) const {
    return all_pieces_.get() + (place == Pieces::copied ? blocks_.depth : 0);
  }
  ATTEND_INLINE TileRows<S> in_block(const S* data, bool far) const {
    if (half_ == 0) return {data, ld_, side_, far};
    return {data, ld_, side_, far, halves_, 2, 1};
  }
  /// Tiles of rows where they lie; the others, and rows short of a tile, in a block.
  void find_pieces(Index k0) {
    piece_count_[Pieces::in_place] = piece_count_[Pieces::copied] = 0;
    for (Index number = 0; number < tiles(); ++number) {
      const Index i = number * height_;
      S* const to = made_ + i * ld_;
      auto& place = places_[number];
      tiles_[number] =
          a_.pieces->tile(a_.pieces->source, row_ + i, height_, to, blocks_.k <= depth_ ? height_ * ld_ : 0, place);
      if (place == Pieces::elsewhere) {
        a_.block(a_.source, row_ + i, height_, k0, depth_, to, ld_);
      } else if (piece_count_[place] == 0) {
        const auto cut = [&](Index from, Index terms, GemmPiece* out) {
          return a_.pieces->cut(a_.pieces->source, place, height_, from, terms, out);
        };
        fold_[place] = cut(k0, half_, pieces(place));
        piece_count_[place] = fold_[place] + cut(k0 + half_, depth_ - half_, pieces(place) + fold_[place]);
      }
    }
    if (left_ > 0) a_.block(a_.source, row_ + whole_, left_, k0, depth_, made_ + whole_ * ld_, ld_);
  }

  const AnyRows<S>& a_;
  Index row_, rows_, height_, tile_rows_, whole_, left_;
  KBlocks blocks_;
  S *turned_, *made_;
  Scratch<GemmPiece> all_pieces_;
  // Of the block that was read last:
  const S* block_ = nullptr;
  Index depth_ = 0, ld_ = 0, half_ = 0;  // half: the terms before a fold, or 0
  Side side_ = Side::plain;
  GemmPiece halves_[2];  // of a row in line
  const S* tiles_[most_tiles];
  typename Pieces::Place places_[most_tiles];
  Index piece_count_[3], fold_[3];  // of each place
};

/// C = alpha A B + beta C
template <class S>
struct Product {
  const gemm_tile::Kernels<S>& kernels;
  Index m, n, k;
  S alpha;
  AnyRows<S> a;
  Strips<S> b;
  S beta;
  S* c;
  Index ldc;
  GemmEpilogue<S> epilogue = {};
  bool skips_zeros = false;

  Index tile_height() const { return skips_zeros ? 1 : kernels.tile_rows; }  // skipping is rare, and slow anyway
  /// What of B is read after a strip that ends at `end`: the next one, or the first of the next block of k, or of the
  /// next group. Null if that is not packed.
  const S* after(Index end, Index col, Index col_end, const KBlocks& blocks, Index k0) const {
    const bool last = end >= col_end;
    const Index next_k0 = !last ? k0 : blocks.end(k0) < k ? blocks.end(k0) : 0;
    const Index next = !last ? end : next_k0 > 0 ? col : col_end;
    Index ld = 0;
    return next >= b.in_place_cols && next < kernels.padded(n)
               ? b.at(next_k0, blocks.end(next_k0) - next_k0, next, 0, ld)
               : nullptr;
  }
  /// All of k for rows [row, row_end) and columns [col, col_end) of C; col and col_end lie on strips.
  void part(Index row, Index row_end, Index col, Index col_end, S* scratch) const {
    if (beta != S(0) && beta != S(1))
      for (Index i = row; i < row_end; ++i)
        for (Index j = col; j < std::min(col_end, n); ++j) c[i * ldc + j] *= beta;
    const Index height = tile_height(), lanes = kernels.lanes;
    const KBlocks blocks(k);
    RowBlock<S> block(a, row, row_end - row, height, kernels.tile_rows, blocks, scratch);
    S aside[gemm_tile::most_rows * gemm_tile::tile_vectors * gemm_tile::line<S>];  // of a tile, before the fold
    Index k0 = 0;
    do {  // once also for k = 0
      block.read(k0);
      const ShortTile<S> end = block.left() > 0 ? block.short_tile() : ShortTile<S>{};
      for (Index j = col; j < col_end;) {
        int vectors = strip_vectors((kernels.padded(n) - j) / lanes);
        gemm_tile::Tile<S> tile;
        tile.depth = blocks.end(k0) - k0;
        tile.b = b.at(k0, tile.depth, j, vectors * lanes, tile.ldb);
        if (row_end - row == 1 && j + 6 * lanes <= std::min(col_end, b.in_place_cols))
          vectors = 6;  // of one row: two strips at once
        tile.c = c + row * ldc + j, tile.ldc = ldc;
        tile.rows = height, tile.cols = std::min<Index>(vectors * lanes, n - j);
        tile.alpha = alpha, tile.adds = k0 > 0 || beta != S(0);
        tile.finishes = blocks.end(k0) >= k && !epilogue.nothing();
        tile.epilogue = epilogue.at(row, j);
        tile.aside = aside;
        const auto run = [&](typename gemm_tile::Kernels<S>::Run kernel, const TileRows<S>& rows) ATTEND_INLINED {
          tile.a = rows.data, tile.lda = rows.ld;
          tile.pieces = rows.pieces, tile.piece_count = rows.piece_count, tile.fold = rows.fold;
          tile.fetches = j == col && rows.far;
          kernel(tile);
          if (tile.finishes) epilogue.activate(tile.rows, tile.cols, tile.c, ldc);
        };
        const auto kernel = block.tiles() == 0 ? nullptr  // a row alone may take more vectors than whole tiles know
                            : skips_zeros      ? kernels.skipping[kernels.of_one_row(vectors)]
                                               : kernels.of(height, block.side(), vectors);
        const S* const next = after(j + vectors * lanes, col, col_end, blocks, k0);
        for (Index i = 0; i < block.tiles(); ++i) {
          if (next) tile.fetch(next, block.tiles(), i);
          if (k <= short_sum) tile.fetch_result();
          run(kernel, block.tile(i));
          tile.c += height * ldc;
          tile.epilogue = tile.epilogue.at(height, 0);
        }
        if (block.left() > 0) {
          tile.rows = block.left(), tile.repeated = end.repeated, tile.lines = 0;
          run(kernels.of(end.height, end.rows.side, vectors), end.rows);
        }
        j += vectors * lanes;
      }
      k0 = blocks.end(k0);
    } while (k0 < k);
  }
};

/// Cut for the cache and, when large, for the threads. The cut changes no result.
template <class S>
void multiply(const Product<S>& p) {
  const Index m = p.m, n = p.n, k = p.k, height = p.kernels.tile_rows, step = p.kernels.widest();
  const Index all_cols = p.kernels.padded(n), largest = most_tiles * height;
  const double operations = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const double elements = static_cast<double>(n) * static_cast<double>(k);  // of B: few rows of A wait for them
  const Index threads = num_threads();
  const bool worth_threads = threads > 1 && (operations > 4e6 || elements > 1e6 / sizeof(S));
  // Every block of rows reads all of B, every group of strips all of A: few blocks of rows, and as many groups as
  // keep the threads busy to the end.
  const Index strips = std::max<Index>(1, (all_cols / p.kernels.lanes + 1) / gemm_tile::tile_vectors);
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
    const Scratch<S> scratch(RowBlock<S>::room(p.a, std::min(m, block), p.tile_height(), height, KBlocks(k)));
    for (Index task = begin; task < end; ++task) {
      // neighbouring tasks share the smaller of A and B
      const Index row = (m > n ? task / groups : task % row_blocks) * block,
                  group = m > n ? task % groups : task / row_blocks;
      p.part(row, std::min(m, row + block), group * per_group * step,
             group + 1 == groups ? all_cols : (group + 1) * per_group * step, scratch.get());
    }
  };
  parallel_for(row_blocks * groups, worth_threads ? 1 : row_blocks * groups, part);
}

}  // namespace detail

ATTEND_COMPILED_TEMPLATE(detail::multiply)

/// Elements that a packed B (k, n) takes.
template <class S>
Index packed_size(Index k, Index n) {
  return k * gemm_kernels<S>()->padded(n);
}

/// Packs B (k, n), given as it is (plain) or as its transpose (n, k), into `packed`: for each block of k, strips of up
/// to three vectors of columns, row after row. For gemm_packed with the same k and n, in programs of one instruction
/// set.
template <class S>
void pack_b(Side side, Index k, Index n, const S* b, Index ldb, S* packed) {
  detail::pack_columns(*gemm_kernels<S>(), side, k, 0, n, b, ldb, packed);
}

/// C = alpha A B + beta C with A from a source of rows (above) and B packed; `pieces` names tiles of a made A that are
/// read where they lie, with the same result. beta = 0 ignores what C holds.
template <class S, class A>
void gemm_packed(Index m, Index n, Index k, S alpha, const A& a, const S* packed_b, S beta, S* c, Index ldc,
                 const GemmEpilogue<S>& epilogue = {}, const RowsInPieces<S>* pieces = nullptr) {
  if (m <= 0 || n <= 0) return;
  const auto& kernels = *gemm_kernels<S>();
  detail::Strips<S> strips;
  strips.packed = packed_b;
  strips.packed_cols = kernels.padded(n);
  detail::AnyRows<S> rows = detail::any_rows<S>(a);
  rows.pieces = pieces;
  detail::multiply<S>({kernels, m, n, k, alpha, rows, strips, beta, c, ldc, epilogue});
}

ATTEND_END
