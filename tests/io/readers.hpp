#pragma once
// Every reader of io/ under one name, and a small valid file for each.
#include <functional>
#include <vector>

#include "attend/io/idx.hpp"
#include "attend/io/npz.hpp"
#include "attend/io/png.hpp"
#include "attend/io/ppm.hpp"
#include "attend/io/safetensors_file.hpp"
#include "io/temporary_folder.hpp"

namespace readers {
using namespace attend;

/// Reads all there is, touching every element.
inline double safetensors(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  double sum = 0;
  for (const std::string& name : file.names()) {
    const auto x = file.flat<double>(name);
    for (Index i = 0; i < x.size(); ++i) sum += x(i);
  }
  return sum;
}
inline double npy(const std::filesystem::path& path) {
  const NpyFile file(path);
  const auto x = file.array().flat<double>();
  return x.size() > 0 ? x(x.size() - 1) : 0;
}
inline double npz(const std::filesystem::path& path) {
  const NpzFile file(path);
  double sum = 0;
  for (const std::string& name : file.names()) {
    const auto x = file.flat<double>(name);
    for (Index i = 0; i < x.size(); ++i) sum += x(i);
  }
  return sum;
}
inline double idx(const std::filesystem::path& path) {
  const auto x = read_idx<std::int16_t, 2>(path);
  return x.size() > 0 ? x.data()[x.size() - 1] : 0;
}
inline double png(const std::filesystem::path& path) { return read_png(path).data()[0]; }
inline double ppm(const std::filesystem::path& path) { return read_ppm(path).data()[0]; }

struct Reader {
  const char* name;
  double (*read)(const std::filesystem::path&);
};
inline const Reader all[] = {
    {"safetensors", safetensors}, {"npy", npy}, {"npz", npz}, {"idx", idx}, {"png", png}, {"ppm", ppm}};

struct Seed {
  const char* name;
  double (*read)(const std::filesystem::path&);
  std::string bytes;
};
inline std::vector<Seed> seeds() {
  const TemporaryFolder folder;
  const auto path = folder / "seed";
  const auto get = [&] { return get_bytes(path); };
  Tensor<std::int16_t, 2> x(2, 3);
  x.setValues({{1, -2, 3}, {4, 5, -600}});
  Tensor<float, 1> y(2);
  y.setValues({0.5f, -1.5f});
  std::vector<Seed> seeds;
  SafetensorsWriter().add("a", x).add("b.c", y).metadata("k", "v").write(path);
  seeds.push_back({"safetensors", safetensors, get()});
  write_npy(path, x);
  seeds.push_back({"npy", npy, get()});
  NpzWriter().add("a", x).add("b", y).write(path);
  seeds.push_back({"npz stored", npz, get()});
  NpzWriter().add("a", x).add("b", y).write(path, true);
  seeds.push_back({"npz deflated", npz, get()});
  write_idx(path, x);
  seeds.push_back({"idx", idx, get()});
  write_idx(folder / "seed.gz", x);
  seeds.push_back({"idx gzip", idx, get_bytes(folder / "seed.gz")});
  Tensor<std::uint8_t, 3> image(3, 2, 3);
  for (Index i = 0; i < image.size(); ++i) image.data()[i] = static_cast<std::uint8_t>(37 * i);
  write_png(path, image);
  seeds.push_back({"png", png, get()});
  write_ppm(path, image);
  seeds.push_back({"ppm", ppm, get()});
  return seeds;
}
}  // namespace readers
