#pragma once
/// What the memory can do at a given size: reading, and copying from one half of it to the other.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "instruction_set.hpp"
#include "on_threads.hpp"

namespace bench {
namespace reading {

#define BENCH_READ(name, instructions, V, ZERO, LOAD, XOR)                                                  \
  [[gnu::target(instructions), gnu::noinline]] inline void name(const std::byte* from, std::size_t bytes) { \
    constexpr std::size_t chains = 8;                                                                       \
    V sum[chains];                                                                                          \
    for (V & one : sum) one = ZERO();                                                                       \
    for (std::size_t at = 0; at + chains * sizeof(V) <= bytes; at += chains * sizeof(V))                    \
      _Pragma("GCC unroll 8") for (std::size_t j = 0; j < chains; ++j) sum[j] =                             \
          XOR(sum[j], LOAD(reinterpret_cast<const V*>(from + at) + j));                                     \
    asm volatile("" : : "m"(sum));                                                                          \
  }
BENCH_READ(avx512, "avx512f", __m512i, _mm512_setzero_si512, _mm512_load_si512, _mm512_xor_si512)
BENCH_READ(avx2, "avx2", __m256i, _mm256_setzero_si256, _mm256_load_si256, _mm256_xor_si256)
BENCH_READ(base, "sse2", __m128i, _mm_setzero_si128, _mm_load_si128, _mm_xor_si128)
#undef BENCH_READ

}  // namespace reading

/// Memory of a given size, every page of it touched.
class Ground {
 public:
  explicit Ground(std::size_t bytes)
      : size_(bytes / 8192 * 8192), memory_(new (std::align_val_t(4096)) std::byte[size_]) {
    std::memset(memory_.get(), 1, size_);
  }
  /// Bytes per second that `threads` threads read of it, each its share, again and again: the best of some 30 ms.
  double read(int threads) const {
    const InstructionSet set = instruction_set();
    const auto run = set == InstructionSet::avx512 ? reading::avx512
                     : set == InstructionSet::avx2 ? reading::avx2
                                                   : reading::base;
    const std::size_t share = size_ / std::size_t(threads) / 4096 * 4096;
    return best_rate(threads, share, [&](int thread) { run(memory_.get() + std::size_t(thread) * share, share); });
  }
  /// Bytes read plus bytes written per second when one half is copied to the other.
  double copy(int threads) {
    const std::size_t half = size_ / 2, share = half / std::size_t(threads) / 4096 * 4096;
    return best_rate(threads, 2 * share, [&](int thread) {
      std::byte* from = memory_.get() + std::size_t(thread) * share;
      std::memcpy(from + half, from, share);
      asm volatile("" : : : "memory");
    });
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { operator delete[](memory, std::align_val_t(4096)); }
  };
  /// Each run takes a few 100 us at least, so that the start of threads does not count.
  template <class F>
  static double best_rate(int threads, std::size_t bytes, const F& once) {
    const std::size_t repeats = std::max<std::size_t>(1, (std::size_t(16) << 20) / std::max<std::size_t>(bytes, 1));
    double best = 0, total = 0;
    for (int i = 0; i < 100 && (total < 0.03 || i < 5); ++i) {
      const double seconds = seconds_on_threads(threads, [&](int thread) {
        for (std::size_t r = 0; r < repeats; ++r) once(thread);
      });
      total += seconds;
      best = std::max(best, double(bytes * repeats) * threads / seconds);
    }
    return best;
  }
  std::size_t size_;
  std::unique_ptr<std::byte, Free> memory_;
};

}  // namespace bench
