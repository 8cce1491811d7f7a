#pragma once
#include "attend/kernels/loss.hpp"
#include "attend/train/target.hpp"

ATTEND_BEGIN

struct MseOptions {
  Reduction reduction = Reduction::mean;
};

/// Squared error: mean or sum of (x - target)^2.
/// x: (...)  target: (...), same shape and scalar  ->  ().  Both are differentiated. Saves both.
/// torch.nn.functional.mse_loss, but without broadcasting.
template <class S, int R, class Targets>
Variable<S, 0> mse(const Variable<S, R>& x, const Targets& target, const MseOptions& options = {}) {
  using T = detail::TargetOf<Targets>;
  static_assert(T::rank == R && std::is_same_v<typename T::Scalar, S>, "attend: mse compares equal ranks and scalars");
  const T t = detail::as_target(target);
  Operation<S> op("mse", x, t);
  op.require(t.shape() == x.shape(),
             [&] { return message("target has shape ", t.shape(), "; it must have the shape of x, ", x.shape()); });
  const double scale = detail::loss_scale(options.reduction, static_cast<double>(x.size()));
  const auto y = detail::loss_result(op, loss_kernels::squared_error(x.size(), x.data(), t.data()), scale);
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), dt = op.slot(t), xs = op.keep(x), ts = op.keep(t),
                  size = x.size()](Pass<S>& pass) {
      loss_kernels::squared_error_backward(size, xs.get(), ts.get(), static_cast<S>(scale * *pass.of(dy)),
                                           pass.add_to(dx), pass.add_to(dt));
    });
  return y;
}

ATTEND_END
