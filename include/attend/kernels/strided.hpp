#pragma once
/// Copies between a contiguous tensor and a strided part of another: slices, transpositions, flips, paddings,
/// concatenation. Compiled once: moving memory is the work.
#include "attend/core/tensor.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/elementwise.hpp"

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

namespace detail {
/// f(element of the contiguous tensor, place in the other one), in tiles where the last axis has a step and another one
/// has none: a transposition then reads and writes whole cache lines.
template <class F>
void for_each_strided(const Strided& s, const F& f) {
  const auto last = static_cast<std::size_t>(s.axes - 1);
  std::size_t dense = last;  // the axis without a step
  for (std::size_t k = 0; k < last; ++k)
    if (s.step[k] == 1) dense = k;
  const auto element = [&f](Index i, Index place, Index n, Index step) {
    for (Index j = 0; j < n; ++j) f(i + j, place + j * step);
  };
  if (dense == last) return s.for_each(element);
  constexpr Index tile = 16;
  Strided rest = s;  // the two axes in tiles, the others one by one
  const Index rows = s.extent[dense], columns = s.extent[last], row_tiles = (rows + tile - 1) / tile,
              column_tiles = (columns + tile - 1) / tile;
  Index row_step = 1;  // in the contiguous tensor
  for (std::size_t k = dense + 1; k <= last; ++k) row_step *= s.extent[k];
  rest.extent[dense] = row_tiles, rest.extent[last] = column_tiles;
  const Index tiles = s.size == 0 ? 0 : s.size / (rows * columns) * row_tiles * column_tiles;
  parallel_for(tiles, std::max<Index>(1, (Index(1) << 14) / (tile * tile)), [&](Index begin, Index end) {
    for (Index t = begin; t < end; ++t) {
      Index i = 0, place = s.offset, left = t, size = 1;
      Index row = 0, column = 0;
      for (std::size_t k = last + 1; k-- > 0;) {
        const Index at = left % rest.extent[k];
        left /= rest.extent[k];
        const Index first = k == dense || k == last ? at * tile : at;
        if (k == dense) row = first;
        if (k == last) column = first;
        i += first * size, place += first * s.step[k];
        size *= s.extent[k];
      }
      const Index m = std::min(tile, rows - row), n = std::min(tile, columns - column);
      for (Index r = 0; r < m; ++r) element(i + r * row_step, place + r, n, s.step[last]);
    }
  });
}
/// Whether runs of both tensors are contiguous.
inline bool is_dense(const Strided& s) { return s.step[static_cast<std::size_t>(s.axes - 1)] == 1; }
}  // namespace detail

/// to[i] = from[place of i]
template <class S>
void strided_gather(const Strided& s, const S* from, S* to) {
  if (detail::is_dense(s))
    s.for_each([=](Index i, Index place, Index n, Index) { std::copy_n(from + place, n, to + i); });
  else
    detail::for_each_strided(s, [=](Index i, Index place) { to[i] = from[place]; });
}
/// to[i] += from[place of i]
template <class S>
void strided_gather_add(const Strided& s, const S* from, S* to) {
  if (detail::is_dense(s))
    s.for_each([=](Index i, Index place, Index n, Index) { add_scaled(n, S(1), from + place, to + i); });
  else
    detail::for_each_strided(s, [=](Index i, Index place) { to[i] += from[place]; });
}
/// to[place of i] = from[i]
template <class S>
void strided_scatter(const Strided& s, const S* from, S* to) {
  if (detail::is_dense(s))
    s.for_each([=](Index i, Index place, Index n, Index) { std::copy_n(from + i, n, to + place); });
  else
    detail::for_each_strided(s, [=](Index i, Index place) { to[place] = from[i]; });
}
/// to[place of i] += from[i]
template <class S>
void strided_scatter_add(const Strided& s, const S* from, S* to) {
  if (detail::is_dense(s))
    s.for_each([=](Index i, Index place, Index n, Index) { add_scaled(n, S(1), from + i, to + place); });
  else
    detail::for_each_strided(s, [=](Index i, Index place) { to[place] += from[i]; });
}

ATTEND_END
