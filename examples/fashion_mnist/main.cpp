// Trains an attention-CNN on Fashion-MNIST (60,000 training and 10,000 test images) and shows what it looked at.
//
//   fashion_mnist                                     default preset
//   fashion_mnist --preset=best|ablation|quick        longer, or the table of README.md, or seconds
//   fashion_mnist --attention=none|channel|spatial|self|all
//   fashion_mnist --data=shapes                       needs no dataset: shapes drawn by the program, positions known
//   fashion_mnist --resume                            goes on after Ctrl-C, to the same bits
//
// Prints a progress bar, a line per epoch and the test accuracy. Writes into --output: weights.safetensors (PyTorch's
// names and layouts), curves.csv, accuracy.png, loss.png, confusion.png, and attention.png: test images under the weights
// of the query that pools the grid.
#include <iostream>

#include "../shared/command_line.hpp"
#include "../shared/fashion_mnist.hpp"
#include "../shared/program.hpp"
#include "../shared/shapes.hpp"
#include "ablation.hpp"
#include "report.hpp"

#include "training.hpp"

namespace {
Settings parse(int argc, char** argv) {
  std::string preset_name = "default";
  for (int i = 1; i < argc; ++i) {  // the preset first: the other options change it
    const std::string argument = argv[i];
    if (argument.rfind("--preset=", 0) == 0) preset_name = argument.substr(9);
    if (argument == "--preset" && i + 1 < argc) preset_name = argv[i + 1];
  }
  Settings s = preset(preset_name);
  CLI::App app{"Trains an attention-CNN on Fashion-MNIST and shows what it looked at"};
  app.add_option("--preset", preset_name, "default, best, ablation or quick");
  app.add_option("--attention", s.attention, "the attentions the network has: none, channel, spatial, self, all")
      ->capture_default_str();
  app.add_option("--data", s.data, "fashion, or shapes drawn by the program")->capture_default_str();
  app.add_option("--data-folder", s.data_folder, "the four files of Fashion-MNIST")->capture_default_str();
  app.add_option("--output", s.output, "folder for weights, curves and pictures")->capture_default_str();
  app.add_flag("--resume", s.resume, "go on from the checkpoint in the output folder");
  app.add_option("--epochs", s.epochs)->capture_default_str()->check(CLI::Range(1, 10000));
  app.add_option("--batch-size", s.batch_size)->capture_default_str()->check(CLI::Range(1, 60000));
  app.add_option("--learning-rate", s.learning_rate, "the highest of the one-cycle schedule")->capture_default_str();
  app.add_option("--weight-decay", s.weight_decay)->capture_default_str();
  app.add_option("--train-images", s.train_images, "the first so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 60000));
  app.add_option("--test-images", s.test_images, "the first so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--seed", s.seed)->capture_default_str();
  app.add_option("--threads", s.threads, "0: all processors this process may use")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  parse_or_exit(app, argc, argv);
  attention_parts(s.attention);
  if (s.data != "fashion" && s.data != "shapes")
    throw attend::OptionError("fashion_mnist", "--data=" + s.data + "; it must be fashion or shapes");
  return s;
}

ImageSet load(const Settings& s) {
  ImageSet set;
  if (s.data == "shapes") {
    attend::Rng rng(s.seed + 1000);
    set =
        draw_shapes(std::min<attend::Index>(s.train_images, 20000), std::min<attend::Index>(s.test_images, 2000), rng);
  } else {
    set = load_fashion_mnist(s.data_folder);
  }
  set.train = first(set.train, s.train_images);
  set.test = first(set.test, s.test_images);
  attend::require<attend::OptionError>(set.train.size() >= s.batch_size, "fashion_mnist", [&] {
    return "batch_size " + std::to_string(s.batch_size) + " is more than the " + std::to_string(set.train.size()) +
           " training images";
  });
  return set;
}

int run(int argc, char** argv) {
  Settings settings = parse(argc, argv);
  if (settings.threads > 0) attend::set_num_threads(settings.threads);
  ImageSet images = load(settings);
  const Images raw_test = images.test;
  const Normalisation normalisation(images.train.pixels);
  normalisation.apply(images.train.pixels);
  normalisation.apply(images.test.pixels);
  prepare_output("fashion_mnist", settings.output);
  if (settings.preset == "ablation") return run_ablation(settings, images, normalisation.black());

  Training training(settings, images, normalisation.black());
  const auto checkpoint = settings.output / "checkpoint.safetensors";
  if (settings.resume) training.resume(checkpoint);
  std::cout << attend::count_parameters<float>(training.model()) << " parameters, "
            << number("%.2f", multiply_adds(training.model(), images.test) / 1e6)
            << " million multiply-adds per image, " << images.train.size() << " training and " << images.test.size()
            << " test images, " << attend::num_threads() << " threads\n";
  const auto start = std::chrono::steady_clock::now();
  if (const int signal = training.run(checkpoint, std::cout)) {
    std::cout << "Stopped; " << checkpoint.string() << " is written: --resume goes on from there\n";
    return 128 + signal;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_report(settings.output, training, images.test, raw_test, images.classes, settings.mirrored);
  const Evaluation result =
      evaluate(training.model(), images.test, attend::Index(images.classes.size()), settings.mirrored);
  result.confusion.print(std::cout, images.classes);
  if (!images.test.boxes.empty()) print_mass_in_boxes(training.model(), images.test, std::cout);
  std::cout << "test accuracy " << number("%.2f", 100 * result.accuracy) << " %, training took "
            << attend::ProgressBar::duration(seconds) << "; results are in " << settings.output.string() << "\n";
  return 0;
}
}  // namespace

int main(int argc, char** argv) { return run_program("fashion_mnist", run, argc, argv); }
