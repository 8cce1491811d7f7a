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
/// `yes` in the lanes where the comparison held, `no` in the others.
template <class V, class Mask>
ATTEND_INLINE V select(Mask held, V yes, V no) {
  return held ? yes : no;
}

/// c[0] + x (c[1] + x (c[2] + ...)).
template <class V, std::size_t n>
ATTEND_INLINE V polynomial(V x, const Scalar<V> (&c)[n]) {
  V sum = all<V>(c[n - 1]);
  for (std::size_t i = n - 1; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

}  // namespace simd
ATTEND_END
