#pragma once
/// What the processor can do: fused multiply-adds on registers alone, with the instructions the library's products use.
#include <algorithm>
#include <chrono>

#include "attend/kernels/gemm_tile.hpp"

/// Operations per second of one thread, the best of about 20 ms of short runs: a shared machine is never faster than it is.
/// Without a fused instruction a multiplication and an addition count instead.
template <class S>
double fma_peak() {
  using V = typename attend::gemm_tile::Vector<S>::type;
  constexpr int chains = 12, rounds = 4000;  // more chains than latency x units, fewer than registers
  V sum[chains] = {};
  V x = S(0.999) - V{}, y = S(0.001) - V{};
  asm volatile("" : "+m"(x), "+m"(y));  // the compiler knows neither
  double best = 0;
  const auto start = std::chrono::steady_clock::now();
  for (auto from = start; from - start < std::chrono::milliseconds(20);) {
    for (int i = 0; i < rounds; ++i)
#pragma GCC unroll 16
      for (int j = 0; j < chains; ++j) sum[j] = attend::simd::multiply_add(sum[j], x, y);
    asm volatile("" : : "m"(sum));
    const auto to = std::chrono::steady_clock::now();
    const double operations = 2.0 * chains * rounds * static_cast<double>(attend::gemm_tile::lanes<S>);
    best = std::max(best, operations / std::chrono::duration<double>(to - from).count());
    from = to;
  }
  return best;
}
