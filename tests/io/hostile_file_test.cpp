// Every prefix and every flipped bit of a small valid file of each format: it loads, or it is refused with FileError.
#include <gtest/gtest.h>

#include "io/readers.hpp"

namespace hostile_file_test {
namespace {
using readers::Seed;

/// 'l' loaded, 'r' refused; anything else that is thrown fails the test.
char outcome(const Seed& seed, const std::filesystem::path& path, const std::string& bytes) {
  put_bytes(path, bytes);
  try {
    seed.read(path);
    return 'l';
  } catch (const attend::FileError& error) {
    EXPECT_NE(std::string(error.what()).find(path.string() + ": "), std::string::npos) << error.what();
    return 'r';
  } catch (const std::exception& error) {
    ADD_FAILURE() << seed.name << " threw something else: " << error.what();
    return '?';
  }
}

TEST(HostileFile, every_truncation_is_refused) {
  const TemporaryFolder folder(TemporaryFolder::in_memory());
  for (const Seed& seed : readers::seeds()) {
    ASSERT_EQ(outcome(seed, folder / "x", seed.bytes), 'l') << seed.name;
    for (std::size_t size = 0; size < seed.bytes.size(); ++size) {
      // libpng has all pixels before the last chunk, which has none, and does not ask for more.
      const bool pixels_are_there = std::string(seed.name) == "png" && size >= seed.bytes.size() - 16;
      const char result = outcome(seed, folder / "x", seed.bytes.substr(0, size));
      EXPECT_TRUE(result == 'r' || pixels_are_there) << seed.name << " of " << size << " bytes";
    }
  }
}

TEST(HostileFile, every_flipped_bit_is_refused_or_loads) {
  const TemporaryFolder folder(TemporaryFolder::in_memory());
  int refused = 0, flipped = 0;
  for (const Seed& seed : readers::seeds())
    for (std::size_t bit = 0; bit < seed.bytes.size() * 8; ++bit) {
      std::string bytes = seed.bytes;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
      refused += outcome(seed, folder / "x", bytes) == 'r';
      ++flipped;
    }
  EXPECT_GT(flipped, 8000);
  EXPECT_GT(refused, flipped / 2);  // headers are most of these files
}

TEST(HostileFile, bytes_behind_the_end_are_refused) {
  const TemporaryFolder folder(TemporaryFolder::in_memory());
  for (const Seed& seed : readers::seeds()) {
    if (std::string(seed.name) == "png") continue;  // ignored there, as by every viewer
    EXPECT_EQ(outcome(seed, folder / "x", seed.bytes + '\0'), 'r') << seed.name;
    EXPECT_EQ(outcome(seed, folder / "x", seed.bytes + seed.bytes), 'r') << seed.name;
  }
}

TEST(HostileFile, each_format_refuses_the_others) {
  const TemporaryFolder folder(TemporaryFolder::in_memory());
  for (const Seed& a : readers::seeds())
    for (const Seed& b : readers::seeds())
      EXPECT_EQ(outcome(a, folder / "x", b.bytes), a.read == b.read ? 'l' : 'r') << a.name << " took " << b.name;
}
}  // namespace
}  // namespace hostile_file_test
