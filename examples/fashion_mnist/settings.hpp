#pragma once
#include <filesystem>

#include "network.hpp"

/// Everything that decides a run's result, and where it goes.
struct Settings {
  std::string preset = "default";
  std::string data = "fashion";   ///< fashion, shapes
  std::string attention = "all";  ///< none, channel, spatial, self, all
  std::filesystem::path data_folder = "/usr/share/datasets/fashion-mnist";
  std::filesystem::path output = "fashion_mnist_output";
  bool resume = false;
  int threads = 0;  ///< 0: all processors this process may use
  std::uint64_t seed = 1;

  NetworkOptions network;
  attend::Index train_images = 60000, test_images = 10000;  ///< fewer: the first so many
  attend::Index epochs = 11, batch_size = 128;
  double learning_rate = 4e-3, weight_decay = 0.05, label_smoothing = 0;
  bool flip = true;
  attend::Index shift = 1;   ///< pixels, augmentation
  attend::Index cutout = 0;  ///< side of the erased square; 0: none
  double ema = 0;            ///< decay of the weights' average; 0: none
  bool mirrored = false;     ///< test on each image and its mirror image, by the mean of the logits
};

inline AttentionParts attention_parts(const std::string& name) {
  if (name == "none") return {false, false, false};
  if (name == "channel") return {true, false, false};
  if (name == "spatial") return {false, true, false};
  if (name == "self") return {false, false, true};
  if (name == "all") return {true, true, true};
  throw attend::OptionError("fashion_mnist",
                            "--attention=" + name + "; it must be none, channel, spatial, self or all");
}

inline Settings preset(const std::string& name) {
  Settings s;
  s.preset = name;
  if (name == "default") return s;
  if (name == "best") {
    s.network.widths = {64, 128};
    s.network.blocks = {2, 2};
    s.network.drop_path = 0.05;
    s.network.dropout = 0.1;
    s.epochs = 30;
    s.learning_rate = 3e-3;
    s.label_smoothing = 0.1;
    s.shift = 2;
    s.cutout = 8;
    s.ema = 0.999;
    s.mirrored = true;
    return s;
  }
  if (name == "ablation") {
    s.network.stem = 16;
    s.network.widths = {16, 32};
    s.epochs = 5;
    return s;
  }
  if (name == "quick") {  // seconds: shows that everything works
    s.network.stem = 8;
    s.network.widths = {8, 16};
    s.train_images = 2000;
    s.test_images = 500;
    s.epochs = 2;
    return s;
  }
  throw attend::OptionError("fashion_mnist", "--preset=" + name + "; it must be default, best, ablation or quick");
}
