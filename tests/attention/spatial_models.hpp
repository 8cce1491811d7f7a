#pragma once
#include <gtest/gtest.h>

#include "attend/autograd/recording.hpp"
#include "attend/testing/gradient_check.hpp"
#include "error_of.hpp"

/// Every parameter and running statistic away from what it starts with, which may be the identity.
template <class S, class Model>
void randomize(Model& model, std::uint64_t seed = 5) {
  attend::Rng rng(seed);
  for (const auto& p : attend::parameters<S>(model)) {
    const bool variance = p.name.find("running_var") != std::string::npos;
    auto values = p->edit_flat();
    for (attend::Index i = 0; i < values.size(); ++i)
      values(i) = S(variance ? 0.5 + rng.uniform() : 1.2 * (rng.uniform() - 0.5));
  }
}

/// "name(2,3,) ..." of every parameter and buffer.
template <class Model>
std::string names(const Model& model) {
  std::string text;
  for (const auto& p : attend::parameters<float>(model)) {
    text += p.name + "(";
    for (const auto extent : p->shape()) text += std::to_string(extent) + ",";
    text += ") ";
  }
  return text;
}

/// What a call offers under `what`; every row sums to one, and recording changes no bit of the result.
template <int R, class Layer, class... X>
attend::Variable<float, R> offered_rows(const Layer& layer, const std::string& what, const X&... x) {
  const auto plain = layer(x...);
  const attend::Recording recording(layer);
  const auto y = layer(x...);
  for (attend::Index i = 0; i < y.size(); ++i) EXPECT_EQ(y.data()[i], plain.data()[i]);
  const auto all = recording.template all<R>(what);
  EXPECT_EQ(all.size(), 1u) << what;
  if (all.empty()) return {attend::Shape<R>{}, attend::make_buffer<float>(0)};
  const auto& rows = all[0];
  const attend::Index n = rows.dim(-1);
  for (attend::Index r = 0; r < rows.size() / n; ++r) {
    double sum = 0;
    for (attend::Index j = 0; j < n; ++j) sum += double(rows.data()[r * n + j]);
    EXPECT_NEAR(sum, 1, 4 * 1.2e-7 * double(n)) << what << " row " << r;  // roundings of that many float additions
  }
  return rows;
}
