/// Means over the rows and the columns of a feature map, and gates of both. x, y: (batch, height, width, channels).
#ifndef ATTEND_KERNELS_STRIPS
#define ATTEND_KERNELS_STRIPS
#include <algorithm>

#include "attend/core/recycler.hpp"
#include "attend/core/threads.hpp"
#include "attend/kernels/column_sums.hpp"
#include "attend/simd/vector.hpp"

#define ATTEND_KERNELS "attend/kernels/strips.hpp"
#include "attend/simd/for_each_isa.hpp"

ATTEND_BEGIN
ATTEND_DISPATCH(strip_means_forward)
ATTEND_DISPATCH(strip_means_backward)
ATTEND_DISPATCH(gate_strips_forward)
ATTEND_END

#elif defined(ATTEND_ISA)
ATTEND_BEGIN_ISA
namespace detail {

/// What sum_strips_of_block does to one vector of channels.
template <int height, int width, class S>
ATTEND_INLINE void sum_strips_of_vector(const simd::At<S>& at, Index channels, Index stride, const S* x, S* to_rows,
                                        bool add_rows, S* to_columns, bool add_columns) {
  simd::Vector<S> down[width] = {};
  for (int i = 0; i < height; ++i) {
    simd::Vector<S> across{};
    for (int j = 0; j < width; ++j) {
      const simd::Vector<S> v = at(x + i * stride + j * channels);
      across += v, down[j] += v;
    }
    S* const to = to_rows + i * channels;
    at.put(to, add_rows ? at(to) + across : across);
  }
  for (int j = 0; j < width; ++j) {
    S* const to = to_columns + j * channels;
    at.put(to, add_columns ? at(to) + down[j] : down[j]);
  }
}
/// The sums of a block of height by width pixels, `stride` numbers from row to row: into to_rows (height, channels) and
/// to_columns (width, channels), set or added.
template <int height, int width, class S>
void sum_strips_of_block(Index channels, Index stride, const S* x, S* to_rows, bool add_rows, S* to_columns,
                         bool add_columns) {
  constexpr Index lanes = simd::lanes<S>;
  Index c = 0;
  for (; c + lanes <= channels; c += lanes)
    sum_strips_of_vector<height, width>(simd::At<S>{c, lanes}, channels, stride, x, to_rows, add_rows, to_columns,
                                        add_columns);
  if (c < channels)
    sum_strips_of_vector<height, width>(simd::At<S>{c, channels - c}, channels, stride, x, to_rows, add_rows,
                                        to_columns, add_columns);
}
/// The same of any block, four rows and four columns at a time.
template <class S>
void sum_strips(Index height, Index width, Index channels, Index stride, const S* x, S* to_rows, S* to_columns) {
  const auto part = [](Index left) { return left >= 4 ? Index(4) : left >= 2 ? Index(2) : Index(1); };
  for (Index i = 0, rows; i < height; i += rows) {
    rows = part(height - i);
    for (Index j = 0, columns; j < width; j += columns) {
      columns = part(width - j);
      const auto sum = rows == 4      ? columns == 4   ? sum_strips_of_block<4, 4, S>
                                        : columns == 2 ? sum_strips_of_block<4, 2, S>
                                                       : sum_strips_of_block<4, 1, S>
                            : rows == 2 ? columns == 4   ? sum_strips_of_block<2, 4, S>
                                          : columns == 2 ? sum_strips_of_block<2, 2, S>
                                                         : sum_strips_of_block<2, 1, S>
                            : columns == 4 ? sum_strips_of_block<1, 4, S>
                       : columns == 2 ? sum_strips_of_block<1, 2, S>
                                      : sum_strips_of_block<1, 1, S>;
      sum(channels, stride, x + i * stride + j * channels, to_rows + i * channels, j > 0, to_columns + j * channels,
          i > 0);
    }
  }
}

}  // namespace detail

