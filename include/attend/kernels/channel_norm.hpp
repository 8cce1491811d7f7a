/// Normalisation over the rows of a segment, channel by channel or in groups of channels: batch norm (one segment),
/// instance norm (a segment per sample), group norm (likewise, with groups). x is (segments, rows, channels). Sums are
/// taken in double, over chunks of rows that depend on rows and channels alone and are combined in order.
#ifndef ATTEND_KERNELS_CHANNEL_NORM
#define ATTEND_KERNELS_CHANNEL_NORM
#include <cmath>
#include <numeric>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/simd/square_root.hpp"
#include "attend/simd/vector.hpp"

ATTEND_BEGIN
namespace channel_norm {

struct Sizes {
  Index segments, rows, channels, groups;
  Index group_channels() const { return channels / std::max<Index>(1, groups); }
  Index values() const { return rows * group_channels(); }  ///< that share one mean
};

/// rstd[i] = 1 / sqrt(variance[i] + eps)
inline void reciprocal_deviation(Index count, double eps, const double* variance, double* rstd) {
  for (Index i = 0; i < count; ++i) rstd[i] = 1 / std::sqrt(variance[i] + eps);
}

/// What no instruction set makes faster is compiled once.
namespace detail {
/// Elements of a chunk of rows.
constexpr Index chunk_elements = 1 << 14;
/// Rows handled side by side, as one wide row: 64 numbers or more, and a multiple of 8, so that loops are long and of
/// whole vectors.
inline Index side_by_side(Index channels) {
  Index rows = 8 / std::gcd(channels, Index(8));
  while (channels * rows < 64 && rows < 64) rows *= 2;
  return rows;
}
inline Index chunk_rows(const Sizes& s) {
  const Index side = side_by_side(s.channels);
  return std::max<Index>(1, chunk_elements / std::max<Index>(1, side * s.channels)) * side;
}
inline Index chunks(const Sizes& s) { return (s.rows + chunk_rows(s) - 1) / chunk_rows(s); }

using Chunk = void (*)(const void* f, Index first, Index count, Index segment, Index chunk);
ATTEND_OUT_OF_LINE inline void for_each_chunk(const Sizes& s, Chunk chunk, const void* f) {
  const Index per = chunks(s),
              grain = std::max<Index>(1, chunk_elements / (std::min(s.rows, chunk_rows(s)) * s.channels + 1));
  parallel_for(s.segments * per, grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index segment = i / per, first = (i % per) * chunk_rows(s), last = std::min(s.rows, first + chunk_rows(s));
      chunk(f, (segment * s.rows + first) * s.channels, (last - first) * s.channels, segment, i);
    }
  });
}
/// Calls f(first element, elements, segment, chunk) for every chunk of every segment.
template <class F>
void for_each_chunk(const Sizes& s, const F& f) {
  for_each_chunk(
      s,
      [](const void* g, Index first, Index count, Index segment, Index chunk) {
        (*static_cast<const F*>(g))(first, count, segment, chunk);
      },
      &f);
}
/// sums[c] = wide[c] + wide[c + channels] + ...
inline void fold(Index width, Index channels, const double* wide, double* sums) {
  std::copy_n(wide, channels, sums);
  for (Index j = channels; j < width; j += channels)
    for (Index c = 0; c < channels; ++c) sums[c] += wide[j + c];
}
/// One coefficient per channel, repeated side by side.
template <class T>
void widen(Index channels, Index width, T* values) {
  for (Index j = channels; j < width; ++j) values[j] = values[j - channels];
}

