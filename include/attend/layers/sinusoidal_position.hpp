#pragma once
#include <memory>

#include "attend/autograd/layer.hpp"
#include "attend/functional/position.hpp"

ATTEND_BEGIN

struct SinusoidalPositionOptions {
  Index embed_dim = 0;     ///< channels of the tokens
  Index max_length = 512;  ///< rows computed at construction; longer inputs work, their rows are computed in each call
  double base = 10000;     ///< the longest wavelength is 2 pi base
};
struct SinusoidalPositionCall {
  Index offset = 0;  ///< position of the first token, when decoding with a cache
};

/// y = x + sin/cos positions (Vaswani et al. 2017, section 3.5; formula at `sinusoidal_positions`). No parameters.
///
/// x: (batch, length, embed_dim)  ->  the same shape. Saves nothing.
/// Throws OptionError for a non-positive embed_dim or base and a negative max_length or offset, ShapeError for other
/// channels.
template <class S>
class SinusoidalPosition : public Layer<SinusoidalPosition<S>> {
 public:
  using CallOptions = SinusoidalPositionCall;
  explicit SinusoidalPosition(const SinusoidalPositionOptions& options) : options_(options) {
    require<OptionError>(options.embed_dim > 0 && options.max_length >= 0 && options.base > 0, "SinusoidalPosition",
                         [&] {
                           return message("embed_dim = ", options.embed_dim, " and base = ", options.base,
                                          " must be above 0, max_length = ", options.max_length, " not below");
                         });
    table_ = std::make_shared<const Variable<S, 2>>(rows(options.max_length, 0));
  }

  Variable<S, 3> forward(const Variable<S, 3>& x, const SinusoidalPositionCall& call) const {
    require<OptionError>(call.offset >= 0, "SinusoidalPosition",
                         [&] { return message("offset = ", call.offset, " must not be negative"); });
    const bool known = x.dim(1) <= options_.max_length - call.offset;
    return known ? add_positions(x, *table_, call.offset) : add_positions(x, rows(x.dim(1), call.offset));
  }

 private:
  Variable<S, 2> rows(Index length, Index offset) const {
    return Variable<S, 2>(sinusoidal_positions<S>(length, options_.embed_dim, offset, options_.base));
  }
  SinusoidalPositionOptions options_;
  Shared<const Variable<S, 2>> table_;  // a constant, shared by copies of the layer
};

ATTEND_END
