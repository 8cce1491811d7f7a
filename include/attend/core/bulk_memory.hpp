#pragma once
/// Copies and fills of large pieces of memory by all threads: one alone reaches about half of the bandwidth.
#include <algorithm>
#include <cstring>

#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN
namespace detail {

/// Elements of a chunk: 128 KB.
template <class T>
constexpr Index bulk_grain = (Index(1) << 17) / static_cast<Index>(sizeof(T));

template <class T>
void copy_bulk(const T* from, Index count, T* to) {
  parallel_for(count, bulk_grain<T>,
               [=](Index begin, Index end) { std::copy_n(from + begin, end - begin, to + begin); });
}
template <class T>
void fill_bulk(T* to, Index count, T value) {
  parallel_for(count, bulk_grain<T>, [=](Index begin, Index end) {
    if (value == T(0))  // at -O2 a loop of single numbers otherwise
      std::memset(to + begin, 0, static_cast<std::size_t>(end - begin) * sizeof(T));
    else
      std::fill_n(to + begin, end - begin, value);
  });
}

}  // namespace detail
ATTEND_END
