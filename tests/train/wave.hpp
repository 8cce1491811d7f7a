#pragma once
#include <cmath>

#include "attend/core/tensor.hpp"

/// sin(1.7 i + shift) * scale: the same numbers as `wave` in tests/goldens/train_goldens.py.
template <std::size_t R>
attend::Tensor<double, static_cast<int>(R)> wave(const attend::Index (&shape)[R], double scale = 1, double shift = 0) {
  attend::Shape<static_cast<int>(R)> extents{};
  std::copy_n(shape, R, extents.begin());
  attend::Tensor<double, static_cast<int>(R)> t(extents);
  for (attend::Index i = 0; i < t.size(); ++i) t.data()[i] = std::sin(1.7 * static_cast<double>(i) + shift) * scale;
  return t;
}
