#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "attend/core/tensor.hpp"
#include "attend/io/file.hpp"

ATTEND_BEGIN

/// Element types of files, named as safetensors does. Half precision is for storage: it is read into and written from
/// float.
enum class Dtype { F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL };

constexpr const char* to_string(Dtype dtype) {
  constexpr const char* names[] = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16",
                                   "I8",  "U64", "U32", "U16",  "U8",  "BOOL"};
  return names[static_cast<int>(dtype)];
}
constexpr std::size_t size_of(Dtype dtype) {
  constexpr std::size_t sizes[] = {8, 4, 2, 2, 8, 4, 2, 1, 8, 4, 2, 1, 1};
  return sizes[static_cast<int>(dtype)];
}
/// The element type that holds `S` exactly.
template <class S>
constexpr Dtype dtype_of() {
  static_assert(std::is_arithmetic_v<S> && sizeof(S) <= 8, "attend: files hold bool, integers, float and double");
  if constexpr (std::is_same_v<S, bool>)
    return Dtype::BOOL;
  else if constexpr (std::is_floating_point_v<S>)
    return sizeof(S) == 8 ? Dtype::F64 : Dtype::F32;
  else {
    constexpr Dtype with_sign[] = {Dtype::I8, Dtype::I16, Dtype::I32, Dtype::I64};
    constexpr Dtype without[] = {Dtype::U8, Dtype::U16, Dtype::U32, Dtype::U64};
    constexpr int size = sizeof(S) == 1 ? 0 : sizeof(S) == 2 ? 1 : sizeof(S) == 4 ? 2 : 3;
    return (std::is_signed_v<S> ? with_sign : without)[size];
  }
}

