#pragma once
/// What lets one branch-free function serve a float, a double, and the compiler's vectors of them (`vector_size`).
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "attend/core/namespace.hpp"
#include "attend/simd/inline.hpp"

ATTEND_BEGIN
namespace simd {

template <class V, class = void>
struct Lanes {  // of a vector
  using Scalar = std::remove_cv_t<std::remove_reference_t<decltype(std::declval<V&>()[0])>>;
  using Word = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
#if defined(__GNUC__) || defined(__clang__)
  typedef Word Bits __attribute__((vector_size(sizeof(V))));
#endif
};
template <class V>
struct Lanes<V, std::enable_if_t<std::is_floating_point_v<V>>> {
  using Scalar = V;
  using Word = std::conditional_t<sizeof(V) == 4, std::uint32_t, std::uint64_t>;
  using Bits = Word;
};
template <class V>
using Scalar = typename Lanes<V>::Scalar;
template <class V>
using Bits = typename Lanes<V>::Bits;

/// `value` in every lane.
template <class V>
ATTEND_INLINE V all(Scalar<V> value) {
  return V{} + value;
}
template <class V>
ATTEND_INLINE Bits<V> bits_of(V value) {
  Bits<V> bits;
  std::memcpy(&bits, &value, sizeof(V));
  return bits;
}
template <class V>
ATTEND_INLINE V from_bits(Bits<V> bits) {
  V value;
  std::memcpy(&value, &bits, sizeof(V));
  return value;
}
/// `yes` in the lanes where the comparison held, `no` in the others. Of scalars by masks: g++ would make branches of
/// `?:`.
template <class V, class Mask>
ATTEND_INLINE V select(Mask held, V yes, V no) {
  if constexpr (std::is_floating_point_v<V>) {
    const Bits<V> mask = Bits<V>(0) - static_cast<Bits<V>>(held);
    return from_bits<V>((bits_of(yes) & mask) | (bits_of(no) & ~mask));
  } else {
    return held ? yes : no;
  }
}

/// c[first] + x (c[first + 1] + x (c[first + 2] + ...)). By recursion: compilers leave long loops over the coefficients
/// rolled.
template <std::size_t first = 0, class V, std::size_t n>
ATTEND_INLINE V polynomial(V x, const Scalar<V> (&c)[n]) {
  if constexpr (first + 1 == n) {
    return all<V>(c[first]);
  } else {
    return polynomial<first + 1>(x, c) * x + c[first];
  }
}

}  // namespace simd
ATTEND_END
