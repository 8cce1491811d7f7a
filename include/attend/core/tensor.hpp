#pragma once
#include <unsupported/Eigen/CXX11/Tensor>

#include <algorithm>
#include <type_traits>

#include "attend/core/shape.hpp"

ATTEND_BEGIN

/// Owned memory and interchange: Eigen's tensor, row-major.
template <class Scalar, int Rank>
using Tensor = Eigen::Tensor<Scalar, Rank, Eigen::RowMajor, Index>;

/// The tensors a call accepts: a row-major Tensor of exactly one scalar and rank, or a TensorMap of one, whatever its
/// constness or alignment. (Eigen converts tensors of another rank silently, so no function takes `const Tensor&`.)
template <class T>
struct TensorTraits : std::false_type {};
template <class S, int R, int Options>
struct TensorTraits<Eigen::Tensor<S, R, Options, Index>> : std::bool_constant<(Options & Eigen::RowMajor) != 0> {
  using Scalar = std::remove_const_t<S>;
  static constexpr int rank = R;
};
template <class Plain, int Options, template <class> class Pointer>
struct TensorTraits<Eigen::TensorMap<Plain, Options, Pointer>> : TensorTraits<std::remove_const_t<Plain>> {};

template <class T>
auto shape_of(const T& tensor) {
  Shape<TensorTraits<T>::rank> shape{};
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = tensor.dimensions()[i];
  return shape;
}

/// Elements [first, first + count) along the first axis, as a map of the same memory: a batch without a copy.
template <class T>
auto rows(T& tensor, Index first, Index count) {
  static_assert(TensorTraits<std::remove_const_t<T>>::value, "attend: rows() takes a row-major Tensor or TensorMap");
  using Traits = TensorTraits<std::remove_const_t<T>>;
  auto shape = shape_of(tensor);
  require(first >= 0 && count >= 0 && first <= shape[0] && count <= shape[0] - first, "rows", [&] {
    return message("x has shape ", shape, "; ", count, " rows from row ", first, " on are not all in it");
  });
  const Index row = shape[0] == 0 ? 0 : tensor.size() / shape[0];
  shape[0] = count;
  using Plain = Tensor<typename Traits::Scalar, Traits::rank>;
  return Eigen::TensorMap<std::conditional_t<std::is_const_v<T>, const Plain, Plain>>(tensor.data() + first * row,
                                                                                      shape);
}

ATTEND_END
