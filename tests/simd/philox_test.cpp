#include "attend/simd/philox.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace philox_test {
using namespace attend;

TEST(Philox, ManyWordsAreTheStreamsOwn) {
  for (const std::uint64_t first :
       {std::uint64_t(0), std::uint64_t(5), (std::uint64_t(1) << 32) - 7, ~std::uint64_t(0) - 200})
    for (const std::ptrdiff_t blocks : {0, 1, 3, 16, 33, 150}) {
      const Rng stream(0x123456789abcdefu + first);
      std::vector<std::uint32_t> words(static_cast<std::size_t>(4 * blocks + 1), 77);
      simd::random_words(stream, first, blocks, words.data());
      for (std::ptrdiff_t i = 0; i < blocks; ++i)
        for (std::size_t lane = 0; lane < 4; ++lane)
          ASSERT_EQ(words[static_cast<std::size_t>(4 * i) + lane],
                    stream.block(first + static_cast<std::uint64_t>(i))[lane]);
      EXPECT_EQ(words.back(), 77u);  // nothing beyond
    }
}
}  // namespace philox_test
