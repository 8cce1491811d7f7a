#pragma once
#include <attend/io/numpy.hpp>
#include <filesystem>

#include "images.hpp"

/// Photographs of hands that show 0 to 9, 32 x 32 RGB: {train,test}_{images,labels}_u8.npy in `folder` (Sign Language
/// Digits, A. Mavi 2020). FileError names what is missing or does not fit.
inline ImageSet load_sign_language_digits(const std::filesystem::path& folder) {
  using namespace attend;
  const auto read = [&](const std::string& part) {
    const auto pixels = read_npy<std::uint8_t, 4>(folder / (part + "_images_u8.npy"));
    const auto labels = read_npy<std::uint8_t, 1>(folder / (part + "_labels_u8.npy"));
    require<FileError>(pixels.dimension(0) == labels.size() && pixels.dimension(1) == 32 && pixels.dimension(2) == 32 &&
                           pixels.dimension(3) == 3,
                       "load_sign_language_digits", [&] {
                         return folder.string() + " has " + part + " images " + to_string(shape_of(pixels)) + " for " +
                                std::to_string(labels.size()) + " labels; (count, 32, 32, 3) are expected";
                       });
    Images images;
    images.pixels.resize(pixels.dimension(0), 32, 32, 3);
    images.labels.resize(labels.size());
    for (Index i = 0; i < pixels.size(); ++i) images.pixels.data()[i] = float(pixels.data()[i]) / 255.0f;
    for (Index i = 0; i < labels.size(); ++i) {
      images.labels(i) = labels(i);
      require<FileError>(labels(i) < 10, "load_sign_language_digits",
                         [&] { return "label " + std::to_string(labels(i)) + " is not one of ten"; });
    }
    return images;
  };
  return {read("train"), read("test"), {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}};
}
