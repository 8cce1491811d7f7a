#pragma once
#include <attend/core/tensor.hpp>
#include <cmath>
#include <string>
#include <vector>

/// A labelled set of images in [0, 1].
struct Images {
  attend::Tensor<float, 4> pixels;  ///< (count, side, side, channels)
  attend::Tensor<int, 1> labels;    ///< (count)
  struct Box {
    attend::Index top, left, height, width;
  };
  std::vector<Box> boxes;  ///< where the thing to classify is, if known
  attend::Index size() const { return labels.size(); }
  attend::Index side() const { return pixels.dimension(1); }
  attend::Index channels() const { return pixels.dimension(3); }
};

struct ImageSet {
  Images train, test;
  std::vector<std::string> classes;
};

/// The first `count` of them, or all if there are fewer.
inline Images first(const Images& images, attend::Index count) {
  if (count >= images.size()) return images;
  Images some;
  some.pixels = attend::Tensor<float, 4>(attend::rows(images.pixels, 0, count));
  some.labels = attend::Tensor<int, 1>(attend::rows(images.labels, 0, count));
  if (!images.boxes.empty()) some.boxes.assign(images.boxes.begin(), images.boxes.begin() + count);
  return some;
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
