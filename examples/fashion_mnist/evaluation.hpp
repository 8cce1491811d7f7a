#pragma once
#include <attend/explain/recording.hpp>
#include <attend/functional/shape.hpp>
#include <attend/train/cross_entropy.hpp>
#include <attend/train/metrics.hpp>
#include <chrono>

#include "images.hpp"
#include "network.hpp"

/// Loss and accuracy of a set of (normalised) images, in inference, and who was taken for whom.
struct Evaluation {
  double loss = 0, accuracy = 0;
  attend::ConfusionMatrix confusion;
};
/// Mirrored: by the mean of the logits of each image and of its mirror image.
inline Evaluation evaluate(const Network& model, const Images& images, attend::Index classes, bool mirrored = false,
                           attend::Index batch_size = 500) {
  Evaluation result{0, 0, attend::ConfusionMatrix(classes)};
  attend::RunningMean loss;
  for (attend::Index first = 0; first < images.size(); first += batch_size) {
    const attend::Index count = std::min(batch_size, images.size() - first);
    attend::Tensor<float, 2> logits = model(attend::rows(images.pixels, first, count));
    if (mirrored) {
      const attend::Variable<float, 4> batch(attend::rows(images.pixels, first, count));
      const attend::Tensor<float, 2> other = model(attend::flip(batch, 2).tensor());
      for (attend::Index i = 0; i < logits.size(); ++i) logits.data()[i] = (logits.data()[i] + other.data()[i]) / 2;
    }
    const auto labels = attend::rows(images.labels, first, count);
    loss.add(double(attend::cross_entropy(attend::Variable<float, 2>(logits), labels).item()), count);
    result.confusion.add_batch(logits, labels);
  }
  result.loss = loss.mean();
  result.accuracy = result.confusion.accuracy();
  return result;
}

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

/// Milliseconds for one image, alone: the median of `repetitions` calls.
inline double latency_ms(const Network& model, const Images& images, int repetitions = 200) {
  std::vector<double> times;
  for (int i = 0; i < repetitions + 10; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const attend::Tensor<float, 2> logits = model(attend::rows(images.pixels, i % images.size(), 1));
    if (i >= 10)
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

/// Multiply-adds of the matrix products and convolutions for one image.
inline double multiply_adds(const NetworkOptions& o, attend::Index side, attend::Index classes) {
  double total = 9.0 * double(o.stem) * double(side * side);
  double positions = double(side * side) / 4, channels = double(o.stem);
  for (std::size_t stage = 0; stage < o.widths.size(); ++stage)
    for (attend::Index b = 0; b < o.blocks[stage]; ++b) {
      const double width = double(o.widths[stage]);
      if (stage > 0 && b == 0) positions /= 4;
      total += 9 * positions * width * (channels + width);
      if (channels != width || (stage > 0 && b == 0)) total += positions * channels * width;
      if (o.attention.channel) total += 2 * width * double(attend::make_divisible(width / 8, 8, 0, 0));
      channels = width;
    }
  if (o.attention.spatial) {
    const double reduced = double(attend::make_divisible(channels / 2, 8));
    total += 4 * positions * channels * reduced + 2 * positions * positions * reduced;
  }
  if (o.attention.self) {
    total += 4 * positions * channels * channels + 2 * positions * positions * channels;  // tokens
    total += (2 * positions + 2) * channels * channels + 2 * positions * channels;        // one query
  }
  return total + channels * double(classes);
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
