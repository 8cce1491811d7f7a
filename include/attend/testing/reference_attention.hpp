#pragma once
/// Attention in plain loops over long double: what the fused and the stepwise kernels are compared with.
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "attend/core/tensor.hpp"

ATTEND_BEGIN
namespace testing {

/// Everything scaled dot-product attention can be asked for, spelled out.
struct ReferenceAttention {
  using T4 = Tensor<double, 4>;
  double scale = 0;  ///< 0: 1 / sqrt(D)
  /// may query i of sample b and head h attend to key j?
  std::function<bool(Index b, Index h, Index i, Index j)> may_attend = [](Index, Index, Index, Index) { return true; };
  /// added to a score
  std::function<double(Index b, Index h, Index i, Index j)> bias = [](Index, Index, Index, Index) { return 0.0; };

  struct Result {
    T4 output, weights;                               // (B, Lq, H, Dv), (B, H, Lq, Lk)
    T4 query_gradient, key_gradient, value_gradient;  // like the arguments
    T4 score_gradient;                                // (B, H, Lq, Lk): sum it as the bias was broadcast
  };

  /// Results, and gradients of sum(output output_gradient) + sum(weights weights_gradient).
  Result operator()(const T4& q, const T4& k, const T4& v, const T4& output_gradient,
                    const T4* weights_gradient = nullptr) const {
    using Real = long double;
    const Index B = q.dimension(0), Lq = q.dimension(1), H = q.dimension(2), D = q.dimension(3);
    const Index Lk = k.dimension(1), Hkv = k.dimension(2), Dv = v.dimension(3), group = H / Hkv;
    const Real factor = scale == 0 ? 1 / std::sqrt(static_cast<Real>(D)) : static_cast<Real>(scale);
    Result r{T4(B, Lq, H, Dv),  T4(B, H, Lq, Lk),   T4(B, Lq, H, D),
             T4(B, Lk, Hkv, D), T4(B, Lk, Hkv, Dv), T4(B, H, Lq, Lk)};
    for (T4* t : {&r.output, &r.weights, &r.query_gradient, &r.key_gradient, &r.value_gradient, &r.score_gradient})
      t->setZero();
    for (Index b = 0; b < B; ++b)
      for (Index h = 0; h < H; ++h)
        for (Index i = 0; i < Lq; ++i) {
          const Index g = h / group;
          std::vector<Index> seen;
          for (Index j = 0; j < Lk; ++j)
            if (may_attend(b, h, i, j)) seen.push_back(j);
          std::vector<Real> score(seen.size()), weight(seen.size()), d_weight(seen.size());
          Real top = -std::numeric_limits<Real>::infinity(), sum = 0, mean = 0;
          for (std::size_t n = 0; n < seen.size(); ++n) {
            for (Index d = 0; d < D; ++d)
              score[n] += factor * static_cast<Real>(q(b, i, h, d)) * static_cast<Real>(k(b, seen[n], g, d));
            score[n] += static_cast<Real>(bias(b, h, i, seen[n]));
            if (score[n] > top) top = score[n];
          }
          for (std::size_t n = 0; n < seen.size(); ++n) sum += weight[n] = std::exp(score[n] - top);
          for (std::size_t n = 0; n < seen.size(); ++n) {
            const Index j = seen[n];
            weight[n] /= sum;
            r.weights(b, h, i, j) = static_cast<double>(weight[n]);
            d_weight[n] = weights_gradient ? static_cast<Real>((*weights_gradient)(b, h, i, j)) : 0;
            for (Index d = 0; d < Dv; ++d) {
              r.output(b, i, h, d) += static_cast<double>(weight[n] * static_cast<Real>(v(b, j, g, d)));
              d_weight[n] += static_cast<Real>(output_gradient(b, i, h, d)) * static_cast<Real>(v(b, j, g, d));
              r.value_gradient(b, j, g, d) +=
                  static_cast<double>(weight[n] * static_cast<Real>(output_gradient(b, i, h, d)));
            }
            mean += weight[n] * d_weight[n];
          }
          for (std::size_t n = 0; n < seen.size(); ++n) {
            const Index j = seen[n];
            const Real d_score = weight[n] * (d_weight[n] - mean);
            r.score_gradient(b, h, i, j) = static_cast<double>(d_score);
            for (Index d = 0; d < D; ++d) {
              r.query_gradient(b, i, h, d) += static_cast<double>(factor * d_score * static_cast<Real>(k(b, j, g, d)));
              r.key_gradient(b, j, g, d) += static_cast<double>(factor * d_score * static_cast<Real>(q(b, i, h, d)));
            }
          }
        }
    return r;
  }
};

}  // namespace testing
ATTEND_END
