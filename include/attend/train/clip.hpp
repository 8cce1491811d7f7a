#pragma once
#include <cmath>

#include "attend/autograd/gradients.hpp"
#include "attend/kernels/chunked_sum.hpp"

ATTEND_BEGIN

/// Whether every parameter's gradient holds finite numbers only: a step with others would spoil the model for good.
template <class S>
bool all_finite(const Gradients<S>& gradients) {
  bool finite = true;
  gradients.for_each_parameter([&](const S* g, Index size) {
    finite = finite && chunked_sum(size, 16384, [g](Index begin, Index end) {
                         double bad = 0;
                         for (Index i = begin; i < end; ++i) bad += std::isfinite(g[i]) ? 0 : 1;
                         return bad;
                       }) == 0;
  });
  return finite;
}

/// The norm of all parameters' gradients as one vector: (sum |g|^p)^(1/p), for p = infinity the largest |g|.
template <class S>
double gradient_norm(const Gradients<S>& gradients, double norm_type = 2) {
  require<OptionError>(norm_type > 0, "gradient_norm",
                       [&] { return message("norm_type is ", norm_type, "; it must be positive"); });
  double total = 0;
  gradients.for_each_parameter([&](const S* g, Index size) {
    if (std::isinf(norm_type)) {
      for (Index i = 0; i < size; ++i) {
        const double v = std::abs(static_cast<double>(g[i]));
        if (v > total || std::isnan(v)) total = v;  // a NaN stays: nothing is larger
      }
      return;
    }
    total += chunked_sum(size, 16384, [g, norm_type](Index begin, Index end) {
      double sum = 0;
      for (Index i = begin; i < end; ++i) {
        const double v = std::abs(static_cast<double>(g[i]));
        sum += norm_type == 2 ? v * v : norm_type == 1 ? v : std::pow(v, norm_type);
      }
      return sum;
    });
  });
  return std::isinf(norm_type) ? total : norm_type == 2 ? std::sqrt(total) : std::pow(total, 1 / norm_type);
}

/// Scales the gradients by min(1, max_norm / (norm + 1e-6)) and returns the norm before. A norm that is not finite
/// gives gradients that are not (look at the result, or at all_finite, before a step). torch.nn.utils.clip_grad_norm_;
/// Pascanu et al. 2013.
template <class S>
double clip_grad_norm(Gradients<S>& gradients, double max_norm, double norm_type = 2) {
  require<OptionError>(max_norm >= 0, "clip_grad_norm",
                       [&] { return message("max_norm is ", max_norm, "; it must not be negative"); });
  const double norm = gradient_norm(gradients, norm_type), factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  gradients.edit_parameters([by = static_cast<S>(factor)](S* g, Index size) {
    for (Index i = 0; i < size; ++i) g[i] *= by;
  });
  return norm;
}

/// Clamps every entry to [-max_value, max_value]; a NaN stays.  torch.nn.utils.clip_grad_value_
template <class S>
void clip_grad_value(Gradients<S>& gradients, double max_value) {
  require<OptionError>(max_value >= 0, "clip_grad_value",
                       [&] { return message("max_value is ", max_value, "; it must not be negative"); });
  gradients.edit_parameters([most = static_cast<S>(max_value)](S* g, Index size) {
    for (Index i = 0; i < size; ++i) g[i] = g[i] > most ? most : g[i] < -most ? -most : g[i];
  });
}

ATTEND_END
