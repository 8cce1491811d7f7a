#pragma once
/// Pictures that training runs want: curves over epochs, points with names (what costs how much for what it gives), and
/// the confusion matrix.
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "attend/explain/heatmap.hpp"

ATTEND_BEGIN

/// A line of a plot. A NaN leaves a gap.
struct Curve {
  std::string name;  ///< in the legend
  std::vector<double> y;
  std::vector<double> x;  ///< as many as y; empty: 1, 2, 3, ...
};

struct PlotOptions {
  std::string title, x_label, y_label;
  Index width = 720, height = 440;
  double y_min = std::numeric_limits<double>::quiet_NaN();  ///< NaN: from the data
  double y_max = std::numeric_limits<double>::quiet_NaN();
  int text_scale = 2;   ///< pixels per dot of the letters
  bool points = false;  ///< a scatter plot: nothing is joined, and names stand beside the points, not in a legend
};

namespace detail {
/// The step 1, 2 or 5 times a power of ten that divides `span` into at most `most` parts.
inline double nice_step(double span, int most) {
  const double rough = span / most, power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (power * factor >= rough * (1 - 1e-9)) return power * factor;
  return power * 10;
}
/// As few digits as tell ticks `step` apart.
inline std::string tick_text(double value, double step) {
  if (std::abs(value) < step * 1e-6) value = 0;
  char text[32];
  const double largest = std::max(std::abs(value), step);
  if (largest >= 1e6 || step < 1e-4)
    std::snprintf(text, sizeof text, "%.3g", value);
  else
    std::snprintf(text, sizeof text, "%.*f", std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9))),
                  value);
  return text;
}
struct PlotRange {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void take(double value) {
    if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
  }
  void settle() {  // never empty, never so wide that the difference overflows
    if (!(low <= high)) low = 0, high = 1;
    low = std::max(low, -1e300), high = std::min(high, 1e300);
    const double least = std::max(std::abs(low), std::abs(high)) * 1e-9 + 1e-290;
    if (high - low < least) low -= low == 0 ? 0.5 : std::abs(low) / 2, high += high == 0 ? 0.5 : std::abs(high) / 2;
  }
  double part(double value) const { return (value - low) / (high - low); }
};
}  // namespace detail

