#include "attend/explain/heatmap.hpp"

#include <gtest/gtest.h>

#include "attend/explain/image_sheet.hpp"
#include "attend/explain/plot.hpp"

namespace heatmap_test {
namespace {
using namespace attend;

constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();

Tensor<float, 3> map_of(Index height, Index width, std::initializer_list<float> values) {
  Tensor<float, 3> map(1, height, width);
  std::copy(values.begin(), values.end(), map.data());
  return map;
}
bool is(const Picture& p, Index y, Index x, Colour c) {
  return p(y, x, 0) == c.red && p(y, x, 1) == c.green && p(y, x, 2) == c.blue;
}
Index count_of(const Picture& p, Colour c) {
  Index count = 0;
  for (Index y = 0; y < p.dimension(0); ++y)
    for (Index x = 0; x < p.dimension(1); ++x) count += is(p, y, x, c);
  return count;
}
template <class E, class F>
std::string thrown(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  return "nothing thrown";
}

TEST(HeatMap, is_normalised_per_image) {
  Tensor<float, 3> map(2, 1, 3);
  map.setValues({{{2, 4, 3}}, {{-1, -1, -1}}});
  const auto n = normalised(map);
  EXPECT_EQ(n(0, 0, 0), 0);
  EXPECT_EQ(n(0, 0, 1), 1);
  EXPECT_EQ(n(0, 0, 2), 0.5f);
  EXPECT_EQ(n(1, 0, 1), 0);  // a constant map has no hot place
  const auto odd = normalised(map_of(1, 4, {nan, inf, -3e38f, 3e38f}));
  EXPECT_EQ(odd(0, 0, 0), 0);
  EXPECT_EQ(odd(0, 0, 1), 0);
  for (Index i = 0; i < 4; ++i) EXPECT_TRUE(odd.data()[i] >= 0 && odd.data()[i] <= 1);
}

TEST(HeatMap, is_upsampled_as_pytorch_does_without_aligned_corners) {
  // torch.nn.functional.interpolate([[0, 1], [2, 3]], size=(4, 4), mode="bilinear"), first and second row
  const auto up = upsampled(map_of(2, 2, {0, 1, 2, 3}), 4, 4);
  const float rows[2][4] = {{0, 0.25f, 0.75f, 1}, {0.5f, 0.75f, 1.25f, 1.5f}};
  for (Index y = 0; y < 2; ++y)
    for (Index x = 0; x < 4; ++x) EXPECT_FLOAT_EQ(up(0, y, x), rows[y][x]);
  const auto same = upsampled(map_of(1, 3, {5, 6, 7}), 1, 3);
  EXPECT_EQ(same(0, 0, 2), 7);
  const auto constant = upsampled(map_of(1, 1, {5}), 3, 7);
  for (Index i = 0; i < 21; ++i) EXPECT_EQ(constant.data()[i], 5);
  const auto down = upsampled(map_of(1, 4, {0, 1, 2, 3}), 1, 2);
  EXPECT_FLOAT_EQ(down(0, 0, 0), 0.5f);
  EXPECT_THROW(upsampled(map_of(1, 1, {5}), -3, 7), OptionError);
}

TEST(HeatMap, colours_run_from_end_to_end) {
  for (const ColourMap map : {ColourMap::viridis, ColourMap::inferno, ColourMap::grey}) {
    int before = -1;
    for (int i = 0; i <= 100; ++i) {  // lightness rises all the way, so that it prints well in grey
      const Colour c = colour_of(i / 100.0, map);
      const int light = 30 * c.red + 59 * c.green + 11 * c.blue;
      EXPECT_GE(light, before);
      before = light;
    }
  }
  const Colour low = colour_of(-5), none = colour_of(nan), high = colour_of(inf), one = colour_of(1);
  EXPECT_EQ(low.blue, 4);
  EXPECT_EQ(none.blue, 4);
  EXPECT_EQ(high.green, one.green);
  EXPECT_EQ(colour_of(0.5, ColourMap::grey).red, 128);
}

TEST(Overlay, covers_hot_places_more_than_cold_ones) {
  Tensor<std::uint8_t, 3> image(4, 4, 1);
  image.setConstant(100);
  OverlayOptions options;
  options.colours = ColourMap::grey;
  options.least_alpha = 0, options.alpha = 1;
  const Picture p = overlay(image, map_of(1, 4, {0, 0, 0, 1}), options);
  ASSERT_EQ(shape_of(p), (Shape<3>{4, 4, 3}));
  EXPECT_TRUE(is(p, 2, 0, {100, 100, 100}));
  EXPECT_TRUE(is(p, 2, 3, {255, 255, 255}));
  options.alpha = 0;
  EXPECT_TRUE(is(overlay(image, map_of(1, 4, {0, 0, 0, 1}), options), 1, 3, {100, 100, 100}));
  Tensor<float, 2> matrix(1, 4);
  matrix.setConstant(3);
  options.alpha = 1;
  EXPECT_TRUE(is(overlay(image, matrix, options), 1, 3, {100, 100, 100}));  // constant: nothing stands out
  options.normalise = false;
  EXPECT_TRUE(is(overlay(image, matrix, options), 1, 3, {255, 255, 255}));
}

TEST(Overlay, takes_batches_of_floats_and_magnifies) {
  Tensor<float, 4> images(2, 2, 3, 3);
  images.setZero();
  for (Index y = 0; y < 2; ++y)
    for (Index x = 0; x < 3; ++x) images(1, y, x, 1) = 1;  // the second is green
  Tensor<float, 3> maps(2, 1, 1);
  maps.setZero();
  OverlayOptions options;
  options.index = 1, options.magnify = 5, options.least_alpha = 0;
  const Picture p = overlay(images, maps, options);
  ASSERT_EQ(shape_of(p), (Shape<3>{10, 15, 3}));
  EXPECT_TRUE(is(p, 9, 14, {0, 255, 0}));
  options.index = 0;
  EXPECT_TRUE(is(overlay(images, maps, options), 9, 14, {0, 0, 0}));
  EXPECT_EQ(shape_of(heat_picture(maps, 6, 8)), (Shape<3>{6, 8, 3}));
}

TEST(PictureOf, scales_floats_only_when_they_leave_0_to_1) {
  Tensor<double, 3> image(1, 3, 1);
  image.setValues({{{0}, {0.2}, {1}}});
  EXPECT_TRUE(is(picture_of(image), 0, 1, {51, 51, 51}));
  image.setValues({{{-1}, {0}, {3}}});
  const Picture p = picture_of(image);
  EXPECT_TRUE(is(p, 0, 0, {0, 0, 0}));
  EXPECT_TRUE(is(p, 0, 1, {64, 64, 64}));
  EXPECT_TRUE(is(p, 0, 2, {255, 255, 255}));
  image.setValues({{{double(nan)}, {double(inf)}, {0.5}}});
  EXPECT_TRUE(is(picture_of(image), 0, 0, {0, 0, 0}));
  EXPECT_TRUE(is(picture_of(image), 0, 1, {255, 255, 255}));
}

TEST(DrawLine, covers_its_pixels_and_nothing_outside_the_picture) {
  Picture p = blank_picture(9, 9);
  draw_line(p, 4, 1, 4, 7, {0, 0, 0}, 1);
  EXPECT_EQ(count_of(p, {0, 0, 0}), 7);
  EXPECT_EQ(count_of(p, {255, 255, 255}), 81 - 7);
  draw_line(p, -1e9f, -1e9f, 1e9f, 1e9f, {255, 0, 0}, 3);
  draw_line(p, nan, 0, 1, 1, {255, 0, 0}, 3);
  draw_line(p, 0, 0, inf, 1, {255, 0, 0}, 3);
  fill_rectangle(p, -5, -5, 6, 6, {1, 2, 3});
  EXPECT_EQ(count_of(p, {1, 2, 3}), 1);
  draw_text(p, -3, -3, "outside and beyond the edge", {});
}

TEST(DrawText, writes_letters_and_turns_them) {
  Picture p = blank_picture(20, 30);
  draw_text(p, 0, 0, "T", {{0, 0, 0}, 1, false});
  for (Index x = 0; x < 5; ++x) EXPECT_TRUE(is(p, 0, x, {0, 0, 0}));  // the bar
  for (Index y = 0; y < 7; ++y) EXPECT_TRUE(is(p, y, 2, {0, 0, 0}));  // the stem
  EXPECT_EQ(count_of(p, {0, 0, 0}), 11);
  Picture turned = blank_picture(20, 30);
  draw_text(turned, 0, 0, "T", {{0, 0, 0}, 1, true});
  for (Index y = 0; y < 5; ++y) EXPECT_TRUE(is(turned, y, 0, {0, 0, 0}));
  for (Index x = 0; x < 7; ++x) EXPECT_TRUE(is(turned, 2, x, {0, 0, 0}));
  Picture large = blank_picture(20, 30);
  draw_text(large, 0, 0, "T", {{0, 0, 0}, 2, false});
  EXPECT_EQ(count_of(large, {0, 0, 0}), 44);
  Picture box = blank_picture(9, 9);
  draw_text(box, 0, 0, "\xc3", {{0, 0, 0}, 1, false});  // not ASCII
  EXPECT_EQ(count_of(box, {0, 0, 0}), 20);
  for (char c = '!'; c <= '~'; ++c) {  // every letter has a shape, no two the same
    for (char d = '!'; d < c; ++d)
      EXPECT_NE(std::memcmp(BitmapFont::columns(c), BitmapFont::columns(d), 5), 0) << c << d;
  }
}

TEST(ImageSheet, places_pictures_in_rows_over_their_captions) {
  std::vector<Picture> pictures(5, blank_picture(10, 20, {200, 0, 0}));
  pictures[4] = blank_picture(4, 6, {0, 0, 200});
  SheetOptions options;
  options.columns = 3, options.spacing = 2;
  const Picture plain = image_sheet(pictures, {}, options);
  ASSERT_EQ(shape_of(plain), (Shape<3>{2 + 2 * 12, 2 + 3 * 22, 3}));
  EXPECT_EQ(count_of(plain, {200, 0, 0}), 4 * 200);
  EXPECT_EQ(count_of(plain, {0, 0, 200}), 24);
  EXPECT_TRUE(is(plain, 14 + 3, 2 + 22 + 7, {0, 0, 200}));  // centred in its cell
  const Picture captioned = image_sheet(pictures, {"a", "", "much too long\ntwo"}, options);
  EXPECT_EQ(captioned.dimension(0), 2 + 2 * (12 + 22));
  EXPECT_GT(count_of(captioned, {40, 40, 40}), 20);
  options.title = "title";
  EXPECT_GT(image_sheet(pictures, {}, options).dimension(0), plain.dimension(0));
}

TEST(LinePlot, draws_every_curve_and_survives_odd_values) {
  const double none = std::nan(""), huge = 1e308;
  const std::vector<std::vector<Curve>> cases = {
      {},
      {{"empty", {}, {}}},
      {{"one", {0.5}, {}}},
      {{"constant", {0, 0, 0}, {}}},
      {{"negative", {-5, -5}, {}}},
      {{"gap", {1, none, 3, 4}, {}}},
      {{"all gone", {none, none}, {}}},
      {{"huge", {huge, -huge, double(inf)}, {}}},
      {{"tiny", {1e-300, 2e-300}, {}}},
      {{"close", {1, 1 + 1e-15}, {}}},
      {{"x", {1, 2}, {5, 5}}, {"y", {3, 4}, {1e9, -1e9}}},
  };
  for (const auto& curves : cases) {
    const Picture p = line_plot(curves);
    EXPECT_EQ(shape_of(p), (Shape<3>{440, 720, 3})) << (curves.empty() ? "none" : curves[0].name);
  }
  const Picture p = line_plot({{"a", {0, 1}, {}}, {"b", {1, 0}, {}}});
  EXPECT_GT(count_of(p, {31, 119, 180}), 300);
  EXPECT_GT(count_of(p, {230, 110, 20}), 300);
  PlotOptions options;
  options.y_min = 0, options.y_max = 0;
  options.title = "t", options.x_label = "x", options.y_label = "y";
  EXPECT_EQ(line_plot({{"a", {0, 1}, {}}}, options).dimension(0), 440);
  options.y_min = 1e20, options.y_max = std::nextafter(1e20, 2e20);  // closer than ticks can count
  EXPECT_EQ(line_plot({{"a", {0, 1}, {}}}, options).dimension(0), 440);
}

TEST(LinePlot, points_bear_their_names_without_covering_each_other) {
  PlotOptions options;
  options.points = true;
  const auto ink = [&](const std::vector<Curve>& points) {  // pixels of letters
    const Picture p = line_plot(points, options);
    Index dark = 0;
    for (Index i = 0; i + 2 < p.size(); i += 3) dark += p.data()[i] == 50 && p.data()[i + 1] == 50;
    return dark;
  };
  const std::vector<Curve> unnamed{{"", {1}, {1}}, {"", {1}, {1}}, {"", {3}, {2}}};
  const Index ticks = ink(unnamed), one = ink({{"se", {1}, {1}}, {"", {1}, {1}}, {"", {3}, {2}}}) - ticks;
  EXPECT_GT(one, 0);
  EXPECT_EQ(ink({{"se", {1}, {1}}, {"se", {1}, {1}}, {"", {3}, {2}}}) - ticks, 2 * one);  // beside each other
}

TEST(LinePlot, ticks_are_round_numbers) {
  EXPECT_EQ(detail::nice_step(1, 6), 0.2);
  EXPECT_EQ(detail::nice_step(20, 10), 2);
  EXPECT_EQ(detail::nice_step(47, 6), 10);
  EXPECT_EQ(detail::tick_text(0.30000000000000004, 0.1), "0.3");
  EXPECT_EQ(detail::tick_text(20, 5), "20");
  EXPECT_EQ(detail::tick_text(-1e-18, 0.1), "0.0");
  EXPECT_EQ(detail::tick_text(2.5e8, 5e7), "2.5e+08");
}

TEST(ConfusionPicture, colours_cells_by_their_share_of_the_row) {
  Tensor<Index, 2> counts(2, 2);
  counts.setValues({{10, 0}, {5, 5}});
  const Picture p = confusion_picture(counts, {"cat", "dog"});
  const Colour full = colour_of(1, ColourMap::blues), half = colour_of(std::sqrt(0.5), ColourMap::blues);
  EXPECT_GT(count_of(p, full), 1000);
  EXPECT_GT(count_of(p, half), 2 * 1000);
  counts.setZero();  // no sample of any class
  EXPECT_EQ(count_of(confusion_picture(counts), full), 0);
}

TEST(BadInput, pictures_name_the_shapes_given) {
  Tensor<float, 3> two_channels(4, 5, 2);
  two_channels.setZero();
  Tensor<float, 4> batch(2, 4, 5, 1);
  batch.setZero();
  const auto map = map_of(1, 1, {0});
  EXPECT_NE(thrown<ShapeError>([&] { picture_of(two_channels); }).find("(4, 5, 2)"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { picture_of(batch, 2); }).find("(2, 4, 5, 1)"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { picture_of(Tensor<float, 3>(0, 5, 1)); }).find("0 x 5"), std::string::npos);
  OverlayOptions options;
  options.index = 1;
  EXPECT_NE(thrown<OptionError>([&] { overlay(batch, map, options); }).find("index = 1 within map's shape (1, 1, 1)"),
            std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { heat_picture(map, 0, 0, options); }).find("(1, 1, 1)"), std::string::npos);
  options = {};
  options.magnify = 0;
  EXPECT_NE(thrown<OptionError>([&] { overlay(batch, map, options); }).find("magnify = 0"), std::string::npos);
  EXPECT_NE(thrown<ShapeError>([&] { upsampled(Tensor<float, 3>(1, 0, 3), 2, 2); }).find("(1, 0, 3)"),
            std::string::npos);
  EXPECT_NE(thrown<ShapeError>([&] { overlay(batch, Tensor<float, 3>(1, 0, 3)); }).find("(1, 0, 3)"),
            std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] { image_sheet({}); }).find("0 pictures"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] {
              image_sheet({blank_picture(1, 1)}, {"a", "b"});
            }).find("2 captions"),
            std::string::npos);
  EXPECT_NE(thrown<ShapeError>([&] { image_sheet({Picture(2, 2, 1)}); }).find("(2, 2, 1)"), std::string::npos);
  PlotOptions small;
  small.width = 50;
  EXPECT_NE(thrown<OptionError>([&] { line_plot({}, small); }).find("width = 50"), std::string::npos);
  EXPECT_NE(thrown<OptionError>([&] {
              line_plot({{"a", {1, 2}, {1}}});
            }).find("curve a has 1 x for 2 y"),
            std::string::npos);
  EXPECT_NE(thrown<ShapeError>([&] { confusion_picture(Tensor<Index, 2>(2, 3)); }).find("(2, 3)"), std::string::npos);
  EXPECT_NE(thrown<ShapeError>([&] { confusion_picture(Tensor<Index, 2>(2, 2), {"a"}); }).find("1 names"),
            std::string::npos);
}
}  // namespace
}  // namespace heatmap_test
