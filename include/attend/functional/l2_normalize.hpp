#pragma once
#include "attend/functional/norm.hpp"

ATTEND_BEGIN

/// y = x / sqrt(|x|^2 + eps^2) over the last axis: rows of length 1, and rows of zeros stay zeros.
/// x: (..., n)  ->  the same. Saves x and one number per row. torch.nn.functional.normalize, whose divisor is
/// max(|x|, eps).
template <class S, int R>
Variable<S, R> l2_normalize(const Variable<S, R>& x, double eps = 1e-12) {
  const Index n = x.dim(-1);
  const double per_element = 1 / double(std::max<Index>(n, 1));
  const Variable<S, 1> weight(Shape<1>{n}, make_buffer<S>(n, S(std::sqrt(per_element))));
  return rms_norm(x, weight, eps * eps * per_element);
}

ATTEND_END
