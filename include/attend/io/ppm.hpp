#pragma once
/// Netpbm images, binary, 8 bits: P5 (.pgm, grey) and P6 (.ppm, RGB). http://netpbm.sourceforge.net/doc/ppm.html
#include <cstring>

#include "attend/core/tensor.hpp"
#include "attend/io/checked.hpp"
#include "attend/io/file.hpp"

ATTEND_BEGIN

/// An image as [height, width, 1 or 3], scaled to 0..255 if its maximum is less. FileError if it is anything else.
inline Tensor<std::uint8_t, 3> read_ppm(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t(1)
                                                                                                 << 32) {
  const FileSource source{"read_ppm", path};
  const FileBytes file = read_file(source, limit);
  const std::string_view text = file.text();
  source.require(text.size() > 2 && text[0] == 'P' && (text[1] == '5' || text[1] == '6'),
                 [&] { return message("begins with ", excerpt(text.substr(0, 4)), "; P5 or P6 are read"); });
  std::size_t at = 2;
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  const auto number = [&](const char* what, std::uint64_t most) {
    const std::size_t before = at;
    while (at < text.size() && (is_space(text[at]) || text[at] == '#'))
      if (text[at++] == '#')
        while (at < text.size() && text[at] != '\n') ++at;
    const std::size_t first = at;
    std::uint64_t value = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && value <= most; ++at)
      value = value * 10 + static_cast<std::uint64_t>(text[at] - '0');
    source.require(first > before && at > first && value > 0 && value <= most, [&] {
      return message(what, " must be a number from 1 to ", most, ", not ", excerpt(text.substr(first, 8)));
    });
    return value;
  };
  const std::uint64_t width = number("the width", 1u << 30), height = number("the height", 1u << 30),
                      largest = number("the maximum", 255);
  source.require(at < text.size() && is_space(text[at]), [] { return "the header must end with one white space"; });
  ++at;
  const std::uint64_t channels = text[1] == '6' ? 3 : 1;
  const std::uint64_t there = text.size() - at;
  source.require(Checked(width) * height * channels == there, [&] {
    return message("has ", there, " bytes of pixels; ", width, " x ", height, " x ", channels, " are announced");
  });
  Tensor<std::uint8_t, 3> pixels(Shape<3>{Index(height), Index(width), Index(channels)});
  std::memcpy(pixels.data(), file.begin() + at, there);
  for (Index i = 0; i < pixels.size(); ++i) {
    std::uint8_t& value = pixels.data()[i];
    source.require(value <= largest,
                   [&] { return message("byte ", at + std::size_t(i), " is above the maximum of ", largest); });
    value = static_cast<std::uint8_t>((value * 255u + largest / 2) / largest);
  }
  return pixels;
}

/// Writes [height, width, 1] as P5 or [height, width, 3] as P6.
template <class T>
void write_ppm(const std::filesystem::path& path, const T& pixels) {
  static_assert(TensorTraits<T>::value, "attend: write_ppm takes a row-major Tensor or a TensorMap of one");
  static_assert(std::is_same_v<typename TensorTraits<T>::Scalar, std::uint8_t> && TensorTraits<T>::rank == 3,
                "attend: write_ppm takes std::uint8_t of rank 3 [height, width, channels]");
  const auto shape = shape_of(pixels);
  require(pixels.size() > 0 && (shape[2] == 1 || shape[2] == 3), "write_ppm",
          [&] { return message("image has shape ", shape, "; it must be (height, width, 1 or 3) and not empty"); });
  std::string text = shape[2] == 3 ? "P6\n" : "P5\n";
  text += to_string(shape[1]) + " " + to_string(shape[0]) + "\n255\n";
  text.append(reinterpret_cast<const char*>(pixels.data()), static_cast<std::size_t>(pixels.size()));
  write_file({"write_ppm", path}, text);
}

ATTEND_END
