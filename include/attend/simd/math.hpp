/// exp, log, tanh, sigmoid and erf without branches, tables or calls: a plain loop over them becomes vector code,
/// whatever the instruction set, and a row means the same bits wherever it lies. NaN stays NaN; infinities give the
/// limits, so that exp(-inf) is exactly 0. What would be a subnormal result of exp or sigmoid is 0: subnormals slow the
/// products that follow.
///
/// Largest error, in units of the last place of the result (measured by tests/simd/math_test.cpp, with and without
/// fused multiply-add):
///                       exp   exp_nonpositive   expm1   log   tanh   sigmoid   erf
///             float       1                 5       2     1      3         3   1.5
///             double      1                 1       2     1      3         3     2
/// normal_distribution: largest absolute error 1.4e-7 (float), 2.3e-16 (double).
#ifndef ATTEND_SIMD_MATH
#define ATTEND_SIMD_MATH
#include <limits>

#include "attend/simd/lanes.hpp"

#define ATTEND_KERNELS "attend/simd/math.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_INLINE float exp(float x) { return simd::exp(x); }
ATTEND_INLINE double exp(double x) { return simd::exp(x); }
ATTEND_INLINE float expm1(float x) { return simd::expm1(x); }
ATTEND_INLINE double expm1(double x) { return simd::expm1(x); }
ATTEND_INLINE float log(float x) { return simd::log(x); }
ATTEND_INLINE double log(double x) { return simd::log(x); }
ATTEND_INLINE float tanh(float x) { return simd::tanh(x); }
ATTEND_INLINE double tanh(double x) { return simd::tanh(x); }
ATTEND_INLINE float sigmoid(float x) { return simd::sigmoid(x); }
ATTEND_INLINE double sigmoid(double x) { return simd::sigmoid(x); }
ATTEND_INLINE float erf(float x) { return simd::erf(x); }
ATTEND_INLINE double erf(double x) { return simd::erf(x); }
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace simd {

/// x = n ln 2 + r, |r| <= ln 2 / 2, for |x| <= 1100 (NaN gives NaN).
template <class V>
struct Reduced {
  Bits<V> n;  // as an integer modulo 2^bits
  V r;
};
template <class V>
ATTEND_INLINE Reduced<V> reduce(V x) {
  using S = Scalar<V>;
  constexpr bool narrow = sizeof(S) == 4;
  constexpr S magic =
      narrow ? S(12582912) : S(6755399441055744);  // 1.5 * 2^(digits - 1): adding it rounds to an integer
  constexpr S high = narrow ? S(0.693359375) : S(6.93145751953125e-1);  // times n is exact
  constexpr S low = narrow ? S(-2.12194440e-4) : S(1.42860682030941723212e-6);
  const V shifted = multiply_add(x, all<V>(S(1.44269504088896340736)), all<V>(magic)), n = shifted - magic;
  return {bits_of(shifted) - bits_of(magic), multiply_add(n, all<V>(-low), multiply_add(n, all<V>(-high), x))};
}

/// exp(r) - 1 for |r| <= ln 2 / 2, of full relative precision.
template <class V>
ATTEND_INLINE V expm1_reduced(V r) {
  using S = Scalar<V>;
  if constexpr (sizeof(S) == 4) {
    constexpr S c[] = {S(5.0000001201e-1), S(1.6666665459e-1), S(4.1665795894e-2),
                       S(8.3334519073e-3), S(1.3981999507e-3), S(1.9875691500e-4)};
    return multiply_add(r * r, polynomial(r, c), r);
  } else {
    constexpr S c[] = {1. / 2,     1. / 6,      1. / 24,      1. / 120,      1. / 720,       1. / 5040,
                       1. / 40320, 1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800};
    return multiply_add(r * r, polynomial(r, c), r);
  }
}

/// 2^n for normal results.
template <class V>
ATTEND_INLINE V power_of_two(Bits<V> n) {
  constexpr int digits = std::numeric_limits<Scalar<V> >::digits - 1,
                bias = std::numeric_limits<Scalar<V> >::max_exponent - 1;
  return from_bits<V>((n + bias) << digits);
}

template <class V>
ATTEND_INLINE V exp(V x) {
  using S = Scalar<V>;
  using Limits = std::numeric_limits<S>;
  constexpr bool narrow = sizeof(S) == 4;
  constexpr S highest = narrow ? S(88.72283) : S(709.782712893383973096);    // the largest with a finite result
  constexpr S lowest = narrow ? S(-87.336544) : S(-708.396418532264078749);  // the smallest with a normal one
  V y = select(x < lowest, all<V>(lowest), x);
  y = select(y > highest, all<V>(highest), y);
  const Reduced<V> reduced = reduce(y);
  const V near_one = expm1_reduced(reduced.r) + S(1);  // 2^n is added to its exponent: 2^128 itself is not a float
  V result = from_bits<V>(bits_of(near_one) + (reduced.n << (Limits::digits - 1)));
  result = select(x > highest, all<V>(Limits::infinity()), result);
  result = select(x < lowest, all<V>(S(0)), result);
  return select(x == x, result, x);
}

/// exp(x) for x <= 0 or NaN, in half the instructions: what a softmax needs. exp(0) is 1, exp(-inf) and what would be
/// subnormal 0. The float's polynomial is a minimax fit, the two lowest coefficients held at 1.
template <class V>
ATTEND_INLINE V exp_nonpositive(V x) {
  using S = Scalar<V>;
  constexpr bool narrow = sizeof(S) == 4;
  constexpr int digits = std::numeric_limits<S>::digits - 1, bias = std::numeric_limits<S>::max_exponent - 1;
  // Adding it rounds to an integer n and leaves n + bias in the last bits: 2^n is those bits moved to the exponent.
  constexpr S magic = (narrow ? S(12582912) : S(6755399441055744)) + S(bias);
  constexpr S lowest = narrow ? S(-87.336544) : S(-708.396418532264078749);  // the smallest with a normal result
  const V shifted = multiply_add(x, all<V>(S(1.44269504088896340736)), all<V>(magic)), n = shifted - magic;
  const V power = from_bits<V>(bits_of(shifted) << digits);
  constexpr S ln2_high = narrow ? S(0.693359375) : S(6.93145751953125e-1);  // times n is exact
  constexpr S ln2_low = narrow ? S(-2.12194440e-4) : S(1.42860682030941723212e-6);
  V r;
#if ATTEND_LEVEL >= 2 || defined(__aarch64__)
  if constexpr (narrow) {
    r = multiply_add(n, all<V>(-(ln2_high + ln2_low)), x);
  } else
#endif
    r = multiply_add(n, all<V>(-ln2_low), multiply_add(n, all<V>(-ln2_high), x));
  V near_one;
  if constexpr (narrow) {
    constexpr S c[] = {S(1), S(1), S(0x1.fffdfcp-2), S(0x1.5557b0p-3), S(0x1.572a64p-5), S(0x1.106250p-7)};
    near_one = polynomial(r, c);
  } else {
    near_one = expm1_reduced(r) + S(1);
  }
  return select(x < lowest, all<V>(S(0)), near_one * power);
}

/// exp(x) - 1, of full relative precision.
template <class V>
ATTEND_INLINE V expm1(V x) {
  using S = Scalar<V>;
  constexpr bool narrow = sizeof(S) == 4;
  constexpr S highest = narrow ? S(88.72283) : S(709.782712893383973096), minus_one_from = narrow ? S(-20) : S(-40);
  V y = select(x < minus_one_from, all<V>(minus_one_from), x);
  y = select(y > highest, all<V>(highest), y);
  const Reduced<V> reduced = reduce(y);
  const V half = power_of_two<V>(reduced.n - 1);  // 2^128 itself is not a float
  const V result = multiply_add(half, expm1_reduced(reduced.r), half - S(0.5)) * S(2);
  return select(x == x, select(x > highest, all<V>(std::numeric_limits<S>::infinity()), result), x);
}

/// After fdlibm's: x = 2^k (1 + f), log(1 + f) by a polynomial in (f / (2 + f))^2.
template <class V>
ATTEND_INLINE V log(V x) {
  using S = Scalar<V>;
  using Limits = std::numeric_limits<S>;
  using Word = typename Lanes<V>::Word;
  constexpr bool narrow = sizeof(S) == 4;
  constexpr int digits = Limits::digits - 1, bias = Limits::max_exponent - 1;
  constexpr S ln2_high = narrow ? S(6.9313812256e-1) : S(6.93147180369123816490e-1);
  constexpr S ln2_low = narrow ? S(9.0580006145e-6) : S(1.90821492927058770002e-10);
  constexpr S two_to_digits = S(Word(1) << digits);
  const V y = select(x < Limits::min(), x * two_to_digits, x);  // a subnormal becomes normal
  const V scaled_by = select(x < Limits::min(), all<V>(S(digits)), all<V>(S(0)));
  const Word one = bits_of(S(1)), root = narrow ? Word(0x3f3504f3) : Word(0x3fe6a09e667f3bcdu);  // of a half
  const Bits<V> shifted = bits_of(y) + (one - root);
  const V k = from_bits<V>((shifted >> digits) | bits_of(two_to_digits)) - (two_to_digits + S(bias)) - scaled_by;
  const V f = from_bits<V>((shifted & ((Word(1) << digits) - 1)) + root) - S(1);
  const V s = f / (f + S(2)), z = s * s, half_square = S(0.5) * f * f;
  V tail;
  if constexpr (narrow) {
    constexpr S c[] = {S(0.66666662693), S(0.40000972152), S(0.28498786688), S(0.24279078841)};
    tail = z * polynomial(z, c);
  } else {
    constexpr S c[] = {6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                       2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                       1.479819860511658591e-01};
    tail = z * polynomial(z, c);
  }
  V result = multiply_add(s, half_square + tail, k * ln2_low) - half_square + f;
  result = multiply_add(k, all<V>(ln2_high), result);
  result = select(x == S(0), all<V>(-Limits::infinity()), result);
  result = select(x < S(0), all<V>(Limits::quiet_NaN()), result);
  result = select(x > Limits::max(), x, result);
  return select(x == x, result, x);
}

template <class V>
ATTEND_INLINE V copy_sign(V magnitude, V sign) {
  using Word = typename Lanes<V>::Word;
  constexpr Word mask = Word(1) << (sizeof(Word) * 8 - 1);
  return from_bits<V>((bits_of(magnitude) & Word(~mask)) | (bits_of(sign) & mask));
}
template <class V>
ATTEND_INLINE V absolute(V x) {
  using Word = typename Lanes<V>::Word;
  return from_bits<V>(bits_of(x) & Word(~Word(0) >> 1));
}

/// t / (t + 2) with t = exp(2 |x|) - 1, so that small values keep their precision.
template <class V>
ATTEND_INLINE V tanh(V x) {
  using S = Scalar<V>;
  constexpr S one_from = sizeof(S) == 4 ? S(10) : S(20);
  V y = absolute(x);
  y = select(y > one_from, all<V>(one_from), y);
  const Reduced<V> reduced = reduce(y + y);
  const V power = power_of_two<V>(reduced.n), t = multiply_add(power, expm1_reduced(reduced.r), power - S(1));
  return select(x == x, copy_sign(t / (t + S(2)), x), x);
}

/// 1 / (1 + exp(-x)).
template <class V>
ATTEND_INLINE V sigmoid(V x) {
  using S = Scalar<V>;
  const V result = S(1) / (exp(-x) + S(1));
  return select(result < std::numeric_limits<S>::min(), all<V>(S(0)), result);
}

/// Up to 1 (float: 0.93) x times a polynomial in x^2, beyond 1 - exp(-t (1 + a polynomial in t)), t = |x|. The double's
/// polynomials are least-squares fits; the float's are N. Juffa's.
template <class V>
ATTEND_INLINE V erf(V x) {
  using S = Scalar<V>;
  const V t = absolute(x);
  V near, far;
  if constexpr (sizeof(S) == 4) {
    constexpr S c[] = {S(1.28379166e-1),  S(-3.76125336e-1), S(1.12819925e-1),
                       S(-2.67681349e-2), S(4.99119423e-3),  S(-5.96761703e-4)};
    constexpr S d[] = {S(1.28717512e-1), S(6.34846687e-1),  S(1.06777877e-1), S(-2.42546219e-2),
                       S(3.88396438e-3), S(-3.83197126e-4), S(1.72853470e-5)};
    near = multiply_add(x, polynomial(x * x, c), x);
    const V u = select(t > S(4), all<V>(S(4)), t);
    far = S(1) - exp(-multiply_add(u, polynomial(u, d), u));
    return select(t > S(0.927734375), copy_sign(far, x), near);
  } else {
    constexpr S c[] = {0.12837916709551256,    -0.37612638903183543,    0.1128379167094513,     -0.026866170643256995,
                       0.005223977607269946,   -0.0008548325982543225,  0.00012055295112667001, -1.4924740785377576e-05,
                       1.6447471190594618e-06, -1.6208829856810202e-07, 1.3721520406351094e-08, -7.798543850549947e-10};
    constexpr S d[] = {0.1283791090401733,      0.6366202692884504,      0.1027707567307716,
                       -0.01912478127780779,    -0.00021236594786195942, 0.0016930408293428672,
                       -0.0005750891588189476,  -6.440797281669483e-07,  9.528778692542743e-05,
                       -5.5944611071751026e-05, 2.0316479734505505e-05,  -5.375116847108007e-06,
                       1.075859000441714e-06,   -1.6263959141889943e-07, 1.8083239572497936e-08,
                       -1.3983862281694348e-09, 6.723729463511466e-11,   -1.5137927917707605e-12};
    near = multiply_add(x, polynomial(x * x, c), x);
    const V u = select(t > S(6), all<V>(S(6)), t);
    far = S(1) - exp(-multiply_add(u, polynomial(u, d), u));
    return select(t > S(1), copy_sign(far, x), near);
  }
}

/// (1 + erf(x / sqrt 2)) / 2, the distribution function of a standard normal number, of full absolute precision. The
/// float's is 1/2 + x p(x^2), p a least-squares fit whose largest error was evened out; beyond 5.2 it is 0 or 1.
template <class V>
ATTEND_INLINE V normal_distribution(V x) {
  using S = Scalar<V>;
  if constexpr (sizeof(S) == 4) {
    constexpr S end = S(5.2);
    constexpr S c[] = {S(0.135949984),   S(-0.067743808),    S(0.0500261113),   S(-0.0399253964),   S(0.0319623239),
                       S(-0.02476345),   S(0.0181339234),    S(-0.0123533597),  S(0.00801009033),   S(-0.00506736757),
                       S(0.00266244193), S(-0.000978515833), S(0.000600760221), S(-0.000562290312), S(0.000202389667)};
    const V y = at_most(all<V>(end), at_least(all<V>(-end), x));
    const V inside = multiply_add(y, polynomial(multiply_add(y * S(2 / 27.04), y, all<V>(-1)), c), all<V>(S(0.5)));
    return select(x > end, all<V>(1), select(x < -end, all<V>(0), inside));
  } else {
    return S(0.5) + S(0.5) * erf(x * S(0.70710678118654752440));
  }
}

}  // namespace simd

ATTEND_END_ISA
#endif
