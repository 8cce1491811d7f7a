#pragma once
#include <algorithm>
#include <string>

#include "attend/autograd/gradients.hpp"
#include "attend/autograd/walk.hpp"

/// The names of the model's parameters that got none of the gradients.
template <class Model>
std::string without_gradient(const Model& model, const attend::Gradients<float>& gradients) {
  std::string names;
  for (const auto& p : attend::parameters<float>(model)) {
    if (p->kind() != attend::Kind::parameter) continue;
    const float* g = gradients.find(*p.data);
    if (!g || std::none_of(g, g + p->size(), [](float v) { return v != 0; })) names += p.name + " ";
  }
  return names;
}
