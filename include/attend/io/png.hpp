#pragma once
/// PNG images of 8 bits per channel as [height, width, channels] (libpng).
#include <png.h>

#include "attend/core/tensor.hpp"
#include "attend/io/checked.hpp"
#include "attend/io/file.hpp"

ATTEND_BEGIN

struct PngOptions {
  /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; 0: as the file has it. Alpha that is dropped lies on white.
  int channels = 0;
  std::uint64_t limit = std::uint64_t(1) << 28;  ///< pixels
};

namespace detail {
/// libpng's simplified interface keeps its long jumps to itself; what it allocated is freed here whatever happens.
struct PngImage : png_image {
  PngImage() : png_image{} { version = PNG_IMAGE_VERSION; }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
  ~PngImage() { png_image_free(this); }
};
constexpr png_uint_32 png_formats[] = {0, PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
}  // namespace detail

/// An image as [height, width, channels]; palettes are resolved, 16-bit channels rounded to 8. Bytes behind the end of
/// the image are ignored, as every viewer does. FileError if it is no PNG, broken, or larger than the options allow.
inline Tensor<std::uint8_t, 3> read_png(const std::filesystem::path& path, const PngOptions& options = {}) {
  require<OptionError>(options.channels >= 0 && options.channels <= 4, "read_png",
                       [&] { return message("channels is ", options.channels, "; it must be 0 to 4"); });
  const FileSource source{"read_png", path};
  const FileBytes file = read_file(source);
  detail::PngImage image;
  const auto check = [&](int ok) {
    source.require(ok != 0, [&] { return message("is no valid PNG: ", image.message); });
  };
  source.require(file.size > 0, [] { return "is empty"; });
  check(png_image_begin_read_from_memory(&image, file.begin(), file.size));
  const Checked pixels = Checked(image.width) * image.height;
  // At best one bit per pixel and deflate's best factor: a larger image cannot be in so few bytes.
  source.require(pixels.at_most(options.limit) && pixels.at_most((Checked(file.size) * 8 * 1040).value().value_or(0)),
                 [&] {
                   return message("announces ", image.width, " x ", image.height, " pixels; a file of ", file.size,
                                  " bytes cannot have them, or they are more than the limit of ", options.limit);
                 });
  int channels = options.channels;
  if (channels == 0)
    channels = ((image.format & PNG_FORMAT_FLAG_COLOR) ? 3 : 1) + ((image.format & PNG_FORMAT_FLAG_ALPHA) ? 1 : 0);
  image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  image.format = detail::png_formats[channels];
  Tensor<std::uint8_t, 3> pixels_out(Shape<3>{Index(image.height), Index(image.width), Index(channels)});
  const png_color white{255, 255, 255};
  check(png_image_finish_read(&image, &white, pixels_out.data(), 0, nullptr));
  return pixels_out;
}

/// Writes [height, width, channels] with 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels, or [height, width]
/// (grey).
template <class T>
void write_png(const std::filesystem::path& path, const T& pixels) {
  static_assert(TensorTraits<T>::value, "attend: write_png takes a row-major Tensor or a TensorMap of one");
  using Traits = TensorTraits<T>;
  static_assert(std::is_same_v<typename Traits::Scalar, std::uint8_t> && (Traits::rank == 2 || Traits::rank == 3),
                "attend: write_png takes std::uint8_t of rank 3 [height, width, channels] or 2 [height, width]");
  const auto shape = shape_of(pixels);
  Index channels = 1;
  if constexpr (Traits::rank == 3) channels = shape[2];
  require(shape[0] > 0 && shape[1] > 0 && shape[0] < 1 << 24 && shape[1] < 1 << 24 && channels >= 1 && channels <= 4,
          "write_png", [&] {
            return message("image has shape ", shape,
                           "; it must be (height, width, channels), not empty, with 1 to 4 channels");
          });
  const FileSource source{"write_png", path};
  detail::PngImage image;
  image.width = static_cast<png_uint_32>(shape[1]);
  image.height = static_cast<png_uint_32>(shape[0]);
  image.format = detail::png_formats[channels];
  const auto check = [&](int ok) {
    source.require(ok != 0, [&] { return message("cannot be written as PNG: ", image.message); });
  };
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);  // an upper bound
  std::unique_ptr<char[]> memory(new char[size]);
  check(png_image_write_to_memory(&image, memory.get(), &size, 0, pixels.data(), 0, nullptr));
  write_file(source, {memory.get(), size});
}

ATTEND_END