/// Curves over a common axis with ticks, a grid and a legend. Throws OptionError if there is no room, or x and y differ
/// in length.
inline Picture line_plot(const std::vector<Curve>& curves, const PlotOptions& o = {}) {
  constexpr Colour palette[] = {{31, 119, 180}, {230, 110, 20}, {44, 150, 60},   {200, 40, 50},
                                {130, 90, 180}, {120, 80, 70},  {210, 100, 180}, {20, 160, 170}};
  constexpr Colour ink{50, 50, 50}, grid{228, 228, 228}, axis{140, 140, 140};
  const Index scale = o.text_scale, line = (BitmapFont::line + 2) * scale;
  const auto extent = [&](const std::string& text) { return BitmapFont::extent(text) * scale; };
  require<OptionError>(o.text_scale > 0 && o.text_scale < 100 && o.width >= 120 * scale && o.height >= 80 * scale,
                       "line_plot", [&] {
                         return message("width = ", o.width, " and height = ", o.height, " must be at least ",
                                        120 * scale, " and ", 80 * scale);
                       });
  detail::PlotRange xs, ys;
  for (const Curve& curve : curves) {
    require<OptionError>(curve.x.empty() || curve.x.size() == curve.y.size(), "line_plot", [&] {
      return message("curve ", curve.name, " has ", curve.x.size(), " x for ", curve.y.size(), " y");
    });
    for (std::size_t i = 0; i < curve.y.size(); ++i) {
      if (!std::isfinite(curve.y[i])) continue;
      xs.take(curve.x.empty() ? double(i + 1) : curve.x[i]);
      ys.take(curve.y[i]);
    }
  }
  xs.settle();
  ys.settle();
  if (o.points) {  // none lies on the axis
    const double side = (xs.high - xs.low) * 0.04;
    xs.low -= side, xs.high += side;
  }
  const double margin = (ys.high - ys.low) * 0.05;
  ys.low = std::isfinite(o.y_min) ? o.y_min : ys.low - margin;
  ys.high = std::isfinite(o.y_max) ? o.y_max : ys.high + margin;
  ys.settle();

  Picture picture = blank_picture(o.height, o.width);
  const TextOptions text{ink, o.text_scale, false};
  const double y_step = detail::nice_step(ys.high - ys.low, 6);
  Index widest = 0;
  for (double k = std::ceil(ys.low / y_step - 1e-9); k * y_step <= ys.high + y_step * 1e-9; ++k)
    widest = std::max(widest, extent(detail::tick_text(k * y_step, y_step)));
  Index top = 4 * scale;
  if (!o.title.empty()) {
    draw_text(picture, top, (o.width - extent(o.title)) / 2, o.title, text);
    top += line;
  }
  Index x = 8 * scale;
  for (std::size_t c = 0; c < curves.size() && !o.points; ++c) {  // the legend, in rows
    const Index needed = 22 * scale + extent(curves[c].name);
    if (x > 8 * scale && x + needed > o.width) x = 8 * scale, top += line;
    fill_rectangle(picture, top + 3 * scale, x, 2 * scale, 12 * scale, palette[c % 8]);
    draw_text(picture, top, x + 15 * scale, curves[c].name, text);
    x += needed;
  }
  if (!curves.empty() && !o.points) top += line + 2 * scale;
  const Index left = 8 * scale + widest + (o.y_label.empty() ? 0 : line), right = o.width - 10 * scale;
  const Index bottom = o.height - line - 3 * scale - (o.x_label.empty() ? 0 : line);
  require<OptionError>(right > left && bottom > top, "line_plot",
                       [] { return "labels and legend leave no room for the curves"; });
  const auto to_x = [&](double v) { return float(left) + static_cast<float>(xs.part(v)) * float(right - left); };
  const auto to_y = [&](double v) { return float(bottom) - static_cast<float>(ys.part(v)) * float(bottom - top); };

  for (double k = std::ceil(ys.low / y_step - 1e-9); k * y_step <= ys.high + y_step * 1e-9; ++k) {
    const auto y = static_cast<Index>(std::lround(to_y(k * y_step)));
    const std::string tick = detail::tick_text(k * y_step, y_step);
    fill_rectangle(picture, y, left, 1, right - left, grid);
    draw_text(picture, y - 3 * scale, left - 4 * scale - extent(tick), tick, text);
  }
  double x_step =
      detail::nice_step(xs.high - xs.low, static_cast<int>(std::clamp<Index>((right - left) / (36 * scale), 2, 12)));
  bool whole = true;  // epochs and steps have no halves
  for (const Curve& curve : curves)
    for (const double v : curve.x) whole = whole && v == std::floor(v);
  if (whole) x_step = std::max(x_step, 1.0);
  for (double k = std::ceil(xs.low / x_step - 1e-9); k * x_step <= xs.high + x_step * 1e-9; ++k) {
    const auto at = static_cast<Index>(std::lround(to_x(k * x_step)));
    const std::string tick = detail::tick_text(k * x_step, x_step);
    fill_rectangle(picture, top, at, bottom - top, 1, grid);
    fill_rectangle(picture, bottom, at, 2 * scale, 1, axis);
    draw_text(picture, bottom + 4 * scale, std::min(at - extent(tick) / 2, o.width - extent(tick) - scale), tick, text);
  }
  fill_rectangle(picture, bottom, left, 1, right - left + 1, axis);
  fill_rectangle(picture, top, left, bottom - top, 1, axis);
  if (!o.x_label.empty())
    draw_text(picture, o.height - line, left + (right - left - extent(o.x_label)) / 2, o.x_label, text);
  if (!o.y_label.empty())
    draw_text(picture, top + (bottom - top - extent(o.y_label)) / 2, 3 * scale, o.y_label, {ink, o.text_scale, true});

  const float thickness = 1.0f * float(scale);
  std::vector<std::array<Index, 4>> taken;  // by names: top, left, bottom, right
  const auto name_beside = [&](const std::string& name, float at_y, float at_x) {
    const auto row = static_cast<Index>(at_y), column = static_cast<Index>(at_x), near = 4 * scale;
    const Index high = BitmapFont::height * scale, wide = extent(name);
    for (const auto& [text_top, text_left] :
         {std::pair(row - high / 2, column + near), std::pair(row - high / 2, column - near - wide),
          std::pair(row - near - high, column - wide / 2), std::pair(row + near, column - wide / 2),
          std::pair(row - near - high, column + near), std::pair(row + near, column + near)}) {
      if (text_left < left || text_left + wide > o.width || text_top < top || text_top + high > bottom) continue;
      bool free = true;
      for (const auto& [t, l, b, r] : taken)
        free = free && (text_top >= b || text_top + high <= t || text_left >= r || text_left + wide <= l);
      if (!free) continue;
      taken.push_back({text_top, text_left, text_top + high, text_left + wide});
      return draw_text(picture, text_top, text_left, name, text);
    }
  };
  if (o.points)
    for (const Curve& curve : curves)
      for (std::size_t i = 0; i < curve.y.size(); ++i) {  // no name lies on a point
        if (!std::isfinite(curve.y[i])) continue;
        const auto row = static_cast<Index>(to_y(std::clamp(curve.y[i], ys.low, ys.high)));
        const auto column = static_cast<Index>(to_x(curve.x.empty() ? double(i + 1) : curve.x[i]));
        taken.push_back({row - 2 * scale, column - 2 * scale, row + 2 * scale, column + 2 * scale});
      }
  for (std::size_t c = 0; c < curves.size(); ++c) {
    const Curve& curve = curves[c];
    const auto clipped = [&](std::size_t i) { return to_y(std::clamp(curve.y[i], ys.low, ys.high)); };
    const auto place = [&](std::size_t i) { return to_x(curve.x.empty() ? double(i + 1) : curve.x[i]); };
    for (std::size_t i = 0; i < curve.y.size(); ++i) {
      if (!std::isfinite(curve.y[i])) continue;
      const bool joined = !o.points && i + 1 < curve.y.size() && std::isfinite(curve.y[i + 1]);
      const std::size_t next = joined ? i + 1 : i;
      draw_line(picture, clipped(i), place(i), clipped(next), place(next), palette[c % 8],
                joined ? thickness : (o.points ? 4.0f : 1.5f) * thickness);
      if (o.points) name_beside(curve.name, clipped(i), place(i));
    }
  }
  return picture;
}

