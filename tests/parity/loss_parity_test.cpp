#include "attend/train/loss.hpp"

#include "parity/golden.hpp"

namespace loss_parity_test {
namespace {
using namespace attend;

/// Labels are input 1.
template <int R>
golden::Check ce(const CrossEntropyOptions& o) {
  return golden::check([o](auto& run) -> void {
    const auto labels = run.template tensor<R - 1, std::int64_t>("input.1");
    run.output(cross_entropy(run.template input<R>(0), labels, o));
    run.finish();
  });
}
const std::vector<double> weights = {0.5, 1.5, 2.0, 0.25};
const golden::Cases cross(
    "loss", {
                {"cross_entropy_plain", ce<2>({})},
                {"cross_entropy_sum", ce<2>({.reduction = Reduction::sum})},
                {"cross_entropy_smoothing", ce<2>({.label_smoothing = 0.1})},
                {"cross_entropy_weight", ce<2>({.class_weights = weights})},
                {"cross_entropy_weight_smoothing", ce<2>({.label_smoothing = 0.2, .class_weights = weights})},
                {"cross_entropy_ignore", ce<2>({})},
                {"cross_entropy_ignore_other", ce<2>({.ignore_index = 3})},
                {"cross_entropy_ignore_weight_smoothing", ce<2>({.label_smoothing = 0.2, .class_weights = weights})},
                {"cross_entropy_weight_sum", ce<2>({.class_weights = weights, .reduction = Reduction::sum})},
                {"cross_entropy_large", ce<2>({})},
                {"cross_entropy_sequence", ce<3>({})},
            });
const golden::Absent none("loss", {"cross_entropy_none", "bce_with_logits_none", "mse_none"},
                          "losses are numbers here: mean or sum");

const auto bce = [](const BinaryCrossEntropyOptions& o) {
  return golden::function<2, 2>(
      [o](const auto& x, const auto& t) { return binary_cross_entropy_with_logits(x, t, o); });
};
const auto squared = [](const MseOptions& o) {
  return golden::function<3, 3>([o](const auto& x, const auto& t) { return mse(x, t, o); });
};
const golden::Cases others("loss", {
                                       {"bce_with_logits_plain", bce({})},
                                       {"bce_with_logits_sum", bce({.reduction = Reduction::sum})},
                                       {"bce_with_logits_pos_weight", bce({.pos_weight = {0.5, 2.0, 1.0, 3.0, 0.25}})},
                                       {"bce_with_logits_large", bce({})},
                                       {"mse_plain", squared({})},
                                       {"mse_sum", squared({.reduction = Reduction::sum})},
                                   });

/// Targets (input 1) of the logits' shape, differentiated as well; or labels.
golden::Check overlap(const DiceOptions& o) {
  return golden::function<4, 4>([o](const auto& x, const auto& t) { return dice(x, t, o); });
}
golden::Check labelled_overlap(const DiceOptions& o) {
  return golden::check([o](auto& run) -> void {
    const auto labels = run.template tensor<3, std::int64_t>("input.1");
    run.output(dice(run.template input<4>(0), labels, o));
    run.finish();
  });
}
const golden::Cases dice_cases("loss", {
                                           {"dice_sigmoid", overlap({})},
                                           {"dice_sigmoid_squared_sum",
                                            overlap({.smooth = 0.5, .squared = true, .reduction = Reduction::sum})},
                                           {"dice_labels", labelled_overlap({})},
                                           {"dice_labels_pooled", labelled_overlap({.smooth = 1, .pooled = true})},
                                           {"dice_labels_no_background", labelled_overlap({.background = false})},
                                       });
}  // namespace
}  // namespace loss_parity_test
