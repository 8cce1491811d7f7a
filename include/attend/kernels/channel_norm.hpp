#pragma once
/// Normalisation over the rows of a segment, channel by channel or in groups of channels: batch norm (one segment),
/// instance norm (a segment per sample), group norm (likewise, with groups). x is (segments, rows, channels). Sums are
/// taken in double, over chunks of rows that depend on rows and channels alone and are combined in order.
#include <cmath>
#include <numeric>
#include <vector>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace channel_norm {

struct Sizes {
  Index segments, rows, channels, groups;
  Index group_channels() const { return channels / std::max<Index>(1, groups); }
  Index values() const { return rows * group_channels(); }  ///< that share one mean
};

namespace detail {
/// Elements of a chunk of rows.
constexpr Index chunk_elements = 1 << 14;
/// Rows handled side by side, as one wide row: 16 numbers or more, and a multiple of 8, so that loops are whole
/// vectors.
inline Index side_by_side(Index channels) {
  const Index rows = 8 / std::gcd(channels, Index(8));
  return channels * rows < 16 ? 2 * rows : rows;
}
inline Index chunk_rows(const Sizes& s) {
  const Index side = side_by_side(s.channels);
  return std::max<Index>(1, chunk_elements / std::max<Index>(1, side * s.channels)) * side;
}
inline Index chunks(const Sizes& s) { return (s.rows + chunk_rows(s) - 1) / chunk_rows(s); }

/// Calls f(first element, elements, segment, chunk) for every chunk of every segment.
template <class F>
void for_each_chunk(const Sizes& s, const F& f) {
  const Index per = chunks(s),
              grain = std::max<Index>(1, chunk_elements / (std::min(s.rows, chunk_rows(s)) * s.channels + 1));
  parallel_for(s.segments * per, grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index segment = i / per, first = (i % per) * chunk_rows(s), last = std::min(s.rows, first + chunk_rows(s));
      f((segment * s.rows + first) * s.channels, (last - first) * s.channels, segment, i);
    }
  });
}
/// to[j] += the sum of term(at, i, j) over i = j, j + width, ... below count; a term is of elements i, i + 1, ... and
/// reads them by at(pointer), which gives doubles.
template <class Term>
void add_wide(Index count, Index width, double* to, const Term& term) {
  constexpr Index lanes = simd::lanes<double>;
  for (Index i = 0; i < count;) {
    const Index n = std::min(width, count - i);
    const bool two = i + 2 * width <= count;
    Index j = 0;
    if (two)
      for (; j + lanes <= n; j += lanes)
        simd::store(to + j,
                    simd::load(to + j) + (term(simd::Whole(), i + j, j) + term(simd::Whole(), i + width + j, j)));
    else
      for (; j + lanes <= n; j += lanes) simd::store(to + j, simd::load(to + j) + term(simd::Whole(), i + j, j));
    if (j < n) {  // the end of the last row: a multiple of the channels, not always of the lanes
      const simd::Part at{n - j};
      simd::store_part(to + j, at(to + j) + term(at, i + j, j), n - j);
    }
    i += two ? 2 * width : width;
  }
}
/// sums[c] = wide[c] + wide[c + channels] + ...
inline void fold(Index width, Index channels, const double* wide, double* sums) {
  std::copy_n(wide, channels, sums);
  for (Index j = channels; j < width; ++j) sums[j % channels] += wide[j];
}
/// One coefficient per channel, repeated side by side.
template <class S>
void widen(Index channels, Index width, S* values) {
  for (Index j = channels; j < width; ++j) values[j] = values[j - channels];
}
}  // namespace detail

