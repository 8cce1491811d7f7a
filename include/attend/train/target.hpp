#pragma once
#include "attend/autograd/operation.hpp"

ATTEND_BEGIN

/// How a loss combines its elements.
enum class Reduction { mean, sum };

namespace detail {

/// A target as the operation sees it: Variables as they are, tensors borrowed for the call (the tape copies what the
/// backward pass needs).
template <class T>
auto as_target(const T& target) {
  static_assert(IsVariable<T>::value || TensorTraits<T>::value,
                "attend: a loss takes its targets as a row-major Tensor, a TensorMap of one, or a Variable");
  if constexpr (IsVariable<T>::value)
    return target;
  else
    return Variable<typename TensorTraits<T>::Scalar, TensorTraits<T>::rank>::borrow(target.data(), shape_of(target));
}
template <class T>
using TargetOf = decltype(as_target(std::declval<const T&>()));

template <int R>
Shape<R - 1> without_last_axis(const Shape<R>& shape) {
  Shape<R - 1> shorter{};
  std::copy_n(shape.begin(), shorter.size(), shorter.begin());
  return shorter;
}

/// Integer targets have no gradient.
template <class S, class T, int R>
Slot target_slot(const Operation<S>& op, const Variable<T, R>& target) {
  if constexpr (std::is_same_v<S, T>)
    return op.slot(target);
  else
    return {};
}

/// Options are doubles; a kernel reads its own scalar. Empty: null.
template <class S>
Shared<const S> converted(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  const auto buffer = make_buffer<S>(static_cast<Index>(values.size()));
  std::transform(values.begin(), values.end(), buffer.get(), [](double v) { return static_cast<S>(v); });
  return buffer;
}

/// The mean's divisor as a factor. The mean of nothing is NaN, as in PyTorch.
inline double loss_scale(attend::Reduction reduction, double divisor) {
  return reduction == attend::Reduction::sum ? 1 : 1 / divisor;
}

/// A scalar result: `sum * scale`, where an empty mean (0 * inf) is NaN.
template <class S>
Variable<S, 0> loss_result(const Operation<S>& op, double sum, double scale) {
  const auto y = op.result(Shape<0>{});
  *op.data(y) = static_cast<S>(sum * scale);
  return y;
}

}  // namespace detail
ATTEND_END
