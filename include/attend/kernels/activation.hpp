/// Activations as functions for kernels/elementwise.hpp. None overflows for a finite input, and a NaN stays a NaN. At a
/// kink the derivative is PyTorch's.
#ifndef ATTEND_KERNELS_ACTIVATION
#define ATTEND_KERNELS_ACTIVATION
#include "attend/kernels/elementwise.hpp"
#include "attend/simd/math.hpp"

ATTEND_BEGIN
namespace activation {

/// The derivative is given the input, or the result.
struct OfInput {
  static constexpr bool from_result = false;
};
struct OfResult {
  static constexpr bool from_result = true;
};

/// max(x, 0).  Derivative at 0: 0
struct Relu : OfResult {};
/// x where x > 0, else slope x.  Derivative at 0: slope
struct LeakyRelu : OfInput {
  double slope;
  explicit LeakyRelu(double s) : slope(s) {}
};
/// x Phi(x) = x (1 + erf(x / sqrt 2)) / 2
struct GeluErf : OfInput {};
/// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh : OfInput {};
/// 1 / (1 + e^-x)
struct Sigmoid : OfResult {};
/// x sigmoid(x)
struct Silu : OfInput {};
/// min(max(x + 3, 0), 6) / 6.  Derivative at -3 and 3: 0
struct HardSigmoid : OfInput {};
/// x min(max(x + 3, 0), 6) / 6.  Derivative at -3: 0, at 3: 1
struct HardSwish : OfInput {};
struct Tanh : OfResult {};
/// log(1 + e^(beta x)) / beta; x itself where beta x > threshold
struct Softplus : OfInput {
  double beta, threshold;
  Softplus(double b, double t) : beta(b), threshold(t) {}
};
/// x where x > 0, else alpha (e^x - 1).  Derivative at 0: alpha
struct Elu : OfInput {
  double alpha;
  explicit Elu(double a) : alpha(a) {}
};

/// f(a + b), f being one of those OfInput: a function of two numbers for kernels/broadcast.hpp.
template <class F>
struct OfSum {
  static constexpr bool uses_a = true, uses_b = true, one_by_a = false, one_by_b = false;
  F f;
};

}  // namespace activation
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/activation.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

template <>
struct Formula<activation::Relu> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::Relu&, V x) {
    return simd::select(x < simd::Scalar<V>(0), simd::all<V>(0), x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::Relu&, V y) {
    return simd::select(y <= simd::Scalar<V>(0), simd::all<V>(0), simd::all<V>(1));
  }
};

template <>
struct Formula<activation::LeakyRelu> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::LeakyRelu& f, V x) {
    return simd::select(x > simd::Scalar<V>(0), x, simd::Scalar<V>(f.slope) * x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::LeakyRelu& f, V x) {
    return simd::select(x > simd::Scalar<V>(0), simd::all<V>(1), simd::all<V>(simd::Scalar<V>(f.slope)));
  }
};

template <>
struct Formula<activation::GeluErf> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::GeluErf&, V x) {
    return x * simd::normal_distribution(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::GeluErf&, V x) {
    using S = simd::Scalar<V>;
    return simd::normal_distribution(x) + x * (S(0.39894228040143267794) * simd::exp_nonpositive(S(-0.5) * x * x));
  }
};

template <>
struct Formula<activation::GeluTanh> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::GeluTanh&, V x) {
    using S = simd::Scalar<V>;
    return x * (S(0.5) + S(0.5) * simd::tanh(inner(x)));
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::GeluTanh&, V x) {
    using S = simd::Scalar<V>;
    const V t = simd::tanh(inner(x)), slope = S(0.79788456080286535588) * (S(1) + S(3 * 0.044715) * x * x);
    // where tanh has reached +-1 the second term is 0, also where its factors overflow
    return S(0.5) + S(0.5) * t + simd::select(t * t < S(1), S(0.5) * x * (S(1) - t * t) * slope, simd::all<V>(0));
  }

 private:
  template <class V>
  ATTEND_INLINE static V inner(V x) {
    using S = simd::Scalar<V>;
    return S(0.79788456080286535588) * x * (S(1) + S(0.044715) * x * x);
  }
};

