/// Rotary position encoding.
#ifndef ATTEND_KERNELS_ROTARY
#define ATTEND_KERNELS_ROTARY
#include <cmath>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

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
  Shared<S> table_;
  S* sin_;
};

ATTEND_END

#define ATTEND_KERNELS "attend/kernels/rotary.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(add_rotated)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA

/// y += x turned by direction (1 or -1) times the angles; x, y: (batch, length, heads, width), of which `dim` numbers
/// turn.
template <class S>
void add_rotated(Index batch, Index length, Index heads, Index width, Index dim, RotaryLayout layout,
                 const RotaryAngles<S>& angles, S direction, const S* x, S* y) {
  const Index half = dim / 2;
  parallel_for(batch * length, std::max<Index>(1, 16384 / std::max<Index>(1, heads * width)),
               [&](Index begin, Index end) {
                 for (Index row = begin; row < end; ++row) {
                   const S *cos = angles.cos(row % length), *sin = angles.sin(row % length);
                   for (Index h = 0; h < heads; ++h) {
                     const S* from = x + (row * heads + h) * width;
                     S* to = y + (row * heads + h) * width;
                     if (layout == RotaryLayout::half_split)
                       simd::for_each_vector<S>(half, [&](const auto& at) {
                         const auto c = at(cos), s = at(sin) * direction, first = at(from), second = at(from + half);
                         at.put(to, at(to) + (first * c - second * s));
                         at.put(to + half, at(to + half) + (second * c + first * s));
                       });
                     else
                       for (Index i = 0; i < half; ++i) {
                         const S s = direction * sin[i];
                         to[2 * i] += from[2 * i] * cos[i] - from[2 * i + 1] * s;
                         to[2 * i + 1] += from[2 * i + 1] * cos[i] + from[2 * i] * s;
                       }
                     for (Index c = dim; c < width; ++c) to[c] += from[c];
                   }
                 }
               });
}

ATTEND_END_ISA
#endif
