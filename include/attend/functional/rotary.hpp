#pragma once
#include <cmath>

#include "attend/autograd/operation.hpp"
#include "attend/kernels/rotary.hpp"

ATTEND_BEGIN

struct RotaryOptions {
  double base = 10000;                             ///< angle of pair i at position t: t base^(-2 i / dim)
  RotaryLayout layout = RotaryLayout::half_split;  ///< which numbers form a pair
  Index dim = 0;                                   ///< leading numbers of each head that turn, even; 0: all
  Index first_position = 0;                        ///< position of the first row
};

/// Rotary position embedding (Su et al. 2021, RoFormer): each pair of numbers of a query or key head turns by an angle
/// that grows with its position, so that q_i k_j depends on i - j.  x (B, L, H, D)  ->  the same.
///
/// half_split pairs (x_i, x_{i + dim/2}), as GPT-NeoX and transformers' LLaMA (rotate_half); interleaved pairs (x_2i,
/// x_2i+1), as GPT-J, timm and Meta's LLaMA. Angles are computed in double. Saves nothing: backward turns the other
/// way.
template <class S>
Variable<S, 4> rotary(const Variable<S, 4>& x, const RotaryOptions& options = {}) {
  Operation<S> op("rotary", x);
  const Index dim = options.dim == 0 ? x.dim(3) : options.dim;
  op.require(dim > 0 && dim % 2 == 0 && dim <= x.dim(3), [&] {
    return message("x has shape ", x.shape(), "; the numbers to turn, ", dim,
                   ", must be even and at most its last axis");
  });
  require<OptionError>(options.base > 0 && std::isfinite(options.base), "rotary",
                       [&] { return message("base is ", options.base, "; it must be positive"); });
  const RotaryAngles<S> angles(x.dim(1), dim, options.base, options.first_position);
  const Index batch = x.dim(0), length = x.dim(1), heads = x.dim(2), width = x.dim(3);
  const auto y = op.result(x.shape());
  std::fill_n(op.data(y), y.size(), S(0));
  add_rotated(batch, length, heads, width, dim, options.layout, angles, S(1), x.data(), op.data(y));
  if (op.records())
    op.record(y, [=, dy = op.slot(y), dx = op.slot(x), layout = options.layout](Pass<S>& pass) {
      add_rotated(batch, length, heads, width, dim, layout, angles, S(-1), pass.of(dy), pass.add_to(dx));
    });
  return y;
}

ATTEND_END
