#pragma once
#include <attend/io/idx.hpp>
#include <filesystem>

#include "images.hpp"

/// The four files of (Fashion-)MNIST in `folder`, as Debian's dataset-fashion-mnist installs them. FileError says what to do.
inline ImageSet load_fashion_mnist(const std::filesystem::path& folder) {
  using namespace attend;
  const auto read = [&](const std::string& name, Index expected) {
    const auto path = folder / (name + "-images-idx3-ubyte.gz");
    if (!std::filesystem::exists(path))
      throw FileError("load_fashion_mnist",
                      path.string() +
                          " is not there; install the package dataset-fashion-mnist, name the folder "
                          "of the four files with --data-folder, or try --data=shapes");
    const auto bytes = read_idx<std::uint8_t, 3>(path);
    const auto labels = read_idx<std::uint8_t, 1>(folder / (name + "-labels-idx1-ubyte.gz"));
    require<FileError>(bytes.dimension(0) == expected && labels.size() == expected && bytes.dimension(1) == 28 &&
                           bytes.dimension(2) == 28,
                       "load_fashion_mnist", [&] {
                         return path.string() + " has " + to_string(shape_of(bytes)) + " images for " +
                                std::to_string(labels.size()) + " labels; " + std::to_string(expected) +
                                " of 28 x 28 are expected";
                       });
    Images images;
    images.pixels.resize(expected, 28, 28, 1);
    images.labels.resize(expected);
    for (Index i = 0; i < bytes.size(); ++i) images.pixels.data()[i] = float(bytes.data()[i]) / 255.0f;
    for (Index i = 0; i < expected; ++i) {
      images.labels(i) = labels(i);
      require<FileError>(labels(i) < 10, "load_fashion_mnist",
                         [&] { return "label " + std::to_string(labels(i)) + " is not one of ten"; });
    }
    return images;
  };
  return {read("train", 60000),
          read("t10k", 10000),
          {"T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"}};
}
