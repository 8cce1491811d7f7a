#pragma once
/// Activations as functions for kernels/elementwise.hpp. None overflows for a finite input, and a NaN stays a NaN. At a
/// kink the derivative is PyTorch's.
#include "attend/kernels/elementwise.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN
namespace activation {

/// max(x, 0).  Derivative at 0: 0
struct Relu {
  static constexpr bool from_result = true;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x < S(0) ? S(0) : x;
  }
  template <class S>
  ATTEND_INLINE S derivative(S y) const {
    return y <= S(0) ? S(0) : S(1);
  }
};

/// x where x > 0, else slope x.  Derivative at 0: slope
struct LeakyRelu {
  static constexpr bool from_result = false;
  double slope = 0.01;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x > S(0) ? x : S(slope) * x;
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return x > S(0) ? S(1) : S(slope);
  }
};

/// x Phi(x) = x (1 + erf(x / sqrt 2)) / 2
struct GeluErf {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return S(0.5) * x * (S(1) + erf(x * S(0.70710678118654752440)));
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    const S density = S(0.39894228040143267794) * exp(S(-0.5) * x * x);
    return S(0.5) * (S(1) + erf(x * S(0.70710678118654752440))) + x * density;
  }
};

/// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return S(0.5) * x * (S(1) + tanh(inner(x)));
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    const S t = tanh(inner(x)), slope = S(0.79788456080286535588) * (S(1) + S(3 * 0.044715) * x * x);
    // where tanh has reached +-1 the second term is 0, also where its factors overflow
    return S(0.5) * (S(1) + t) + (t * t < S(1) ? S(0.5) * x * (S(1) - t * t) * slope : S(0));
  }

 private:
  template <class S>
  ATTEND_INLINE static S inner(S x) {
    return S(0.79788456080286535588) * x * (S(1) + S(0.044715) * x * x);
  }
};

/// 1 / (1 + e^-x)
struct Sigmoid {
  static constexpr bool from_result = true;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return sigmoid(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S y) const {
    return y * (S(1) - y);
  }
};

/// x sigmoid(x)
struct Silu {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x * sigmoid(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    const S s = sigmoid(x);
    return s * (S(1) + x * (S(1) - s));
  }
};

/// min(max(x + 3, 0), 6) / 6.  Derivative at -3 and 3: 0
struct HardSigmoid {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return ramp(x) * S(1.0 / 6);
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return x <= S(-3) || x >= S(3) ? S(0) : S(1.0 / 6);
  }
  template <class S>
  ATTEND_INLINE static S ramp(S x) {
    const S t = x + S(3);
    return t < S(0) ? S(0) : t > S(6) ? S(6) : t;
  }
};

/// x min(max(x + 3, 0), 6) / 6.  Derivative at -3: 0, at 3: 1
struct HardSwish {
  static constexpr bool from_result = false;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x * (HardSigmoid::ramp(x) * S(1.0 / 6));
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return x <= S(-3) ? S(0) : x >= S(3) ? S(1) : x * S(1.0 / 3) + S(0.5);
  }
};

struct Tanh {
  static constexpr bool from_result = true;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return tanh(x);
  }
  template <class S>
  ATTEND_INLINE S derivative(S y) const {
    return (S(1) - y) * (S(1) + y);
  }
};

/// log(1 + e^(beta x)) / beta; x itself where beta x > threshold
struct Softplus {
  static constexpr bool from_result = false;
  double beta = 1, threshold = 20;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    const S z = S(beta) * x, u = exp(-(z < S(0) ? -z : z)),
            w = S(1) + u;  // log1p(u) as in Kahan's note: exact where w rounds
    const S log1p = w == S(1) ? u : log(w) * (u / (w - S(1)));
    return z > S(threshold) ? x : ((z < S(0) ? S(0) : z) + log1p) / S(beta);
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    const S z = S(beta) * x;
    return z > S(threshold) ? S(1) : sigmoid(z);
  }
};

/// x where x > 0, else alpha (e^x - 1).  Derivative at 0: alpha
struct Elu {
  static constexpr bool from_result = false;
  double alpha = 1;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    const S z = x > S(0) ? S(0) : x, u = exp(z), m = u - S(1);  // expm1(z) as in Kahan's note: exact where u rounds
    const S expm1 = u == S(1) ? z : m == S(-1) ? S(-1) : m * z / log(u);
    return x > S(0) ? x : S(alpha) * expm1;
  }
  template <class S>
  ATTEND_INLINE S derivative(S x) const {
    return x > S(0) ? S(1) : S(alpha) * exp(x > S(0) ? S(0) : x);
  }
};

/// x itself
struct Identity {
  static constexpr bool from_result = true;
  template <class S>
  ATTEND_INLINE S value(S x) const {
    return x;
  }
  template <class S>
  ATTEND_INLINE S derivative(S) const {
    return S(1);
  }
};

}  // namespace activation
ATTEND_END
