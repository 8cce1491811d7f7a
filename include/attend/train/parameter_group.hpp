#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// Picks parameters by dotted name and shape.
using ParameterFilter = std::function<bool(const std::string& name, const std::vector<Index>& shape)>;

/// The child `path` and everything below it: "head" picks head.weight, not header.weight.
inline ParameterFilter below(std::string path) {
  return [path = std::move(path)](const std::string& name, const std::vector<Index>&) {
    return name.compare(0, path.size(), path) == 0 && (name.size() == path.size() || name[path.size()] == '.');
  };
}
/// Vectors and scalars: biases, and the scales of norms. What weight decay usually spares.
inline ParameterFilter biases_and_norms() {
  return [](const std::string&, const std::vector<Index>& shape) { return shape.size() <= 1; };
}

/// Parameters that an optimizer treats differently. The first group that matches a parameter has it.
struct ParameterGroup {
  ParameterFilter matches;
  double learning_rate_scale = 1;                     ///< times the optimizer's rate, whatever the schedule
  std::optional<double> weight_decay = std::nullopt;  ///< instead of the optimizer's
};

/// Discriminative learning rates (Howard & Ruder 2018, Universal Language Model Fine-tuning, section 3.2; timm's
/// layer_decay): the parts of a network from first to last, each below its dotted name, the last at the optimizer's
/// rate, every part before it at `decay` times the rate of the one after it.
///
///     AdamW<float> optimizer(net, {.learning_rate = 1e-3, .groups = discriminative_rates({"layer3", "layer4", "fc"})});
///
/// OptionError unless decay lies in (0, 1].
inline std::vector<ParameterGroup> discriminative_rates(const std::vector<std::string>& parts, double decay = 1 / 2.6) {
  require<OptionError>(decay > 0 && decay <= 1, "discriminative_rates",
                       [&] { return message("decay is ", decay, "; it must lie in (0, 1]"); });
  std::vector<ParameterGroup> groups(parts.size());
  double scale = 1;
  for (std::size_t i = parts.size(); i-- > 0; scale *= decay) {
    groups[i].matches = below(parts[i]);
    groups[i].learning_rate_scale = scale;
  }
  return groups;
}

ATTEND_END
