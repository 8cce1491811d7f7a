#include "attend/io/dtype.hpp"

#include <gtest/gtest.h>

#include "attend/io/stored_array.hpp"
#include "io/temporary_folder.hpp"

namespace dtype_test {
namespace {
using namespace attend;

std::uint32_t bits_of(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
float float_of(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

TEST(Half, every_value_of_16_bits_survives_the_way_there_and_back) {
  for (std::uint32_t half = 0; half < 0x10000; ++half) {
    const float value = float_from_half(static_cast<std::uint16_t>(half));
    const std::uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31 && fraction) {
      EXPECT_TRUE(std::isnan(value));
      EXPECT_TRUE(std::isnan(float_from_half(half_from_float(value))));
      continue;
    }
    const double magnitude = exponent == 31  ? HUGE_VAL
                             : exponent == 0 ? std::ldexp(fraction, -24)
                                             : std::ldexp(1024 + fraction, static_cast<int>(exponent) - 25);
    ASSERT_EQ(value, half & 0x8000 ? -magnitude : magnitude) << half;
    ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << half;
    ASSERT_EQ(half_from_float(value), half);
  }
}

TEST(Half, rounds_to_nearest_and_ties_to_even) {
  for (std::uint32_t half = 0; half < 0x7bff; ++half) {  // between each pair of neighbours
    const float low = float_from_half(static_cast<std::uint16_t>(half)),
                high = float_from_half(static_cast<std::uint16_t>(half + 1));
    const float middle = low / 2 + high / 2;
    ASSERT_EQ(half_from_float(middle), half + (half & 1)) << half;
    ASSERT_EQ(half_from_float(std::nextafter(middle, 0.0f)), half) << half;
    ASSERT_EQ(half_from_float(-std::nextafter(middle, 1e9f)), (half + 1) | 0x8000) << half;
  }
  EXPECT_EQ(half_from_float(65519.996f), 0x7bff);  // the largest is 65504; from the middle to 65536 on it is infinite
  EXPECT_EQ(half_from_float(65520.0f), 0x7c00);
  EXPECT_EQ(half_from_float(3e38f), 0x7c00);
  EXPECT_EQ(half_from_float(float_of(1)), 0);
}

TEST(Bfloat, is_the_upper_half_rounded_to_nearest_even) {
  for (std::uint32_t upper = 0; upper < 0x10000; ++upper) {
    const float value = float_from_bfloat(static_cast<std::uint16_t>(upper));
    ASSERT_EQ(bits_of(value), upper << 16);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(float_from_bfloat(bfloat_from_float(value))));
    } else {
      ASSERT_EQ(bfloat_from_float(value), upper);
    }
  }
  EXPECT_EQ(bfloat_from_float(float_of(0x3f808000)), 0x3f80);  // ties to even
  EXPECT_EQ(bfloat_from_float(float_of(0x3f818000)), 0x3f82);
  EXPECT_EQ(bfloat_from_float(float_of(0x3f808001)), 0x3f81);
  EXPECT_EQ(bfloat_from_float(float_of(0x7f7fffff)), 0x7f80);  // beyond the largest: infinite
  EXPECT_TRUE(std::isnan(float_from_bfloat(bfloat_from_float(float_of(0x7f800001)))));
}

/// One array of `dtype`, its little-endian bytes given, read as S.
template <class S>
std::string read_one(Dtype dtype, const std::string& bytes, S* value) {
  const FileSource source{"read", "file"};
  const StoredArray array(source, "x", dtype, {1}, reinterpret_cast<const std::byte*>(bytes.data()));
  return thrown<FileError>([&] { *value = array.flat<S>()(0); });
}
template <class T>
std::string bytes_of(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
template <class S, class T>
void expect_converts(T from, S to) {
  S value{};
  EXPECT_EQ(read_one<S>(dtype_of<T>(), bytes_of(from), &value), "nothing thrown");
  EXPECT_EQ(value, to);
}
template <class S, class T>
void expect_refused(T from, const char* reason) {
  S value{};
  const std::string text = read_one<S>(dtype_of<T>(), bytes_of(from), &value);
  EXPECT_NE(text.find(reason), std::string::npos) << text;
}

TEST(Convert, to_floats_from_everything_rounding_to_nearest) {
  expect_converts<float>(0.1, 0.1f);
  expect_converts<float>(std::numeric_limits<double>::infinity(), std::numeric_limits<float>::infinity());
  expect_converts<double>(0.1f, double(0.1f));
  expect_converts<float>(std::int64_t(1) << 40, 0x1p40f);
  expect_converts<float>(std::int64_t(16777217), 16777216.0f);
  expect_converts<float>(std::uint8_t(255), 255.0f);
  expect_converts<double>(~std::uint64_t(0), 0x1p64);
  expect_converts<float>(std::int8_t(-128), -128.0f);
  expect_converts<float>(true, 1.0f);
  expect_refused<float>(1e39, "element 0 does not fit F32");
  float nan = 0;
  EXPECT_EQ(read_one<float>(Dtype::F64, bytes_of(std::nan("")), &nan), "nothing thrown");
  EXPECT_TRUE(std::isnan(nan));
  float half = 0;
  EXPECT_EQ(read_one<float>(Dtype::F16, std::string("\x00\x3e", 2), &half), "nothing thrown");
  EXPECT_EQ(half, 1.5f);
  double bfloat = 0;
  EXPECT_EQ(read_one<double>(Dtype::BF16, std::string("\xc0\x3f", 2), &bfloat), "nothing thrown");
  EXPECT_EQ(bfloat, 1.5);
}

TEST(Convert, to_integers_only_without_loss) {
  expect_converts<std::int32_t>(std::int64_t(-2147483648), std::int32_t(-2147483647 - 1));
  expect_converts<std::int64_t>(std::uint8_t(200), std::int64_t(200));
  expect_converts<std::uint8_t>(std::int64_t(255), std::uint8_t(255));
  expect_converts<int>(true, 1);
  expect_refused<std::int32_t>(std::int64_t(2147483648), "element 0 does not fit I32");
  expect_refused<std::uint8_t>(std::int16_t(-1), "element 0 does not fit U8");
  expect_refused<std::uint64_t>(std::int8_t(-1), "element 0 does not fit U64");
  expect_refused<std::int64_t>(~std::uint64_t(0), "element 0 does not fit I64");
  expect_refused<std::int8_t>(std::uint8_t(128), "element 0 does not fit I8");
  expect_refused<std::int32_t>(1.0f, "has type F32; it cannot be read as I32");
  expect_refused<bool>(std::uint8_t(1), "has type U8; it cannot be read as BOOL");
}

TEST(Convert, to_bool_never_reads_a_byte_as_one) {  // any byte but 0 and 1 as a bool would be undefined
  bool value = false;
  EXPECT_EQ(read_one<bool>(Dtype::BOOL, "\x80", &value), "nothing thrown");
  EXPECT_TRUE(value);
}

TEST(LoadBytes, takes_either_order_at_any_address) {
  const std::string bytes("\xff\x01\x02\x03\x04", 5);
  const auto* at = reinterpret_cast<const std::byte*>(bytes.data()) + 1;
  EXPECT_EQ(detail::load_bytes<std::uint32_t>(at), 0x04030201u);
  EXPECT_EQ(detail::load_bytes<std::uint32_t>(at, false), 0x01020304u);
  std::byte out[4];
  detail::store_bytes(std::uint32_t(0x04030201), out);
  EXPECT_EQ(std::memcmp(out, at, 4), 0);
  detail::store_bytes(std::uint32_t(0x01020304), out, false);
  EXPECT_EQ(std::memcmp(out, at, 4), 0);
}
}  // namespace
}  // namespace dtype_test
