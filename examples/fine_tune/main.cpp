// A network that has learned one task is tuned for another, with and without attention put into it.
//
//   fine_tune                      from Fashion-MNIST to shapes drawn by the program
//   fine_tune --data FOLDER        to photographs of hands: {train,test}_{images,labels}_u8.npy
//
// A small ResNet is trained on Fashion-MNIST. For every seed its classifier is then replaced and tuned on a few images of
// the other task, four times: the classifier alone; squeeze-and-excitation inserted into every block as the identity and
// tuned with it, the backbone frozen; everything, later parts at higher rates; and everything from random weights. Prints
// a table of test accuracies, and writes it to fine_tune.md in --output.
#include <attend/attention/channel/squeeze_excite.hpp>
#include <attend/attention/insert_attention.hpp>
#include <iostream>

#include "../shared/command_line.hpp"
#include "../shared/evaluation.hpp"
#include "../shared/fashion_mnist.hpp"
#include "../shared/program.hpp"
#include "../shared/report.hpp"
#include "../shared/shapes.hpp"
#include "../shared/sign_language_digits.hpp"
#include "../shared/small_resnet.hpp"
#include "../shared/train_classifier.hpp"

namespace {
struct Settings {
  std::filesystem::path data, data_folder = "/usr/share/datasets/fashion-mnist", output = "fine_tune_output";
  int seeds = 3, threads = 0;
  attend::Index source_images = 60000, source_epochs = 3, images = 1000, epochs = 30;
};

Settings parse(int argc, char** argv) {
  Settings s;
  CLI::App app{"Tunes a trained network for another task, with and without attention put into it"};
  app.add_option("--data", s.data, "folder of {train,test}_{images,labels}_u8.npy; else shapes are drawn");
  app.add_option("--data-folder", s.data_folder, "the four files of Fashion-MNIST")->capture_default_str();
  app.add_option("--output", s.output, "folder for the table")->capture_default_str();
  app.add_option("--seeds", s.seeds)->capture_default_str()->check(CLI::Range(1, 100));
  app.add_option("--source-images", s.source_images, "of Fashion-MNIST, the first so many")
      ->capture_default_str()
      ->check(CLI::Range(128, 60000));
  app.add_option("--source-epochs", s.source_epochs)->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--images", s.images, "to tune on")->capture_default_str()->check(CLI::Range(64, 20000));
  app.add_option("--epochs", s.epochs, "of tuning")->capture_default_str()->check(CLI::Range(1, 10000));
  app.add_option("--threads", s.threads, "0: all processors this process may use")->check(CLI::Range(0, 1024));
  parse_or_exit(app, argc, argv);
  return s;
}

/// One channel, 28 x 28: the mean of the colours, the middle of the picture.
void make_like_fashion(Images& images) {
  constexpr attend::Index side = 28;
  const attend::Index from = images.side(), border = (from - side) / 2, channels = images.channels();
  if (from == side && channels == 1) return;
  attend::Tensor<float, 4> grey(images.size(), side, side, 1);
  for (attend::Index i = 0; i < images.size(); ++i)
    for (attend::Index y = 0; y < side; ++y)
      for (attend::Index x = 0; x < side; ++x) {
        float sum = 0;
        for (attend::Index c = 0; c < channels; ++c) sum += images.pixels(i, y + border, x + border, c);
        grey(i, y, x, 0) = sum / float(channels);
      }
  images.pixels = grey;
}

const MakeAttention none = [](attend::Index, attend::Index, attend::Rng&) { return attend::AnyLayer<float, 4>(); };

int run(int argc, char** argv) {
  const Settings s = parse(argc, argv);
  if (s.threads > 0) attend::set_num_threads(s.threads);
  prepare_output("fine_tune", s.output);

  ImageSet source = load_fashion_mnist(s.data_folder);
  source.train = first(source.train, s.source_images);
  const Normalisation seen(source.train.pixels);
  seen.apply(source.train.pixels);
  seen.apply(source.test.pixels);
  attend::Rng rng(1);
  ImageSet target = s.data.empty() ? draw_shapes(s.images, 2000, rng) : load_sign_language_digits(s.data);
  for (Images* part : {&target.train, &target.test}) make_like_fashion(*part);
  target.train = first(target.train, s.images);
  const Normalisation met(target.train.pixels);
  for (Images* part : {&target.train, &target.test}) met.apply(part->pixels);
  const auto classes = attend::Index(target.classes.size());

  SmallResNet trained(1, 28, 10, none, rng);
  train_classifier(trained, source.train, {.epochs = s.source_epochs, .outside = seen.black()}, "Fashion-MNIST", rng);
  std::cout << "Fashion-MNIST: " << number("%.2f", 100 * evaluate(trained, source.test, 10).accuracy) << " %, then "
            << target.train.size() << " images of the other task\n";

  struct Way {
    const char* name;
    bool pretrained, frozen, attention;
    std::vector<double> accuracy = {};
    attend::Index trainable = 0;
  };
  std::vector<Way> ways{{"classifier alone", true, true, false},
                        {"classifier and inserted attention", true, true, true},
                        {"everything", true, false, false},
                        {"everything, from random weights", false, false, false}};
  for (Way& way : ways) {
    for (int seed = 1; seed <= s.seeds; ++seed) {
      attend::Rng draw(std::uint64_t(seed) + 100);
      SmallResNet net = way.pretrained ? trained : SmallResNet(1, 28, 10, none, draw);
      net.head = attend::Dense<float>({.in_features = 64, .out_features = classes}, draw);
      const auto sample = attend::rows(target.test.pixels, 0, 8);
      const attend::Tensor<float, 2> before = net(sample);
      if (way.frozen) attend::set_trainable<float>(net, false, attend::below("blocks"));
      if (way.frozen) attend::set_trainable<float>(net, false, attend::below("conv"));
      if (way.frozen) attend::set_trainable<float>(net, false, attend::below("bn"));
      if (way.attention) {
        for (const auto& [block, width] : {std::pair("blocks.0.se", 16), {"blocks.1.se", 32}, {"blocks.2.se", 64}})
          attend::insert_attention<float>(net, block,
                                          attend::SqueezeExcite<float>({.channels = width, .rd_channels = 8}, draw));
        const attend::Tensor<float, 2> after = net(sample);  // the attention starts as the identity
        attend::require<attend::Error>(std::equal(before.data(), before.data() + before.size(), after.data()),
                                       "fine_tune", [] { return "inserting attention changed the outputs"; });
      }
      way.trainable = 0;
      for (const auto& p : attend::parameters<float>(net)) way.trainable += p->trainable() ? p->size() : 0;
      TrainOptions tuning{.epochs = s.epochs, .batch_size = 32, .flip = false, .outside = met.black()};
      if (way.frozen) tuning.mode = attend::Mode::evaluation;
      if (way.pretrained && !way.frozen)
        tuning.groups = attend::discriminative_rates({"conv", "blocks.0", "blocks.1", "blocks.2", "head"});
      train_classifier(net, target.train, tuning, std::string(way.name) + " " + std::to_string(seed), draw);
      way.accuracy.push_back(100 * evaluate(net, target.test, classes).accuracy);
    }
    std::cout << way.name << ": " << Spread(way.accuracy).text() << " %" << std::endl;
  }
  std::string table = "| tuned | trainable parameters | test accuracy |\n|---|---|---|\n";
  for (const Way& way : ways)
    table += std::string("| ") + way.name + " | " + std::to_string(way.trainable) + " | " +
             Spread(way.accuracy).text() + " |\n";
  attend::write_file({"fine_tune", s.output / "fine_tune.md"}, table);
  std::cout << "\n" << table;
  return 0;
}
}  // namespace

int main(int argc, char** argv) { return run_program("fine_tune", run, argc, argv); }
