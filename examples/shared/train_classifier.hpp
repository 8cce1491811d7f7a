#pragma once
#include <attend/train/adam.hpp>
#include <attend/train/augmentation.hpp>
#include <attend/train/clip.hpp>
#include <attend/train/cross_entropy.hpp>
#include <attend/train/data_loader.hpp>
#include <attend/train/finite.hpp>
#include <attend/train/progress.hpp>
#include <attend/train/schedule.hpp>

#include "images.hpp"

struct TrainOptions {
  attend::Index epochs = 5, batch_size = 128;
  double learning_rate = 4e-3, weight_decay = 0.05;
  bool flip = true;
  attend::Index shift = 1;                          ///< pixels, augmentation
  float outside = 0;                                ///< what comes in from outside: black, normalised
  attend::Mode mode = attend::Mode::training;       ///< evaluation: batch norms use and keep their running statistics
  std::vector<attend::ParameterGroup> groups = {};  ///< before that of biases and norms, which do not decay
};

/// Trains a classifier of images with AdamW and a one-cycle schedule, quietly but for a progress bar. `images` must
/// outlive the call. Returns the seconds it took; Error if a loss or gradient is not finite.
template <class Model>
double train_classifier(Model& model, const Images& images, const TrainOptions& o, const std::string& label,
                        attend::Rng& rng) {
  auto groups = o.groups;
  groups.push_back({.matches = attend::biases_and_norms(), .weight_decay = 0.0});
  attend::AdamW<float> optimizer(
      model, {.learning_rate = o.learning_rate, .weight_decay = o.weight_decay, .groups = std::move(groups)});
  attend::Dataset<float, 4> dataset;
  dataset.size = images.size();
  dataset.shape = {images.side(), images.side(), images.channels()};
  dataset.load = [&images, row = attend::element_count(dataset.shape)](attend::Index i, float* into) {
    std::copy_n(images.pixels.data() + i * row, row, into);
    return images.labels(i);
  };
  attend::DataLoader<float, 4> loader(
      std::move(dataset), {.batch_size = o.batch_size, .drop_last = true}, rng, [&o](auto image, attend::Rng& draw) {
        if (o.flip) attend::horizontal_flip(image, draw);
        if (o.shift > 0) attend::random_shift(image, draw, {.padding = o.shift, .fill = double(o.outside)});
      });
  const attend::OneCycleSchedule schedule({.max_learning_rate = o.learning_rate,
                                           .total_steps = std::max<attend::Index>(2, o.epochs * loader.batches()),
                                           .warmup_share = 0.2});
  const auto start = std::chrono::steady_clock::now();
  attend::ProgressBar progress(o.epochs * loader.batches() * o.batch_size, {.label = label});
  attend::Index step = 0;
  for (attend::Index epoch = 0; epoch < o.epochs; ++epoch) {
    attend::RunningMean mean;
    attend::Index correct = 0, seen = 0;
    auto batches = loader.epoch(epoch);
    for (const auto& batch : batches) {
      attend::Tape<float> tape(o.mode, rng);
      const auto logits = model(tape.input(batch.inputs));
      const auto loss = attend::cross_entropy(logits, batch.labels);
      attend::require_finite(loss, step);
      auto gradients = tape.backward(loss);
      attend::require_finite_gradients(attend::clip_grad_norm(gradients, 5.0), step);
      optimizer.set_learning_rate(schedule.at(step++));
      optimizer.step(model, gradients);
      mean.add(double(loss.item()), batch.size());
      correct += attend::count_correct(logits, batch.labels);
      seen += batch.size();
      progress.advance(batch.size(), {.loss = mean.mean(), .accuracy = double(correct) / double(seen)});
    }
  }
  progress.finish();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}
