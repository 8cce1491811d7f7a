#pragma once
#include <attend/core/rng.hpp>

#include "../shared/images.hpp"

/// Scenes of real Fashion-MNIST items on a canvas, some in front of others, with a label for each pixel: 0 where there is
/// no item, else its class + 1.
struct Scenes {
  static constexpr attend::Index side = 48, classes = 11;
  attend::Tensor<float, 4> pixels;  ///< (count, side, side, 1), about 0 to 1
  attend::Tensor<int, 3> labels;    ///< (count, side, side)
};

/// `count` scenes of 2 to 4 items of `items`, each at a random place, 0.6 to 1 times as large, darkened by up to a half,
/// before a background that brightens to one side, with noise. The same random numbers give the same scenes.
inline Scenes draw_scenes(attend::Index count, const Images& items, attend::Rng& rng) {
  using attend::Index;
  constexpr Index side = Scenes::side;
  Scenes scenes{attend::Tensor<float, 4>(count, side, side, 1), attend::Tensor<int, 3>(count, side, side)};
  scenes.labels.setZero();
  for (Index s = 0; s < count; ++s) {
    float* canvas = scenes.pixels.data() + s * side * side;
    int* labels = scenes.labels.data() + s * side * side;
    const double slope_y = 0.3 * rng.uniform(), slope_x = 0.3 * rng.uniform();
    for (Index y = 0; y < side; ++y)
      for (Index x = 0; x < side; ++x)
        canvas[y * side + x] = float((slope_y * double(y) + slope_x * double(x)) / double(side));
    const Index number = 2 + rng.below(3);
    for (Index n = 0; n < number; ++n) {
      const Index item = rng.below(items.size()), from = items.side();
      const double scale = 0.6 + 0.4 * rng.uniform(), light = 0.5 + 0.5 * rng.uniform();
      const auto extent = Index(double(from) * scale);
      const Index top = rng.below(side - extent + 1), left = rng.below(side - extent + 1);
      const float* pixels = items.pixels.data() + item * from * from;
      for (Index y = 0; y < extent; ++y)
        for (Index x = 0; x < extent; ++x) {
          const auto iy = Index(double(y) / scale), ix = Index(double(x) / scale);
          const float value = pixels[std::min(iy, from - 1) * from + std::min(ix, from - 1)];
          if (value < 0.1f) continue;  // around the item
          const Index at = (top + y) * side + left + x;
          canvas[at] = float(light) * value;
          labels[at] = items.labels(item) + 1;
        }
    }
    for (Index i = 0; i < side * side; ++i) canvas[i] += float(0.05 * (rng.uniform() - 0.5));
  }
  return scenes;
}
