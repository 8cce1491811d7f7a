#pragma once
#include "attend/autograd/operation.hpp"
#include "attend/kernels/pad.hpp"

ATTEND_BEGIN

/// x with `pads` cells more at its sides, filled by `mode`; negative numbers crop.
///
///     x: (batch, height, width, channels)  ->  (batch, top + height + bottom, left + width + right, channels)
///
/// zeros (constant): filled with `value`. reflect: ..cb[abc]ba..; fewer cells than the extent. replicate:
/// ..aa[abc]cc... circular: ..bc[abc]ab..; at most the extent. Throws ShapeError where a mode cannot provide the cells,
/// or where nothing is left. Saves nothing. torch.nn.functional.pad, on the two image axes.
template <class S>
Variable<S, 4> pad2d(const Variable<S, 4>& x, const Pads& pads, PaddingMode mode = PaddingMode::zeros, S value = S(0)) {
  Operation<S> op("pad2d", x);
  const Index batch = x.dim(0), height = x.dim(1), width = x.dim(2), channels = x.dim(3);
  const auto check = [&](const char* axis, Index extent, Index before, Index after) {
    const Index limit = detail::largest_window_option;
    op.require(
        before <= limit && after <= limit && before >= -limit && after >= -limit && extent + before + after > 0, [&] {
          return message("x has shape ", x.shape(), "; pads ", pads, " leave no cell of its ", axis, " ", extent);
        });
    if (mode == PaddingMode::zeros) return;
    op.require(extent > 0, [&] {
      return message("x has shape ", x.shape(), "; without cells there is nothing to fill pads with");
    });
    const Index most = mode == PaddingMode::reflect ? extent - 1 : mode == PaddingMode::circular ? extent : limit;
    op.require(before <= most && after <= most, [&] {
      return message("x has shape ", x.shape(), "; with ", mode == PaddingMode::reflect ? "reflect" : "circular",
                     " padding its ", axis, " ", extent, " allows at most ", most, " cells at a side, not pads ", pads);
    });
  };
  check("height", height, pads.top, pads.bottom);
  check("width", width, pads.left, pads.right);
  if (pads.top == 0 && pads.bottom == 0 && pads.left == 0 && pads.right == 0) return x;
  const auto y = op.result(Shape<4>{batch, pads.top + height + pads.bottom, pads.left + width + pads.right, channels});
  const auto rows = detail::pad_sources(height, pads.top, pads.bottom, mode);
  const auto columns = detail::pad_sources(width, pads.left, pads.right, mode);
  pad_forward(batch, height, width, channels, rows, columns, value, x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x)](Pass<S>& pass) {
      if (S* d = pass.add_to(dx)) pad_backward(batch, height, width, channels, rows, columns, pass.of(dy), d);
    });
  return y;
}

ATTEND_END
