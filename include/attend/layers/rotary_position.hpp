#pragma once
#include "attend/autograd/layer.hpp"
#include "attend/functional/rotary.hpp"

ATTEND_BEGIN

struct RotaryPositionCall {
  Index offset = 0;  ///< position of the first row
};

/// Rotary positions as a layer, for queries and keys between projection and attention (formula and layouts: `rotary`).
/// Owns nothing. The call may say at which position its first row is, when decoding with a cache; it is added to the
/// layer's own.
///
/// x: (batch, length, heads, dim)  ->  the same shape. Throws OptionError where base is not above 0 or `dim` is
/// negative, ShapeError where the numbers that turn are odd or too many.
template <class S>
class RotaryPosition : public Layer<RotaryPosition<S>> {
 public:
  using CallOptions = RotaryPositionCall;
  explicit RotaryPosition(const RotaryOptions& options = {}) : options_(options) {
    require<OptionError>(options.base > 0 && options.dim >= 0, "RotaryPosition", [&] {
      return message("base = ", options.base, " must be above 0 and dim = ", options.dim, " not below");
    });
  }
  Variable<S, 4> forward(const Variable<S, 4>& x, const RotaryPositionCall& call) const {
    RotaryOptions options = options_;
    options.first_position += call.offset;
    return rotary(x, options);
  }

 private:
  RotaryOptions options_;
};

ATTEND_END
