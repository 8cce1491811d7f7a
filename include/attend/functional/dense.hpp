#pragma once
#include "attend/autograd/multiply_adds.hpp"
#include "attend/functional/absent.hpp"
#include "attend/functional/activation.hpp"
#include "attend/kernels/column_sums.hpp"
#include "attend/kernels/elementwise.hpp"
#include "attend/kernels/gemm.hpp"

ATTEND_BEGIN

/// The packed form of a dense layer's weight (out, in), which the forward product reads: made once per version.
template <class S>
struct PackedDense {
  const ParameterData<S>* weight = nullptr;
  Index out = 0, in = 0;
  /// Of a parameter whose memory is (out, in), whatever its rank.
  static PackedDense of(const ParameterData<S>& weight, Index out, Index in) { return {&weight, out, in}; }
  const S* columns() const {
    return weight->derived(packed_size<S>(in, out), [out = out, in = in](const S* w, S* packed) {
      pack_b(Side::transposed, in, out, w, in, packed);
    });
  }
};

namespace detail {
/// Throws unless a dense layer of these takes x; the shape of its result.
template <class S, int R>
Shape<R> dense_shape(const Variable<S, R>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias) {
  static_assert(R >= 1, "attend: dense needs a feature axis");
  const Index out = weight.dim(0), in = weight.dim(1);
  require(x.dim(-1) == in, "dense",
          [&] { return message("x has shape ", x.shape(), "; its last axis must be in_features = ", in); });
  require(!present(bias) || bias.dim(0) == out, "dense", [&] {
    return message("bias has shape ", bias.shape(), "; for a weight of shape ", weight.shape(), " it must be ",
                   Shape<1>{out});
  });
  Shape<R> shape = x.shape();
  shape.back() = out;
  return shape;
}
/// All axes but the last as one.
template <class S, int R>
Variable<S, 2> as_rows(const Variable<S, R>& x) {
  Index rows = 1;
  for (int axis = 0; axis + 1 < R; ++axis) rows *= x.dim(axis);
  return x.reshape(Shape<2>{rows, x.dim(-1)});
}
/// dense on rows, and what `end`, whose bias is ignored, says of a result that is not recorded.  x: (rows, in)  ->  (rows,
/// out)
template <class S>
Variable<S, 2> dense_rows_of(const Variable<S, 2>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias,
                             PackedDense<S> packed, GemmEpilogue<S> end = {}) {
  Operation<S> op("dense", x, weight, bias);
  const Index rows = x.dim(0), out = weight.dim(0), in = weight.dim(1);
  const auto y = op.result(Shape<2>{rows, out});
  end.bias = present(bias) ? bias.data() : nullptr;
  MultiplyAdds::add(rows, out, in);
  constexpr Index few_rows = 24;
  if (op.records() && rows <= few_rows) {  // packing would cost more than it saves until the next step
    gemm<S>(Side::plain, Side::transposed, rows, out, in, 1, x.data(), in, weight.data(), in, 0, op.data(y), out);
    for (Index row = 0; end.bias && row < rows; ++row) add_scaled(out, S(1), end.bias, op.data(y) + row * out);
  } else {
    const Scratch<S> scratch(packed.weight ? 0 : packed_size<S>(in, out));
    if (!packed.weight) pack_b(Side::transposed, in, out, weight.data(), in, scratch.get());
    gemm_packed(rows, out, in, S(1), PlainRows<S>{x.data(), in}, packed.weight ? packed.columns() : scratch.get(), S(0),
                op.data(y), out, end);
  }
  if (op.records()) {
    const Slot dx = op.slot(x), dw = op.slot(weight), db = op.slot(bias);
    op.record(y, [=, dy = op.slot(y), xs = op.keep(x, dw.differentiable),
                  ws = op.keep(weight, dx.differentiable)](Pass<S>& pass) {
      const S* g = pass.of(dy);
      if (S* d = pass.add_to(db); d && db.size > 0) add_column_sums(g, rows, out, d);
      if (const auto d = pass.accumulate(dw))
        gemm<S>(Side::transposed, Side::plain, out, in, rows, 1, g, out, xs.get(), in, d.beta(), d.to, in);
      if (const auto d = pass.accumulate(dx))
        gemm<S>(Side::plain, Side::plain, rows, in, out, 1, g, out, ws.get(), in, d.beta(), d.to, in);
    });
  }
  return y;
}
}  // namespace detail

/// y = x W^T + b over the last axis.
/// x: (..., in)  weight: (out, in)  bias: (out), or `absent<S, 1>()`  ->  (..., out).
/// `packed`, if the caller has it, keeps the weight's packed form.  Saves x and W.  Throws ShapeError unless the last axis
/// of x is in and the bias has out elements.  torch.nn.functional.linear
template <class S, int R>
Variable<S, R> dense(const Variable<S, R>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias,
                     PackedDense<S> packed = {}) {
  const Shape<R> shape = detail::dense_shape(x, weight, bias);
  return detail::dense_rows_of(detail::as_rows(x), weight, bias, packed).reshape(shape);
}

/// activation(dense(x) + residual), the residual being of the result's shape, or null for none. Where nothing is recorded,
/// bias, residual and activation are a part of the product's kernel; the result is the same. Arguments, memory and errors
/// as dense; ShapeError also for a residual of another shape.
template <class S, int R>
Variable<S, R> fused_dense(const Variable<S, R>& x, const Variable<S, 2>& weight, const Variable<S, 1>& bias,
                           Activation activation, const Variable<S, R>* residual = nullptr,
                           PackedDense<S> packed = {}) {
  const Shape<R> shape = detail::dense_shape(x, weight, bias);
  require(!residual || residual->shape() == shape, "dense",
          [&] { return message("residual has shape ", residual->shape(), "; it must be ", shape, ", as the result"); });
  const auto linked = [](const auto& v) { return v.link() != nullptr; };
  if (linked(x) || linked(weight) || linked(bias) || (residual && linked(*residual))) {
    const auto y = dense(x, weight, bias, packed);
    return activate(residual ? y + *residual : y, activation);
  }
  GemmEpilogue<S> end;
  if (residual) end.residual = residual->data(), end.residual_ld = shape.back();
  end.relu = activation == Activation::relu;
  if (!end.relu) end.activation = detail::in_place<S>(activation);
  const auto y = detail::dense_rows_of(detail::as_rows(x), weight, bias, packed, end).reshape(shape);
  return end.relu || end.activation ? y : activate(y, activation);
}

ATTEND_END
