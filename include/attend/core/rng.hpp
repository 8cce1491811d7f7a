#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
///
/// Number `i` of a stream is a pure function of the stream and i, so threads draw their part in any order, and a
/// backward pass draws again what the forward pass drew. The same seed gives the same numbers on every machine and
/// compiler: integers, exact operations and explicit fused multiply-adds only.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : key_(seed) {}

  /// Four independent words of 32 bits: block `i` of this stream.
  std::array<std::uint32_t, 4> block(std::uint64_t i) const { return block(i, 0); }
  /// Word `i`: lane i % 4 of block i / 4.
  std::uint32_t bits_at(std::uint64_t i) const { return block(i / 4)[i % 4]; }
  /// In [0, 1), 53 bits: of words 2i and 2i + 1.
  double uniform_at(std::uint64_t i) const {
    const auto words = block(i / 2);
    const std::uint64_t high = words[i % 2 * 2], low = words[i % 2 * 2 + 1];
    return static_cast<double>((high << 32 | low) >> 11) * 0x1p-53;
  }
  /// Standard normal: the inverse distribution function at the middle of uniform_at(i)'s cell of width 2^-53.
  double normal_at(std::uint64_t i) const { return inverse_normal(uniform_at(i)); }

  double uniform() { return uniform_at(next_++); }
  double normal() { return normal_at(next_++); }
  /// In [0, n), n up to 2^53.
  Index below(Index n) {
    require<OptionError>(n > 0, "Rng::below", [&] { return message("n is ", n, "; it must be positive"); });
    return static_cast<Index>(uniform() * static_cast<double>(n));
  }
  /// 0 .. n - 1 in random order (Fisher-Yates, from the last down).
  std::vector<Index> permutation(Index n) {
    require<OptionError>(n >= 0, "Rng::permutation", [&] { return message("n is ", n, "; it must not be negative"); });
    std::vector<Index> order(static_cast<std::size_t>(n));
    std::iota(order.begin(), order.end(), Index(0));
    for (std::size_t i = order.size(); i > 1; --i)
      std::swap(order[i - 1], order[static_cast<std::size_t>(below(static_cast<Index>(i)))]);
    return order;
  }
  /// An independent stream; each call gives another.
  Rng split() {
    const auto words = block(next_++, 1);
    return Rng(std::uint64_t(words[0]) << 32 | words[1]);
  }

  /// What a checkpoint stores.
  struct State {
    std::uint64_t key, next;
  };
  State state() const { return {key_, next_}; }
  static Rng restored(const State& state) {
    Rng rng(state.key);
    rng.next_ = state.next;
    return rng;
  }

 private:
  /// `domain` keeps the numbers a stream gives apart from the keys it splits off.
  std::array<std::uint32_t, 4> block(std::uint64_t i, std::uint32_t domain) const {
    std::uint32_t c0 = low(i), c1 = low(i >> 32), c2 = domain, c3 = 0, k0 = low(key_), k1 = low(key_ >> 32);
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t a = std::uint64_t(0xD2511F53u) * c0, b = std::uint64_t(0xCD9E8D57u) * c2;
      c0 = low(b >> 32) ^ c1 ^ k0, c1 = low(b);
      c2 = low(a >> 32) ^ c3 ^ k1, c3 = low(a);
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    return {c0, c1, c2, c3};
  }
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }

  template <std::size_t N>
  static double polynomial(const std::array<double, N>& highest_first, double x) {
    double y = highest_first[0];
    for (std::size_t i = 1; i < N; ++i) y = std::fma(y, x, highest_first[i]);
    return y;
  }
  /// log of a positive normal number: 2 atanh((m - 1) / (m + 1)) + e log 2.
  static double exact_order_log(double x) {
    int exponent = 0;
    double m = std::frexp(x, &exponent);
    if (m < 0.70710678118654752) m *= 2, --exponent;
    const double s = (m - 1) / (m + 1), t = s * s;
    double sum = 1.0 / 23;
    for (int odd = 21; odd > 0; odd -= 2) sum = std::fma(sum, t, 1.0 / odd);
    return std::fma(exponent, 0.69314718055994531, 2 * s * sum);
  }
  /// Wichura 1988, algorithm AS 241 (PPND16): relative error about 1e-16.
  static double inverse_normal(double u) {
    const bool lower = u < 0.5;
    const double tail = lower ? u + 0x1p-54 : (1 - u) - 0x1p-54;  // exact, and never 0
    const double q = lower ? tail - 0.5 : 0.5 - tail;
    if (std::abs(q) <= 0.425) {
      const double r = std::fma(-q, q, 0.180625);
      return q *
             polynomial<8>({2.5090809287301226727e+3, 3.3430575583588128105e+4, 6.7265770927008700853e+4,
                            4.5921953931549871457e+4, 1.3731693765509461125e+4, 1.9715909503065514427e+3,
                            1.3314166789178437745e+2, 3.3871328727963666080e+0},
                           r) /
             polynomial<8>({5.2264952788528545610e+3, 2.8729085735721942674e+4, 3.9307895800092710610e+4,
                            2.1213794301586595867e+4, 5.3941960214247511077e+3, 6.8718700749205790830e+2,
                            4.2313330701600911252e+1, 1.0},
                           r);
    }
    double r = std::sqrt(-exact_order_log(tail));
    if (r <= 5) {
      r -= 1.6;
      r = polynomial<8>({7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                         1.27045825245236838258e+0, 3.64784832476320460504e+0, 5.76949722146069140550e+0,
                         4.63033784615654529590e+0, 1.42343711074968357734e+0},
                        r) /
          polynomial<8>({1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
                         1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e+0,
                         2.05319162663775882187e+0, 1.0},
                        r);
    } else {
      r -= 5;
      r = polynomial<8>({2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
                         2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e+0,
                         5.46378491116411436990e+0, 6.65790464350110377720e+0},
                        r) /
          polynomial<8>({2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
                         7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
                         5.99832206555887937690e-1, 1.0},
                        r);
    }
    return lower ? -r : r;
  }

  std::uint64_t key_, next_ = 0;
};

ATTEND_END
