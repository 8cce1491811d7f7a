#pragma once
#include <string>
#include <vector>

#include "attend/explain/picture.hpp"

ATTEND_BEGIN

struct SheetOptions {
  Index columns = 8;
  Index spacing = 6;   ///< pixels around and between the cells
  int text_scale = 1;  ///< pixels per dot of a caption
  std::string title;   ///< above all, twice as large
  Colour background{255, 255, 255};
  TextOptions text{};  ///< colour of captions and title
};

/// Arranges pictures row by row in cells as large as the largest, each centred over its caption (which may have several
/// lines; what is too wide is cut with ".."). Fewer captions than pictures: the rest have none.
inline Picture image_sheet(const std::vector<Picture>& pictures, const std::vector<std::string>& captions = {},
                           const SheetOptions& o = {}) {
  require<OptionError>(
      !pictures.empty() && o.columns > 0 && o.spacing >= 0 && o.text_scale > 0 && captions.size() <= pictures.size(),
      "image_sheet", [&] {
        return message(pictures.size(), " pictures, ", captions.size(), " captions, ", o.columns, " columns, spacing ",
                       o.spacing, ", text_scale ", o.text_scale,
                       "; there must be pictures, no more captions than these, and columns");
      });
  const auto lines_of = [](const std::string& text) {
    std::vector<std::string> lines{""};
    for (const char c : text)
      if (c == '\n')
        lines.emplace_back();
      else
        lines.back() += c;
    return lines;
  };
  Index cell_height = 0, cell_width = 0, lines = 0;
  for (const Picture& p : pictures) {
    require(p.dimension(2) == 3, "image_sheet",
            [&] { return message("picture has shape ", shape_of(p), "; it must be RGB (see picture_of)"); });
    cell_height = std::max(cell_height, p.dimension(0)), cell_width = std::max(cell_width, p.dimension(1));
  }
  for (const std::string& caption : captions)
    if (!caption.empty()) lines = std::max(lines, static_cast<Index>(lines_of(caption).size()));
  const Index scale = o.text_scale, line = (BitmapFont::line + 1) * scale,
              caption_height = lines > 0 ? lines * line + 2 * scale : 0;
  const Index count = static_cast<Index>(pictures.size()), columns = std::min(o.columns, count),
              rows = (count + columns - 1) / columns;
  const Index title_height = o.title.empty() ? 0 : (BitmapFont::line + 2) * scale * 2 + o.spacing;
  const Index width = o.spacing + columns * (cell_width + o.spacing);
  Picture sheet =
      blank_picture(title_height + o.spacing + rows * (cell_height + caption_height + o.spacing), width, o.background);
  const auto fitted = [&](std::string text, Index room, Index dot) {
    if (BitmapFont::extent(text) * dot <= room) return text;
    while (!text.empty() && BitmapFont::extent(text + "..") * dot > room) text.pop_back();
    return message(text, "..");
  };
  TextOptions text = o.text;
  text.upwards = false;
  if (!o.title.empty()) {
    text.scale = static_cast<int>(scale) * 2;
    draw_text(sheet, o.spacing + 2 * scale, o.spacing, fitted(o.title, width - 2 * o.spacing, 2 * scale), text);
  }
  text.scale = static_cast<int>(scale);
  for (Index i = 0; i < count; ++i) {
    const Picture& p = pictures[static_cast<std::size_t>(i)];
    const Index top = title_height + o.spacing + i / columns * (cell_height + caption_height + o.spacing);
    const Index left = o.spacing + i % columns * (cell_width + o.spacing);
    paste(sheet, top + (cell_height - p.dimension(0)) / 2, left + (cell_width - p.dimension(1)) / 2, p);
    if (static_cast<std::size_t>(i) >= captions.size()) continue;
    Index y = top + cell_height + 3 * scale;
    for (const std::string& one : lines_of(captions[static_cast<std::size_t>(i)])) {
      const std::string shown = fitted(one, cell_width, scale);
      draw_text(sheet, y, left + (cell_width - BitmapFont::extent(shown) * scale) / 2, shown, text);
      y += line;
    }
  }
  return sheet;
}

ATTEND_END
