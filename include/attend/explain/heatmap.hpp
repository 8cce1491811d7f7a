#pragma once
/// What a network looked at, laid over the image: `write_png("heat.png", overlay(image,
/// recording.map("layer3.attention")))`.
#include "attend/explain/picture.hpp"
#include "attend/explain/recording.hpp"

ATTEND_BEGIN

/// `viridis` and `inferno` are matplotlib's (CC0), even in lightness; `blues` goes from white to dark blue.
enum class ColourMap { viridis, inferno, blues, grey };

/// The colour of `value` from 0 to 1; outside it is clamped, NaN is 0.
inline Colour colour_of(double value, ColourMap map = ColourMap::inferno) {
  constexpr std::uint8_t tables[4][9][3] = {{{68, 1, 84},
                                             {71, 44, 122},
                                             {59, 81, 139},
                                             {44, 113, 142},
                                             {33, 144, 141},
                                             {39, 173, 129},
                                             {92, 200, 99},
                                             {170, 220, 50},
                                             {253, 231, 37}},
                                            {{0, 0, 4},
                                             {31, 12, 72},
                                             {85, 15, 109},
                                             {136, 34, 106},
                                             {186, 54, 85},
                                             {227, 89, 51},
                                             {249, 140, 10},
                                             {249, 201, 50},
                                             {252, 255, 164}},
                                            {{255, 255, 255},
                                             {232, 241, 250},
                                             {208, 225, 242},
                                             {168, 206, 228},
                                             {115, 178, 216},
                                             {70, 144, 196},
                                             {37, 109, 173},
                                             {14, 77, 139},
                                             {8, 48, 107}},
                                            {{0, 0, 0},
                                             {32, 32, 32},
                                             {64, 64, 64},
                                             {96, 96, 96},
                                             {128, 128, 128},
                                             {160, 160, 160},
                                             {191, 191, 191},
                                             {223, 223, 223},
                                             {255, 255, 255}}};
  const double place = value > 0 ? std::min(value, 1.0) * 8 : 0;
  const int low = std::min(static_cast<int>(place), 7);
  const auto& table = tables[static_cast<int>(map)];
  const auto mix = [&](int c) {
    return static_cast<std::uint8_t>(std::lround(table[low][c] + (place - low) * (table[low + 1][c] - table[low][c])));
  };
  return {mix(0), mix(1), mix(2)};
}

/// (map - least) / (largest - least) over each image of the batch on its own; a constant map becomes 0, as does NaN.
inline Tensor<float, 3> normalised(const Tensor<float, 3>& map) {
  Tensor<float, 3> result(shape_of(map));
  const Index pixels = map.dimension(1) * map.dimension(2);
  for (Index b = 0; b < map.dimension(0); ++b) {
    const float* from = map.data() + b * pixels;
    float least = std::numeric_limits<float>::infinity(), largest = -least;
    for (Index i = 0; i < pixels; ++i)
      if (std::isfinite(from[i])) least = std::min(least, from[i]), largest = std::max(largest, from[i]);
    for (Index i = 0; i < pixels; ++i) {
      const float span = largest - least;
      result.data()[b * pixels + i] = span > 0 && std::isfinite(from[i]) ? from[i] / span - least / span : 0;
    }
  }
  return result;
}

/// Bilinear, pixel centres at halves (PyTorch's align_corners=False): (batch, h, w) -> (batch, height, width).
inline Tensor<float, 3> upsampled(const Tensor<float, 3>& map, Index height, Index width) {
  const Index h = map.dimension(1), w = map.dimension(2);
  require(h > 0 && w > 0, "upsampled",
          [&] { return message("map has shape ", shape_of(map), "; it must not be empty"); });
  require<OptionError>(height >= 0 && width >= 0, "upsampled",
                       [&] { return message("the result would have ", height, " x ", width, " values"); });
  Tensor<float, 3> result(map.dimension(0), height, width);
  struct Place {
    Index low, high;
    float part;
  };
  const auto place = [](Index i, Index from, Index to) {
    const double at = std::clamp((double(i) + 0.5) * double(from) / double(to) - 0.5, 0.0, double(from - 1));
    const auto low = static_cast<Index>(at);
    return Place{low, std::min(low + 1, from - 1), static_cast<float>(at - double(low))};
  };
  for (Index b = 0; b < map.dimension(0); ++b)
    for (Index y = 0; y < height; ++y) {
      const Place v = place(y, h, height);
      for (Index x = 0; x < width; ++x) {
        const Place u = place(x, w, width);
        const float top = map(b, v.low, u.low) + (map(b, v.low, u.high) - map(b, v.low, u.low)) * u.part;
        const float bottom = map(b, v.high, u.low) + (map(b, v.high, u.high) - map(b, v.high, u.low)) * u.part;
        result(b, y, x) = top + (bottom - top) * v.part;
      }
    }
  return result;
}

