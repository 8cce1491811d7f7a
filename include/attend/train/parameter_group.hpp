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

ATTEND_END