/// y(b, i, c) = mean of x(b, i, :, c),  y(b, height + j, c) = mean of x(b, :, j, c), in one pass over x: summed within
/// blocks of 16 rows and 64 columns, and those by halves.  y: (batch, height + width, channels)
template <class S>
void strip_means_forward(Index batch, Index height, Index width, Index channels, const S* x, S* y) {
  constexpr Index tall = 16, wide = 64;
  const Index bands = (height + tall - 1) / tall, segments = (width + wide - 1) / wide;
  const Index of_rows = height * channels, of_columns = width * channels;
  const auto row_parts = make_buffer<S>(batch * segments * of_rows),
             column_parts = make_buffer<S>(batch * bands * of_columns);
  parallel_for(batch * bands * segments, std::max<Index>(1, 65536 / (std::min(tall, height) * of_columns)),
               [&](Index begin, Index end) {
                 for (Index u = begin; u < end; ++u) {
                   const Index s = u % segments, band = u / segments % bands, b = u / (segments * bands);
                   const Index i = band * tall, j = s * wide;
                   detail::sum_strips(std::min(tall, height - i), std::min(wide, width - j), channels, of_columns,
                                      x + ((b * height + i) * width + j) * channels,
                                      row_parts.get() + (b * segments + s) * of_rows + i * channels,
                                      column_parts.get() + (b * bands + band) * of_columns + j * channels);
                 }
               });
  const auto finish = [&](const S* parts, Index count, Index size, Index length, S* to) {
    const auto scratch = make_buffer<S>(detail::pairwise_scratch(count, size));
    detail::pairwise_column_sums(parts, count, size, size, to, scratch.get());
    simd::map(
        size, to, [by = static_cast<S>(length)](const auto& sum) { return sum / by; }, static_cast<const S*>(to));
  };
  parallel_for(2 * batch, std::max<Index>(1, 65536 / (segments * of_rows + bands * of_columns)),
               [&](Index begin, Index end) {
                 for (Index u = begin; u < end; ++u) {
                   const Index b = u / 2;
                   S* const to = y + b * (of_rows + of_columns);
                   if (u % 2 == 0)
                     finish(row_parts.get() + b * segments * of_rows, segments, of_rows, width, to);
                   else
                     finish(column_parts.get() + b * bands * of_columns, bands, of_columns, height, to + of_rows);
                 }
               });
}
/// dx(b, i, j, c) += dy(b, i, c) / width + dy(b, height + j, c) / height
template <class S>
void strip_means_backward(Index batch, Index height, Index width, Index channels, const S* dy, S* dx) {
  parallel_for(batch * height, std::max<Index>(1, 16384 / (width * channels)), [&](Index begin, Index end) {
    for (Index line = begin; line < end; ++line) {
      const S* const of_sample = dy + line / height * (height + width) * channels;
      for (Index j = 0; j < width; ++j)
        simd::map_add(
            channels, dx + (line * width + j) * channels,
            [across = static_cast<S>(width), down = static_cast<S>(height)](const auto& row, const auto& column) {
              return row / across + column / down;
            },
            of_sample + line % height * channels, of_sample + (height + j) * channels);
    }
  });
}

/// y(b, i, j, c) = x(b, i, j, c) columns(b, j, c) rows(b, i, c).  rows: (batch, height, channels)  columns: (batch, width,
/// channels). Order and way of writing as gating::channels_forward.
template <class S>
void gate_strips_forward(Index batch, Index height, Index width, Index channels, const S* x, const S* rows,
                         const S* columns, S* y) {
  const Index lines = batch * height, bytes = width * channels * static_cast<Index>(sizeof(S));
  const bool far = lines * bytes >= simd::far_bytes, back = !far && height * bytes > Index(1) << 21;
  const Index ahead = back ? std::max(channels, 4096 / static_cast<Index>(sizeof(S))) : 0;
  const auto product = [](const auto& v, const auto& column, const auto& row) { return v * column * row; };
  parallel_for(lines, std::max<Index>(1, 16384 / (width * channels)), [&](Index begin, Index end) {
    for (Index k = begin; k < end; ++k) {
      const Index line = back ? lines - 1 - k : k;
      const S *const row = rows + line * channels, *const across = columns + line / height * width * channels;
      for (Index l = 0; l < width; ++l) {
        const Index j = back ? width - 1 - l : l, pixel = (line * width + j) * channels;
        const S *const from = x + pixel, *const column = across + j * channels;
        S* const to = y + pixel;
        if (far)
          simd::map_far(channels, to, product, from, column, row);
        else
          simd::for_each_vector<S>(channels, [&](const auto& at) {
            if (back) __builtin_prefetch(from - ahead + at.i), __builtin_prefetch(to - ahead + at.i, 1);
            at.put(to, product(at(from), at(column), at(row)));
          });
      }
    }
    if (far) simd::end_stream();
  });
}

ATTEND_END_ISA
#endif
