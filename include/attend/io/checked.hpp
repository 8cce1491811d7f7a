#pragma once
#include <cstdint>
#include <limits>
#include <optional>

#include "attend/core/namespace.hpp"

ATTEND_BEGIN

/// A size or offset computed from numbers that a file gives. A sum, difference or product that does not fit 64 bits,
/// and everything computed from it, has no value; so one test at the end covers every step before.
class Checked {
 public:
  constexpr Checked(std::uint64_t value) : value_(value) {}
  constexpr std::optional<std::uint64_t> value() const {
    return fits_ ? std::optional<std::uint64_t>(value_) : std::nullopt;
  }
  /// The value, if it is at most `limit`.
  constexpr std::optional<std::uint64_t> at_most(std::uint64_t limit) const {
    return fits_ && value_ <= limit ? std::optional<std::uint64_t>(value_) : std::nullopt;
  }
  friend constexpr bool operator==(Checked a, std::uint64_t b) { return a.fits_ && a.value_ == b; }
  friend constexpr Checked operator+(Checked a, Checked b) {
    return {a.value_ + b.value_, a.fits_ && b.fits_ && a.value_ <= most - b.value_};
  }
  friend constexpr Checked operator-(Checked a, Checked b) {
    return {a.value_ - b.value_, a.fits_ && b.fits_ && a.value_ >= b.value_};
  }
  friend constexpr Checked operator*(Checked a, Checked b) {
    return {a.value_ * b.value_, a.fits_ && b.fits_ && (b.value_ == 0 || a.value_ <= most / b.value_)};
  }

 private:
  static constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  constexpr Checked(std::uint64_t value, bool fits) : value_(value), fits_(fits) {}
  std::uint64_t value_;
  bool fits_ = true;
};

ATTEND_END
