#pragma once
#include "attend/kernels/loss.hpp"
#include "attend/train/target.hpp"

ATTEND_BEGIN

struct BinaryCrossEntropyOptions {
  /// Weight of the positive part: one number, or one per entry of the last axis; empty: 1. More than 1 favours recall.
  std::vector<double> pos_weight = {};
  Reduction reduction = Reduction::mean;
};

namespace detail {
/// `weights` with each extent 1 or x's, repeated to x's shape.
template <class S, int R>
Shared<S> broadcast_to(const Variable<S, R>& weights, const Shape<R>& shape) {
  const auto full = make_buffer<S>(element_count(shape));
  for (Index i = 0; i < element_count(shape); ++i) {
    Index rest = i, from = 0, stride = 1;
    for (std::size_t axis = R; axis-- > 0; rest /= shape[axis]) {
      const Index extent = weights.shape()[axis];
      from += (extent == 1 ? 0 : rest % shape[axis]) * stride;
      stride *= extent;
    }
    full.get()[i] = weights.data()[from];
  }
  return full;
}

template <class S, int R, class T>
Variable<S, 0> binary_cross_entropy(const Variable<S, R>& x, const Variable<T, R>& targets,
                                    const Shared<const S>& weights, const BinaryCrossEntropyOptions& o) {
  const char* name = "binary_cross_entropy_with_logits";
  Operation<S> op(name, x, targets);
  op.require(targets.shape() == x.shape(), [&] {
    return message("targets have shape ", targets.shape(), "; they must have the shape of logits, ", x.shape());
  });
  Index channels = 1;
  if constexpr (R > 0) channels = x.dim(-1);
  const Index given = static_cast<Index>(o.pos_weight.size());
  attend::require<OptionError>(given <= 1 || given == channels, name, [&] {
    return message("pos_weight has ", given, " entries; it must have 1 or one per entry of the last axis, ", channels);
  });
  const auto bad = [](double w) { return !(w >= 0) || std::isinf(w); };
  attend::require<OptionError>(std::none_of(o.pos_weight.begin(), o.pos_weight.end(), bad), name,
                               [] { return "pos_weight holds a weight that is negative or not finite"; });
  const auto positive = converted<S>(o.pos_weight);
  const double scale = loss_scale(o.reduction, static_cast<double>(x.size()));
  loss_kernels::BinaryCrossEntropy<S> f{x.size(), given > 1 ? channels : 1, x.data(), positive.get(), weights.get()};
  const auto y = loss_result(op, loss_kernels::binary_cross_entropy(f, targets.data()), scale);
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), dt = target_slot(op, targets), xs = op.keep(x),
                  ts = op.keep(targets)](Pass<S>& pass) mutable {
      f = {f.size, f.channels, xs.get(), positive.get(), weights.get()};
      loss_kernels::binary_cross_entropy_backward(f, ts.get(), static_cast<S>(scale * *pass.of(dy)), pass.add_to(dx),
                                                  pass.add_to(dt));
    });
  return y;
}
}  // namespace detail

/// Binary cross-entropy of sigmoid(logits), element by element.
///
///   element = w ((1 - t) x + (1 + (p - 1) t) log(1 + e^-x)),  p: pos_weight;  the mean divides by the number of
///   elements
///
/// logits: (...)  targets: (...), of the logits' scalar (in [0, 1]) or integers (0 or 1)  ->  ().  Safe for any finite
/// logit. Saves logits and targets. Throws ShapeError: other shapes; OptionError: pos_weight.
/// torch.nn.functional.binary_cross_entropy_with_logits
template <class S, int R, class Targets>
Variable<S, 0> binary_cross_entropy_with_logits(const Variable<S, R>& logits, const Targets& targets,
                                                const BinaryCrossEntropyOptions& options = {}) {
  using T = detail::TargetOf<Targets>;
  static_assert(T::rank == R && (std::is_same_v<typename T::Scalar, S> || std::is_integral_v<typename T::Scalar>),
                "attend: the targets have the logits' axes, and their scalar or an integer one");
  return detail::binary_cross_entropy<S>(logits, detail::as_target(targets), Shared<const S>(), options);
}
/// With a weight w per element: `weights` has the logits' shape, or extents of 1 where one weight serves the axis. They
/// are constants and do not enter the mean's divisor.
template <class S, int R, class Targets, class Weights,
          std::enable_if_t<!std::is_same_v<Weights, BinaryCrossEntropyOptions>, int> = 0>
Variable<S, 0> binary_cross_entropy_with_logits(const Variable<S, R>& logits, const Targets& targets,
                                                const Weights& weights, const BinaryCrossEntropyOptions& options = {}) {
  using T = detail::TargetOf<Targets>;
  using W = detail::TargetOf<Weights>;
  static_assert(T::rank == R && (std::is_same_v<typename T::Scalar, S> || std::is_integral_v<typename T::Scalar>),
                "attend: the targets have the logits' axes, and their scalar or an integer one");
  static_assert(W::rank == R && std::is_same_v<typename W::Scalar, S>,
                "attend: the weights have the logits' axes and scalar");
  const W w = detail::as_target(weights);
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(R); ++axis)
    require(w.shape()[axis] == 1 || w.shape()[axis] == logits.shape()[axis], "binary_cross_entropy_with_logits", [&] {
      return message("weights have shape ", w.shape(), "; each extent must be 1 or that of logits, ", logits.shape());
    });
  return detail::binary_cross_entropy<S>(logits, detail::as_target(targets),
                                         Shared<const S>(detail::broadcast_to(w, logits.shape())), options);
}

ATTEND_END