/// IEEE half precision, exactly.
inline float float_from_half(std::uint16_t half) {
  const std::uint32_t sign = std::uint32_t(half & 0x8000u) << 16, exponent = (half >> 10) & 31u,
                      fraction = half & 0x3ffu;
  float value;
  if (exponent == 0)
    value = static_cast<float>(fraction) * 0x1p-24f;  // subnormal in half, normal in float
  else {
    const std::uint32_t bits = ((exponent == 31 ? 255u : exponent + 112u) << 23) | (fraction << 13);
    std::memcpy(&value, &bits, 4);
  }
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits |= sign;
  std::memcpy(&value, &bits, 4);
  return value;
}
/// Rounds to nearest, ties to even; what is too large becomes infinite, a NaN stays one.
inline std::uint16_t half_from_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
  std::uint32_t half;
  if (magnitude > 0x7f800000u)
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  else if (magnitude >= 0x477ff000u)
    half = 0x7c00u;  // 65520 and above
  else if (magnitude >= 0x38800000u)
    half = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  else {  // below 2^-14 the result counts units of 2^-24
    const std::uint32_t exponent = magnitude >> 23, shift = 126u - exponent;
    const std::uint32_t fraction = (magnitude & 0x7fffffu) | 0x800000u;
    if (shift > 24)
      half = 0;
    else {
      half = fraction >> shift;
      const std::uint32_t rest = fraction & ((1u << shift) - 1u), middle = 1u << (shift - 1u);
      half += rest > middle || (rest == middle && (half & 1u)) ? 1u : 0u;
    }
  }
  return static_cast<std::uint16_t>(sign | half);
}
/// bfloat16 is the upper half of a float.
inline float float_from_bfloat(std::uint16_t upper) {
  const std::uint32_t bits = std::uint32_t(upper) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
/// Rounds to nearest, ties to even; a NaN stays one.
inline std::uint16_t bfloat_from_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

namespace detail {
inline constexpr bool little_endian = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

/// A number at any address, its bytes in the given order.
template <class T>
T load_bytes(const std::byte* from, bool little = true) {
  std::byte bytes[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes[i] = from[little == little_endian ? i : sizeof(T) - 1 - i];
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}
template <class T>
void store_bytes(T value, std::byte* to, bool little = true) {
  std::byte bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  for (std::size_t i = 0; i < sizeof(T); ++i) to[i] = bytes[little == little_endian ? i : sizeof(T) - 1 - i];
}

template <class S, class T>
constexpr bool holds(T value) {
  if constexpr (std::is_floating_point_v<S>) {  // rounds to nearest, but a finite number stays finite
    if constexpr (sizeof(T) > sizeof(S) && std::is_floating_point_v<T>)
      return !(std::abs(value) > T(std::numeric_limits<S>::max()) && std::abs(value) <= std::numeric_limits<T>::max());
    return true;
  } else {
    if constexpr (std::is_signed_v<T> && std::is_unsigned_v<S>)
      return value >= 0 && std::uint64_t(value) <= std::numeric_limits<S>::max();
    else if constexpr (std::is_signed_v<T>)
      return value >= std::numeric_limits<S>::min() && value <= std::numeric_limits<S>::max();
    else
      return value <= static_cast<std::uint64_t>(std::numeric_limits<S>::max());
  }
}
/// Index of the first element that does not fit, or `count`.
template <class S, class T>
Index convert_elements(const std::byte* from, Index count, S* to) {
  for (Index i = 0; i < count; ++i, from += sizeof(T)) {
    const T value = load_bytes<T>(from);
    if (!holds<S>(value)) return i;
    to[i] = static_cast<S>(value);
  }
  return count;
}
template <class S>
constexpr bool converts(Dtype from) {
  if constexpr (std::is_same_v<S, bool>)
    return from == Dtype::BOOL;
  else if constexpr (std::is_floating_point_v<S>)
    return true;
  else
    return from >= Dtype::I64;  // no rounding of fractions
}
/// Little-endian elements of a file as `S`: see StoredArray.
template <class S>
Index convert_array(Dtype dtype, const std::byte* from, Index count, S* to) {
  static_assert(!std::is_same_v<S, bool> || sizeof(bool) == 1, "attend: a bool of a file has one byte");
  if (count == 0) return 0;
  if (dtype == Dtype::BOOL) {
    for (Index i = 0; i < count; ++i) to[i] = static_cast<S>(from[i] != std::byte(0));
    return count;
  }
  if constexpr (!std::is_same_v<S, bool>) {
    if (little_endian && dtype == dtype_of<S>()) {
      std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(S));
      return count;
    }
    if constexpr (std::is_floating_point_v<S>) {
      const auto half = [&](float (*widen)(std::uint16_t)) {
        for (Index i = 0; i < count; ++i) to[i] = static_cast<S>(widen(load_bytes<std::uint16_t>(from + 2 * i)));
        return count;
      };
      if (dtype == Dtype::F64) return convert_elements<S, double>(from, count, to);
      if (dtype == Dtype::F32) return convert_elements<S, float>(from, count, to);
      if (dtype == Dtype::F16) return half(float_from_half);
      if (dtype == Dtype::BF16) return half(float_from_bfloat);
    }
    switch (dtype) {
      case Dtype::I64:
        return convert_elements<S, std::int64_t>(from, count, to);
      case Dtype::I32:
        return convert_elements<S, std::int32_t>(from, count, to);
      case Dtype::I16:
        return convert_elements<S, std::int16_t>(from, count, to);
      case Dtype::I8:
        return convert_elements<S, std::int8_t>(from, count, to);
      case Dtype::U64:
        return convert_elements<S, std::uint64_t>(from, count, to);
      case Dtype::U32:
        return convert_elements<S, std::uint32_t>(from, count, to);
      case Dtype::U16:
        return convert_elements<S, std::uint16_t>(from, count, to);
      case Dtype::U8:
        return convert_elements<S, std::uint8_t>(from, count, to);
      default:
        break;
    }
  }
  return 0;
}
}  // namespace detail

ATTEND_END
