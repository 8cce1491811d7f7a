#pragma once
/// What the processor can do: fused multiply-adds on registers alone.
#include <algorithm>
#include <type_traits>

#include "instruction_set.hpp"
#include "on_threads.hpp"

namespace bench {
namespace chains {

// More chains than latency times units, fewer than registers. The compiler knows neither factor nor summand.
#define BENCH_CHAINS(name, instructions, S, V, COUNT, SET, MULTIPLY_ADD)                            \
  [[gnu::target(instructions), gnu::noinline]] inline void name(long rounds) {                      \
    V sum[COUNT], x = SET(S(0.999)), y = SET(S(0.001));                                             \
    for (V & one : sum) one = SET(S(0));                                                            \
    asm volatile("" : "+m"(x), "+m"(y));                                                            \
    for (long i = 0; i < rounds; ++i)                                                               \
      _Pragma("GCC unroll 16") for (int j = 0; j < COUNT; ++j) sum[j] = MULTIPLY_ADD(sum[j], x, y); \
    asm volatile("" : : "m"(sum));                                                                  \
  }
#define BENCH_MULTIPLY_THEN_ADD(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define BENCH_MULTIPLY_THEN_ADD_DOUBLE(a, b, c) _mm_add_pd(_mm_mul_pd(a, b), c)
BENCH_CHAINS(avx512_float, "avx512f", float, __m512, 12, _mm512_set1_ps, _mm512_fmadd_ps)
BENCH_CHAINS(avx512_double, "avx512f", double, __m512d, 12, _mm512_set1_pd, _mm512_fmadd_pd)
BENCH_CHAINS(avx2_float, "avx2,fma", float, __m256, 12, _mm256_set1_ps, _mm256_fmadd_ps)
BENCH_CHAINS(avx2_double, "avx2,fma", double, __m256d, 12, _mm256_set1_pd, _mm256_fmadd_pd)
BENCH_CHAINS(base_float, "sse2", float, __m128, 12, _mm_set1_ps, BENCH_MULTIPLY_THEN_ADD)
BENCH_CHAINS(base_double, "sse2", double, __m128d, 12, _mm_set1_pd, BENCH_MULTIPLY_THEN_ADD_DOUBLE)
#undef BENCH_CHAINS
#undef BENCH_MULTIPLY_THEN_ADD
#undef BENCH_MULTIPLY_THEN_ADD_DOUBLE

}  // namespace chains

/// Operations per second of `threads` threads at once, two for each multiplication and addition; the best of some
/// 30 ms of short runs, for a shared machine is never faster than it is. Without a fused instruction a multiplication
/// and an addition count instead.
template <class S>
double fma_peak(int threads) {
  constexpr bool single = std::is_same_v<S, float>;
  const InstructionSet set = instruction_set();
  const auto run = set == InstructionSet::avx512 ? (single ? chains::avx512_float : chains::avx512_double)
                   : set == InstructionSet::avx2 ? (single ? chains::avx2_float : chains::avx2_double)
                                                 : (single ? chains::base_float : chains::base_double);
  const int bytes = set == InstructionSet::avx512 ? 64 : set == InstructionSet::avx2 ? 32 : 16;
  constexpr long rounds = 100000;  // 0.2 ms to 0.4 ms, far more than it takes to start threads together
  const double operations = 2.0 * 12 * rounds * bytes / double(sizeof(S)) * threads;
  double best = 0;
  for (int i = 0; i < 100; ++i)
    best = std::max(best, operations / seconds_on_threads(threads, [&](int) { run(rounds); }));
  return best;
}

}  // namespace bench
