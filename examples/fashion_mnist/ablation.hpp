#pragma once
#include "report.hpp"

/// The same network with none, one or all of its attentions, three seeds each, and a table of what that changes.
inline int run_ablation(const Settings& base, const ImageSet& images, float black) {
  const auto classes = attend::Index(images.classes.size());
  std::ostringstream table;
  table << "| attention | training | test | gap | shifted 3 px | scaled 0.8, 1.2 | turned 15° | parameters | "
           "multiply-adds | latency |\n"
           "|---|---|---|---|---|---|---|---|---|---|\n";
  const Images clean = first(images.train, images.test.size());  // without augmentation
  for (const char* attention : {"none", "channel", "spatial", "self", "all"}) {
    std::vector<double> train, test, gap, shift, scale, rotation, latency;
    std::string sizes;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      Settings s = base;
      s.attention = attention, s.seed = seed;
      const auto folder = s.output / (std::string(attention) + "-" + std::to_string(seed));
      prepare_output("fashion_mnist", folder);
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
              number("%.2f M", multiply_adds(training.model(), images.test) / 1e6);
    }
    table << "| " << attention << " | " << Spread(train).text() << " | " << Spread(test).text() << " | "
          << Spread(gap).text() << " | " << Spread(shift).text() << " | " << Spread(scale).text() << " | "
          << Spread(rotation).text() << " | " << sizes << " | " << number("%.2f ms", Spread(latency).mean) << " |\n";
  }
  std::cout << "\n" << table.str();
  attend::write_file({"fashion_mnist", base.output / "ablation.md"}, table.str());
  return 0;
}
