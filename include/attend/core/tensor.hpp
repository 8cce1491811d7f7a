#pragma once
#include <unsupported/Eigen/CXX11/Tensor>

#include <array>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>

#include "attend/core/error.hpp"

ATTEND_BEGIN

using Index = Eigen::Index;
template <int Rank> using Shape = std::array<Index, static_cast<std::size_t>(Rank)>;
template <class Scalar, int Rank> using Tensor = Eigen::Tensor<Scalar, Rank, Eigen::RowMajor, Index>;

template <class Extents> std::string to_string(const Extents& shape) {
  std::string text;
  for (Index extent : shape) text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "(" + text + ")";
}

/// Product of the extents; a negative one, or a product that memory could not hold, throws.
template <std::size_t Rank> Index element_count(const std::array<Index, Rank>& shape) {
  Index count = 1;
  for (Index extent : shape) {
    require(extent >= 0 && (extent == 0 || count <= std::numeric_limits<Index>::max() / 16 / extent), "tensor",
            [&] { return "shape " + to_string(shape) + " is negative or too large"; });
    count *= extent;
  }
  return count;
}

/// The tensors a call accepts: row-major Tensor of exactly one scalar and rank, or a TensorMap of one, whatever its constness or alignment.
template <class T> struct TensorTraits : std::false_type {};
template <class S, int R, int Options> struct TensorTraits<Eigen::Tensor<S, R, Options, Index>> : std::bool_constant<(Options & Eigen::RowMajor) != 0> {
  using Scalar = std::remove_const_t<S>;
  static constexpr int rank = R;
};
template <class Plain, int Options, template <class> class Pointer>
struct TensorTraits<Eigen::TensorMap<Plain, Options, Pointer>> : TensorTraits<std::remove_const_t<Plain>> {};

template <class T> auto shape_of(const T& tensor) {
  Shape<TensorTraits<T>::rank> shape{};
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] = tensor.dimension(i);
  return shape;
}

ATTEND_END
