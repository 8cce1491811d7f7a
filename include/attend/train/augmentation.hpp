#pragma once
/// Random changes of one image (height, width, channels), in place: a Tensor or a TensorMap of one. Each is a function
/// of the image and the generator alone.
#include <cmath>
#include <vector>

#include "attend/core/rng.hpp"
#include "attend/core/tensor.hpp"

ATTEND_BEGIN

namespace detail {
template <class Image>
struct Pixels {
  using S = typename TensorTraits<std::decay_t<Image>>::Scalar;
  static_assert(TensorTraits<std::decay_t<Image>>::rank == 3, "attend: an image is (height, width, channels)");
  S* data;
  Index height, width, channels;
  explicit Pixels(Image& image)
      : data(image.data()), height(image.dimension(0)), width(image.dimension(1)), channels(image.dimension(2)) {}
  S* at(Index y, Index x) const { return data + (y * width + x) * channels; }
};
inline void require_probability(const char* operation, double p) {
  require<OptionError>(p >= 0 && p <= 1, operation,
                       [&] { return message("probability is ", p, "; it must lie in [0, 1]"); });
}
template <class Image, class S>
void erase(const Pixels<Image>& image, Index top, Index bottom, Index left, Index right, S value) {
  for (Index y = std::max<Index>(top, 0); y < std::min(bottom, image.height); ++y)
    for (Index x = std::max<Index>(left, 0); x < std::min(right, image.width); ++x)
      std::fill_n(image.at(y, x), image.channels, value);
}
}  // namespace detail

/// Mirrors left and right with the given probability.  torchvision.transforms.RandomHorizontalFlip
template <class Image>
void horizontal_flip(Image&& image, Rng& rng, double probability = 0.5) {
  const detail::Pixels<Image> p(image);
  detail::require_probability("horizontal_flip", probability);
  if (rng.uniform() >= probability) return;
  for (Index y = 0; y < p.height; ++y)
    for (Index x = 0; x < p.width / 2; ++x) std::swap_ranges(p.at(y, x), p.at(y, x + 1), p.at(y, p.width - 1 - x));
}

/// What lies outside an image.
enum class Border {
  fill,    ///< one value
  edge,    ///< the nearest pixel
  reflect  ///< mirrored at the outermost pixel, which is not repeated
};

struct ShiftOptions {
  Index padding = 4;  ///< at most so many pixels up, down, left and right, each equally likely
  Border border = Border::fill;
  double fill = 0;
};
/// Pads by `padding` on all sides and crops the old size at a random place.
/// torchvision.transforms.RandomCrop(size, padding, fill, padding_mode)
template <class Image>
void random_shift(Image&& image, Rng& rng, const ShiftOptions& options = {}) {
  const detail::Pixels<Image> p(image);
  using S = typename detail::Pixels<Image>::S;
  require<OptionError>(options.padding >= 0, "random_shift",
                       [&] { return message("padding is ", options.padding, "; it must not be negative"); });
  require<OptionError>(options.border != Border::reflect || options.padding < std::min(p.height, p.width),
                       "random_shift", [&] {
                         return message("padding is ", options.padding, "; to reflect, an image of ", shape_of(image),
                                        " allows less than its height and width");
                       });
  const Index down = rng.below(2 * options.padding + 1) - options.padding;
  const Index right = rng.below(2 * options.padding + 1) - options.padding;
  if ((down == 0 && right == 0) || image.size() == 0) return;
  const std::vector<S> old(p.data, p.data + image.size());
  const auto source = [&](Index at, Index extent) {
    if (options.border == Border::edge) return std::clamp<Index>(at, 0, extent - 1);
    if (options.border == Border::reflect) return at < 0 ? -at : at >= extent ? 2 * (extent - 1) - at : at;
    return at;
  };
  for (Index y = 0; y < p.height; ++y)
    for (Index x = 0; x < p.width; ++x) {
      const Index from_y = source(y + down, p.height), from_x = source(x + right, p.width);
      if (from_y < 0 || from_y >= p.height || from_x < 0 || from_x >= p.width)
        std::fill_n(p.at(y, x), p.channels, static_cast<S>(options.fill));
      else
        std::copy_n(old.data() + (from_y * p.width + from_x) * p.channels, p.channels, p.at(y, x));
    }
}

struct CutoutOptions {
  Index size = 8;  ///< side of the square
  double probability = 1;
  double fill = 0;
};
/// Erases a square around a random pixel; what lies outside the image is cut off.  DeVries and Taylor 2017
template <class Image>
void cutout(Image&& image, Rng& rng, const CutoutOptions& options = {}) {
  const detail::Pixels<Image> p(image);
  require<OptionError>(options.size >= 0, "cutout",
                       [&] { return message("size is ", options.size, "; it must not be negative"); });
  detail::require_probability("cutout", options.probability);
  if (rng.uniform() >= options.probability || image.size() == 0) return;
  const Index top = rng.below(p.height) - options.size / 2, left = rng.below(p.width) - options.size / 2;
  detail::erase(p, top, top + options.size, left, left + options.size,
                static_cast<typename detail::Pixels<Image>::S>(options.fill));
}

struct RandomErasingOptions {
  double probability = 0.5;
  double min_area = 0.02, max_area = 0.33;  ///< share of the image
  double min_ratio = 0.3, max_ratio = 3.3;  ///< height over width
  double fill = 0;
};
/// Erases a rectangle of random area and shape that lies inside the image; gives up after ten that do not fit.
/// torchvision.transforms.RandomErasing; Zhong et al. 2020.
template <class Image>
void random_erasing(Image&& image, Rng& rng, const RandomErasingOptions& o = {}) {
  const detail::Pixels<Image> p(image);
  detail::require_probability("random_erasing", o.probability);
  require<OptionError>(o.min_area >= 0 && o.min_area <= o.max_area && o.max_area <= 1, "random_erasing", [&] {
    return message("area lies in [", o.min_area, ", ", o.max_area, "]; it must be a range within [0, 1]");
  });
  require<OptionError>(
      o.min_ratio > 0 && o.min_ratio <= o.max_ratio && std::isfinite(o.max_ratio), "random_erasing", [&] {
        return message("ratio lies in [", o.min_ratio, ", ", o.max_ratio, "]; it must be a range of positive numbers");
      });
  if (rng.uniform() >= o.probability) return;
  const double pixels = static_cast<double>(p.height) * static_cast<double>(p.width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double area = pixels * (o.min_area + (o.max_area - o.min_area) * rng.uniform());
    const double low = std::log(o.min_ratio), high = std::log(o.max_ratio);
    const double ratio = std::exp(low + (high - low) * rng.uniform());
    const auto h = static_cast<Index>(std::lround(std::sqrt(area * ratio)));
    const auto w = static_cast<Index>(std::lround(std::sqrt(area / ratio)));
    if (h >= p.height || w >= p.width) continue;
    const Index top = rng.below(p.height - h + 1), left = rng.below(p.width - w + 1);
    return detail::erase(p, top, top + h, left, left + w, static_cast<typename detail::Pixels<Image>::S>(o.fill));
  }
}

ATTEND_END
