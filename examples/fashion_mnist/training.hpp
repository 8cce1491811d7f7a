#pragma once
#include <attend/train/adam.hpp>
#include <attend/train/augmentation.hpp>
#include <attend/train/checkpoint.hpp>
#include <attend/train/clip.hpp>
#include <attend/train/data_loader.hpp>
#include <attend/train/ema.hpp>
#include <attend/train/finite.hpp>
#include <attend/train/interrupt.hpp>
#include <attend/train/progress.hpp>
#include <attend/train/schedule.hpp>

#include "evaluation.hpp"
#include "settings.hpp"

/// One line of the curves. Training figures are of the augmented batches, while the network was changing.
struct EpochResult {
  double learning_rate, train_loss, train_accuracy, test_loss, test_accuracy, seconds;
};

/// Trains one network; can be stopped after any step, and goes on to the same bits.
class Training {
 public:
  /// `images` are normalised, `black` is what 0 became; they must outlive this.
  Training(const Settings& settings, const ImageSet& images, float black)
      : settings_(settings),
        images_(images),
        rng_(settings.seed),
        model_(network_options(settings), attend::Index(images.classes.size()), rng_),
        optimizer_(model_, {.learning_rate = settings.learning_rate,
                            .weight_decay = settings.weight_decay,
                            .groups = {{.matches = attend::biases_and_norms(), .weight_decay = 0.0}}}),
        loader_(dataset(images.train), {.batch_size = settings.batch_size, .drop_last = true}, rng_,
                [s = settings, black](auto image, attend::Rng& draw) {
                  if (s.flip) attend::horizontal_flip(image, draw);
                  if (s.shift > 0) attend::random_shift(image, draw, {.padding = s.shift, .fill = double(black)});
                  if (s.cutout > 0) attend::cutout(image, draw, {.size = s.cutout, .fill = double(black)});
                }),
        schedule_({.max_learning_rate = settings.learning_rate,
                   .total_steps = std::max<attend::Index>(2, settings.epochs * loader_.batches()),
                   .warmup_share = 0.2}),
        identity_(identity(settings)) {
    if (settings.ema > 0) ema_.emplace(model_, attend::EmaOptions{.decay = settings.ema, .warmup = true});
    checkpoint_.add("model", model_)
        .add("optimizer", optimizer_)
        .add("rng", rng_)
        .add("epoch", epoch_)
        .add("batch", batch_);
    checkpoint_.add("loss_sum", loss_sum_).add("correct", correct_).add("seen", seen_).add("results", results_);
    checkpoint_.add("settings", identity_);
    if (ema_) checkpoint_.add("average", *ema_);
  }

  /// Goes on where the run that wrote `file` stopped. FileError unless it is a sound checkpoint of the same settings.
  void resume(const std::filesystem::path& file) {
    checkpoint_.load(file);
    attend::require<attend::FileError>(identity_ == identity(settings_), "fashion_mnist", [&] {
      return file.string() + " is of a run with other settings (" + identity_ + "); this one has " +
             identity(settings_);
    });
  }

