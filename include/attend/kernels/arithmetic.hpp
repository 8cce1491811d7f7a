#pragma once
/// Functions of two numbers for kernels/broadcast.hpp: value, the derivative by each, and which operands the
/// derivatives use.
#include "attend/core/inline.hpp"
#include "attend/core/namespace.hpp"

ATTEND_BEGIN
namespace arithmetic {

struct Add {
  static constexpr bool uses_a = false, uses_b = false;
  template <class S>
  ATTEND_INLINE S value(S a, S b) const {
    return a + b;
  }
  template <class S>
  ATTEND_INLINE S by_a(S, S) const {
    return S(1);
  }
  template <class S>
  ATTEND_INLINE S by_b(S, S) const {
    return S(1);
  }
};
struct Subtract {
  static constexpr bool uses_a = false, uses_b = false;
  template <class S>
  ATTEND_INLINE S value(S a, S b) const {
    return a - b;
  }
  template <class S>
  ATTEND_INLINE S by_a(S, S) const {
    return S(1);
  }
  template <class S>
  ATTEND_INLINE S by_b(S, S) const {
    return S(-1);
  }
};
struct Multiply {
  static constexpr bool uses_a = true, uses_b = true;
  template <class S>
  ATTEND_INLINE S value(S a, S b) const {
    return a * b;
  }
  template <class S>
  ATTEND_INLINE S by_a(S, S b) const {
    return b;
  }
  template <class S>
  ATTEND_INLINE S by_b(S a, S) const {
    return a;
  }
};
struct Divide {
  static constexpr bool uses_a = true, uses_b = true;
  template <class S>
  ATTEND_INLINE S value(S a, S b) const {
    return a / b;
  }
  template <class S>
  ATTEND_INLINE S by_a(S, S b) const {
    return S(1) / b;
  }
  template <class S>
  ATTEND_INLINE S by_b(S a, S b) const {
    return -(a / b) / b;
  }
};
/// Where both are equal each gets half of the gradient; a NaN in either gives NaN.
struct Maximum {
  static constexpr bool uses_a = true, uses_b = true;
  template <class S>
  ATTEND_INLINE S value(S a, S b) const {
    return a > b || a != a ? a : b;
  }
  template <class S>
  ATTEND_INLINE S by_a(S a, S b) const {
    return a > b ? S(1) : a == b ? S(0.5) : S(0);
  }
  template <class S>
  ATTEND_INLINE S by_b(S a, S b) const {
    return b > a ? S(1) : a == b ? S(0.5) : S(0);
  }
};
struct Minimum {
  static constexpr bool uses_a = true, uses_b = true;
  template <class S>
  ATTEND_INLINE S value(S a, S b) const {
    return a < b || a != a ? a : b;
  }
  template <class S>
  ATTEND_INLINE S by_a(S a, S b) const {
    return a < b ? S(1) : a == b ? S(0.5) : S(0);
  }
  template <class S>
  ATTEND_INLINE S by_b(S a, S b) const {
    return b < a ? S(1) : a == b ? S(0.5) : S(0);
  }
};

}  // namespace arithmetic
ATTEND_END
