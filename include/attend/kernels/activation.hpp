#pragma once
/// Activations as functions for kernels/elementwise.hpp, of vectors or numbers alike. None overflows for a finite
/// input, and a NaN stays a NaN. At a kink the derivative is PyTorch's.
#include "attend/kernels/elementwise.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN
namespace activation {

using simd::all;
using simd::Scalar;
using simd::select;

/// What every function here says: it takes vectors, and its derivative is that of the input, or of the result.
struct OfInput {
  static constexpr bool vectors = true, from_result = false;
};
struct OfResult {
  static constexpr bool vectors = true, from_result = true;
};

/// max(x, 0).  Derivative at 0: 0
struct Relu : OfResult {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return select(x < Scalar<V>(0), all<V>(0), x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V y) const {
    return select(y <= Scalar<V>(0), all<V>(0), all<V>(1));
  }
};

/// x where x > 0, else slope x.  Derivative at 0: slope
struct LeakyRelu : OfInput {
  double slope;
  explicit LeakyRelu(double s) : slope(s) {}
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return select(x > Scalar<V>(0), x, Scalar<V>(slope) * x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    return select(x > Scalar<V>(0), all<V>(1), all<V>(Scalar<V>(slope)));
  }
};

/// x Phi(x) = x (1 + erf(x / sqrt 2)) / 2
struct GeluErf : OfInput {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return x * distribution(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    return distribution(x) + x * (S(0.39894228040143267794) * simd::exp(S(-0.5) * x * x));
  }

 private:
  template <class V>
  ATTEND_INLINE static V distribution(V x) {
    using S = Scalar<V>;
    return S(0.5) + S(0.5) * simd::erf(x * S(0.70710678118654752440));
  }
};

/// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh : OfInput {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    using S = Scalar<V>;
    return x * (S(0.5) + S(0.5) * simd::tanh(inner(x)));
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    const V t = simd::tanh(inner(x)), slope = S(0.79788456080286535588) * (S(1) + S(3 * 0.044715) * x * x);
    // where tanh has reached +-1 the second term is 0, also where its factors overflow
    return S(0.5) + S(0.5) * t + select(t * t < S(1), S(0.5) * x * (S(1) - t * t) * slope, all<V>(0));
  }

 private:
  template <class V>
  ATTEND_INLINE static V inner(V x) {
    using S = Scalar<V>;
    return S(0.79788456080286535588) * x * (S(1) + S(0.044715) * x * x);
  }
};

/// 1 / (1 + e^-x)
struct Sigmoid : OfResult {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return simd::sigmoid(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V y) const {
    return y * (Scalar<V>(1) - y);
  }
};

/// x sigmoid(x)
struct Silu : OfInput {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return x * simd::sigmoid(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    const V s = simd::sigmoid(x);
    return s * (S(1) + x * (S(1) - s));
  }
};

/// min(max(x + 3, 0), 6) / 6.  Derivative at -3 and 3: 0
struct HardSigmoid : OfInput {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return ramp(x) * Scalar<V>(1.0 / 6);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    return select(x <= S(-3), all<V>(0), select(x >= S(3), all<V>(0), all<V>(S(1.0 / 6))));
  }
  template <class V>
  ATTEND_INLINE static V ramp(V x) {
    using S = Scalar<V>;
    const V t = x + S(3);
    return select(t < S(0), all<V>(0), select(t > S(6), all<V>(6), t));
  }
};

/// x min(max(x + 3, 0), 6) / 6.  Derivative at -3: 0, at 3: 1
struct HardSwish : OfInput {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return x * (HardSigmoid::ramp(x) * Scalar<V>(1.0 / 6));
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    return select(x <= S(-3), all<V>(0), select(x >= S(3), all<V>(1), x * S(1.0 / 3) + S(0.5)));
  }
};

struct Tanh : OfResult {
  template <class V>
  ATTEND_INLINE V value(V x) const {
    return simd::tanh(x);
  }
  template <class V>
  ATTEND_INLINE V derivative(V y) const {
    using S = Scalar<V>;
    return (S(1) - y) * (S(1) + y);
  }
};

/// log(1 + e^(beta x)) / beta; x itself where beta x > threshold
struct Softplus : OfInput {
  double beta, threshold;
  Softplus(double b, double t) : beta(b), threshold(t) {}
  template <class V>
  ATTEND_INLINE V value(V x) const {
    using S = Scalar<V>;
    // log1p(u) as in Kahan's note: exact where w rounds
    const V z = S(beta) * x, u = simd::exp(-simd::absolute(z)), w = u + S(1);
    const V log1p = select(w == S(1), u, simd::log(w) * (u / (w - S(1))));
    return select(z > S(threshold), x, (select(z < S(0), all<V>(0), z) + log1p) / S(beta));
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    const V z = S(beta) * x;
    return select(z > S(threshold), all<V>(1), simd::sigmoid(z));
  }
};

/// x where x > 0, else alpha (e^x - 1).  Derivative at 0: alpha
struct Elu : OfInput {
  double alpha;
  explicit Elu(double a) : alpha(a) {}
  template <class V>
  ATTEND_INLINE V value(V x) const {
    using S = Scalar<V>;
    // expm1(z) as in Kahan's note: exact where u rounds
    const V z = select(x > S(0), all<V>(0), x), u = simd::exp(z), m = u - S(1);
    const V expm1 = select(u == S(1), z, select(m == S(-1), all<V>(-1), m * z / simd::log(u)));
    return select(x > S(0), x, S(alpha) * expm1);
  }
  template <class V>
  ATTEND_INLINE V derivative(V x) const {
    using S = Scalar<V>;
    return select(x > S(0), all<V>(1), S(alpha) * simd::exp(select(x > S(0), all<V>(0), x)));
  }
};

}  // namespace activation
ATTEND_END
