/// Functions of two numbers for kernels/broadcast.hpp: value, the derivative by each, which operands the derivatives
/// use, and which derivatives are one everywhere.
#ifndef ATTEND_KERNELS_ARITHMETIC
#define ATTEND_KERNELS_ARITHMETIC
#include "attend/kernels/elementwise.hpp"

ATTEND_BEGIN
namespace arithmetic {

struct Add {
  static constexpr bool uses_a = false, uses_b = false, one_by_a = true, one_by_b = true;
};
struct Subtract {
  static constexpr bool uses_a = false, uses_b = false, one_by_a = true, one_by_b = false;
};
struct Multiply {
  static constexpr bool uses_a = true, uses_b = true, one_by_a = false, one_by_b = false;
};
struct Divide {
  static constexpr bool uses_a = true, uses_b = true, one_by_a = false, one_by_b = false;
};
/// Where both are equal each gets half of the gradient; a NaN in either gives NaN.
struct Maximum {
  static constexpr bool uses_a = true, uses_b = true, one_by_a = false, one_by_b = false;
};
struct Minimum {
  static constexpr bool uses_a = true, uses_b = true, one_by_a = false, one_by_b = false;
};

}  // namespace arithmetic
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/arithmetic.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

template <>
struct Formula<arithmetic::Add> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const arithmetic::Add&, V a, V b) {
    return a + b;
  }
  template <class V>
  ATTEND_INLINE static V by_a(const arithmetic::Add&, V, V) {
    return simd::all<V>(1);
  }
  template <class V>
  ATTEND_INLINE static V by_b(const arithmetic::Add&, V, V) {
    return simd::all<V>(1);
  }
};

template <>
struct Formula<arithmetic::Subtract> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const arithmetic::Subtract&, V a, V b) {
    return a - b;
  }
  template <class V>
  ATTEND_INLINE static V by_a(const arithmetic::Subtract&, V, V) {
    return simd::all<V>(1);
  }
  template <class V>
  ATTEND_INLINE static V by_b(const arithmetic::Subtract&, V, V) {
    return simd::all<V>(-1);
  }
};

template <>
struct Formula<arithmetic::Multiply> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const arithmetic::Multiply&, V a, V b) {
    return a * b;
  }
  template <class V>
  ATTEND_INLINE static V by_a(const arithmetic::Multiply&, V, V b) {
    return b;
  }
  template <class V>
  ATTEND_INLINE static V by_b(const arithmetic::Multiply&, V a, V) {
    return a;
  }
};

template <>
struct Formula<arithmetic::Divide> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const arithmetic::Divide&, V a, V b) {
    return a / b;
  }
  template <class V>
  ATTEND_INLINE static V by_a(const arithmetic::Divide&, V, V b) {
    return simd::Scalar<V>(1) / b;
  }
  template <class V>
  ATTEND_INLINE static V by_b(const arithmetic::Divide&, V a, V b) {
    return -(a / b) / b;
  }
};

/// 1 where the condition holds, a half where a = b, else 0.
template <class V, class Mask>
ATTEND_INLINE V share_of_extreme(Mask wins, V a, V b) {
  return simd::select(wins, simd::all<V>(1), simd::select(a == b, simd::all<V>(0.5), simd::all<V>(0)));
}

template <>
struct Formula<arithmetic::Maximum> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const arithmetic::Maximum&, V a, V b) {
    return simd::select((a > b) | (a != a), a, b);
  }
  template <class V>
  ATTEND_INLINE static V by_a(const arithmetic::Maximum&, V a, V b) {
    return share_of_extreme(a > b, a, b);
  }
  template <class V>
  ATTEND_INLINE static V by_b(const arithmetic::Maximum&, V a, V b) {
    return share_of_extreme(b > a, a, b);
  }
};

template <>
struct Formula<arithmetic::Minimum> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const arithmetic::Minimum&, V a, V b) {
    return simd::select((a < b) | (a != a), a, b);
  }
  template <class V>
  ATTEND_INLINE static V by_a(const arithmetic::Minimum&, V a, V b) {
    return share_of_extreme(a < b, a, b);
  }
  template <class V>
  ATTEND_INLINE static V by_b(const arithmetic::Minimum&, V a, V b) {
    return share_of_extreme(b < a, a, b);
  }
};

ATTEND_END_ISA
#endif