/// mean and biased variance, each (segments, groups). Two passes over each chunk, chunks combined as Chan et al. 1979
/// do: no cancellation however large the mean.
template <class S>
void statistics(const Sizes& s, const S* x, double* mean, double* variance) {
  const Index C = s.channels, width = C * detail::side_by_side(C), per = detail::chunks(s);
  const auto partial =
      make_buffer<double>(s.segments * per * 2 * C);  // mean and sum of squared deviations of each chunk
  detail::for_each_chunk(s, [&](Index first, Index count, Index, Index chunk) {
    const S* v = x + first;
    std::vector<double> sums(static_cast<std::size_t>(2 * width));
    double *wide = sums.data(), *centre = wide + width, *m = partial.get() + chunk * 2 * C, *m2 = m + C;
    detail::add_wide(count, width, wide, [v](auto at, Index i, Index) { return at(v + i); });
    detail::fold(width, C, wide, m);
    for (Index c = 0; c < C; ++c) m[c] /= static_cast<double>(count / C);
    std::copy_n(m, C, centre);
    detail::widen(C, width, centre);
    std::fill_n(wide, width, 0.0);
    detail::add_wide(count, width, wide, [v, centre](auto at, Index i, Index j) {
      const auto d = at(v + i) - at(centre + j);
      return d * d;
    });
    detail::fold(width, C, wide, m2);
  });
  const Index group = s.group_channels(), rows = detail::chunk_rows(s);
  for (Index i = 0; i < s.segments * s.groups; ++i) {
    const Index segment = i / s.groups, g = i % s.groups;
    double n = 0, m = 0, m2 = 0;
    for (Index k = 0; k < per; ++k) {
      const double count = static_cast<double>(std::min(rows, s.rows - k * rows));
      const double *pm = partial.get() + (segment * per + k) * 2 * C + g * group, *pm2 = pm + C;
      for (Index c = 0; c < group; ++c) {
        const double delta = pm[c] - m, all = n + count;
        m += delta * (count / all);
        m2 += pm2[c] + delta * delta * (n * count / all);
        n = all;
      }
    }
    mean[i] = m;
    variance[i] = n > 0 ? m2 / n : 0;
  }
}

/// rstd[i] = 1 / sqrt(variance[i] + eps)
inline void reciprocal_deviation(Index count, double eps, const double* variance, double* rstd) {
  for (Index i = 0; i < count; ++i) rstd[i] = 1 / std::sqrt(variance[i] + eps);
}

/// y = (x - mean) rstd weight + bias;  mean, rstd: (segments, groups), or one segment's for all where `shared`;
/// weight, bias: (channels) or null. The mean enters in two parts, so that x - mean is exact in float as well.
template <class S>
void forward(const Sizes& s, bool shared, const S* x, const double* mean, const double* rstd, const S* weight,
             const S* bias, S* y) {
  const Index C = s.channels, width = C * detail::side_by_side(C), segments = shared ? 1 : s.segments,
              group = s.group_channels();
  const auto coefficients = make_buffer<S>(segments * 4 * width);
  for (Index segment = 0; segment < segments; ++segment) {
    S *high = coefficients.get() + segment * 4 * width, *low = high + width, *scale = low + width,
      *shift = scale + width;
    for (Index c = 0; c < C; ++c) {
      const Index i = segment * s.groups + c / group;
      high[c] = S(mean[i]);
      low[c] = S(mean[i] - static_cast<double>(high[c]));
      scale[c] = S(rstd[i] * (weight ? static_cast<double>(weight[c]) : 1.0));
      shift[c] = bias ? bias[c] : S(0);
    }
    for (S* part : {high, low, scale, shift}) detail::widen(C, width, part);
  }
  detail::for_each_chunk(s, [&](Index first, Index count, Index segment, Index) {
    const S *high = coefficients.get() + (shared ? 0 : segment) * 4 * width, *low = high + width, *scale = low + width,
            *shift = scale + width;
    for (Index i = 0; i < count; i += width)
      simd::map(
          std::min(width, count - i), y + first + i,
          [](auto v, auto h, auto l, auto a, auto b) { return ((v - h) - l) * a + b; }, x + first + i, high, low, scale,
          shift);
  });
}