/// The mean and the sum of squared deviations of a chunk of `rows` rows, from the sums of differences to `shift`, and of
/// their squares, of each wide column.
ATTEND_OUT_OF_LINE inline void finish_chunk(Index rows, Index width, Index channels, const double* sums,
                                            const double* squares, const double* shift, double* m, double* m2) {
  fold(width, channels, sums, m);
  fold(width, channels, squares, m2);
  for (Index c = 0; c < channels; ++c) {
    const double difference = m[c] / static_cast<double>(rows);
    m2[c] = std::max(m2[c] - m[c] * difference, 0.0);
    m[c] = shift[c] + difference;
  }
}
/// Chan et al. 1979, over the chunks and the channels of each group.
ATTEND_OUT_OF_LINE inline void combine_chunks(const Sizes& s, const double* partial, double* mean, double* variance) {
  const Index per = chunks(s), group = s.group_channels(), rows = chunk_rows(s);
  for (Index i = 0; i < s.segments * s.groups; ++i) {
    const Index segment = i / s.groups, g = i % s.groups;
    double n = 0, m = 0, m2 = 0;
    for (Index k = 0; k < per; ++k) {
      const double count = static_cast<double>(std::min(rows, s.rows - k * rows));
      const double *pm = partial + (segment * per + k) * 2 * s.channels + g * group, *pm2 = pm + s.channels;
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

/// For each segment four rows of `width`: the mean in two parts, what multiplies, what is added.
template <class S>
ATTEND_OUT_OF_LINE void forward_coefficients(const Sizes& s, Index segments, Index width, const double* mean,
                                             const double* rstd, const S* weight, const S* bias, S* to) {
  const Index group = s.group_channels();
  for (Index segment = 0; segment < segments; ++segment, to += 4 * width) {
    S *high = to, *low = high + width, *scale = low + width, *shift = scale + width;
    for (Index c = 0; c < s.channels; ++c) {
      const Index i = segment * s.groups + c / group;
      high[c] = S(mean[i]);
      low[c] = S(mean[i] - static_cast<double>(high[c]));
      scale[c] = S(rstd[i] * (weight ? static_cast<double>(weight[c]) : 1.0));
      shift[c] = bias ? bias[c] : S(0);
    }
    for (S* part : {high, low, scale, shift}) widen(s.channels, width, part);
  }
}

/// Per segment and channel: the sums of what the chunks found.
ATTEND_OUT_OF_LINE inline void sum_chunks(const Sizes& s, const double* partial, double* sums) {
  const Index per = chunks(s), size = 2 * s.channels;
  for (Index segment = 0; segment < s.segments; ++segment, sums += size)
    for (Index k = 0; k < per; ++k, partial += size)
      for (Index j = 0; j < size; ++j) sums[j] += partial[j];
}
/// dweight and dbias += what `sums` of dy (x - mean) and of dy say.
template <class S>
ATTEND_OUT_OF_LINE void add_parameter_gradients(const Sizes& s, bool shared, const double* sums, const double* rstd,
                                                S* dweight, S* dbias) {
  const Index group = s.group_channels();
  for (Index c = 0; c < s.channels; ++c) {
    double of_bias = 0, of_weight = 0;
    for (Index segment = 0; segment < s.segments; ++segment) {
      const double* sum = sums + segment * 2 * s.channels;
      of_bias += sum[c];
      of_weight += sum[s.channels + c] * rstd[(shared ? 0 : segment) * s.groups + c / group];
    }
    if (dbias) dbias[c] += S(of_bias);
    if (dweight) dweight[c] += S(of_weight);
  }
}
/// dx = first dy + second + third (x - mean); with r = rstd, w = weight and means over what shares a statistic:
/// first = r w, second = -r mean(w dy), third = -r^3 mean(w dy (x - mean)). For each segment five rows of `width`: the
/// mean in two parts, then these.
template <class S>
ATTEND_OUT_OF_LINE void backward_coefficients(const Sizes& s, bool shared, bool fixed, Index width, const double* sums,
                                              const double* mean, const double* rstd, const S* weight, S* to) {
  const Index group = s.group_channels();
  for (Index segment = 0; segment < s.segments; ++segment, to += 5 * width, sums += 2 * s.channels) {
    S *high = to, *low = high + width, *first = low + width, *second = first + width, *third = second + width;
    for (Index g = 0; g < s.groups; ++g) {
      double of_dy = 0, of_product = 0;
      const Index i = (shared ? 0 : segment) * s.groups + g;
      const double r = rstd[i], values = static_cast<double>(s.values());
      if (!fixed)
        for (Index c = g * group; c < (g + 1) * group; ++c) {
          const double w = weight ? static_cast<double>(weight[c]) : 1;
          of_dy += w * sums[c];
          of_product += w * sums[s.channels + c];
        }
      for (Index c = g * group; c < (g + 1) * group; ++c) {
        high[c] = S(mean[i]);
        low[c] = S(mean[i] - static_cast<double>(high[c]));
        first[c] = S(r * (weight ? static_cast<double>(weight[c]) : 1));
        second[c] = S(-r * (of_dy / values));
        third[c] = S(-r * r * r * (of_product / values));
      }
    }
    for (S* part : {high, low, first, second, third}) widen(s.channels, width, part);
  }
}

}  // namespace detail

}  // namespace channel_norm
ATTEND_END

#define ATTEND_KERNELS "attend/kernels/channel_norm.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_COMPILED_KERNEL(channel_norm::statistics)
ATTEND_COMPILED_KERNEL(channel_norm::forward)
ATTEND_COMPILED_KERNEL(channel_norm::backward)
ATTEND_COMPILED_KERNEL(channel_norm::fold_running)
namespace channel_norm {
ATTEND_DISPATCH_IN(channel_norm, statistics)
ATTEND_DISPATCH_IN(channel_norm, forward)
ATTEND_DISPATCH_IN(channel_norm, backward)
ATTEND_DISPATCH_IN(channel_norm, fold_running)
}  // namespace channel_norm
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace channel_norm {
using attend::channel_norm::Sizes;

namespace detail {
using namespace attend::channel_norm::detail;

/// Adds to a vector of first and of second, at j, what `rows` rows from element i on give there.
template <class Term, class From>
ATTEND_INLINE void add_rows(const From& at, Index i, Index rows, Index width, Index j, Index n, double* first,
                            double* second, const Term& term) {
  simd::Vector<double> a = at(first + j), b = at(second + j);
  for (Index r = 0; r < rows; ++r) {
    const auto both = term(at, i + r * width + j, j);
    a += both.first;
    b += both.second;
  }
  const simd::At<double> to{0, n};
  to.put(first + j, a);
  to.put(second + j, b);
}
/// first[j] and second[j] += the sums of the two vectors that term(at, i, j) gives, over i = j, j + width, ... below
/// count; a term is of elements i, i + 1, ... and j, j + 1, ... of a wide row, and reads them by at(pointer), which gives
/// doubles. Four rows at a time: they are read in order, and the sums seldom.
template <class Term>
ATTEND_INLINE void add_wide(Index count, Index width, double* first, double* second, const Term& term) {
  constexpr Index lanes = simd::lanes<double>;
  for (Index i = 0, rows = 0; i < count; i += rows * width) {
    rows = std::clamp<Index>((count - i) / width, 1, 4);
    const Index n = std::min(width, count - i);  // of the last row: a multiple of the channels, not always of the lanes
    Index j = 0;
    for (; j + lanes <= n; j += lanes) add_rows(simd::Whole(), i, rows, width, j, lanes, first, second, term);
    if (j < n) add_rows(simd::Part{n - j}, i, rows, width, j, n - j, first, second, term);
  }
}
}  // namespace detail

/// mean and biased variance, each (segments, groups). One pass over each chunk sums differences to its first row: the
/// variance is at least their mean square over the number of rows, so nothing cancels however large the mean.
template <class S>
void statistics(const Sizes& s, const S* x, double* mean, double* variance) {
  const Index C = s.channels, width = C * detail::side_by_side(C);
  const auto partial = make_buffer<double>(s.segments * detail::chunks(s) * 2 * C);
  detail::for_each_chunk(s, [&](Index first, Index count, Index, Index chunk) {
    const S* v = x + first;
    const auto scratch = make_buffer<double>(3 * width, 0.0);
    double *sums = scratch.get(), *squares = sums + width, *shift = squares + width;
    for (Index c = 0; c < C; ++c) shift[c] = static_cast<double>(v[c]);
    detail::widen(C, width, shift);
    detail::add_wide(count, width, sums, squares, [v, shift](const auto& at, Index i, Index j) {
      const auto d = at(v + i) - at(shift + j);
      return std::pair(d, d * d);
    });
    double* m = partial.get() + chunk * 2 * C;
    detail::finish_chunk(count / C, width, C, sums, squares, shift, m, m + C);
  });
  detail::combine_chunks(s, partial.get(), mean, variance);
}

/// y = (x - mean) rstd weight + bias;  mean, rstd: (segments, groups), or one segment's for all where `shared`;
/// weight, bias: (channels) or null. The mean enters in two parts, so that x - mean is exact in float as well.
template <class S>
void forward(const Sizes& s, bool shared, const S* x, const double* mean, const double* rstd, const S* weight,
             const S* bias, S* y) {
  const Index width = s.channels * detail::side_by_side(s.channels), segments = shared ? 1 : s.segments;
  const auto coefficients = make_buffer<S>(segments * 4 * width);
  detail::forward_coefficients(s, segments, width, mean, rstd, weight, bias, coefficients.get());
  detail::for_each_chunk(s, [&](Index first, Index count, Index segment, Index) {
    const S *high = coefficients.get() + (shared ? 0 : segment) * 4 * width, *low = high + width, *scale = low + width,
            *shift = scale + width;
    for (Index i = 0; i < count; i += width)
      simd::map(
          std::min(width, count - i), y + first + i,
          [](const auto& v, const auto& h, const auto& l, const auto& a, const auto& b) {
            return simd::multiply_add((v - h) - l, a, b);
          },
          x + first + i, high, low, scale, shift);
  });
}

/// Adds into dx, dweight and dbias, each of which may be null. `fixed`: mean and rstd were given, not computed from x.
/// x may be null where neither dweight nor, unless fixed, dx is wanted.
template <class S>
void backward(const Sizes& s, bool shared, bool fixed, const S* x, const double* mean, const double* rstd,
              const S* weight, const S* dy, Accumulator<S> dx, S* dweight, S* dbias) {
  if (s.channels == 0) return;
  const Index C = s.channels, width = C * detail::side_by_side(C), group = s.group_channels();
  const bool of_x = dweight || (dx && !fixed);
  const auto sums = make_buffer<double>(s.segments * 2 * C, 0.0);  // of dy, and of dy (x - mean)
  if (of_x || dbias) {
    const auto partial = make_buffer<double>(s.segments * detail::chunks(s) * 2 * C);
    detail::for_each_chunk(s, [&](Index first, Index count, Index segment, Index chunk) {
      const auto scratch = make_buffer<double>(3 * width, 0.0);
      double *wide = scratch.get(), *wide_x = wide + width, *centre = wide_x + width,
             *to = partial.get() + chunk * 2 * C;
      for (Index c = 0; c < C; ++c) centre[c] = mean[(shared ? 0 : segment) * s.groups + c / group];
      detail::widen(C, width, centre);
      const S *g = dy + first, *v = of_x ? x + first : g;
      detail::add_wide(count, width, wide, wide_x, [g, v, centre](const auto& at, Index i, Index j) {
        const auto up = at(g + i);
        return std::pair(up, up * (at(v + i) - at(centre + j)));
      });
      detail::fold(width, C, wide, to);
      detail::fold(width, C, wide_x, to + C);
    });
    detail::sum_chunks(s, partial.get(), sums.get());
  }
  detail::add_parameter_gradients(s, shared, sums.get(), rstd, dweight, dbias);
  if (!dx) return;
  const auto coefficients = make_buffer<S>(s.segments * 5 * width);
  detail::backward_coefficients(s, shared, fixed, width, sums.get(), mean, rstd, weight, coefficients.get());
  detail::for_each_chunk(s, [&](Index begin, Index count, Index segment, Index) {
    const S *high = coefficients.get() + segment * 5 * width, *low = high + width, *first = low + width,
            *second = first + width, *third = second + width;
    for (Index i = 0; i < count; i += width) {
      const Index n = std::min(width, count - i);
      const auto d = dx + (begin + i);
      const S* g = dy + begin + i;
      if (fixed)
        simd::accumulate(
            n, d, [](const auto& up, const auto& a) { return a * up; }, g, first);
      else
        simd::accumulate(
            n, d,
            [](const auto& up, const auto& v, const auto& h, const auto& l, const auto& a, const auto& b,
               const auto& c) { return simd::multiply_add(c, (v - h) - l, simd::multiply_add(a, up, b)); },
            g, x + begin + i, high, low, first, second, third);
    }
  });
}

/// scale = weight / sqrt(variance + eps) and shift = bias - mean scale, in double: a norm with running statistics is x scale
/// + shift.  All: (channels), weight and bias null for ones and zeros.
template <class S>
void fold_running(Index channels, double eps, const S* mean, const S* variance, const S* weight, const S* bias,
                  S* scale, S* shift) {
  using V = simd::Vector<double>;
  constexpr Index lanes = simd::lanes<double>, block = 64;
  double factors[block], rest[block];
  for (Index first = 0; first < channels; first += block) {
    const Index count = std::min(block, channels - first);
    const auto fold_vector = [&](const auto& at, Index i) ATTEND_INLINED {
      const Index c = first + i;
      const V factor = (weight ? at(weight + c) : simd::all<V>(1)) / simd::square_root(at(variance + c) + eps);
      simd::store(factors + i, factor);
      simd::store(rest + i, (bias ? at(bias + c) : V{}) - at(mean + c) * factor);
    };
    Index i = 0;
    for (; i + lanes <= count; i += lanes) fold_vector(simd::Whole(), i);
    if (i < count) fold_vector(simd::Part{count - i}, i);
    for (Index j = 0; j < count; ++j) scale[first + j] = S(factors[j]), shift[first + j] = S(rest[j]);
  }
}

}  // namespace channel_norm
ATTEND_END_ISA
#endif
