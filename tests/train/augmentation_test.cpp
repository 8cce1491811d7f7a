#include "attend/train/augmentation.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <map>

namespace augmentation_test {
using namespace attend;

namespace {
using Image = Tensor<float, 3>;
/// Pixel (y, x) holds 100 y + x + 1 in channel 0 and its negative in channel 1: never 0.
Image numbered(Index height, Index width) {
  Image image(height, width, 2);
  for (Index y = 0; y < height; ++y)
    for (Index x = 0; x < width; ++x) {
      image(y, x, 0) = float(100 * y + x + 1);
      image(y, x, 1) = -image(y, x, 0);
    }
  return image;
}
bool same(const Image& a, const Image& b) { return std::equal(a.data(), a.data() + a.size(), b.data()); }

TEST(Augmentation, FlipMirrorsHalfOfTheTime) {
  const Image image = numbered(3, 4);
  Rng rng(5);
  int flipped = 0;
  for (int i = 0; i < 1000; ++i) {
    Image now = image;
    horizontal_flip(now, rng);
    const bool mirrored = now(0, 0, 0) == image(0, 3, 0);
    flipped += mirrored;
    for (Index y = 0; y < 3; ++y)
      for (Index x = 0; x < 4; ++x)
        for (Index c = 0; c < 2; ++c) ASSERT_EQ(now(y, x, c), image(y, mirrored ? 3 - x : x, c));
  }
  EXPECT_NEAR(flipped, 500, 64);  // 4 standard deviations of 1000 coin tosses
  Image odd = numbered(2, 5);
  horizontal_flip(odd, rng, 1);
  EXPECT_EQ(odd(1, 2, 0), 103);
  EXPECT_EQ(odd(1, 0, 1), -105);
  horizontal_flip(odd, rng, 0);
  EXPECT_EQ(odd(1, 0, 1), -105);
}

TEST(Augmentation, ShiftIsACropOfThePaddedImage) {
  const Image image = numbered(5, 6);
  for (const Border border : {Border::fill, Border::edge, Border::reflect}) {
    std::map<std::pair<Index, Index>, int> shifts;
    Rng rng(6);
    for (int i = 0; i < 2000; ++i) {
      Image now = image;
      random_shift(now, rng, {.padding = 2, .border = border, .fill = 7});
      const float middle = now(2, 2, 0) - 1;  // always from inside
      const Index down = Index(middle) / 100 - 2, right = Index(middle) % 100 - 2;
      ++shifts[{down, right}];
      for (Index y = 0; y < 5; ++y)
        for (Index x = 0; x < 6; ++x) {
          Index fy = y + down, fx = x + right;
          if (border == Border::edge) fy = std::clamp<Index>(fy, 0, 4), fx = std::clamp<Index>(fx, 0, 5);
          if (border == Border::reflect) {
            fy = fy < 0 ? -fy : fy > 4 ? 8 - fy : fy;
            fx = fx < 0 ? -fx : fx > 5 ? 10 - fx : fx;
          }
          const bool inside = fy >= 0 && fy < 5 && fx >= 0 && fx < 6;
          ASSERT_EQ(now(y, x, 1), inside ? image(fy, fx, 1) : 7) << int(border);
        }
    }
    EXPECT_EQ(shifts.size(), 25u);
    for (const auto& [shift, times] : shifts) EXPECT_NEAR(times, 80, 45);  // 5 standard deviations
  }
  Rng rng(1);
  Image now = image;
  random_shift(now, rng, {.padding = 0});
  EXPECT_TRUE(same(now, image));
  random_shift(now, rng, {.padding = 50});  // larger than the image: fill only, or nearly
  Image empty(0, 3, 1);
  random_shift(empty, rng);
}

TEST(Augmentation, CutoutErasesASquareAroundAPixel) {
  Rng rng(2);
  std::map<Index, int> areas;
  for (int i = 0; i < 3000; ++i) {
    Image image = numbered(7, 9);
    cutout(image, rng, {.size = 4});
    Index top = 99, bottom = -1, left = 99, right = -1, erased = 0;
    for (Index y = 0; y < 7; ++y)
      for (Index x = 0; x < 9; ++x) {
        ASSERT_EQ(image(y, x, 0) == 0, image(y, x, 1) == 0);
        if (image(y, x, 0) != 0) continue;
        ++erased;
        top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x), right = std::max(right, x);
      }
    ASSERT_EQ(erased, (bottom - top + 1) * (right - left + 1));  // a filled rectangle
    ASSERT_LE(bottom - top + 1, 4);
    ASSERT_LE(right - left + 1, 4);
    ++areas[erased];
  }
  // centres 2..5 of 7 rows and 2..7 of 9 columns keep the whole square; a corner keeps 2 x 2
  EXPECT_NEAR(areas[16] / 3000.0, 4.0 / 7 * 6 / 9, 0.04);
  EXPECT_GT(areas[4], 0);
  Image image = numbered(7, 9);
  cutout(image, rng, {.size = 4, .probability = 0});
  EXPECT_TRUE(same(image, numbered(7, 9)));
  cutout(image, rng, {.size = 0});
  EXPECT_TRUE(same(image, numbered(7, 9)));
  cutout(image, rng, {.size = 100, .fill = 0.5});
  for (Index i = 0; i < image.size(); ++i) EXPECT_EQ(image.data()[i], 0.5f);
}

TEST(Augmentation, RandomErasingStaysInsideItsRanges) {
  Rng rng(3);
  int erased_images = 0;
  double mean = 0;
  for (int i = 0; i < 3000; ++i) {
    Image image = numbered(20, 30);
    random_erasing(image, rng);
    Index erased = 0;
    for (Index y = 0; y < 20; ++y)
      for (Index x = 0; x < 30; ++x) erased += image(y, x, 0) == 0;
    if (erased == 0) continue;
    ++erased_images;
    mean += double(erased) / 600;
    ASSERT_LE(erased, 0.36 * 600);  // 0.33 and the rounding of both sides
  }
  EXPECT_NEAR(erased_images, 1500, 110);  // 4 standard deviations
  EXPECT_NEAR(mean / erased_images, 0.17, 0.02);
}

TEST(Augmentation, DependsOnTheGeneratorAlone) {
  const auto run = [](std::uint64_t seed) {
    Rng rng(seed);
    Image image = numbered(9, 9);
    Eigen::TensorMap<Image> map(image.data(), image.dimensions());
    random_shift(map, rng);
    horizontal_flip(map, rng);
    cutout(map, rng, {.size = 3});
    random_erasing(map, rng, {.probability = 1});
    return image;
  };
  EXPECT_TRUE(same(run(4), run(4)));
  EXPECT_FALSE(same(run(4), run(5)));
}

TEST(BadInput, Augmentation) {
  Rng rng(1);
  Image image = numbered(4, 5);
  struct Row {
    const char* text;
    std::function<void()> call;
  };
  const std::vector<Row> rows = {
      {"probability is 1.5", [&] { horizontal_flip(image, rng, 1.5); }},
      {"probability is nan", [&] { horizontal_flip(image, rng, std::nan("")); }},
      {"padding is -1", [&] { random_shift(image, rng, {.padding = -1}); }},
      {"to reflect, an image of (4, 5, 2)",
       [&] { random_shift(image, rng, {.padding = 4, .border = Border::reflect}); }},
      {"size is -1", [&] { cutout(image, rng, {.size = -1}); }},
      {"probability is -", [&] { cutout(image, rng, {.probability = -0.1}); }},
      {"probability is 2", [&] { random_erasing(image, rng, {.probability = 2}); }},
      {"area lies in", [&] { random_erasing(image, rng, {.min_area = 0.5, .max_area = 0.4}); }},
      {"area lies in", [&] { random_erasing(image, rng, {.max_area = 1.5}); }},
      {"ratio lies in", [&] { random_erasing(image, rng, {.min_ratio = 0}); }},
  };
  for (const Row& row : rows) try {
      row.call();
      ADD_FAILURE() << row.text << ": nothing was thrown";
    } catch (const OptionError& e) {
      EXPECT_NE(std::string(e.what()).find(row.text), std::string::npos) << e.what();
    }
  EXPECT_TRUE(same(image, numbered(4, 5)));
}
}  // namespace
}  // namespace augmentation_test
