#pragma once
#include <cmath>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN

enum class RotaryLayout { half_split, interleaved };

/// cos and sin of position * base^(-2 i / dim), (length, dim / 2) each.
template <class S>
class RotaryAngles {
 public:
  RotaryAngles(Index length, Index dim, double base, Index first_position)
      : half_(dim / 2), table_(make_buffer<S>(length * dim)), sin_(table_.get() + length * half_) {
    for (Index i = 0; i < half_; ++i) {
      const double frequency = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(dim));
      for (Index t = 0; t < length; ++t) {
        const double angle = (static_cast<double>(first_position) + static_cast<double>(t)) * frequency;
        table_.get()[t * half_ + i] = static_cast<S>(std::cos(angle));
        sin_[t * half_ + i] = static_cast<S>(std::sin(angle));
      }
    }
  }
  const S* cos(Index t) const { return table_.get() + t * half_; }
  const S* sin(Index t) const { return sin_ + t * half_; }

 private:
  Index half_;
  std::shared_ptr<S> table_;
  S* sin_;
};

/// y += x turned by direction (1 or -1) times the angles; x, y: (batch, length, heads, width), of which `dim` numbers
/// turn.
template <class S>
void add_rotated(Index batch, Index length, Index heads, Index width, Index dim, RotaryLayout layout,
                 const RotaryAngles<S>& angles, S direction, const S* x, S* y) {
  const Index half = dim / 2, step = layout == RotaryLayout::interleaved ? 2 : 1,
              other = layout == RotaryLayout::interleaved ? 1 : half;
  parallel_for(batch * length, std::max<Index>(1, 16384 / std::max<Index>(1, heads * width)),
               [&](Index begin, Index end) {
                 for (Index row = begin; row < end; ++row) {
                   const S *cos = angles.cos(row % length), *sin = angles.sin(row % length);
                   for (Index h = 0; h < heads; ++h) {
                     const S* from = x + (row * heads + h) * width;
                     S* to = y + (row * heads + h) * width;
                     for (Index i = 0; i < half; ++i) {
                       const Index a = i * step, b = a + other;
                       const S s = direction * sin[i];
                       to[a] += from[a] * cos[i] - from[b] * s;
                       to[b] += from[b] * cos[i] + from[a] * s;
                     }
                     for (Index c = dim; c < width; ++c) to[c] += from[c];
                   }
                 }
               });
}

ATTEND_END
