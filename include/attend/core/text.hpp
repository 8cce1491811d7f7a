#pragma once
/// Numbers and shapes as texts, for errors, names and tables. Most are errors that never come, and there are hundreds: all
/// that makes a text is compiled for size.
#include <iterator>
#include <string>
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

ATTEND_END
