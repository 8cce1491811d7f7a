#pragma once
#include <algorithm>
#include <limits>

#include "attend/core/tensor.hpp"

ATTEND_BEGIN

/// Which query i may attend to which key j, as the kernels read it: every given test must allow it. Borrows its memory.
struct AttentionMask {
  static constexpr Index unlimited = std::numeric_limits<Index>::max() / 4;
  Index keys = 0;                                  ///< ordinary keys; `appended` ones follow them
  Index appended = 0;                              ///< further keys that every query may attend to
  Index lowest = -unlimited, highest = unlimited;  ///< of j - i: causal and sliding window
  const Index* lengths = nullptr;                  ///< (batch): keys of each sample that exist
  const bool* allowed = nullptr;                   ///< (batch, heads, queries, keys) by stride, 0 where broadcast
  Shape<4> allowed_stride{};
  const bool* ignored = nullptr;  ///< (batch, keys) by stride
  Shape<2> ignored_stride{};

  struct Range {
    Index begin, end;
  };
  /// The ordinary keys outside which the queries [first, last] of sample b see nothing.
  Range range(Index b, Index first, Index last) const {
    const Index end = lengths ? lengths[b] : keys;
    return {std::max<Index>(0, first + lowest), std::min(end, last + highest + 1)};
  }
  /// Is every one of these pairs allowed?
  bool all(Index first, Index last, Index from_key, Index to_key) const {
    return !allowed && !ignored && from_key - last >= lowest && to_key - 1 - first <= highest;
  }
  /// How many keys from `from_key` on, at least, all of these queries may attend to.
  Index open_keys(Index first, Index last, Index from_key, Index to_key) const {
    if (allowed || ignored || from_key - last < lowest) return 0;
    return std::clamp<Index>(first + highest - from_key + 1, 0, to_key - from_key);
  }
  bool may_attend(Index b, Index h, Index i, Index j) const {
    if (j >= keys) return true;
    return j - i >= lowest && j - i <= highest && (!lengths || j < lengths[b]) &&
           (!ignored || !ignored[b * ignored_stride[0] + j * ignored_stride[1]]) &&
           (!allowed ||
            allowed[b * allowed_stride[0] + h * allowed_stride[1] + i * allowed_stride[2] + j * allowed_stride[3]]);
  }
};

ATTEND_END
