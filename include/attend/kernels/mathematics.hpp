#pragma once
/// exp, log, powers and the like as functions for kernels/elementwise.hpp.
#include <cmath>

#include "attend/kernels/elementwise.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN
namespace mathematics {

using simd::all;
using simd::Scalar;
using simd::select;

/// scale x + shift
struct Affine {
  static constexpr bool vectors = true, from_result = true;
  double scale, shift;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return Scalar<V>(scale) * x + Scalar<V>(shift);
  }
  template <class V>
  ATTEND_INLINE V derivative(V) const {
    return all<V>(Scalar<V>(scale));
  }
};
/// x / by
struct Divided {
  static constexpr bool vectors = true, from_result = true;
  double by;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return x / Scalar<V>(by);
  }
  template <class V>
  ATTEND_INLINE V derivative(V) const {
    return all<V>(Scalar<V>(1) / Scalar<V>(by));
  }
};
/// numerator / x
struct Quotient {
  static constexpr bool vectors = true, from_result = false;
  double numerator;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return Scalar<V>(numerator) / x;
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    return -Scalar<V>(numerator) / (x * x);
  }
};
struct Exp {
  static constexpr bool vectors = true, from_result = true;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return simd::exp(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V y) const {
    return y;
  }
};
struct Log {
  static constexpr bool vectors = true, from_result = false;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return simd::log(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    return Scalar<V>(1) / x;
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
  static constexpr bool vectors = true, from_result = false;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return x * x;
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    return x + x;
  }
};
/// Derivative at 0: 0
struct Abs {
  static constexpr bool vectors = true, from_result = false;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return simd::absolute(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    return select(x > S(0), all<V>(1), select(x < S(0), all<V>(-1), x));
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
  static constexpr bool vectors = true, from_result = false;
  double low, high;
  template <class V>
  ATTEND_INLINE V value(V x) const {
    using S = Scalar<V>;
    return select(x < S(low), all<V>(S(low)), select(x > S(high), all<V>(S(high)), x));
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    return select(x >= S(low), select(x <= S(high), all<V>(1), all<V>(0)), all<V>(0));
  }
};

}  // namespace mathematics
ATTEND_END
