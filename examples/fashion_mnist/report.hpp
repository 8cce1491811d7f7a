#pragma once
#include <attend/explain/heatmap.hpp>
#include <attend/explain/image_sheet.hpp>
#include <attend/explain/plot.hpp>
#include <attend/io/png.hpp>
#include <attend/io/safetensors.hpp>

#include "../shared/report.hpp"
#include "training.hpp"

inline void write_curves(const std::filesystem::path& folder, const std::vector<EpochResult>& epochs) {
  std::string csv = "epoch,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,seconds\n";
  std::vector<double> train, test, train_loss, test_loss;
  for (std::size_t e = 0; e < epochs.size(); ++e) {
    const EpochResult& r = epochs[e];
    csv += std::to_string(e + 1) + number(",%.6g", r.learning_rate) + number(",%.6f", r.train_loss) +
           number(",%.5f", r.train_accuracy) + number(",%.6f", r.test_loss) + number(",%.5f", r.test_accuracy) +
           number(",%.2f", r.seconds) + "\n";
    train.push_back(100 * r.train_accuracy), test.push_back(100 * r.test_accuracy);
    train_loss.push_back(r.train_loss), test_loss.push_back(r.test_loss);
  }
  attend::write_file({"fashion_mnist", folder / "curves.csv"}, csv);
  attend::write_png(folder / "accuracy.png",
                    attend::line_plot({{"training (augmented)", train, {}}, {"test", test, {}}},
                                      {.title = "Accuracy", .x_label = "epoch", .y_label = "percent"}));
  attend::write_png(folder / "loss.png",
                    attend::line_plot({{"training (augmented)", train_loss, {}}, {"test", test_loss, {}}},
                                      {.title = "Cross-entropy", .x_label = "epoch", .y_label = "nats"}));
}

/// Test images, each beside the same image under what the network looked at; the wrong ones say what they were taken for.
inline void write_attention_sheet(const std::filesystem::path& file, const Network& model, const Images& shown,
                                  const Images& raw, const std::vector<std::string>& classes) {
  const std::string layer = model.pool ? "pool.attention" : model.spatial ? "spatial" : "";
  if (layer.empty()) return;
  const attend::Index count = std::min<attend::Index>(32, shown.size());
  const auto pixels = attend::Tensor<float, 4>(attend::rows(shown.pixels, 0, count));
  const auto predicted = attend::argmax(model(pixels));
  const auto maps = looked_at(model, pixels, layer);
  std::vector<attend::Picture> pictures;
  std::vector<std::string> captions;
  for (attend::Index i = 0; i < count; ++i) {
    attend::OverlayOptions heat;
    heat.magnify = 3, heat.index = i;
    attend::Picture plain = attend::magnified(attend::picture_of(raw.pixels, i), 3);
    const attend::Picture heated = attend::overlay(raw.pixels, maps, heat);
    attend::Picture both = attend::blank_picture(plain.dimension(0), plain.dimension(1) + heated.dimension(1) + 3);
    attend::paste(both, 0, 0, plain);
    attend::paste(both, 0, plain.dimension(1) + 3, heated);
    pictures.push_back(both);
    const auto name = [&](attend::Index c) { return classes[std::size_t(c)]; };
    captions.push_back(predicted(i) == shown.labels(i) ? name(predicted(i))
                                                       : name(shown.labels(i)) + ", said " + name(predicted(i)));
  }
  attend::write_png(file,
                    attend::image_sheet(pictures, captions, {.columns = 4, .title = "What the network looked at"}));
}

/// Weights, curves, confusion matrix, attention sheet.
inline void write_report(const std::filesystem::path& folder, const Training& training, const Images& test,
                         const Images& raw_test, const std::vector<std::string>& classes, bool mirrored) {
  attend::save_safetensors(folder / "weights.safetensors", training.model());
  write_curves(folder, training.epochs());
  const Evaluation result = evaluate(training.model(), test, attend::Index(classes.size()), mirrored);
  attend::write_png(folder / "confusion.png", attend::confusion_picture(result.confusion.counts(), classes));
  write_attention_sheet(folder / "attention.png", training.model(), test, raw_test, classes);
}

/// How much of the attention lies on the shape, for images that know where it is.
inline void print_mass_in_boxes(const Network& model, const Images& images, std::ostream& out) {
  for (const auto& [present, layer, what] : {std::tuple(model.pool.has_value(), "pool.attention", "pooling query"),
                                             std::tuple(model.spatial.has_value(), "spatial", "spatial attention")}) {
    if (!present) continue;
    const MassInBoxes mass =
        mass_in_boxes(looked_at(model, images.pixels, layer), images.boxes, images.pixels.dimension(1));
    out << what << ": " << number("%.1f", 100 * mass.attention)
        << " % of its weight lies in the shape's box, which covers " << number("%.1f", 100 * mass.area)
        << " % of the image\n";
  }
}