  /// Trains to the end, saving after each epoch. Returns 0, or the signal that stopped it: the checkpoint is then
  /// written.
  int run(const std::filesystem::path& checkpoint, std::ostream& log) {
    attend::InterruptFlag interrupted;
    for (; epoch_ < settings_.epochs; ++epoch_) {
      const auto start = std::chrono::steady_clock::now();
      {
        attend::ProgressBar progress(
            loader_.batches() * settings_.batch_size,
            {.label = "epoch " + std::to_string(epoch_ + 1) + "/" + std::to_string(settings_.epochs)},
            batch_ * settings_.batch_size);
        auto epoch = loader_.epoch(epoch_, batch_);
        for (const auto& batch : epoch) {
          step(batch);
          progress.advance(batch.size(),
                           {.loss = loss_sum_ / double(seen_), .accuracy = double(correct_) / double(seen_)});
          ++batch_;
          if (interrupted) {
            checkpoint_.save(checkpoint);
            return interrupted.signal();
          }
        }
        progress.finish();
      }
      finish_epoch(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), log);
      if (epoch_ + 1 == settings_.epochs && ema_) ema_->copy_to(model_);
      batch_ = 0, loss_sum_ = 0, correct_ = 0, seen_ = 0;
      ++epoch_;
      checkpoint_.save(checkpoint);
      --epoch_;
    }
    return 0;
  }

  const Network& model() const { return model_; }
  /// One entry per finished epoch.
  std::vector<EpochResult> epochs() const {
    std::vector<EpochResult> all;
    for (std::size_t i = 0; i + 6 <= results_.size(); i += 6)
      all.push_back({results_[i], results_[i + 1], results_[i + 2], results_[i + 3], results_[i + 4], results_[i + 5]});
    return all;
  }

 private:
  static NetworkOptions network_options(const Settings& s) {
    NetworkOptions o = s.network;
    o.attention = attention_parts(s.attention);
    return o;
  }
  /// Samples straight from the images, without a second copy of them.
  static attend::Dataset<float, 4> dataset(const Images& images) {
    attend::Dataset<float, 4> d;
    d.size = images.size();
    d.shape = {images.pixels.dimension(1), images.pixels.dimension(2), 1};
    d.load = [&images, row = attend::element_count(d.shape)](attend::Index i, float* into) {
      std::copy_n(images.pixels.data() + i * row, row, into);
      return images.labels(i);
    };
    return d;
  }
  /// What a run's result depends on, as text: a checkpoint of another run is refused.
  static std::string identity(const Settings& s) {
    std::ostringstream text;
    text << s.data << " " << s.attention << " stem " << s.network.stem << " widths "
         << attend::to_string(s.network.widths) << " blocks " << attend::to_string(s.network.blocks) << " dropout "
         << s.network.dropout << " drop_path " << s.network.drop_path << " images " << s.train_images << " epochs "
         << s.epochs << " batch " << s.batch_size << " rate " << s.learning_rate << " decay " << s.weight_decay
         << " smoothing " << s.label_smoothing << " flip " << s.flip << " shift " << s.shift << " cutout " << s.cutout
         << " ema " << s.ema << " seed " << s.seed;
    return text.str();
  }

  void step(const attend::Batch<float, 4>& batch) {
    const attend::Index number = epoch_ * loader_.batches() + batch_;
    attend::Tape<float> tape(attend::Mode::training, rng_);
    const auto logits = model_(tape.input(batch.inputs));
    const auto loss = attend::cross_entropy(logits, batch.labels, {.label_smoothing = settings_.label_smoothing});
    attend::require_finite(loss, number);
    auto gradients = tape.backward(loss);
    attend::require_finite_gradients(attend::clip_grad_norm(gradients, 5.0), number);
    optimizer_.set_learning_rate(schedule_.at(number));
    optimizer_.step(model_, gradients);
    if (ema_) ema_->update(model_);
    loss_sum_ += double(loss.item()) * double(batch.size());
    correct_ += attend::count_correct(logits, batch.labels);
    seen_ += batch.size();
  }

  void finish_epoch(double seconds, std::ostream& log) {
    if (ema_) ema_->swap(model_);
    const Evaluation test = evaluate(model_, images_.test, attend::Index(images_.classes.size()), settings_.mirrored);
    if (ema_) ema_->swap(model_);
    const double rate = schedule_.at((epoch_ + 1) * loader_.batches() - 1);
    const double train_loss = loss_sum_ / double(seen_), train_accuracy = double(correct_) / double(seen_);
    for (const double value : {rate, train_loss, train_accuracy, test.loss, test.accuracy, seconds})
      results_.push_back(value);
    char line[160];
    std::snprintf(line, sizeof line,
                  "epoch %2d  train loss %.4f accuracy %.2f %%  test loss %.4f accuracy %.2f %%  %.1f s",
                  int(epoch_ + 1), train_loss, 100 * train_accuracy, test.loss, 100 * test.accuracy, seconds);
    log << line << std::endl;
  }

  const Settings& settings_;
  const ImageSet& images_;
  attend::Rng rng_;
  Network model_;
  attend::AdamW<float> optimizer_;
  attend::DataLoader<float, 4> loader_;
  attend::OneCycleSchedule schedule_;
  std::optional<attend::Ema<float>> ema_;
  attend::Checkpoint checkpoint_;
  attend::Index epoch_ = 0, batch_ = 0, correct_ = 0, seen_ = 0;
  double loss_sum_ = 0;
  std::vector<double> results_;
  std::string identity_;
};
