#pragma once
#include "attend/core/tensor.hpp"

ATTEND_BEGIN

/// A pointer and a shape over row-major memory that somebody else owns: the argument type of functions that need no
/// template on the tensor. `TensorView<const S, R>` reads. It is made from a Tensor or TensorMap of exactly this
/// scalar, rank and layout; anything else does not compile. Valid as long as the memory.
template <class Scalar, int Rank>
class TensorView {
  using Value = std::remove_const_t<Scalar>;
  template <class T>
  static constexpr bool matches = [] {
    using Traits = TensorTraits<std::remove_const_t<T>>;
    if constexpr (Traits::value)
      return std::is_same_v<typename Traits::Scalar, Value> && Traits::rank == Rank;
    else
      return false;
  }();

 public:
  TensorView(Scalar* data, const Shape<Rank>& shape) : data_(data), shape_(shape) {}
  template <class T, std::enable_if_t<matches<T> && std::is_convertible_v<decltype(std::declval<T&>().data()), Scalar*>,
                                      int> = 0>
  TensorView(T& tensor) : data_(tensor.data()), shape_(shape_of(tensor)) {}
  template <class T, std::enable_if_t<matches<T> && std::is_const_v<Scalar>, int> = 0>
  TensorView(const T& tensor) : data_(tensor.data()), shape_(shape_of(tensor)) {}

  Scalar* data() const { return data_; }
  const Shape<Rank>& shape() const { return shape_; }
  /// Extent of an axis; negative axes count from the last.
  Index dim(int axis) const { return shape_[static_cast<std::size_t>(axis < 0 ? axis + Rank : axis)]; }
  Index size() const { return element_count(shape_); }
  template <class... I>
  Scalar& operator()(I... index) const {
    static_assert(sizeof...(I) == Rank, "attend: a view takes one index per axis");
    Index at = 0;
    std::size_t axis = 0;
    ((at = at * shape_[axis++] + static_cast<Index>(index)), ...);
    return data_[at];
  }

 private:
  Scalar* data_;
  Shape<Rank> shape_;
};

ATTEND_END
