#pragma once
/// Soft Dice overlap (Milletari et al. 2016, V-Net) of predictions p and targets t, both (batch, positions, channels).
/// Compiled once: what takes targets as functions does not vectorise.
#include <algorithm>
#include <vector>

#include "attend/core/shape.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN
namespace dice_kernels {

struct Sizes {
  Index batch, positions, channels;
  bool pooled;          // one group per channel over the whole batch, instead of one per sample and channel
  bool squared;         // denominators of squares
  Index first_channel;  // 1: the background does not count
  double smooth;
  static constexpr Index grain = 1024;  // positions per unit of work
  Index units_per_sample() const { return (positions + grain - 1) / grain; }
  Index groups() const { return pooled ? channels : batch * channels; }
  Index group(Index b, Index c) const { return pooled ? c : b * channels + c; }
};
/// Of one group: I = sum p t,  T = sum p + sum t (squares if asked).  loss = 1 - (2 I + smooth) / (T + smooth)
struct Overlap {
  double both = 0, total = 0;
};

/// f(unit, sample, first position, end) for every unit of work.
template <class F>
void for_each_unit(const Sizes& s, const F& f) {
  const Index per_sample = s.units_per_sample();
  parallel_for(s.batch * per_sample, 1, [&](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const Index b = u / per_sample, first = u % per_sample * Sizes::grain;
      f(u, b, first, std::min(s.positions, first + Sizes::grain));
    }
  });
}

/// `target(b, position, c)` gives t; `counts(b, position)` whether the position takes part.
template <class S, class Target, class Counts>
std::vector<Overlap> overlaps(const Sizes& s, const S* p, const Target& target, const Counts& counts) {
  const Index per_sample = s.units_per_sample();
  std::vector<Overlap> parts(static_cast<std::size_t>(s.batch * per_sample * s.channels));
  for_each_unit(s, [&](Index unit, Index b, Index first, Index end) {
    Overlap* part = parts.data() + unit * s.channels;
    for (Index i = first; i < end; ++i) {
      if (!counts(b, i)) continue;
      const S* row = p + (b * s.positions + i) * s.channels;
      for (Index c = 0; c < s.channels; ++c) {
        const double v = row[c], t = target(b, i, c);
        part[c].both += v * t;
        part[c].total += s.squared ? v * v + t * t : v + t;
      }
    }
  });
  std::vector<Overlap> groups(static_cast<std::size_t>(s.groups()));
  for (Index u = 0; u < s.batch * per_sample; ++u)
    for (Index c = 0; c < s.channels; ++c) {
      Overlap& group = groups[static_cast<std::size_t>(s.group(u / per_sample, c))];
      const Overlap& part = parts[static_cast<std::size_t>(u * s.channels + c)];
      group.both += part.both, group.total += part.total;
    }
  return groups;
}

/// Sum over the groups that count.
inline double loss(const Sizes& s, const std::vector<Overlap>& groups) {
  double sum = 0;
  for (Index g = 0; g < s.groups(); ++g) {
    const Overlap& o = groups[static_cast<std::size_t>(g)];
    if (g % s.channels >= s.first_channel) sum += 1 - (2 * o.both + s.smooth) / (o.total + s.smooth);
  }
  return sum;
}

/// d loss / d p = -(2 t D - N (1 or 2 p)) / D^2 with N = 2 I + smooth, D = T + smooth; the same with p and t exchanged.
/// `add(b, position, dp, dt)` is given the derivatives of one position's channels (dt null unless `both`).
template <class S, class Target, class Counts, class Add>
void backward(const Sizes& s, const S* p, const Target& target, const Counts& counts,
              const std::vector<Overlap>& groups, double scale, bool both, const Add& add) {
  for_each_unit(s, [&](Index, Index b, Index first, Index end) {
    std::vector<S> scratch(static_cast<std::size_t>(2 * s.channels));
    S *dp = scratch.data(), *dt = scratch.data() + s.channels;
    for (Index i = first; i < end; ++i) {
      if (!counts(b, i)) continue;
      const S* row = p + (b * s.positions + i) * s.channels;
      for (Index c = s.first_channel; c < s.channels; ++c) {
        const Overlap& o = groups[static_cast<std::size_t>(s.group(b, c))];
        const double n = 2 * o.both + s.smooth, d = o.total + s.smooth, v = row[c], t = target(b, i, c);
        dp[c] = static_cast<S>(scale * (n * (s.squared ? 2 * v : 1) - 2 * t * d) / (d * d));
        if (both) dt[c] = static_cast<S>(scale * (n * (s.squared ? 2 * t : 1) - 2 * v * d) / (d * d));
      }
      add(b, i, dp, both ? dt : nullptr);
    }
  });
}

}  // namespace dice_kernels
ATTEND_END
