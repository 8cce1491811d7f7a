#pragma once
#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// Where the terms of a sum go, one after another. While `empty`, the memory holds nothing yet, and the first term is
/// stored in every element; the others are added.
template <class S>
struct Accumulator {
  S* to = nullptr;
  bool empty = false;

  explicit operator bool() const { return to != nullptr; }
  /// What the sum so far is multiplied with (the beta of a matrix product).
  S beta() const { return empty ? S(0) : S(1); }
  Accumulator operator+(Index offset) const { return {to + offset, empty}; }
};

ATTEND_END
