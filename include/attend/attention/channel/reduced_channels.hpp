#pragma once
#include <algorithm>
#include <cmath>

#include "attend/core/tensor.hpp"

ATTEND_BEGIN

/// timm's make_divisible: the multiple of `divisor` nearest to `value`, at least `minimum` (the divisor if 0), and one
/// step more when that falls below round_limit times the value.
inline Index make_divisible(double value, Index divisor = 8, Index minimum = 0, double round_limit = 0.9) {
  require<OptionError>(divisor > 0 && std::isfinite(value) && std::abs(value) < 1e15, "make_divisible", [&] {
    return message("divisor = ", divisor, " must be above 0 and value = ", value, " a channel count");
  });
  const Index multiple = Index(value + double(divisor) / 2) / divisor * divisor;
  const Index made = std::max(minimum > 0 ? minimum : divisor, multiple);
  return double(made) < round_limit * value ? made + divisor : made;
}

/// Python's round: halves go to the even neighbour, so 2.5 -> 2 and 1.5 -> 2 (timm's EfficientNets round so).
inline Index round_half_even(double value) {
  const double down = std::floor(value), rest = value - down;
  const bool up = rest > 0.5 || (rest == 0.5 && std::fmod(down, 2) != 0);
  return Index(down) + (up ? 1 : 0);
}

namespace detail {
/// channels / reduction, rounded down. Throws OptionError, in the layer's name, if nothing is left.
inline Index divided_channels(const char* layer, Index channels, Index reduction) {
  require<OptionError>(channels > 0 && reduction > 0 && channels / reduction > 0, layer,
                       [&] { return message("reduction = ", reduction, " leaves nothing of channels = ", channels); });
  return channels / reduction;
}
/// Throws OptionError, in the layer's name, unless the options from which its hidden width follows are positive.
template <class Options>
void check_reduction(const char* layer, const Options& o) {
  require<OptionError>(o.channels > 0 && o.rd_channels >= 0 && o.rd_divisor > 0 && o.rd_ratio > 0, layer, [&] {
    return message("channels = ", o.channels, ", rd_ratio = ", o.rd_ratio, " and rd_divisor = ", o.rd_divisor,
                   " must be above 0, rd_channels = ", o.rd_channels, " not below");
  });
}
/// The hidden width of a gate: o.rd_channels, or what make_divisible leaves of o.channels o.rd_ratio.
template <class Options>
Index reduced_channels(const char* layer, const Options& o, double round_limit = 0) {
  check_reduction(layer, o);
  return o.rd_channels > 0 ? o.rd_channels
                           : make_divisible(double(o.channels) * o.rd_ratio, o.rd_divisor, 0, round_limit);
}
}  // namespace detail

ATTEND_END
