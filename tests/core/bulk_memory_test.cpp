#include <gtest/gtest.h>

#include <vector>

#include "attend/core/bulk_memory.hpp"

namespace bulk_memory_test {
using namespace attend;

/// Sizes around the ends of chunks; what lies before and behind must stay.
template <class T>
void copies_and_fills() {
  constexpr Index grain = detail::bulk_grain<T>;
  const int threads = num_threads();
  for (const int n : {1, 2, 3}) {
    set_num_threads(n);
    for (const Index count : {Index(0), Index(1), grain - 1, grain, grain + 1, 3 * grain + 5}) {
      std::vector<T> from(static_cast<std::size_t>(count)), to(static_cast<std::size_t>(count + 2), T(7));
      for (Index i = 0; i < count; ++i) from[static_cast<std::size_t>(i)] = static_cast<T>(i % 251);
      std::vector<T> expected = to;
      std::copy(from.begin(), from.end(), expected.begin() + 1);
      detail::copy_bulk(from.data(), count, to.data() + 1);
      EXPECT_EQ(to, expected) << count << " elements, " << n << " threads";
      for (const T value : {T(0), T(3)}) {
        std::fill(expected.begin() + 1, expected.end() - 1, value);
        detail::fill_bulk(to.data() + 1, count, value);
        EXPECT_EQ(to, expected) << count << " elements, " << n << " threads";
      }
    }
  }
  set_num_threads(threads);
}

TEST(BulkMemory, EveryElementIsWrittenAndNoOther) {
  copies_and_fills<float>();
  copies_and_fills<double>();
  copies_and_fills<std::int8_t>();
}

}  // namespace bulk_memory_test
