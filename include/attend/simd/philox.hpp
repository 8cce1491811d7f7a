/// Many words of a random stream at once: the numbers that Rng::bits_at gives, a vector of blocks at a time.
#ifndef ATTEND_SIMD_PHILOX
#define ATTEND_SIMD_PHILOX
#include "attend/core/rng.hpp"
#include "attend/simd/lanes.hpp"

#define ATTEND_KERNELS "attend/simd/philox.hpp"
#include "attend/simd/for_each_isa.hpp"

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

namespace simd {
namespace detail {

#if ATTEND_LEVEL == 3
typedef std::uint64_t Wide __attribute__((vector_size(64)));
#elif ATTEND_LEVEL >= 2
typedef std::uint64_t Wide __attribute__((vector_size(32)));
#else
typedef std::uint64_t Wide __attribute__((vector_size(16)));
#endif

/// Product of the low halves of each lane.
ATTEND_INLINE Wide low_product(Wide a, Wide b) {
#if ATTEND_LEVEL == 3
  return (Wide)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);  // g++ 12 warns of the plain one
#elif ATTEND_LEVEL >= 2
  return (Wide)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Wide)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & 0xffffffffu) * (b & 0xffffffffu);
#endif
}

}  // namespace detail

/// words[0 ... 4 blocks): words 4 first, 4 first + 1, ... of the stream.
inline void random_words(const Rng& stream, std::uint64_t first, std::ptrdiff_t blocks, std::uint32_t* words) {
  using detail::Wide;
  constexpr std::ptrdiff_t lanes = sizeof(Wide) / 8, side_by_side = 2;  // chains of dependent products
  const std::uint64_t key = stream.state().key;
  constexpr std::uint64_t numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  Wide ascending;
  std::memcpy(&ascending, numbers, sizeof(ascending));
  std::ptrdiff_t i = 0;
  for (; i + side_by_side * lanes <= blocks; i += side_by_side * lanes) {
    // the upper halves of lanes do not matter
    Wide c0[side_by_side], c1[side_by_side], c2[side_by_side], c3[side_by_side];
    for (std::ptrdiff_t s = 0; s < side_by_side; ++s) {
      c0[s] = ascending + (first + static_cast<std::uint64_t>(i + s * lanes));
      c1[s] = c0[s] >> 32;
      c2[s] = c3[s] = Wide{};
    }
    std::uint64_t k0 = key & 0xffffffffu, k1 = key >> 32;
    for (int round = 0; round < 10; ++round) {
      for (std::ptrdiff_t s = 0; s < side_by_side; ++s) {
        const Wide a = detail::low_product(c0[s], Wide{} + 0xD2511F53u),
                   b = detail::low_product(c2[s], Wide{} + 0xCD9E8D57u);
        c0[s] = (b >> 32) ^ c1[s] ^ k0, c1[s] = b;
        c2[s] = (a >> 32) ^ c3[s] ^ k1, c3[s] = a;
      }
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    for (std::ptrdiff_t s = 0; s < side_by_side; ++s)
      for (std::ptrdiff_t l = 0; l < lanes; ++l) {
        std::uint32_t* to = words + 4 * (i + s * lanes + l);
        to[0] = static_cast<std::uint32_t>(c0[s][l]), to[1] = static_cast<std::uint32_t>(c1[s][l]);
        to[2] = static_cast<std::uint32_t>(c2[s][l]), to[3] = static_cast<std::uint32_t>(c3[s][l]);
      }
  }
  for (; i < blocks; ++i) {
    const auto block = stream.block(first + static_cast<std::uint64_t>(i));
    std::copy(block.begin(), block.end(), words + 4 * i);
  }
}

}  // namespace simd

ATTEND_END_ISA
#endif
