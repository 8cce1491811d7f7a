#pragma once
/// One step of each update rule on flat memory, in place: pure functions of their arguments. The formulas and their
/// order of operations are torch.optim's.
#include <algorithm>
#include <cmath>

#include "attend/core/shape.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN
namespace optimizer_kernels {

inline constexpr Index grain = 16384;

struct SgdStep {
  double learning_rate, weight_decay, momentum, dampening;
  bool nesterov, first;
};
/// g += decay p;  b = momentum b + (1 - dampening) g (at first b = g);  p -= rate (b, or g + momentum b for Nesterov).
/// Without momentum `b` is null.
template <class S>
void sgd(const SgdStep& s, Index size, S* p, const S* gradient, S* b) {
  const S rate = S(s.learning_rate), decay = S(s.weight_decay), momentum = S(s.momentum), part = S(1 - s.dampening);
  parallel_for(size, grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      S g = gradient[i] + decay * p[i];
      if (b) {
        b[i] = s.first ? g : momentum * b[i] + part * g;
        g = s.nesterov ? g + momentum * b[i] : b[i];
      }
      p[i] -= rate * g;
    }
  });
}

struct AdamStep {
  double learning_rate, weight_decay, beta1, beta2, eps;
  bool decoupled;
  double number;  // of this step, from 1
};
/// m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
/// p -= rate / (1 - beta1^n)  m / (sqrt(v) / sqrt(1 - beta2^n) + eps).
/// Decay first: g += decay p, or decoupled p -= rate decay p. `highest` (null: plain) holds the largest v so far, which
/// then divides instead (AMSGrad).
template <class S>
void adam(const AdamStep& s, Index size, S* p, const S* gradient, S* m, S* v, S* highest) {
  const S fresh1 = S(1 - s.beta1), beta2 = S(s.beta2), fresh2 = S(1 - s.beta2), eps = S(s.eps);
  const S rate = S(s.learning_rate / (1 - std::pow(s.beta1, s.number)));
  const S root = S(std::sqrt(1 - std::pow(s.beta2, s.number)));
  const S shrink = s.decoupled ? S(1 - s.learning_rate * s.weight_decay) : S(1);
  const S decay = s.decoupled ? S(0) : S(s.weight_decay);
  parallel_for(size, grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const S g = gradient[i] + decay * p[i];
      m[i] += fresh1 * (g - m[i]);
      v[i] = beta2 * v[i] + fresh2 * g * g;
      if (highest) highest[i] = std::max(highest[i], v[i]);
      p[i] = shrink * p[i] - rate * m[i] / (std::sqrt(highest ? highest[i] : v[i]) / root + eps);
    }
  });
}

/// average += (1 - decay) (value - average)
template <class S>
void blend(double decay, Index size, const S* value, S* average) {
  const S fresh = S(1 - decay);
  parallel_for(size, grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) average[i] += fresh * (value[i] - average[i]);
  });
}

}  // namespace optimizer_kernels
ATTEND_END
