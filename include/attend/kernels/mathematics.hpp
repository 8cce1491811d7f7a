/// exp, log, powers and the like as functions for kernels/elementwise.hpp.
#ifndef ATTEND_KERNELS_MATHEMATICS
#define ATTEND_KERNELS_MATHEMATICS
#include <cmath>

#include "attend/kernels/elementwise.hpp"
#include "attend/simd/math.hpp"
#include "attend/simd/square_root.hpp"

ATTEND_BEGIN
namespace mathematics {

/// scale x + shift
struct Affine {
  static constexpr bool from_result = true;
  double scale, shift;
};
/// x / by
struct Divided {
  static constexpr bool from_result = true;
  double by;
};
/// numerator / x
struct Quotient {
  static constexpr bool from_result = false;
  double numerator;
};
struct Exp {
  static constexpr bool from_result = true;
};
struct Log {
  static constexpr bool from_result = false;
};
struct Sqrt {
  static constexpr bool from_result = true;
};
struct Square {
  static constexpr bool from_result = false;
};
/// Derivative at 0: 0
struct Abs {
  static constexpr bool from_result = false;
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
};

}  // namespace mathematics
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/mathematics.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

template <>
struct Formula<mathematics::Affine> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Affine& f, V x) {
    return simd::Scalar<V>(f.scale) * x + simd::Scalar<V>(f.shift);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Affine& f, V) {
    return simd::all<V>(simd::Scalar<V>(f.scale));
  }
};

template <>
struct Formula<mathematics::Divided> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Divided& f, V x) {
    return x / simd::Scalar<V>(f.by);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Divided& f, V) {
    return simd::all<V>(simd::Scalar<V>(1) / simd::Scalar<V>(f.by));
  }
};

template <>
struct Formula<mathematics::Quotient> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Quotient& f, V x) {
    return simd::Scalar<V>(f.numerator) / x;
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Quotient& f, V x) {
    return -simd::Scalar<V>(f.numerator) / (x * x);
  }
};

template <>
struct Formula<mathematics::Exp> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Exp&, V x) {
    return simd::exp(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Exp&, V y) {
    return y;
  }
};

template <>
struct Formula<mathematics::Log> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Log&, V x) {
    return simd::log(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Log&, V x) {
    return simd::Scalar<V>(1) / x;
  }
};

template <>
struct Formula<mathematics::Sqrt> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Sqrt&, V x) {
    return simd::square_root(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Sqrt&, V y) {
    return simd::Scalar<V>(0.5) / y;
  }
};

template <>
struct Formula<mathematics::Square> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Square&, V x) {
    return x * x;
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Square&, V x) {
    return x + x;
  }
};

template <>
struct Formula<mathematics::Abs> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Abs&, V x) {
    return simd::absolute(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Abs&, V x) {
    using S = simd::Scalar<V>;
    return simd::select(x > S(0), simd::all<V>(1), simd::select(x < S(0), simd::all<V>(-1), x));
  }
};

template <>
struct Formula<mathematics::Clamp> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const mathematics::Clamp& f, V x) {
    using S = simd::Scalar<V>;
    return simd::select(x < S(f.low), simd::all<V>(S(f.low)), simd::select(x > S(f.high), simd::all<V>(S(f.high)), x));
  }
  template <class V>
  ATTEND_INLINE static V derivative(const mathematics::Clamp& f, V x) {
    using S = simd::Scalar<V>;
    return simd::select(x >= S(f.low), simd::select(x <= S(f.high), simd::all<V>(1), simd::all<V>(0)), simd::all<V>(0));
  }
};

ATTEND_END_ISA
#endif
