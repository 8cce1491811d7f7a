#pragma once
#include "report.hpp"

/// Mean and sample deviation.
struct Spread {
  double mean = 0, deviation = 0;
  explicit Spread(const std::vector<double>& values) {
    for (const double v : values) mean += v / double(values.size());
    for (const double v : values) deviation += (v - mean) * (v - mean) / std::max(1.0, double(values.size()) - 1);
    deviation = std::sqrt(deviation);
  }
  std::string text(const char* format = "%.2f") const {
    return number(format, mean) + " ± " + number(format, deviation);
  }
};

/// The same network with none, one or all of its attentions, three seeds each, and a table of what that changes.
inline int run_ablation(const Settings& base, const ImageSet& images, float black) {
  const auto classes = attend::Index(images.classes.size());
  std::ostringstream table;
  table << "| attention | training | test | gap | shifted 3 px | scaled 0.8, 1.2 | turned 15° | parameters | "
           "multiply-adds | latency |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n";
  Images clean;  // of the training images, as many as there are test images, without augmentation
  clean.pixels =
      attend::Tensor<float, 4>(attend::rows(images.train.pixels, 0, std::min(images.train.size(), images.test.size())));
  clean.labels = attend::Tensor<int, 1>(attend::rows(images.train.labels, 0, clean.pixels.dimension(0)));
  for (const char* attention : {"none", "channel", "spatial", "self", "all"}) {
    std::vector<double> train, test, gap, shift, scale, rotation, latency;
    std::string sizes;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      Settings s = base;
      s.attention = attention, s.seed = seed;
      const auto folder = s.output / (std::string(attention) + "-" + std::to_string(seed));
      prepare_output(folder);
      Training training(s, images, black);
      const auto checkpoint = folder / "checkpoint.safetensors";
      if (base.resume && std::filesystem::exists(checkpoint)) training.resume(checkpoint);
      std::cout << "attention " << attention << ", seed " << seed << std::endl;
      if (const int signal = training.run(checkpoint, std::cout)) {
        std::cout << "Stopped; --resume goes on from there\n";
        return 128 + signal;
      }
      write_curves(folder, training.epochs());
      train.push_back(100 * evaluate(training.model(), clean, classes).accuracy);
      test.push_back(100 * evaluate(training.model(), images.test, classes).accuracy);
      gap.push_back(train.back() - test.back());
      const Robustness r = robustness(training.model(), images.test, classes, black);
      shift.push_back(100 * r.shift), scale.push_back(100 * r.scale), rotation.push_back(100 * r.rotation);
      latency.push_back(latency_ms(training.model(), images.test));
      sizes = std::to_string(attend::count_parameters<float>(training.model())) + " | " +
              number("%.2f M", multiply_adds(training.model().options, 28, classes) / 1e6);
    }
    table << "| " << attention << " | " << Spread(train).text() << " | " << Spread(test).text() << " | "
          << Spread(gap).text() << " | " << Spread(shift).text() << " | " << Spread(scale).text() << " | "
          << Spread(rotation).text() << " | " << sizes << " | " << number("%.2f ms", Spread(latency).mean) << " |\n";
  }
  std::cout << "\n" << table.str();
  attend::write_file({"fashion_mnist", base.output / "ablation.md"}, table.str());
  return 0;
}
