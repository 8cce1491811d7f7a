#pragma once
#include <attend/explain/recording.hpp>

#include "../shared/evaluation.hpp"
#include "network.hpp"
#include "warp.hpp"

/// Accuracy on images changed in a way that was not trained: moved by 3 pixels, 0.8 or 1.2 times as large, turned by 15 degrees
/// (each in all directions, averaged).
struct Robustness {
  double shift, scale, rotation;
};
inline Robustness robustness(const Network& model, const Images& images, attend::Index classes, float black) {
  const auto accuracy_of = [&](std::initializer_list<std::array<double, 4>> changes) {
    attend::RunningMean mean;
    Images changed = images;
    for (const auto& [degrees, scale, down, right] : changes) {
      const attend::Index side = images.pixels.dimension(1);
      std::vector<float> image(std::size_t(side * side));
      for (attend::Index i = 0; i < images.size(); ++i) {
        const float* from = images.pixels.data() + i * side * side;
        for (std::size_t p = 0; p < image.size(); ++p) image[p] = from[p] - black;  // what comes from outside is black
        float* to = changed.pixels.data() + i * side * side;
        warp(image.data(), to, side, degrees, scale, down, right);
        for (std::size_t p = 0; p < image.size(); ++p) to[p] += black;
      }
      mean.add(evaluate(model, changed, classes).accuracy);
    }
    return mean.mean();
  };
  return {accuracy_of({{0, 1, 3, 0}, {0, 1, -3, 0}, {0, 1, 0, 3}, {0, 1, 0, -3}}),
          accuracy_of({{0, 0.8, 0, 0}, {0, 1.2, 0, 0}}), accuracy_of({{15, 1, 0, 0}, {-15, 1, 0, 0}})};
}

/// Where the network looked at each image, (count, grid, grid), each map of sum 1: the pooling query's weights if there is
/// one, else what the positions of the spatial attention gave to each, else nothing (empty).
inline attend::Tensor<float, 3> looked_at(const Network& model, const attend::Tensor<float, 4>& pixels,
                                          const std::string& layer) {
  attend::Recording recording(model);
  (void)model(pixels);
  return recording.map(layer);
}

/// Mean share of the attention that falls into the boxes, and of the area that they cover.
struct MassInBoxes {
  double attention, area;
};
inline MassInBoxes mass_in_boxes(const attend::Tensor<float, 3>& maps, const std::vector<Images::Box>& boxes,
                                 attend::Index side) {
  double inside = 0, area = 0;
  for (attend::Index i = 0; i < maps.dimension(0); ++i) {
    const auto& box = boxes[std::size_t(i)];
    const double cell_height = double(side) / double(maps.dimension(1)),
                 cell_width = double(side) / double(maps.dimension(2));
    double total = 0, in = 0;
    for (attend::Index y = 0; y < maps.dimension(1); ++y)
      for (attend::Index x = 0; x < maps.dimension(2); ++x) {
        const auto overlap = [](double begin, double extent, double cell, attend::Index at) {
          return std::max(0.0, std::min(begin + extent, cell * double(at + 1)) - std::max(begin, cell * double(at))) /
                 cell;
        };
        const double weight = double(maps(i, y, x));
        total += weight;
        in += weight * overlap(double(box.top), double(box.height), cell_height, y) *
              overlap(double(box.left), double(box.width), cell_width, x);
      }
    inside += in / total;
    area += double(box.height * box.width) / double(side * side);
  }
  return {inside / double(maps.dimension(0)), area / double(maps.dimension(0))};
}
