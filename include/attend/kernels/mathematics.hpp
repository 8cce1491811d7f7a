#pragma once
/// exp, log, powers and the like as functions for kernels/elementwise.hpp.
#include <cmath>

#include "attend/kernels/elementwise.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN
namespace mathematics {

/// scale x + shift
struct Affine {
  static constexpr bool from_result = true;
  double scale, shift;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return S(scale) * x + S(shift);
  }
  template <class S>
  ATTEND_INLINE S derivative(S) const {
    return S(scale);
  }
};
/// x / by
struct Divided {
  static constexpr bool from_result = true;
  double by;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x / S(by);
  }
  template <class S>
  ATTEND_INLINE S derivative(S) const {
    return S(1) / S(by);
  }
};
/// numerator / x
struct Quotient {
  static constexpr bool from_result = false;
  double numerator;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return S(numerator) / x;
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return -S(numerator) / (x * x);
  }
};
struct Exp {
  static constexpr bool from_result = true;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return exp(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S y) const {
    return y;
  }
};
struct Log {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return log(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return S(1) / x;
  }
};
struct Sqrt {
  static constexpr bool from_result = true;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return std::sqrt(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S y) const {
    return S(0.5) / y;
  }
};
struct Square {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x * x;
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return S(2) * x;
  }
};
/// Derivative at 0: 0
struct Abs {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return std::abs(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return x > S(0) ? S(1) : x < S(0) ? S(-1) : x;
  }
};
/// x^exponent; the zeroth power is 1 and has derivative 0 everywhere
struct Pow {
  static constexpr bool from_result = false;
  double exponent;
  template <class S>
  S value(S x) const {
    return std::pow(x, S(exponent));
  }
  template <class S>
  S derivative(S x) const {
    return exponent == 0 ? S(0) : S(exponent) * std::pow(x, S(exponent - 1));
  }
};
/// min(max(x, low), high).  Derivative at both ends: 1
struct Clamp {
  static constexpr bool from_result = false;
  double low, high;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x < S(low) ? S(low) : x > S(high) ? S(high) : x;
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return x >= S(low) && x <= S(high) ? S(1) : S(0);
  }
};

}  // namespace mathematics
ATTEND_END
