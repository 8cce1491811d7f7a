#pragma once
#include <cstdint>

#include "attend/core/namespace.hpp"

ATTEND_BEGIN

/// Counter-based: number `i` of a stream is a pure function of (key, i), so a backward pass can draw it again.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : key_(mix(seed)) {}
  double uniform_at(std::uint64_t i) const { return static_cast<double>(mix(key_ ^ mix(i)) >> 11) * 0x1p-53; }  // [0, 1)
  double uniform() { return uniform_at(next_++); }
  Rng split() { return Rng(key_ ^ mix(next_++ + 0x5851f42d4c957f2du)); }  // an independent stream

 private:
  static std::uint64_t mix(std::uint64_t z) {  // splitmix64, Steele et al. 2014
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t key_, next_ = 0;
};

ATTEND_END
