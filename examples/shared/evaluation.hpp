#pragma once
#include <attend/autograd/multiply_adds.hpp>
#include <attend/functional/shape.hpp>
#include <attend/train/cross_entropy.hpp>
#include <attend/train/metrics.hpp>
#include <chrono>

#include "images.hpp"

/// Loss and accuracy of a set of (normalised) images, in inference, and who was taken for whom.
struct Evaluation {
  double loss = 0, accuracy = 0;
  attend::ConfusionMatrix confusion;
};
/// Mirrored: by the mean of the logits of each image and of its mirror image.
template <class Model>
Evaluation evaluate(const Model& model, const Images& images, attend::Index classes, bool mirrored = false,
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

/// Milliseconds for one image, alone: the median of `repetitions` calls.
template <class Model>
double latency_ms(const Model& model, const Images& images, int repetitions = 200) {
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

/// Multiply-adds of the products, convolutions and attentions for one image.
template <class Model>
double multiply_adds(const Model& model, const Images& images) {
  attend::MultiplyAdds work;
  (void)model(attend::rows(images.pixels, 0, 1));
  return work.count();
}
