// Round trips of PNG and PPM.
#include <gtest/gtest.h>

#include "attend/io/png.hpp"
#include "attend/io/ppm.hpp"
#include "io/temporary_folder.hpp"

namespace image_files_test {
namespace {
using namespace attend;

Tensor<std::uint8_t, 3> noise(Index height, Index width, Index channels) {
  Tensor<std::uint8_t, 3> x(height, width, channels);
  unsigned state = 1;
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  return x;
}
bool same(const Tensor<std::uint8_t, 3>& a, const Tensor<std::uint8_t, 3>& b) {
  return shape_of(a) == shape_of(b) && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size())) == 0;
}

TEST(Png, every_number_of_channels_comes_back) {
  const TemporaryFolder folder;
  for (const Index channels : {1, 2, 3, 4})
    for (const auto& [height, width] : {std::pair<Index, Index>{1, 1}, {7, 5}, {64, 3}}) {
      auto x = noise(height, width, channels);
      write_png(folder / "x.png", x);
      EXPECT_TRUE(same(read_png(folder / "x.png"), x)) << to_string(shape_of(x));
    }
}

TEST(Png, takes_a_matrix_and_a_map_of_memory) {
  const TemporaryFolder folder;
  const auto x = noise(4, 6, 1);
  const Eigen::TensorMap<const Tensor<std::uint8_t, 2>> matrix(x.data(), 4, 6);
  write_png(folder / "x.png", matrix);
  EXPECT_TRUE(same(read_png(folder / "x.png"), x));
}

TEST(Png, converts_channels_when_asked) {
  const TemporaryFolder folder;
  Tensor<std::uint8_t, 3> x(1, 3, 4);
  x.setValues({{{10, 10, 10, 255}, {200, 200, 200, 255}, {50, 60, 70, 0}}});
  write_png(folder / "x.png", x);
  const auto grey = read_png(folder / "x.png", {.channels = 1});
  ASSERT_EQ(shape_of(grey), (Shape<3>{1, 3, 1}));
  EXPECT_EQ(grey(0, 0, 0), 10);
  EXPECT_EQ(grey(0, 1, 0), 200);
  EXPECT_EQ(grey(0, 2, 0), 255);  // transparent: the white below
  const auto rgb = read_png(folder / "x.png", {.channels = 3});
  EXPECT_EQ(rgb(0, 1, 2), 200);
  EXPECT_EQ(rgb(0, 2, 0), 255);
  write_png(folder / "g.png", noise(3, 3, 1));
  const auto wide = read_png(folder / "g.png", {.channels = 4});
  EXPECT_EQ(wide(1, 1, 0), wide(1, 1, 2));
  EXPECT_EQ(wide(1, 1, 3), 255);
}

TEST(Ppm, grey_and_colour_come_back) {
  const TemporaryFolder folder;
  for (const Index channels : {1, 3}) {
    const auto x = noise(7, 5, channels);
    write_ppm(folder / "x", x);
    EXPECT_TRUE(same(read_ppm(folder / "x"), x));
    EXPECT_EQ(get_bytes(folder / "x").substr(0, 11), channels == 1 ? "P5\n5 7\n255\n" : "P6\n5 7\n255\n");
  }
}

TEST(Ppm, reads_comments_any_white_space_and_smaller_maxima) {
  const TemporaryFolder folder;
  put_bytes(folder / "x", std::string("P5 # grey\n#\n2\t# wide\r\n1 3\n\x00\x02", 28));
  const auto x = read_ppm(folder / "x");
  ASSERT_EQ(shape_of(x), (Shape<3>{1, 2, 1}));
  EXPECT_EQ(x(0, 0, 0), 0);
  EXPECT_EQ(x(0, 1, 0), 170);  // 2 of 3
}

TEST(BadInput, pictures_of_wrong_shapes_are_not_written) {
  const TemporaryFolder folder;
  const struct {
    Shape<3> shape;
    const char* text;
  } rows[] = {{{0, 3, 3}, "(0, 3, 3)"}, {{3, 0, 1}, "(3, 0, 1)"}, {{2, 2, 0}, "(2, 2, 0)"}, {{2, 2, 5}, "(2, 2, 5)"}};
  for (const auto& row : rows) {
    const Tensor<std::uint8_t, 3> x(row.shape);
    EXPECT_NE(thrown<ShapeError>([&] { write_png(folder / "x", x); }).find(row.text), std::string::npos);
    EXPECT_NE(thrown<ShapeError>([&] { write_ppm(folder / "x", x); }).find(row.text), std::string::npos);
  }
  EXPECT_NE(thrown<ShapeError>([&] { write_ppm(folder / "x", noise(2, 2, 4)); }).find("(2, 2, 4)"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { read_png(folder / "x", {.channels = 5}); }).find("channels is 5"),
            std::string::npos);
  EXPECT_EQ(folder.count(), 0u);
}
}  // namespace
}  // namespace image_files_test