template <>
struct Formula<activation::Sigmoid> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::Sigmoid&, V x) {
    return simd::sigmoid(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::Sigmoid&, V y) {
    return y * (simd::Scalar<V>(1) - y);
  }
};

template <>
struct Formula<activation::Silu> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::Silu&, V x) {
    return x * simd::sigmoid(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::Silu&, V x) {
    using S = simd::Scalar<V>;
    const V s = simd::sigmoid(x);
    return s * (S(1) + x * (S(1) - s));
  }
};

template <>
struct Formula<activation::HardSigmoid> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::HardSigmoid&, V x) {
    return ramp(x) * simd::Scalar<V>(1.0 / 6);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::HardSigmoid&, V x) {
    using S = simd::Scalar<V>;
    return simd::select(x <= S(-3), simd::all<V>(0),
                        simd::select(x >= S(3), simd::all<V>(0), simd::all<V>(S(1.0 / 6))));
  }
  template <class V>
  ATTEND_INLINE static V ramp(V x) {
    using S = simd::Scalar<V>;
    const V t = x + S(3);
    return simd::select(t < S(0), simd::all<V>(0), simd::select(t > S(6), simd::all<V>(6), t));
  }
};

template <>
struct Formula<activation::HardSwish> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::HardSwish&, V x) {
    return x * (Formula<activation::HardSigmoid>::ramp(x) * simd::Scalar<V>(1.0 / 6));
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::HardSwish&, V x) {
    using S = simd::Scalar<V>;
    return simd::select(x <= S(-3), simd::all<V>(0), simd::select(x >= S(3), simd::all<V>(1), x * S(1.0 / 3) + S(0.5)));
  }
};

template <>
struct Formula<activation::Tanh> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::Tanh&, V x) {
    return simd::tanh(x);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::Tanh&, V y) {
    using S = simd::Scalar<V>;
    return (S(1) - y) * (S(1) + y);
  }
};

template <>
struct Formula<activation::Softplus> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::Softplus& f, V x) {
    using S = simd::Scalar<V>;
    // log1p(u) as in Kahan's note: exact where w rounds
    const V z = S(f.beta) * x, u = simd::exp(-simd::absolute(z)), w = u + S(1);
    const V log1p = simd::select(w == S(1), u, simd::log(w) * (u / (w - S(1))));
    return simd::select(z > S(f.threshold), x, (simd::select(z < S(0), simd::all<V>(0), z) + log1p) / S(f.beta));
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::Softplus& f, V x) {
    using S = simd::Scalar<V>;
    const V z = S(f.beta) * x;
    return simd::select(z > S(f.threshold), simd::all<V>(1), simd::sigmoid(z));
  }
};

template <>
struct Formula<activation::Elu> : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::Elu& f, V x) {
    using S = simd::Scalar<V>;
    // expm1(z) as in Kahan's note: exact where u rounds
    const V z = simd::select(x > S(0), simd::all<V>(0), x), u = simd::exp(z), m = u - S(1);
    const V expm1 = simd::select(u == S(1), z, simd::select(m == S(-1), simd::all<V>(-1), m * z / simd::log(u)));
    return simd::select(x > S(0), x, S(f.alpha) * expm1);
  }
  template <class V>
  ATTEND_INLINE static V derivative(const activation::Elu& f, V x) {
    using S = simd::Scalar<V>;
    return simd::select(x > S(0), simd::all<V>(1), S(f.alpha) * simd::exp(simd::select(x > S(0), simd::all<V>(0), x)));
  }
};

template <class F>
struct Formula<activation::OfSum<F> > : OnVectors {
  template <class V>
  ATTEND_INLINE static V value(const activation::OfSum<F>& sum, V a, V b) {
    return Formula<F>::value(sum.f, a + b);
  }
  template <class V>
  ATTEND_INLINE static V by_a(const activation::OfSum<F>& sum, V a, V b) {
    return Formula<F>::derivative(sum.f, a + b);
  }
  template <class V>
  ATTEND_INLINE static V by_b(const activation::OfSum<F>& sum, V a, V b) {
    return Formula<F>::derivative(sum.f, a + b);
  }
};

ATTEND_END_ISA
#endif
