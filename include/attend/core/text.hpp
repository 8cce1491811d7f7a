#pragma once
/// Numbers and shapes as texts, for errors, names and tables. Most are errors that never come, and there are hundreds: all
/// that makes a text is compiled for size.
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>

#include "attend/core/inline.hpp"
#include "attend/core/namespace.hpp"

ATTEND_BEGIN
namespace detail {

ATTEND_COLD inline std::string text_of(long long number) { return std::to_string(number); }
ATTEND_COLD inline std::string text_of(unsigned long long number) { return std::to_string(number); }
ATTEND_COLD inline std::string text_of(double number) { return std::to_string(number); }

template <class N>
ATTEND_COLD std::string text_of(const N* numbers, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ", ") + std::to_string(numbers[i]);
  return "(" + text + ")";
}

}  // namespace detail

/// As std::to_string.
template <class N, std::enable_if_t<std::is_arithmetic_v<N>, int> = 0>
std::string to_string(N number) {
  using Whole = std::conditional_t<std::is_unsigned_v<N>, unsigned long long, long long>;
  return detail::text_of(static_cast<std::conditional_t<std::is_floating_point_v<N>, double, Whole>>(number));
}

/// "(2, 3, 4)", as PyTorch writes a shape.
template <class Extents, std::enable_if_t<!std::is_arithmetic_v<Extents>, int> = 0>
std::string to_string(const Extents& shape) {
  return detail::text_of(std::data(shape), std::size(shape));
}

namespace detail {

struct TextPart {
  const void* value;
  void (*append)(std::string& text, const void* value);
};
template <class T>
ATTEND_COLD void append_part(std::string& text, const void* value) {
  if constexpr (std::is_same_v<T, char[]>)
    text += static_cast<const char*>(value);
  else if constexpr (std::is_same_v<T, char> || std::is_convertible_v<const T&, std::string_view>)
    text += *static_cast<const T*>(value);
  else
    text += to_string(*static_cast<const T*>(value));
}
template <class T>
TextPart text_part(const T& value) {
  if constexpr (std::is_convertible_v<const T&, const char*>)
    return {static_cast<const char*>(value), &append_part<char[]>};
  else
    return {&value, &append_part<T>};
}
ATTEND_COLD inline std::string join_parts(std::initializer_list<TextPart> parts) {
  std::string text;
  for (const TextPart& part : parts) part.append(text, part.value);
  return text;
}

}  // namespace detail

/// One text of many parts: texts, and what to_string takes.
template <class... Parts>
ATTEND_INLINE std::string message(const Parts&... parts) {
  return detail::join_parts({detail::text_part(parts)...});
}

ATTEND_END
