#pragma once
/// Memory far away that will be needed soon, asked for a little at a time while something else is computed: beyond some
/// tens of outstanding lines everything waits for them.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "attend/core/inline.hpp"
#include "attend/core/tensor.hpp"

ATTEND_BEGIN

class FetchQueue {
 public:
  void clear() { parts_ = next_ = 0, rows_ = 0; }
  /// Rows of `columns` numbers, to be read or, if T is not constant, written; left out when the queue is full.
  template <class T>
  void add(T* first, Index stride, Index rows, Index columns) {
    if (rows <= 0 || parts_ == capacity) return;
    constexpr Index size = static_cast<Index>(sizeof(T));
    part_[parts_++] = {reinterpret_cast<const char*>(first), stride * size, columns * size, rows, !std::is_const_v<T>};
    rows_ += rows;
  }
  /// All that was added is asked for in so many calls of `ask`.
  void spread(Index calls) { step_ = (rows_ + calls - 1) / std::max<Index>(1, calls); }
  ATTEND_OUT_OF_LINE void ask() {
    for (Index n = step_; n > 0 && next_ < parts_; --n) {
      Part& part = part_[next_];
      const char *line = part.row - reinterpret_cast<std::uintptr_t>(part.row) % 64, *const end = part.row + part.bytes;
      if (part.written)
        for (; line < end; line += 64) __builtin_prefetch(line, 1);
      else
        for (; line < end; line += 64) __builtin_prefetch(line, 0, 2);
      part.row += part.stride;
      if (--part.rows == 0) ++next_;
    }
  }

 private:
  struct Part {
    const char* row;
    Index stride, bytes, rows;
    bool written;
  };
  static constexpr int capacity = 8;
  Part part_[capacity];
  int parts_ = 0, next_ = 0;
  Index rows_ = 0, step_ = 0;
};

ATTEND_END
