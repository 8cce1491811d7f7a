// The same small ResNet with attention after attention: what each gives, and what it costs.
//
//   attention_zoo                              8 attentions and none, one seed, on Fashion-MNIST
//   attention_zoo --full                       20 attentions and none, three seeds
//   attention_zoo --attentions se,eca,nl       these
//   attention_zoo --data FOLDER                photographs of hands: {train,test}_{images,labels}_u8.npy
//
// Prints a table as it grows. Writes into --output: zoo.md and zoo.csv (accuracy with deviation, gap between training and
// test, parameters, multiply-adds, latency, images per second), and zoo.png, accuracy over latency. Attentions that are
// not trained are listed with their cost.
#include <attend/attention/make_attention.hpp>
#include <attend/explain/plot.hpp>
#include <attend/io/png.hpp>
#include <iostream>

#include "../shared/command_line.hpp"
#include "../shared/evaluation.hpp"
#include "../shared/fashion_mnist.hpp"
#include "../shared/program.hpp"
#include "../shared/report.hpp"
#include "../shared/sign_language_digits.hpp"
#include "../shared/small_resnet.hpp"
#include "../shared/train_classifier.hpp"

namespace {
struct Settings {
  bool full = false;
  std::vector<std::string> attentions;
  int seeds = 0;  ///< 0: 1, or 3 with full
  std::string data = "fashion";
  std::filesystem::path data_folder = "/usr/share/datasets/fashion-mnist", output = "attention_zoo_output";
  attend::Index epochs = 0;  ///< 0: 5, or 60 on the few photographs
  attend::Index train_images = 60000, test_images = 10000;
  int threads = 0;
};

Settings parse(int argc, char** argv) {
  Settings s;
  CLI::App app{"The same small ResNet with attention after attention"};
  app.add_flag("--full", s.full, "20 attentions, 3 seeds");
  app.add_option("--attentions", s.attentions, "names of make_attention, or none")->delimiter(',');
  app.add_option("--seeds", s.seeds, "runs of each; 0: 1, or 3 with --full")->check(CLI::Range(0, 100));
  app.add_option("--data", s.data, "fashion, or a folder of {train,test}_{images,labels}_u8.npy")
      ->capture_default_str();
  app.add_option("--data-folder", s.data_folder, "the four files of Fashion-MNIST")->capture_default_str();
  app.add_option("--output", s.output, "folder for tables and picture")->capture_default_str();
  app.add_option("--epochs", s.epochs, "0: 5, or 60 on photographs")->check(CLI::Range(0, 10000));
  app.add_option("--train-images", s.train_images, "the first so many")->check(CLI::Range(128, 60000));
  app.add_option("--test-images", s.test_images, "the first so many")->check(CLI::Range(1, 10000));
  app.add_option("--threads", s.threads, "0: all processors this process may use")->check(CLI::Range(0, 1024));
  parse_or_exit(app, argc, argv);
  if (s.seeds == 0) s.seeds = s.full ? 3 : 1;
  if (s.epochs == 0) s.epochs = s.data == "fashion" ? 5 : 60;
  if (s.attentions.empty()) {
    s.attentions = {"none", "se", "eca", "gc", "cbam", "coord", "scse", "simam", "nl"};
    if (s.full)
      for (const char* more :
           {"ese", "ecam", "ge", "lcbam", "scoord", "ela", "strip", "cca", "bam", "triplet", "grn", "pam"})
        s.attentions.push_back(more);
  }
  return s;
}

/// The attention of that name where it fits: some belong to map sizes or channel counts that not every block has.
/// `left_out` counts the blocks that go without.
MakeAttention by_name(const std::string& name, int& left_out) {
  return [&left_out, name](attend::Index channels, attend::Index side, attend::Rng& rng) {
    attend::AnyLayer<float, 4> layer;
    if (name == "none") return layer;
    attend::MakeAttentionOptions options{.channels = channels};
    if (name == "bottleneck") options.feature_size = attend::Pair(side);
    layer = attend::make_attention<float>(name, options, rng);
    try {
      attend::Tensor<float, 4> map(1, side, side, channels);
      map.setZero();
      (void)layer(map);
    } catch (const attend::Error&) {
      ++left_out;
      layer = {};
    }
    return layer;
  };
}

/// Images per second, in batches of 100.
double throughput(const SmallResNet& model, const Images& images) {
  const auto batch = first(images, 100);
  std::vector<double> rates;
  for (int i = 0; i < 12; ++i) {
    const auto start = std::chrono::steady_clock::now();
    (void)model(batch.pixels);
    rates.push_back(double(batch.size()) /
                    std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(rates.begin(), rates.begin() + 6, rates.end());
  return rates[6];
}

struct Row {
  std::string name;
  std::vector<double> train = {}, test = {};  ///< accuracies in percent, one for each seed; empty: not trained
  double parameters = 0, multiply_adds = 0, latency = 0, throughput = 0;
  int left_out = 0;
};

std::string table_of(const std::vector<Row>& rows) {
  std::string table =
      "| attention | test accuracy | training | gap | parameters | multiply-adds | latency | images/s |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const Row& r : rows) {
    std::vector<double> gap;
    for (std::size_t i = 0; i < r.test.size(); ++i) gap.push_back(r.train[i] - r.test[i]);
    table += "| " + r.name + (r.left_out ? " (in " + std::to_string(3 - r.left_out) + " of 3 blocks)" : "") + " | " +
             (r.test.empty() ? "- | - | -"
                             : Spread(r.test).text() + " | " + Spread(r.train).text() + " | " + Spread(gap).text()) +
             number(" | %.0f", r.parameters) + number(" | %.3f M", r.multiply_adds / 1e6) +
             number(" | %.3f ms", r.latency) + number(" | %.0f |\n", r.throughput);
  }
  return table;
}

void write_results(const std::filesystem::path& folder, const std::vector<Row>& rows) {
  attend::write_file({"attention_zoo", folder / "zoo.md"}, table_of(rows));
  std::string csv =
      "attention,seeds,test_mean,test_deviation,train_mean,train_deviation,parameters,multiply_adds,latency_ms,"
      "images_per_second,blocks_without\n";
  std::vector<attend::Curve> points;
  for (const Row& r : rows) {
    csv += r.name + "," + std::to_string(r.test.size());
    if (r.test.empty())
      csv += ",,,,";
    else
      csv += number(",%.4f", Spread(r.test).mean) + number(",%.4f", Spread(r.test).deviation) +
             number(",%.4f", Spread(r.train).mean) + number(",%.4f", Spread(r.train).deviation);
    csv += number(",%.0f", r.parameters) + number(",%.0f", r.multiply_adds) + number(",%.5f", r.latency) +
           number(",%.1f", r.throughput) + "," + std::to_string(r.left_out) + "\n";
    if (!r.test.empty()) points.push_back({r.name, {Spread(r.test).mean}, {r.latency}});
  }
  attend::write_file({"attention_zoo", folder / "zoo.csv"}, csv);
  attend::write_png(folder / "zoo.png", attend::line_plot(points, {.title = "Attentions in a small ResNet",
                                                                   .x_label = "latency of one image, ms",
                                                                   .y_label = "test accuracy, percent",
                                                                   .width = 900,
                                                                   .height = 560,
                                                                   .points = true}));
}

int run(int argc, char** argv) {
  const Settings s = parse(argc, argv);
  if (s.threads > 0) attend::set_num_threads(s.threads);
  prepare_output("attention_zoo", s.output);
  ImageSet images = s.data == "fashion" ? load_fashion_mnist(s.data_folder) : load_sign_language_digits(s.data);
  images.train = first(images.train, s.train_images);
  images.test = first(images.test, s.test_images);
  const Normalisation normalisation(images.train.pixels);
  normalisation.apply(images.train.pixels);
  normalisation.apply(images.test.pixels);
  const Images clean = first(images.train, images.test.size());  // training images without augmentation
  const auto classes = attend::Index(images.classes.size());
  TrainOptions training{.epochs = s.epochs, .outside = normalisation.black()};
  if (s.data != "fashion") training.batch_size = 64, training.shift = 2;

  const auto start = std::chrono::steady_clock::now();
  std::vector<Row> rows;
  const auto measure = [&](Row& row, const SmallResNet& model) {
    row.parameters = double(attend::count_parameters<float>(model));
    row.multiply_adds = multiply_adds(model, images.test);
    row.latency = latency_ms(model, images.test);
    row.throughput = throughput(model, images.test);
  };
  for (const std::string& name : s.attentions) {
    Row row{.name = name};
    for (int seed = 1; seed <= s.seeds; ++seed) {
      attend::Rng rng{std::uint64_t(seed)};
      row.left_out = 0;
      SmallResNet model(images.train.channels(), images.train.side(), classes, by_name(name, row.left_out), rng);
      train_classifier(model, images.train, training, name + " " + std::to_string(seed), rng);
      row.train.push_back(100 * evaluate(model, clean, classes).accuracy);
      row.test.push_back(100 * evaluate(model, images.test, classes).accuracy);
      if (seed == s.seeds) measure(row, model);
    }
    std::cout << row.name << ": test " << Spread(row.test).text() << " %, training " << Spread(row.train).text()
              << " %, " << number("%.3f ms", row.latency) << std::endl;
    rows.push_back(std::move(row));
    write_results(s.output, rows);
  }
  for (const std::string& name : attend::attention_names()) {  // what the others cost
    if (std::find(s.attentions.begin(), s.attentions.end(), name) != s.attentions.end()) continue;
    Row row{.name = name};
    attend::Rng rng(1);
    const SmallResNet model(images.train.channels(), images.train.side(), classes, by_name(name, row.left_out), rng);
    if (row.left_out == 3) continue;
    measure(row, model);
    rows.push_back(std::move(row));
  }
  write_results(s.output, rows);
  std::cout << "\n"
            << table_of(rows) << "\n"
            << number("%.1f", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / 60)
            << " minutes; results are in " << s.output.string() << "\n";
  return 0;
}
}  // namespace

int main(int argc, char** argv) { return run_program("attention_zoo", run, argc, argv); }
