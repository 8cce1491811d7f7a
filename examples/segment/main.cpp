// A U-Net says of each pixel of a scene which item of Fashion-MNIST it belongs to: alone, with scSE in its blocks, under
// DANet's head, under EncNet's head.
//
//   segment                            all four
//   segment --networks none,danet
//   segment --pixel 24,24              the pixel (row, column) whose position attention is drawn
//
// Prints mean intersection over union on scenes of held-out items. Writes into --output: segment.md (the table),
// segment.png (scenes, truth, what each network says, and where DANet's position attention looks from the pixel), and
// the weights of each network.
#include <attend/explain/heatmap.hpp>
#include <attend/explain/image_sheet.hpp>
#include <attend/explain/recording.hpp>
#include <attend/io/png.hpp>
#include <attend/io/safetensors.hpp>
#include <attend/train/adam.hpp>
#include <attend/train/clip.hpp>
#include <attend/train/finite.hpp>
#include <attend/train/metrics.hpp>
#include <attend/train/progress.hpp>
#include <attend/train/schedule.hpp>
#include <iostream>

#include "../shared/command_line.hpp"
#include "../shared/fashion_mnist.hpp"
#include "../shared/program.hpp"
#include "../shared/report.hpp"
#include "network.hpp"

namespace {
struct Settings {
  std::vector<std::string> networks{"none", "scse", "danet", "encnet"};
  std::filesystem::path data_folder = "/usr/share/datasets/fashion-mnist", output = "segment_output";
  attend::Index scenes = 36000, test_scenes = 500, batch_size = 16;
  std::vector<attend::Index> pixel{24, 24};
  std::uint64_t seed = 1;
  int threads = 0;
};

Settings parse(int argc, char** argv) {
  Settings s;
  CLI::App app{"Segments scenes of Fashion-MNIST items with U-Nets that attend"};
  app.add_option("--networks", s.networks, "of none, scse, danet, encnet")->delimiter(',');
  app.add_option("--data-folder", s.data_folder, "the four files of Fashion-MNIST")->capture_default_str();
  app.add_option("--output", s.output, "folder for table, picture and weights")->capture_default_str();
  app.add_option("--scenes", s.scenes, "to train on, each drawn once")
      ->capture_default_str()
      ->check(CLI::Range(32, 10000000));
  app.add_option("--test-scenes", s.test_scenes)->capture_default_str()->check(CLI::Range(4, 100000));
  app.add_option("--pixel", s.pixel, "row, column whose position attention is drawn")
      ->delimiter(',')
      ->expected(2)
      ->check(CLI::Range(0, int(Scenes::side) - 1));
  app.add_option("--seed", s.seed)->capture_default_str();
  app.add_option("--threads", s.threads, "0: all processors this process may use")->check(CLI::Range(0, 1024));
  parse_or_exit(app, argc, argv);
  return s;
}

/// Trains on scenes that are drawn as they are needed. Returns the seconds it took.
double train(SceneNet& net, const std::string& name, const Images& items, const Settings& s) {
  attend::Rng rng(s.seed), draws(s.seed + 1);  // every network sees the same scenes
  const attend::Index steps = s.scenes / s.batch_size;
  attend::AdamW<float> optimizer(net, {.learning_rate = 4e-3,
                                       .weight_decay = 0.02,
                                       .groups = {{.matches = attend::biases_and_norms(), .weight_decay = 0.0}}});
  const attend::OneCycleSchedule schedule(
      {.max_learning_rate = 4e-3, .total_steps = std::max<attend::Index>(2, steps), .warmup_share = 0.2});
  const auto start = std::chrono::steady_clock::now();
  attend::ProgressBar progress(steps * s.batch_size, {.label = name});
  attend::RunningMean mean;
  for (attend::Index step = 0; step < steps; ++step) {
    const Scenes batch = draw_scenes(s.batch_size, items, draws);
    attend::Tape<float> tape(attend::Mode::training, rng);
    const auto loss = net.loss(tape.input(batch.pixels), batch.labels);
    attend::require_finite(loss, step);
    auto gradients = tape.backward(loss);
    attend::require_finite_gradients(attend::clip_grad_norm(gradients, 5.0), step);
    optimizer.set_learning_rate(schedule.at(step));
    optimizer.step(net, gradients);
    mean.add(double(loss.item()), s.batch_size);
    progress.advance(s.batch_size, {.loss = mean.mean()});
  }
  progress.finish();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

attend::ConfusionMatrix confusion_of(const SceneNet& net, const Scenes& scenes) {
  attend::ConfusionMatrix confusion(Scenes::classes);
  for (attend::Index at = 0; at < scenes.pixels.dimension(0); at += 20) {
    const attend::Index count = std::min<attend::Index>(20, scenes.pixels.dimension(0) - at);
    confusion.add_batch(net(attend::rows(scenes.pixels, at, count)), attend::rows(scenes.labels, at, count));
  }
  return confusion;
}

/// Labels of scene `index` as colours.
template <class Labels>
attend::Picture coloured(const Labels& labels, attend::Index index) {
  constexpr attend::Colour colours[] = {{235, 235, 235}, {31, 119, 180}, {230, 110, 20}, {44, 150, 60},
                                        {200, 40, 50},   {130, 90, 180}, {120, 80, 70},  {210, 100, 180},
                                        {20, 160, 170},  {150, 150, 20}, {60, 60, 60}};
  attend::Picture picture = attend::blank_picture(Scenes::side, Scenes::side);
  for (attend::Index y = 0; y < Scenes::side; ++y)
    for (attend::Index x = 0; x < Scenes::side; ++x)
      attend::fill_rectangle(picture, y, x, 1, 1, colours[labels(index, y, x)]);
  return attend::magnified(picture, 3);
}

int run(int argc, char** argv) {
  const Settings s = parse(argc, argv);
  if (s.threads > 0) attend::set_num_threads(s.threads);
  prepare_output("segment", s.output);
  const ImageSet items = load_fashion_mnist(s.data_folder);
  attend::Rng rng(s.seed + 2);
  const Scenes test = draw_scenes(s.test_scenes, items.test, rng);
  constexpr attend::Index shown = 4;
  const auto sample = attend::Tensor<float, 4>(attend::rows(test.pixels, 0, shown));
  std::vector<std::vector<attend::Picture>> pictures(shown);
  std::vector<std::string> titles{"scene", "truth"};
  for (attend::Index i = 0; i < shown; ++i) {
    pictures[std::size_t(i)].push_back(attend::magnified(attend::picture_of(sample, i), 3));
    pictures[std::size_t(i)].push_back(coloured(test.labels, i));
  }

  std::string table = "| network | mean IoU | pixel accuracy | parameters | training |\n|---|---|---|---|---|\n";
  for (const std::string& name : s.networks) {
    attend::Rng weights(s.seed);
    SceneNet net(name, weights);
    const double seconds = train(net, name, items.train, s);
    const auto confusion = confusion_of(net, test);
    const std::string row = "| " + name + number(" | %.2f %%", 100 * confusion.mean_iou()) +
                            number(" | %.2f %% | ", 100 * confusion.accuracy()) +
                            std::to_string(attend::count_parameters<float>(net)) + " | " +
                            attend::ProgressBar::duration(seconds) + " |\n";
    std::cout << row << std::flush;
    table += row;
    attend::write_file({"segment", s.output / "segment.md"}, table);
    attend::save_safetensors(s.output / (name + ".safetensors"), net);

    attend::Recording recording(net);
    const auto predicted = attend::argmax(net(sample));
    titles.push_back(name);
    for (attend::Index i = 0; i < shown; ++i) pictures[std::size_t(i)].push_back(coloured(predicted, i));
    if (!net.danet) continue;
    titles.push_back("looks from +");
    const auto map = recording.map(
        "danet.sa", {.height = Scenes::side, .width = Scenes::side, .query = s.pixel[0] * Scenes::side + s.pixel[1]});
    for (attend::Index i = 0; i < shown; ++i) {
      attend::OverlayOptions heat;
      heat.magnify = 3, heat.index = i;
      attend::Picture seen = attend::overlay(sample, map, heat);
      attend::fill_rectangle(seen, 3 * s.pixel[0] + 1, 3 * s.pixel[1] - 3, 1, 9, {0, 255, 0});
      attend::fill_rectangle(seen, 3 * s.pixel[0] - 3, 3 * s.pixel[1] + 1, 9, 1, {0, 255, 0});
      pictures[std::size_t(i)].push_back(seen);
    }
  }
  std::vector<attend::Picture> cells;
  std::vector<std::string> captions;
  for (const auto& row : pictures)
    for (std::size_t i = 0; i < row.size(); ++i) cells.push_back(row[i]), captions.push_back(titles[i]);
  attend::write_png(s.output / "segment.png", attend::image_sheet(cells, captions,
                                                                  {.columns = attend::Index(titles.size()),
                                                                   .title = "Which item each pixel belongs to"}));
  std::cout << "\n" << table << "results are in " << s.output.string() << "\n";
  return 0;
}
}  // namespace

int main(int argc, char** argv) { return run_program("segment", run, argc, argv); }