/// Adds into dx, dweight and dbias, each of which may be null. `fixed`: mean and rstd were given, not computed from x.
/// x may be null where neither dweight nor, unless fixed, dx is wanted.
template <class S>
void backward(const Sizes& s, bool shared, bool fixed, const S* x, const double* mean, const double* rstd,
              const S* weight, const S* dy, S* dx, S* dweight, S* dbias) {
  if (s.channels == 0) return;
  const Index C = s.channels, width = C * detail::side_by_side(C), per = detail::chunks(s), group = s.group_channels();
  const bool of_x = dweight || (dx && !fixed);
  const auto statistic = [&](Index segment, Index c) { return (shared ? 0 : segment) * s.groups + c / group; };
  // per segment and channel: sum of dy, and of dy (x - mean)
  const auto sums = make_buffer<double>(s.segments * 2 * C, 0.0);
  if (of_x || dbias) {
    const auto partial = make_buffer<double>(s.segments * per * 2 * C);
    detail::for_each_chunk(s, [&](Index first, Index count, Index segment, Index chunk) {
      std::vector<double> scratch(static_cast<std::size_t>(3 * width));
      double *wide = scratch.data(), *wide_x = wide + width, *centre = wide_x + width,
             *to = partial.get() + chunk * 2 * C;
      const S* g = dy + first;
      detail::add_wide(count, width, wide, [g](auto at, Index i, Index) { return at(g + i); });
      if (of_x) {
        const S* v = x + first;
        for (Index c = 0; c < C; ++c) centre[c] = mean[statistic(segment, c)];
        detail::widen(C, width, centre);
        detail::add_wide(count, width, wide_x, [g, v, centre](auto at, Index i, Index j) {
          return at(g + i) * (at(v + i) - at(centre + j));
        });
      }
      detail::fold(width, C, wide, to);
      detail::fold(width, C, wide_x, to + C);
    });
    for (Index segment = 0; segment < s.segments; ++segment)
      for (Index k = 0; k < per; ++k)
        for (Index j = 0; j < 2 * C; ++j)
          sums.get()[segment * 2 * C + j] += partial.get()[(segment * per + k) * 2 * C + j];
  }
  for (Index c = 0; c < C; ++c) {
    double of_bias = 0, of_weight = 0;
    for (Index segment = 0; segment < s.segments; ++segment) {
      const double* sum = sums.get() + segment * 2 * C;
      of_bias += sum[c];
      of_weight += sum[C + c] * rstd[statistic(segment, c)];
    }
    if (dbias) dbias[c] += S(of_bias);
    if (dweight) dweight[c] += S(of_weight);
  }
  if (!dx) return;
  // dx = first dy + second + third (x - mean); with r = rstd, w = weight and means over what shares a statistic:
  // first = r w, second = -r mean(w dy), third = -r^3 mean(w dy (x - mean))
  const auto coefficients = make_buffer<S>(s.segments * 5 * width);
  for (Index segment = 0; segment < s.segments; ++segment) {
    S *high = coefficients.get() + segment * 5 * width, *low = high + width, *first = low + width,
      *second = first + width, *third = second + width;
    for (Index g = 0; g < s.groups; ++g) {
      double of_dy = 0, of_product = 0;
      const Index i = statistic(segment, g * group);
      const double r = rstd[i], values = static_cast<double>(s.values());
      if (!fixed)
        for (Index c = g * group; c < (g + 1) * group; ++c) {
          const double w = weight ? static_cast<double>(weight[c]) : 1;
          of_dy += w * sums.get()[segment * 2 * C + c];
          of_product += w * sums.get()[segment * 2 * C + C + c];
        }
      for (Index c = g * group; c < (g + 1) * group; ++c) {
        high[c] = S(mean[i]);
        low[c] = S(mean[i] - static_cast<double>(high[c]));
        first[c] = S(r * (weight ? static_cast<double>(weight[c]) : 1));
        second[c] = S(-r * (of_dy / values));
        third[c] = S(-r * r * r * (of_product / values));
      }
    }
    for (S* part : {high, low, first, second, third}) detail::widen(C, width, part);
  }
  detail::for_each_chunk(s, [&](Index begin, Index count, Index segment, Index) {
    const S *high = coefficients.get() + segment * 5 * width, *low = high + width, *first = low + width,
            *second = first + width, *third = second + width;
    for (Index i = 0; i < count; i += width) {
      const Index n = std::min(width, count - i);
      S* d = dx + begin + i;
      const S *to = d, *g = dy + begin + i;
      if (fixed)
        simd::map(
            n, d, [](auto t, auto up, auto a) { return t + a * up; }, to, g, first);
      else
        simd::map(
            n, d,
            [](auto t, auto up, auto v, auto h, auto l, auto a, auto b, auto c) {
              return t + (a * up + b + c * ((v - h) - l));
            },
            to, g, x + begin + i, high, low, first, second, third);
    }
  });
}

}  // namespace channel_norm
ATTEND_END
