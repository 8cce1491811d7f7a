#pragma once
/// Copies between a contiguous tensor and a strided part of another: slices, transpositions, flips, paddings,
/// concatenation.
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"

ATTEND_BEGIN

/// Where element (i, j, ...) of a contiguous tensor lies in the other one: offset + i step[0] + j step[1] + ... Steps
/// may be negative, not 0.
struct Strided {
  static constexpr int most_axes = 8;
  int axes = 0;
  Index size = 1, offset = 0;
  std::array<Index, most_axes> extent{}, step{};

  template <std::size_t R>
  Strided(const std::array<Index, R>& shape, const std::array<Index, R>& steps, Index first = 0) : offset(first) {
    static_assert(R <= most_axes, "attend: slices, transpositions and the like take up to 8 axes");
    for (std::size_t i = 0; i < R; ++i) {  // axes that follow on from each other become one
      size *= shape[i];
      if (shape[i] == 1) continue;
      const auto last = static_cast<std::size_t>(axes > 0 ? axes - 1 : 0);
      if (axes > 0 && step[last] == shape[i] * steps[i]) {
        extent[last] *= shape[i], step[last] = steps[i];
      } else {
        const auto k = static_cast<std::size_t>(axes++);
        extent[k] = shape[i], step[k] = steps[i];
      }
    }
    if (axes == 0) axes = 1, extent[0] = step[0] = 1;
  }

  /// f(first contiguous element, its place in the other tensor, elements, step there), for pieces that cover
  /// everything.
  template <class F>
  void for_each(const F& f) const {
    if (size == 0) return;
    constexpr Index grain = 1 << 14;
    const auto last = static_cast<std::size_t>(axes - 1);
    const Index n = extent[last], step_n = step[last], runs = size / n;
    if (runs == 1) {
      parallel_for(n, grain, [&](Index begin, Index end) { f(begin, offset + begin * step_n, end - begin, step_n); });
      return;
    }
    parallel_for(runs, std::max<Index>(1, grain / n), [&](Index begin, Index end) {
      std::array<Index, most_axes> at{};
      Index place = offset, rest = begin;
      for (std::size_t k = last; k-- > 0;) {
        at[k] = rest % extent[k], rest /= extent[k];
        place += at[k] * step[k];
      }
      for (Index run = begin; run < end; ++run) {
        f(run * n, place, n, step_n);
        for (std::size_t k = last; k-- > 0;) {
          place += step[k];
          if (++at[k] < extent[k]) break;
          place -= at[k] * step[k];
          at[k] = 0;
        }
      }
    });
  }
};

/// Steps of a row-major tensor of this shape.
template <std::size_t R>
std::array<Index, R> row_major_steps(const std::array<Index, R>& shape) {
  std::array<Index, R> steps{};
  Index step = 1;
  for (std::size_t i = R; i-- > 0; step *= shape[i]) steps[i] = step;
  return steps;
}

/// to[i] = from[place of i]
template <class S>
void strided_gather(const Strided& s, const S* from, S* to) {
  s.for_each([=](Index i, Index place, Index n, Index step) {
    if (step == 1)
      std::copy_n(from + place, n, to + i);
    else
      for (Index j = 0; j < n; ++j) to[i + j] = from[place + j * step];
  });
}
/// to[i] += from[place of i]
template <class S>
void strided_gather_add(const Strided& s, const S* from, S* to) {
  s.for_each([=](Index i, Index place, Index n, Index step) {
    if (step == 1)
      for (Index j = 0; j < n; ++j) to[i + j] += from[place + j];
    else
      for (Index j = 0; j < n; ++j) to[i + j] += from[place + j * step];
  });
}
/// to[place of i] = from[i]
template <class S>
void strided_scatter(const Strided& s, const S* from, S* to) {
  s.for_each([=](Index i, Index place, Index n, Index step) {
    if (step == 1)
      std::copy_n(from + i, n, to + place);
    else
      for (Index j = 0; j < n; ++j) to[place + j * step] = from[i + j];
  });
}
/// to[place of i] += from[i]
template <class S>
void strided_scatter_add(const Strided& s, const S* from, S* to) {
  s.for_each([=](Index i, Index place, Index n, Index step) {
    if (step == 1)
      for (Index j = 0; j < n; ++j) to[place + j] += from[i + j];
    else
      for (Index j = 0; j < n; ++j) to[place + j * step] += from[i + j];
  });
}

ATTEND_END