struct OverlayOptions {
  double alpha = 0.6;         ///< how much of the heat's colour hides the image where the heat is 1
  double least_alpha = 0.25;  ///< the same where it is 0
  ColourMap colours = ColourMap::inferno;
  Index magnify = 1;      ///< pixels of the result per pixel of the image: small images are hard to see
  Index index = 0;        ///< which image of a batch
  bool normalise = true;  ///< false: the map's values are from 0 to 1 as they are
};

/// The map as a picture of its own, `height` x `width` (0: one pixel per value).
inline Picture heat_picture(const Tensor<float, 3>& map, Index height = 0, Index width = 0,
                            const OverlayOptions& o = {}) {
  require<OptionError>(o.index >= 0 && o.index < map.dimension(0), "heat_picture",
                       [&] { return message("image ", o.index, " was asked for; map has shape ", shape_of(map)); });
  Tensor<float, 3> one(1, map.dimension(1), map.dimension(2));
  std::copy_n(map.data() + o.index * one.size(), one.size(), one.data());
  if (o.normalise) one = normalised(one);
  const auto heat = upsampled(one, height > 0 ? height : one.dimension(1), width > 0 ? width : one.dimension(2));
  Picture picture = blank_picture(heat.dimension(1), heat.dimension(2));
  for (Index i = 0; i < heat.size(); ++i) {
    const Colour colour = colour_of(heat.data()[i], o.colours);
    const std::uint8_t channels[] = {colour.red, colour.green, colour.blue};
    std::copy_n(channels, 3, picture.data() + 3 * i);
  }
  return picture;
}

/// Lays a map over an image, smoothly enlarged: `map` is [batch, h, w] (as Recording::map gives it), `image` anything
/// that `picture_of` takes. Hot places are covered more than cold ones, so that the image stays visible. With a batch,
/// `options.index` chooses; a single image takes that map of the batch.
template <class T>
Picture overlay(const T& image, const Tensor<float, 3>& map, const OverlayOptions& o = {}) {
  require<OptionError>(o.magnify > 0 && o.index >= 0 && o.index < map.dimension(0), "overlay", [&] {
    return message("magnify = ", o.magnify, " must be above 0, index = ", o.index, " within map's shape ",
                   shape_of(map));
  });
  Picture picture = magnified(picture_of(image, TensorTraits<T>::rank == 4 ? o.index : 0), o.magnify);
  Tensor<float, 3> one(1, map.dimension(1), map.dimension(2));
  std::copy_n(map.data() + o.index * one.size(), one.size(), one.data());
  if (o.normalise) one = normalised(one);
  const auto heat = upsampled(one, picture.dimension(0), picture.dimension(1));
  for (Index y = 0; y < picture.dimension(0); ++y)
    for (Index x = 0; x < picture.dimension(1); ++x) {
      const double value = heat(0, y, x) > 0 ? std::min(double(heat(0, y, x)), 1.0) : 0;
      blend(picture, y, x, colour_of(value, o.colours),
            static_cast<float>(o.least_alpha + (o.alpha - o.least_alpha) * value));
    }
  return picture;
}
template <class T>
Picture overlay(const T& image, const Tensor<float, 2>& map, const OverlayOptions& options = {}) {
  Tensor<float, 3> batch(1, map.dimension(0), map.dimension(1));
  std::copy_n(map.data(), map.size(), batch.data());
  return overlay(image, batch, options);
}

ATTEND_END
