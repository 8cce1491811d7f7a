#pragma once
#include "attend/core/tensor_view.hpp"

ATTEND_BEGIN

namespace detail {
/// Copies (rows, columns) to (columns, rows) for each of `batch` matrices.
template <class S>
void transpose_each(Index batch, Index rows, Index columns, const S* from, S* to) {
  for (Index b = 0; b < batch; ++b, from += rows * columns, to += rows * columns)
    for (Index r = 0; r < rows; ++r)
      for (Index c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
}
template <class T>
void require_batch_of_maps() {
  static_assert(TensorTraits<T>::value, "attend: pass a row-major Tensor or TensorMap");
  static_assert(TensorTraits<T>::rank >= 3, "attend: needs a batch, channels and at least one spatial axis");
}
}  // namespace detail

/// (batch, channels, spatial...) -> (batch, spatial..., channels): PyTorch's layout of images and 1-d signals into
/// ours. Copies.
template <class T>
auto from_nchw(const T& x) {
  detail::require_batch_of_maps<T>();
  const auto from = shape_of(x);
  auto to = from;
  std::rotate(to.begin() + 1, to.begin() + 2, to.end());
  Tensor<typename TensorTraits<T>::Scalar, TensorTraits<T>::rank> y(to);
  const Index columns = element_count(from) == 0 ? 0 : x.size() / from[0] / from[1];
  detail::transpose_each(from[0], from[1], columns, x.data(), y.data());
  return y;
}

/// (batch, spatial..., channels) -> (batch, channels, spatial...): our layout into PyTorch's. Copies.
template <class T>
auto to_nchw(const T& x) {
  detail::require_batch_of_maps<T>();
  const auto from = shape_of(x);
  auto to = from;
  std::rotate(to.begin() + 1, to.end() - 1, to.end());
  Tensor<typename TensorTraits<T>::Scalar, TensorTraits<T>::rank> y(to);
  const Index rows = element_count(from) == 0 ? 0 : x.size() / from[0] / from.back();
  detail::transpose_each(from[0], rows, from.back(), x.data(), y.data());
  return y;
}

ATTEND_END
