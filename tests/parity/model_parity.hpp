#pragma once
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>

#include "attend/io/safetensors.hpp"
#include "io/temporary_folder.hpp"
#include "parity/golden.hpp"

/// Compares a whole network with timm's, on weights that both sides compute: tests/goldens/families/models.py says how.
namespace model_parity {
using attend::Index;

inline std::uint64_t crc(const std::string& text) {
  return crc32(0, reinterpret_cast<const unsigned char*>(text.data()), static_cast<unsigned>(text.size()));
}
/// Element i of the numbers that belong to a name, in [-1, 1).
inline double unit(std::uint64_t name_crc, std::uint64_t i) {
  std::uint64_t z = (name_crc << 32) + i + 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  z ^= z >> 31;
  return static_cast<double>(z >> 40) / double(1 << 23) - 1;
}
inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

template <class S, class Model>
void fill(Model& model) {
  for (const auto& p : attend::parameters<S>(model)) {
    if (ends_with(p.name, "num_batches_tracked")) continue;
    const auto name = crc(p.name);
    const auto& shape = p->shape();
    const bool weight = ends_with(p.name, "weight");
    const double per_output = shape.empty() || shape[0] == 0 ? 1 : double(p->size()) / double(shape[0]);
    auto values = p->edit_flat();
    for (Index i = 0; i < p->size(); ++i) {
      const double u = unit(name, static_cast<std::uint64_t>(i));
      values(i) = static_cast<S>(ends_with(p.name, "running_var") ? 1 + u / 2
                                 : weight && shape.size() > 1     ? u * 1.5 / std::sqrt(per_output)
                                 : weight                         ? 1 + u / 4
                                                                  : u / 4);
    }
  }
}

/// Lines "name shape" of a state dict, sorted, shapes as Python writes them.
inline std::string state_text(const std::vector<attend::ParameterRef<float>>& parameters) {
  std::vector<std::string> lines;
  for (const auto& p : parameters) {
    if (ends_with(p.name, "num_batches_tracked")) continue;
    std::string line = p.name + " (";
    for (std::size_t a = 0; a < p->shape().size(); ++a) line += (a > 0 ? ", " : "") + std::to_string(p->shape()[a]);
    lines.push_back(line + (p->shape().size() == 1 ? ",)\n" : ")\n"));
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& line : lines) text += line;
  return text;
}
/// The image that the generator gave the network of that name.
inline attend::Tensor<float, 4> image_of(const std::string& name, const attend::Shape<3>& size) {
  attend::Tensor<float, 4> x(size[0], size[1], size[2], 3);
  std::uint64_t i = 0;
  for (Index b = 0; b < size[0]; ++b)
    for (Index c = 0; c < 3; ++c)
      for (Index h = 0; h < size[1]; ++h)
        for (Index w = 0; w < size[2]; ++w) x(b, h, w, c) = static_cast<float>(unit(crc(name), i++));
  return x;
}
/// Appends what the generator keeps of an output: all of a vector, of a map each 8th row and column, channels first.
inline void append(std::vector<float>& to, const attend::Tensor<float, 2>& y) {
  to.insert(to.end(), y.data(), y.data() + y.size());
}
inline void append(std::vector<float>& to, const attend::Tensor<float, 4>& y) {
  for (Index b = 0; b < y.dimension(0); ++b)
    for (Index c = 0; c < y.dimension(3); ++c)
      for (Index h = 0; h < y.dimension(1); h += 8)
        for (Index w = 0; w < y.dimension(2); w += 8) to.push_back(y(b, h, w, c));
}
template <class Result>
void append(std::vector<float>& to, const Result& result) {
  result.members([&](const auto&... member) { (append(to, member), ...); });
}
inline void expect_near(const std::vector<float>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  double largest = 1;
  for (const double v : expected) largest = std::max(largest, std::abs(v));
  for (std::size_t k = 0; k < found.size(); ++k)
    ASSERT_NEAR(static_cast<double>(found[k]), expected[k], 1e-5 * largest) << "output " << k;
}

/// The numbers of a model, saved as a file and loaded into another, give timm's output for an image of that size; names
/// and shapes of the state dict and the count of parameters are timm's. `make(rng)` makes the model in float, `call`
/// is how it is called.
struct Plainly {
  template <class Model, class X>
  auto operator()(const Model& model, const X& x) const {
    return model(x);
  }
};
template <class Make, class Call = Plainly>
golden::Named compared(const std::string& name, const Make& make, const attend::Shape<3>& size = {2, 64, 48},
                       const Call& call = {}) {
  return {name, golden::check([name, make, size, call](auto& run) -> void {
            if constexpr (std::is_same_v<typename std::decay_t<decltype(run)>::Scalar, float>) {
              attend::Rng rng(1);
              auto model = make(rng), loaded = model;
              fill<float>(model);
              const std::string text = state_text(attend::parameters<float>(model));
              EXPECT_EQ(static_cast<Index>(crc(text)), run.golden().integers("state")[0]) << "not timm's:\n" << text;
              EXPECT_EQ(attend::count_parameters<float>(model), run.golden().integers("parameters")[0]);

              const TemporaryFolder folder;
              attend::save_safetensors(folder / "model.safetensors", model);
              attend::load_safetensors(folder / "model.safetensors", loaded);
              std::vector<float> found;
              append(found, call(loaded, image_of(name, size)));
              expect_near(found, run.golden().read("output").values);
            }
            run.outputs_were_compared();
          })};
}

}  // namespace model_parity
