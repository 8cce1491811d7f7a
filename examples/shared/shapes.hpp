#pragma once
#include <attend/core/rng.hpp>

#include "images.hpp"

/// Images drawn by the program: one shape to classify, at a random place and of a random size, among strokes and dots that
/// mean nothing. The shape's box is known, so one can measure how much attention falls into it.
class ShapeDrawer {
 public:
  static constexpr attend::Index side = 28;
  static std::vector<std::string> names() { return {"disc", "ring", "square", "triangle", "cross"}; }

  static Images draw(attend::Index count, attend::Rng& rng) {
    Images images;
    images.pixels.resize(count, side, side, 1);
    images.labels.resize(count);
    for (attend::Index i = 0; i < count; ++i) {
      float* canvas = images.pixels.data() + i * side * side;
      for (attend::Index p = 0; p < side * side; ++p) canvas[p] = float(0.15 * rng.uniform());
      for (int s = 0; s < 4; ++s) stroke(canvas, rng);
      for (int d = 0; d < 8; ++d) canvas[rng.below(side) * side + rng.below(side)] = float(0.6 + 0.4 * rng.uniform());
      const int kind = int(rng.below(attend::Index(names().size())));
      const attend::Index extent = 8 + rng.below(4);
      const Images::Box box{rng.below(side - extent + 1), rng.below(side - extent + 1), extent, extent};
      const float shade = float(0.7 + 0.3 * rng.uniform());
      for (attend::Index y = 0; y < extent; ++y)
        for (attend::Index x = 0; x < extent; ++x)
          if (inside(kind, (double(y) + 0.5) / double(extent), (double(x) + 0.5) / double(extent)))
            canvas[(box.top + y) * side + box.left + x] = shade;
      images.labels(i) = kind;
      images.boxes.push_back(box);
    }
    return images;
  }

 private:
  /// Whether the point of the unit square (down, right) belongs to the shape.
  static bool inside(int kind, double y, double x) {
    const double dy = y - 0.5, dx = x - 0.5, r = std::sqrt(dy * dy + dx * dx);
    switch (kind) {
      case 0:
        return r <= 0.5;
      case 1:
        return r <= 0.5 && r >= 0.3;
      case 2:
        return true;
      case 3:
        return std::abs(dx) <= 0.5 * y;
      default:
        return std::abs(dy) <= 0.15 || std::abs(dx) <= 0.15;
    }
  }
  static void stroke(float* canvas, attend::Rng& rng) {
    const double angle = 6.283185307179586 * rng.uniform(), length = 5 + 8 * rng.uniform();
    const double y = double(side) * rng.uniform(), x = double(side) * rng.uniform();
    const float shade = float(0.6 + 0.4 * rng.uniform());
    for (double at = 0; at < length; at += 0.5) {
      const auto row = attend::Index(y + at * std::sin(angle)), column = attend::Index(x + at * std::cos(angle));
      if (row >= 0 && row < side && column >= 0 && column < side) canvas[row * side + column] = shade;
    }
  }
};

inline ImageSet draw_shapes(attend::Index train, attend::Index test, attend::Rng& rng) {
  ImageSet set;
  set.train = ShapeDrawer::draw(train, rng);
  set.test = ShapeDrawer::draw(test, rng);
  set.classes = ShapeDrawer::names();
  return set;
}
