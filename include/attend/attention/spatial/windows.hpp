#pragma once
#include "attend/attention/check_map.hpp"
#include "attend/attention/spatial/gather_positions.hpp"
#include "attend/functional/arithmetic.hpp"
#include "attend/functional/expand.hpp"
#include "attend/kernels/window.hpp"

ATTEND_BEGIN
namespace detail {

/// The windows of a map, side by side from its corner or shifted by `shift` cells, which wrap around (Swin: Liu et al.
/// 2021, section 3.2). Windows that do not fit reach into zeros below and to the right of the shifted map.
class Windows {
 public:
  Windows(Index height, Index width, const Pair& window, const Pair& shift)
      : height_(height),
        width_(width),
        window_(window),
        shift_(shift),
        rows_((height + window.height - 1) / window.height),
        columns_((width + window.width - 1) / window.width) {
    for (Index r = 0; r < rows_; ++r)
      for (Index c = 0; c < columns_; ++c)
        for (Index i = 0; i < window.height; ++i)
          for (Index j = 0; j < window.width; ++j)
            places_.push_back(place(r * window.height + i, c * window.width + j));
  }

  /// (batch, height, width, channels)  ->  (batch windows, cells, channels)
  template <class S>
  Variable<S, 3> cut(const Variable<S, 4>& x) const {
    const auto cells = gather_positions(positions_of(x), places_);
    return cells.reshape(Shape<3>{x.dim(0) * count(), window_.height * window_.width, x.dim(3)});
  }
  /// The way back.
  template <class S>
  Variable<S, 4> join(const Variable<S, 3>& windows, Index batch) const {
    std::vector<Index> places(std::size_t(height_ * width_));
    for (std::size_t cell = 0; cell < places_.size(); ++cell)
      if (places_[cell] != outside) places[std::size_t(places_[cell])] = Index(cell);
    const Shape<3> cells{batch, Index(places_.size()), windows.dim(2)};
    return gather_positions(windows.reshape(cells), places).reshape(Shape<4>{batch, height_, width_, windows.dim(2)});
  }

  /// The bias of a position (1, heads, cells, cells) for all windows of a batch. In a shifted window, cells that come
  /// from opposite ends of the map do not belong together: their scores fall by 100, timm's number, not by infinity.
  template <class S>
  Variable<S, 4> bias(const Variable<S, 4>& positions, Index batch) const {
    if (shift_ == Pair(0)) return positions;
    const Index cells = positions.dim(2), heads = positions.dim(1);
    const Shape<4> shape{count(), 1, cells, cells};
    const auto penalty = make_buffer<S>(element_count(shape));
    for (Index w = 0; w < count(); ++w)
      for (Index i = 0; i < cells; ++i)
        for (Index j = 0; j < cells; ++j)
          penalty.get()[(w * cells + i) * cells + j] = region(w, i) == region(w, j) ? S(0) : S(-100);
    const auto one = positions + Variable<S, 4>(shape, penalty);
    return repeat_batch(one.reshape(Shape<4>{1, count(), heads, cells * cells}), batch)
        .reshape(Shape<4>{batch * count(), heads, cells, cells});
  }

 private:
  Index count() const { return rows_ * columns_; }
  /// Number in the map of a cell of the shifted, padded map.
  Index place(Index row, Index column) const {
    if (row >= height_ || column >= width_) return outside;
    return (row + shift_.height) % height_ * width_ + (column + shift_.width) % width_;
  }
  /// Cells of a shifted map belong together if no end of the map, at its last `shift` rows or columns, lies between.
  Index region(Index window, Index cell) const {
    const auto part = [](Index at, Index extent, Index shift) { return shift > 0 && at >= extent - shift ? 1 : 0; };
    const Index row = window / columns_ * window_.height + cell / window_.width,
                column = window % columns_ * window_.width + cell % window_.width;
    return 2 * part(row, rows_ * window_.height, shift_.height) + part(column, columns_ * window_.width, shift_.width);
  }
  Index height_, width_;
  Pair window_, shift_;
  Index rows_, columns_;
  std::vector<Index> places_;
};

/// Sizes of a window attention that belong together.
struct WindowSizes {
  Pair map, window, shift;
};
/// timm's rule: along an axis where the map is no larger than the window, the window is the map and not shifted. A map
/// of unknown size (0) keeps the window as it is.
inline WindowSizes window_sizes(const char* name, const Pair& map, Pair window, Pair shift) {
  require<OptionError>(
      window.height > 0 && window.width > 0 && map.height >= 0 && map.width >= 0 && (map.height > 0) == (map.width > 0),
      name, [&] {
        return message("window_size = ", window, " must be above 0, and height and width = ", map,
                       " both above 0, or both 0 for maps of any size");
      });
  require<OptionError>(
      shift.height >= 0 && shift.width >= 0 && shift.height < window.height && shift.width < window.width, name,
      [&] { return message("shift_size = ", shift, " must lie in [0, window_size), with window_size = ", window); });
  const auto shrink = [](Index extent, Index& cells, Index& by) {
    if (extent > 0 && extent <= cells) cells = extent, by = 0;
  };
  shrink(map.height, window.height, shift.height);
  shrink(map.width, window.width, shift.width);
  return {map, window, shift};
}
inline void check_window_input(const char* name, const Shape<4>& shape, const WindowSizes& sizes, Index channels) {
  check_map_channels(name, shape, channels);
  require(sizes.map == Pair(0) || sizes.map == Pair(shape[1], shape[2]), name,
          [&] { return message("x has shape ", shape, "; its windows are made for a map of ", sizes.map); });
  require(shape[1] > 0 && shape[2] > 0, name,
          [&] { return message("x has shape ", shape, "; there must be positions"); });
}

}  // namespace detail
ATTEND_END
