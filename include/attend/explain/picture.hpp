#pragma once
#include <algorithm>
#include <cmath>

#include "attend/core/tensor.hpp"
#include "attend/explain/bitmap_font.hpp"

ATTEND_BEGIN

/// [height, width, 3], RGB: what the functions of explain/ draw and `write_png` writes.
using Picture = Tensor<std::uint8_t, 3>;

struct Colour {
  std::uint8_t red = 0, green = 0, blue = 0;
};

inline Picture blank_picture(Index height, Index width, Colour colour = {255, 255, 255}) {
  require<OptionError>(height > 0 && width > 0 && height < 1 << 20 && width < 1 << 20, "picture", [&] {
    return message("a picture of ", height, " x ", width, " pixels; each must be above 0 and below 2^20");
  });
  Picture picture(height, width, 3);
  for (Index i = 0; i < height * width; ++i) {
    picture.data()[3 * i] = colour.red;
    picture.data()[3 * i + 1] = colour.green;
    picture.data()[3 * i + 2] = colour.blue;
  }
  return picture;
}

/// Mixes `part` (0..1) of a colour into one pixel; outside the picture nothing happens.
inline void blend(Picture& picture, Index y, Index x, Colour colour, float part = 1) {
  if (y < 0 || x < 0 || y >= picture.dimension(0) || x >= picture.dimension(1)) return;
  std::uint8_t* pixel = picture.data() + (y * picture.dimension(1) + x) * 3;
  const std::uint8_t channels[] = {colour.red, colour.green, colour.blue};
  for (int c = 0; c < 3; ++c)
    pixel[c] = static_cast<std::uint8_t>(std::lround(float(pixel[c]) + (float(channels[c]) - float(pixel[c])) * part));
}
inline void fill_rectangle(Picture& picture, Index top, Index left, Index height, Index width, Colour colour) {
  const Index bottom = std::min(top + height, picture.dimension(0)),
              right = std::min(left + width, picture.dimension(1));
  for (Index y = std::max<Index>(top, 0); y < bottom; ++y)
    for (Index x = std::max<Index>(left, 0); x < right; ++x) blend(picture, y, x, colour);
}
/// A line `thickness` pixels wide with smooth edges.
inline void draw_line(Picture& picture, float y0, float x0, float y1, float x1, Colour colour, float thickness = 1) {
  const float dy = y1 - y0, dx = x1 - x0, length2 = dy * dy + dx * dx, reach = thickness / 2 + 1;
  const auto low = [&](float a, float b) {
    return static_cast<Index>(std::floor(std::max(std::min(a, b) - reach, -1.0f)));
  };
  const auto high = [&](float a, float b, Index extent) {
    return static_cast<Index>(std::ceil(std::min(std::max(a, b) + reach, float(extent))));
  };
  if (!(std::isfinite(y0) && std::isfinite(x0) && std::isfinite(y1) && std::isfinite(x1))) return;
  for (Index y = low(y0, y1); y <= high(y0, y1, picture.dimension(0)); ++y)
    for (Index x = low(x0, x1); x <= high(x0, x1, picture.dimension(1)); ++x) {
      const float py = float(y) - y0, px = float(x) - x0;
      const float along = length2 > 0 ? std::clamp((py * dy + px * dx) / length2, 0.0f, 1.0f) : 0.0f;
      const float distance = std::hypot(py - along * dy, px - along * dx);
      const float cover = std::clamp(thickness / 2 + 0.5f - distance, 0.0f, 1.0f);
      if (cover > 0) blend(picture, y, x, colour, cover);
    }
}

