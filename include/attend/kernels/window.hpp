#pragma once
/// What a sliding window over a feature map is: its size, step, spread and padding, and how many positions it has.
#include <algorithm>

#include "attend/core/tensor.hpp"

ATTEND_BEGIN

/// Two extents, height then width, or one for both: `3`, `{3}` and `{3, 5}`.
struct Pair {
  Index height = 0;
  Index width = 0;
  constexpr Pair() = default;
  constexpr Pair(Index both) : height(both), width(both) {}
  constexpr Pair(Index h, Index w) : height(h), width(w) {}
  friend constexpr bool operator==(const Pair& a, const Pair& b) { return a.height == b.height && a.width == b.width; }
  friend constexpr bool operator!=(const Pair& a, const Pair& b) { return !(a == b); }
};

inline std::string to_string(const Pair& p) { return message("(", p.height, ", ", p.width, ")"); }

/// Cells added at each of the four sides.
struct Pads {
  Index top = 0;
  Index bottom = 0;
  Index left = 0;
  Index right = 0;
};

inline std::string to_string(const Pads& p) {
  return message("(top ", p.top, ", bottom ", p.bottom, ", left ", p.left, ", right ", p.right, ")");
}

/// How much a convolution pads: a number of cells at every side, one for height and one for width, or a rule.
/// `Padding::valid` adds nothing; `Padding::same` keeps height and width (stride 1 only), and when the total is odd
/// puts the extra cell at the bottom and right, as PyTorch does.
class Padding {
 public:
  enum Rule { given, same, valid };
  constexpr Padding() = default;
  constexpr Padding(Index both) : cells_(both) {}
  constexpr Padding(Index h, Index w) : cells_(h, w) {}
  constexpr Padding(const Pair& cells) : cells_(cells) {}
  constexpr Padding(Rule rule) : rule_(rule) {}
  constexpr Rule rule() const { return rule_; }
  constexpr const Pair& cells() const { return cells_; }

  /// The cells at each side for a kernel of this size.
  constexpr Pads pads(const Pair& kernel, const Pair& dilation) const {
    if (rule_ != same) return {cells_.height, cells_.height, cells_.width, cells_.width};
    const Index h = dilation.height * (kernel.height - 1), w = dilation.width * (kernel.width - 1);
    return {h / 2, h - h / 2, w / 2, w - w / 2};
  }

 private:
  Pair cells_;
  Rule rule_ = given;
};

inline std::string to_string(const Padding& p) {
  return p.rule() == Padding::same ? "same" : p.rule() == Padding::valid ? "valid" : to_string(p.cells());
}

/// What stands in the cells that padding adds: a constant (zero in convolutions), the mirror image without the edge
/// cell, the edge cell, or the other end.
enum class PaddingMode { zeros, constant = zeros, reflect, replicate, circular };

namespace detail {

/// Options larger than this are refused, so that products of two of them cannot overflow.
constexpr Index largest_window_option = Index(1) << 30;

inline bool window_options_between(Index low, const Pair& p) {
  return p.height >= low && p.width >= low && p.height <= largest_window_option && p.width <= largest_window_option;
}

/// Positions of a window of `kernel` cells, `dilation` apart, on `extent` cells with `padding` of them added in all: 0
/// if it does not fit once. floor((extent + padding - dilation (kernel - 1) - 1) / stride + 1)
constexpr Index window_positions(Index extent, Index padding, Index kernel, Index stride, Index dilation) {
  const Index last = extent + padding - dilation * (kernel - 1) - 1;
  return last < 0 ? 0 : last / stride + 1;
}

/// As above for pooling with `padding` at either side; in ceil mode a last partial window counts if it starts inside
/// the input or the padding before it.
constexpr Index pool_positions(Index extent, Index padding, Index kernel, Index stride, Index dilation,
                               bool ceil_mode) {
  const Index last = extent + 2 * padding - dilation * (kernel - 1) - 1;
  if (last < 0 && !(ceil_mode && last > -stride)) return 0;
  if (!ceil_mode) return last / stride + 1;
  const Index count = (last + stride - 1) / stride + 1;
  return (count - 1) * stride >= extent + padding ? count - 1 : count;
}

}  // namespace detail
ATTEND_END