/// The confusion matrix: counts[truth, prediction], each row coloured by its share of the row; the number in each cell
/// is that share in percent (none where it rounds to 0). `names` has as many entries as there are classes, or none.
template <class T>
Picture confusion_picture(const T& counts, const std::vector<std::string>& names = {}, const std::string& title = "") {
  static_assert(TensorTraits<T>::value && TensorTraits<T>::rank == 2,
                "attend: confusion_picture takes a Tensor of rank 2 [truth, prediction]");
  const auto shape = shape_of(counts);
  const Index classes = shape[0];
  require(classes > 0 && classes <= 200 && shape[1] == classes &&
              (names.empty() || static_cast<Index>(names.size()) == classes),
          "confusion_picture", [&] {
            return message("counts has shape ", shape, " and ", names.size(),
                           " names; it must be square, with a name for each class or none");
          });
  constexpr int scale = 2;
  constexpr Index cell = 42, gap = 8;
  constexpr Colour ink{50, 50, 50};
  const auto name = [&](Index i) { return names.empty() ? to_string(i) : names[static_cast<std::size_t>(i)]; };
  const auto extent = [](const std::string& text) { return Index(BitmapFont::extent(text)) * scale; };
  constexpr Index line = (BitmapFont::line + 2) * scale;
  Index widest = 0;
  for (Index i = 0; i < classes; ++i) widest = std::max(widest, extent(name(i)));
  const bool turned = widest > cell - 6;  // the columns' names
  const Index left = gap + line + widest + gap, top = gap + (title.empty() ? 0 : line + gap);
  const Index below = turned ? widest : line;
  const Index size = classes * cell;
  Picture picture =
      blank_picture(top + size + gap + below + line + gap, std::max(left + size + gap, 2 * gap + extent(title)));
  if (!title.empty()) draw_text(picture, gap, (picture.dimension(1) - extent(title)) / 2, title, {ink, scale, false});
  draw_text(picture, top + (size - extent("truth")) / 2, gap, "truth", {ink, scale, true});
  draw_text(picture, top + size + gap + below + gap / 2, left + (size - extent("prediction")) / 2, "prediction",
            {ink, scale, false});
  for (Index t = 0; t < classes; ++t) {
    draw_text(picture, top + t * cell + cell / 2 - 7, left - gap - extent(name(t)), name(t), {ink, scale, false});
    if (turned)
      draw_text(picture, top + size + gap, left + t * cell + cell / 2 - 7, name(t), {ink, scale, true});
    else
      draw_text(picture, top + size + gap, left + t * cell + (cell - extent(name(t))) / 2, name(t),
                {ink, scale, false});
    double row = 0;
    for (Index p = 0; p < classes; ++p) row += static_cast<double>(counts(t, p));
    for (Index p = 0; p < classes; ++p) {
      const double share = row > 0 ? static_cast<double>(counts(t, p)) / row : 0;
      fill_rectangle(picture, top + t * cell, left + p * cell, cell - 1, cell - 1,
                     colour_of(std::sqrt(std::max(share, 0.0)), ColourMap::blues));
      char text[16] = "";
      if (share >= 0.005)
        std::snprintf(text, sizeof text, share >= 0.9995 ? "100" : share >= 0.1 ? "%.0f" : "%.1f", share * 100);
      const TextOptions number{share > 0.25 ? Colour{255, 255, 255} : ink, share >= 0.1 ? scale : scale - 1, false};
      const Index width = BitmapFont::extent(text) * number.scale;
      draw_text(picture, top + t * cell + (cell - BitmapFont::height * number.scale) / 2,
                left + p * cell + (cell - width) / 2, text, number);
    }
  }
  return picture;
}

ATTEND_END
