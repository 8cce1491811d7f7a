/// Many words of a random stream at once: the numbers that Rng::bits_at gives, a vector of blocks at a time.
#ifndef ATTEND_SIMD_PHILOX
#define ATTEND_SIMD_PHILOX
#include "attend/core/rng.hpp"
#include "attend/simd/lanes.hpp"
#include "attend/simd/vector.hpp"

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

/// Blocks of a stream, one in each lane: word w of them is in the lower half of c[w]. The upper halves do not matter.
template <int n>
struct PhiloxBlocks {
  Wide c[4][n];  // n vectors side by side: chains of dependent products
  ATTEND_INLINE PhiloxBlocks(std::uint64_t key, const Wide (&index)[n]) {
#pragma GCC unroll 4
    for (int s = 0; s < n; ++s) {
      c[0][s] = index[s], c[1][s] = index[s] >> 32;
      c[2][s] = c[3][s] = Wide{};
    }
    std::uint64_t k0 = key & 0xffffffffu, k1 = key >> 32;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
#pragma GCC unroll 4
      for (int s = 0; s < n; ++s) {
        const Wide a = low_product(c[0][s], Wide{} + 0xD2511F53u), b = low_product(c[2][s], Wide{} + 0xCD9E8D57u);
        c[0][s] = (b >> 32) ^ c[1][s] ^ k0, c[1][s] = b;
        c[2][s] = (a >> 32) ^ c[3][s] ^ k1, c[3][s] = a;
      }
      k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
  }
};

}  // namespace detail

/// words[0 ... 4 blocks): words 4 first, 4 first + 1, ... of the stream.
inline void random_words(const Rng& stream, std::uint64_t first, std::ptrdiff_t blocks, std::uint32_t* words) {
  using detail::Wide;
  constexpr std::ptrdiff_t lanes = sizeof(Wide) / 8, side_by_side = 2;
  constexpr std::uint64_t numbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  Wide ascending;
  std::memcpy(&ascending, numbers, sizeof(ascending));
  std::ptrdiff_t i = 0;
  for (; i + side_by_side * lanes <= blocks; i += side_by_side * lanes) {
    Wide index[side_by_side];
    for (std::ptrdiff_t s = 0; s < side_by_side; ++s)
      index[s] = ascending + (first + static_cast<std::uint64_t>(i + s * lanes));
    const detail::PhiloxBlocks<side_by_side> random(stream.state().key, index);
    for (std::ptrdiff_t s = 0; s < side_by_side; ++s)
      for (std::ptrdiff_t l = 0; l < lanes; ++l)
        for (std::ptrdiff_t w = 0; w < 4; ++w)
          words[4 * (i + s * lanes + l) + w] = static_cast<std::uint32_t>(random.c[w][s][l]);
  }
  for (; i < blocks; ++i) {
    const auto block = stream.block(first + static_cast<std::uint64_t>(i));
    std::copy(block.begin(), block.end(), words + 4 * i);
  }
}

/// words[0 ... 4 blocks): words 4 first[l], 4 first[l] + 1, ... of the stream in lane l, for as many first blocks as a
/// vector of S has lanes; a vector of words is as wide as one of S.
template <class S>
ATTEND_INLINE void random_words_of_lanes(const Rng& stream, const std::uint64_t* first, std::ptrdiff_t blocks,
                                         Bits<Vector<S> >* words) {
  using detail::Wide;
  constexpr int sets = sizeof(S) == 4 ? 2 : 1;  // of floats, one for the even lanes and one for the odd
  constexpr std::ptrdiff_t lanes = sizeof(Wide) / 8;
  std::uint64_t numbers[sets][lanes];
  for (int s = 0; s < sets; ++s)
    for (std::ptrdiff_t l = 0; l < lanes; ++l) numbers[s][l] = first[l * sets + s];
  Wide index[sets];
  std::memcpy(index, numbers, sizeof(index));
  for (std::ptrdiff_t i = 0; i < blocks; ++i) {
    const detail::PhiloxBlocks<sets> random(stream.state().key, index);
#pragma GCC unroll 4
    for (int w = 0; w < 4; ++w) {
      Wide word = random.c[w][0] & 0xffffffffu;
      if constexpr (sets == 2) word |= random.c[w][1] << 32;
      std::memcpy(words + 4 * i + w, &word, sizeof(word));
    }
    for (int s = 0; s < sets; ++s) index[s] += 1;
  }
}

}  // namespace simd

ATTEND_END_ISA
#endif