struct TextOptions {
  Colour colour{40, 40, 40};
  int scale = 1;         ///< pixels per dot of the font
  bool upwards = false;  ///< turned by 90 degrees, read from below
};
/// Writes one line with its upper left corner (of the turned text) at (top, left).
inline void draw_text(Picture& picture, Index top, Index left, std::string_view text, const TextOptions& options = {}) {
  const Index scale = options.scale, extent = BitmapFont::extent(text);
  for (std::size_t letter = 0; letter < text.size(); ++letter) {
    const std::uint8_t* columns = BitmapFont::columns(text[letter]);
    for (int c = 0; c < BitmapFont::width; ++c)
      for (int r = 0; r < 8; ++r) {
        if (!(columns[c] >> r & 1)) continue;
        const Index along = static_cast<Index>(letter) * BitmapFont::advance + c;
        if (options.upwards)
          fill_rectangle(picture, top + (extent - 1 - along) * scale, left + r * scale, scale, scale, options.colour);
        else
          fill_rectangle(picture, top + r * scale, left + along * scale, scale, scale, options.colour);
      }
  }
}

/// Copies one picture into another, cut at its edges.
inline void paste(Picture& picture, Index top, Index left, const Picture& part) {
  for (Index y = 0; y < part.dimension(0); ++y)
    for (Index x = 0; x < part.dimension(1); ++x)
      blend(picture, top + y, left + x, {part(y, x, 0), part(y, x, 1), part(y, x, 2)});
}
/// Every pixel becomes a square of `factor` x `factor`.
inline Picture magnified(const Picture& picture, Index factor) {
  Picture large = blank_picture(picture.dimension(0) * factor, picture.dimension(1) * factor);
  for (Index y = 0; y < large.dimension(0); ++y)
    for (Index x = 0; x < large.dimension(1); ++x)
      for (Index c = 0; c < 3; ++c) large(y, x, c) = picture(y / factor, x / factor, c);
  return large;
}

/// An image tensor as a picture: [height, width, channels], or one of a batch [batch, height, width, channels], with 1
/// channel (grey) or 3 and more (RGB, the rest ignored). Bytes are taken as they are; float and double from 0 to 1, or,
/// if any value lies outside, stretched so that the least becomes black and the largest white. NaN is black.
template <class T>
Picture picture_of(const T& image, Index index = 0) {
  static_assert(TensorTraits<T>::value, "attend: picture_of takes a row-major Tensor or a TensorMap of one");
  constexpr int rank = TensorTraits<T>::rank;
  static_assert(rank == 3 || rank == 4,
                "attend: an image has rank 3 [height, width, channels], a batch of them rank 4");
  using S = typename TensorTraits<T>::Scalar;
  const auto shape = shape_of(image);
  const Index batch = rank == 4 ? shape[0] : 1, height = shape[rank - 3], width = shape[rank - 2],
              channels = shape[rank - 1];
  require(channels == 1 || channels >= 3, "picture_of",
          [&] { return message("image has shape ", shape, "; it must have 1 channel, or 3 and more"); });
  require<OptionError>(index >= 0 && index < batch, "picture_of",
                       [&] { return message("image ", index, " was asked for; image has shape ", shape); });
  Picture picture = blank_picture(height, width);
  const S* from = image.data() + index * height * width * channels;
  double low = 0, high = 1;
  if constexpr (std::is_floating_point_v<S>) {
    double least = 0, largest = 0;
    bool any = false;
    for (Index i = 0; i < height * width * channels; ++i) {
      const auto v = static_cast<double>(from[i]);
      if (!std::isfinite(v)) continue;
      least = any ? std::min(least, v) : v, largest = any ? std::max(largest, v) : v, any = true;
    }
    if (least < 0 || largest > 1) low = least, high = largest;
  } else {
    high = 255;
  }
  for (Index i = 0; i < height * width; ++i)
    for (Index c = 0; c < 3; ++c) {
      const auto v =
          (static_cast<double>(from[i * channels + (channels == 1 ? 0 : c)]) - low) / std::max(high - low, 1e-300);
      picture.data()[3 * i + c] = static_cast<std::uint8_t>(v > 0 ? std::lround(std::min(v, 1.0) * 255) : 0);
    }
  return picture;
}

ATTEND_END
