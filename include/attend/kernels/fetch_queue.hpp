#pragma once
/// Memory far away that will be needed soon, asked for a little at a time while something else is computed: beyond some
/// tens of outstanding lines everything waits for them.
#include <algorithm>
#include <type_traits>

#include "attend/core/inline.hpp"
#include "attend/core/tensor.hpp"

ATTEND_BEGIN

class FetchQueue {
 public:
  void clear() { next_read_ = reads_ = next_write_ = writes_ = 0; }
  /// A row, to be read or, if T is not constant, written; left out when the queue is full.
  template <class T>
  void add(T* row, Index columns) {
    const char* at = reinterpret_cast<const char*>(row);
    for (Index bytes = columns * static_cast<Index>(sizeof(T)); bytes > 0; bytes -= piece, at += piece)
      if constexpr (std::is_const_v<T>) {
        if (reads_ < capacity) read_[reads_++] = at;
      } else {
        if (writes_ < capacity) write_[writes_++] = at;
      }
  }
  /// All that was added is asked for in so many calls of `ask`.
  void spread(Index calls) {
    const int n = static_cast<int>(std::max<Index>(1, calls));
    read_step_ = (reads_ + n - 1) / n, write_step_ = (writes_ + n - 1) / n;
  }
  /// Without functions that do nothing but prefetch: compilers drop calls of such.
  ATTEND_OUT_OF_LINE void ask() {
    for (const int end = std::min(next_read_ + read_step_, reads_); next_read_ < end; ++next_read_) {
      const char* const at = read_[next_read_];
      __builtin_prefetch(at, 0, 2);
      __builtin_prefetch(at + 64, 0, 2);
      __builtin_prefetch(at + 128, 0, 2);
      __builtin_prefetch(at + 192, 0, 2);
    }
    for (const int end = std::min(next_write_ + write_step_, writes_); next_write_ < end; ++next_write_) {
      const char* const at = write_[next_write_];
      __builtin_prefetch(at, 1);
      __builtin_prefetch(at + 64, 1);
      __builtin_prefetch(at + 128, 1);
      __builtin_prefetch(at + 192, 1);
    }
  }

 private:
  static constexpr int piece = 256, capacity = 512;  // bytes, pieces
  const char *read_[capacity], *write_[capacity];
  int next_read_ = 0, reads_ = 0, read_step_ = 0, next_write_ = 0, writes_ = 0, write_step_ = 0;
};

ATTEND_END
