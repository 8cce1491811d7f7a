#pragma once
#include <attend/core/rng.hpp>
#include <attend/io/idx.hpp>
#include <filesystem>

/// A labelled set of grey images in [0, 1].
struct Images {
  attend::Tensor<float, 4> pixels;  ///< (count, side, side, 1)
  attend::Tensor<int, 1> labels;    ///< (count)
  struct Box {
    attend::Index top, left, height, width;
  };
  std::vector<Box> boxes;  ///< where the thing to classify is, if known
  attend::Index size() const { return labels.size(); }
};

struct ImageSet {
  Images train, test;
  std::vector<std::string> classes;
};

/// The four files of (Fashion-)MNIST in `folder`, as Debian's dataset-fashion-mnist installs them. FileError says what to do.
inline ImageSet load_fashion_mnist(const std::filesystem::path& folder) {
  using namespace attend;
  const auto read = [&](const std::string& name, Index expected) {
    const auto path = folder / (name + "-images-idx3-ubyte.gz");
    if (!std::filesystem::exists(path))
      throw FileError("fashion_mnist", path.string() +
                                           " is not there; install the package dataset-fashion-mnist, name the folder "
                                           "of the four files with --data-folder, or try --data=shapes");
    const auto bytes = read_idx<std::uint8_t, 3>(path);
    const auto labels = read_idx<std::uint8_t, 1>(folder / (name + "-labels-idx1-ubyte.gz"));
    require<FileError>(bytes.dimension(0) == expected && labels.size() == expected && bytes.dimension(1) == 28 &&
                           bytes.dimension(2) == 28,
                       "fashion_mnist", [&] {
                         return path.string() + " has " + to_string(shape_of(bytes)) + " images for " +
                                std::to_string(labels.size()) + " labels; " + std::to_string(expected) +
                                " of 28 x 28 are expected";
                       });
    Images images;
    images.pixels.resize(expected, 28, 28, 1);
    images.labels.resize(expected);
    for (Index i = 0; i < bytes.size(); ++i) images.pixels.data()[i] = float(bytes.data()[i]) / 255.0f;
    for (Index i = 0; i < expected; ++i) {
      images.labels(i) = labels(i);
      require<FileError>(labels(i) < 10, "fashion_mnist",
                         [&] { return "label " + std::to_string(labels(i)) + " is not one of ten"; });
    }
    return images;
  };
  return {read("train", 60000),
          read("t10k", 10000),
          {"T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"}};
}

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

/// Brings pixels of [0, 1] to mean 0 and deviation 1 over the training images.
struct Normalisation {
  double mean = 0, deviation = 1;
  explicit Normalisation(const attend::Tensor<float, 4>& pixels) {
    double sum = 0, squares = 0;
    for (attend::Index i = 0; i < pixels.size(); ++i) {
      const double value = double(pixels.data()[i]);
      sum += value, squares += value * value;
    }
    mean = sum / double(pixels.size());
    deviation = std::sqrt(std::max(squares / double(pixels.size()) - mean * mean, 1e-6));
  }
  void apply(attend::Tensor<float, 4>& pixels) const {
    for (attend::Index i = 0; i < pixels.size(); ++i)
      pixels.data()[i] = float((double(pixels.data()[i]) - mean) / deviation);
  }
  /// What a black pixel becomes.
  float black() const { return float(-mean / deviation); }
};

/// One image turned by `degrees`, enlarged by `scale` and moved by (down, right) pixels about its centre, sampled bilinearly;
/// what comes from outside is 0. For measuring how a network takes changes that it was not shown.
inline void warp(const float* from, float* to, attend::Index side, double degrees, double scale, double down,
                 double right) {
  const double angle = degrees * 3.14159265358979323846 / 180, c = std::cos(angle) / scale, s = std::sin(angle) / scale;
  const double centre = double(side - 1) / 2;
  for (attend::Index y = 0; y < side; ++y)
    for (attend::Index x = 0; x < side; ++x) {
      const double dy = double(y) - centre - down, dx = double(x) - centre - right;
      const double sy = c * dy - s * dx + centre, sx = s * dy + c * dx + centre;
      const double fy = std::floor(sy), fx = std::floor(sx);
      double sum = 0;
      for (int oy = 0; oy < 2; ++oy)
        for (int ox = 0; ox < 2; ++ox) {
          const attend::Index py = attend::Index(fy) + oy, px = attend::Index(fx) + ox;
          if (py < 0 || py >= side || px < 0 || px >= side) continue;
          sum += (oy ? sy - fy : 1 - (sy - fy)) * (ox ? sx - fx : 1 - (sx - fx)) * double(from[py * side + px]);
        }
      to[y * side + x] = float(sum);
    }
}
