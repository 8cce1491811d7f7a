/// One step of each update rule on flat memory, in place: pure functions of their arguments. The formulas and their
/// order of operations are torch.optim's.
#ifndef ATTEND_KERNELS_OPTIMIZER
#define ATTEND_KERNELS_OPTIMIZER
#include <algorithm>
#include <cmath>

#include "attend/core/shape.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/square_root.hpp"

ATTEND_BEGIN
namespace optimizer_kernels {

struct SgdStep {
  double learning_rate, weight_decay, momentum, dampening;
  bool nesterov, first;
};
struct AdamStep {
  double learning_rate, weight_decay, beta1, beta2, eps;
  bool decoupled;
  double number;  // of this step, from 1
};

}  // namespace optimizer_kernels
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/optimizer.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(optimizer_kernels::sgd)
ATTEND_COMPILED_KERNEL(optimizer_kernels::adam)
ATTEND_COMPILED_KERNEL(optimizer_kernels::blend)
namespace optimizer_kernels {
ATTEND_DISPATCH_IN(optimizer_kernels, sgd)
ATTEND_DISPATCH_IN(optimizer_kernels, adam)
ATTEND_DISPATCH_IN(optimizer_kernels, blend)
}  // namespace optimizer_kernels
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace optimizer_kernels {
using attend::optimizer_kernels::AdamStep;
using attend::optimizer_kernels::SgdStep;

constexpr Index grain = 16384;

/// f(gradient, v) on vectors v[0], v[1], ... of the arrays, for every element; f changes them in place. What is left at
/// the end goes through the same instructions.
template <class S, std::size_t count, class F>
void update(Index size, const S* gradient, S* const (&arrays)[count], const F& f) {
  using simd::lanes;
  parallel_for(size, grain, [&](Index begin, Index end) {
    simd::Vector<S> v[count];
    Index i = begin;
    for (; i + lanes<S> <= end; i += lanes<S>) {
      for (std::size_t k = 0; k < count; ++k) v[k] = simd::load(arrays[k] + i);
      f(simd::load(gradient + i), v);
      for (std::size_t k = 0; k < count; ++k) simd::store(arrays[k] + i, v[k]);
    }
    if (i == end) return;
    for (std::size_t k = 0; k < count; ++k) v[k] = simd::load_part(arrays[k] + i, end - i);
    f(simd::load_part(gradient + i, end - i), v);
    for (std::size_t k = 0; k < count; ++k) simd::store_part(arrays[k] + i, v[k], end - i);
  });
}

/// g += decay p;  b = momentum b + (1 - dampening) g (at first b = g);  p -= rate (b, or g + momentum b for Nesterov).
/// Without momentum `b` is null.
template <class S>
void sgd(const SgdStep& s, Index size, S* p, const S* gradient, S* b) {
  const S rate = S(s.learning_rate), decay = S(s.weight_decay), momentum = S(s.momentum), part = S(1 - s.dampening);
  if (!b) return update<S>(size, gradient, {p}, [=](const auto& g, auto& v) { v[0] -= rate * (g + decay * v[0]); });
  update<S>(size, gradient, {p, b}, [=, first = s.first, nesterov = s.nesterov](const auto& gradients, auto& v) {
    const auto g = gradients + decay * v[0];
    v[1] = first ? g : momentum * v[1] + part * g;
    v[0] -= rate * (nesterov ? g + momentum * v[1] : v[1]);
  });
}

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
  const auto one = [=](const auto& gradients, auto& t) {
    const auto g = gradients + decay * t[0];
    t[1] += fresh1 * (g - t[1]);
    t[2] = beta2 * t[2] + fresh2 * g * g;
    auto divisor = t[2];
    if constexpr (std::extent_v<std::remove_reference_t<decltype(t)> > == 4)
      divisor = t[3] = simd::select(t[2] > t[3], t[2], t[3]);
    t[0] = shrink * t[0] - rate * t[1] / (simd::square_root(divisor) / root + eps);
  };
  if (highest)
    update<S>(size, gradient, {p, m, v, highest}, one);
  else
    update<S>(size, gradient, {p, m, v}, one);
}

/// average += (1 - decay) (value - average)
template <class S>
void blend(double decay, Index size, const S* value, S* average) {
  const S fresh = S(1 - decay);
  update<S>(size, value, {average}, [=](const auto& v, auto& t) { t[0] += fresh * (v - t[0]); });
}

}  // namespace optimizer_kernels
ATTEND_END_ISA
#endif
