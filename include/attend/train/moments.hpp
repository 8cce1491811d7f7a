#pragma once
#include <unordered_map>

#include "attend/autograd/walk.hpp"

ATTEND_BEGIN

/// Blends the batch statistics that a backward pass brought (pooled, if gradients were added) into the running buffers:
/// r += momentum (batch - r), the variance unbiased, and counts the step in num_batches_tracked. Part of every
/// optimizer's step; call it alone only where no optimizer runs. torch.nn.BatchNorm2d in training.
template <class S>
void store_moments(const std::vector<ParameterRef<S>>& parameters, const Gradients<S>& gradients) {
  if (gradients.moments().empty()) return;
  std::unordered_map<std::uint64_t, ParameterData<S>*> buffers;
  for (const auto& p : parameters)
    if (p->kind() == Kind::buffer) buffers.emplace(p->id(), p.data);
  const auto blend = [&](std::uint64_t id, S momentum, S factor, const std::vector<S>& batch) {
    const auto found = buffers.find(id);
    if (found == buffers.end()) return;
    auto running = found->second->edit_flat();
    for (Index c = 0; c < running.size(); ++c)
      running(c) += momentum * (factor * batch[static_cast<std::size_t>(c)] - running(c));
  };
  for (const Moments<S>& m : gradients.moments()) {
    blend(m.mean_id, m.momentum, S(1), m.mean);
    blend(m.variance_id, m.momentum, m.count > 1 ? S(m.count) / S(m.count - 1) : S(1), m.variance);
    const auto steps = buffers.find(m.batches_id);
    if (steps != buffers.end()) steps->second->edit_flat()(0) += S(1);
  }
}
template <class S, class Model>
void store_moments(Model& model, const Gradients<S>& gradients) {
  store_moments(parameters<S>(model), gradients);
}

ATTEND_END
