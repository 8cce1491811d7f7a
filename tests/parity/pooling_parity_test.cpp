#include "attend/functional/interpolate.hpp"
#include "attend/functional/pooling.hpp"
#include "attend/layers/global_pool.hpp"
#include "parity/golden.hpp"

namespace pooling_parity_test {
namespace {
using namespace attend;
using golden::function;

const auto max_pool = [](const MaxPoolOptions& o) {
  return function<4>([o](const auto& x) { return max_pool2d(x, o); });
};
const auto avg_pool = [](const AvgPoolOptions& o) {
  return function<4>([o](const auto& x) { return avg_pool2d(x, o); });
};
const golden::Cases windows(
    "pooling",
    {
        {"max_k2", max_pool({.kernel_size = 2})},
        {"max_k3s2p1", max_pool({.kernel_size = 3, .stride = 2, .padding = 1})},
        {"max_overlap", max_pool({.kernel_size = 3, .stride = 1})},
        {"max_rectangular", max_pool({.kernel_size = {2, 3}, .stride = {1, 2}, .padding = {0, 1}})},
        {"max_ceil", max_pool({.kernel_size = 3, .stride = 2, .ceil_mode = true})},
        {"max_ceil_padded", max_pool({.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true})},
        {"max_ceil_window_outside", max_pool({.kernel_size = 2, .stride = 3, .padding = 1, .ceil_mode = true})},
        {"max_dilation", max_pool({.kernel_size = 3, .stride = 1, .padding = 1, .dilation = 2})},
        {"max_dilation_ceil",
         max_pool({.kernel_size = {2, 3}, .stride = {3, 2}, .dilation = {3, 2}, .ceil_mode = true})},
        {"avg_k2", avg_pool({.kernel_size = 2})},
        {"avg_k3s2p1", avg_pool({.kernel_size = 3, .stride = 2, .padding = 1})},
        {"avg_k3s2p1_valid_count", avg_pool({.kernel_size = 3, .stride = 2, .padding = 1, .count_include_pad = false})},
        {"avg_rectangular", avg_pool({.kernel_size = {2, 3}, .stride = {1, 2}, .padding = {0, 1}})},
        {"avg_ceil", avg_pool({.kernel_size = 3, .stride = 2, .ceil_mode = true})},
        {"avg_ceil_padded", avg_pool({.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true})},
        {"avg_ceil_padded_valid_count",
         avg_pool({.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false})},
        {"avg_divisor", avg_pool({.kernel_size = 3, .stride = 2, .padding = 1, .divisor_override = 5})},
        {"avg_divisor_ceil", avg_pool({.kernel_size = 3, .stride = 2, .ceil_mode = true, .divisor_override = 4})},
    });

const auto max_line = [](const MaxPoolOptions& o) {
  return function<3>([o](const auto& x) { return max_pool1d(x, o); });
};
const auto avg_line = [](const AvgPoolOptions& o) {
  return function<3>([o](const auto& x) { return avg_pool1d(x, o); });
};
const golden::Cases lines(
    "pooling",
    {
        {"max_1d", max_line({.kernel_size = 3, .stride = 2, .padding = 1})},
        {"max_1d_dilation_ceil", max_line({.kernel_size = 2, .stride = 2, .dilation = 3, .ceil_mode = true})},
        {"avg_1d", avg_line({.kernel_size = 3, .stride = 2, .padding = 1})},
        {"avg_1d_valid_count_ceil",
         avg_line({.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false})},
    });

std::vector<golden::Named> adaptive() {
  std::vector<golden::Named> cases;
  for (const auto& [name, size] : std::vector<std::pair<std::string, Pair>>{
           {"even", {3, 4}}, {"uneven", {3, 4}}, {"one", 1}, {"larger", {5, 7}}, {"same", 0}}) {  // 0 keeps the extents
    cases.push_back(
        {"adaptive_avg_" + name, function<4>([s = size](const auto& x) { return adaptive_avg_pool2d(x, s); })});
    cases.push_back(
        {"adaptive_max_" + name, function<4>([s = size](const auto& x) { return adaptive_max_pool2d(x, s); })});
  }
  return cases;
}
const golden::Cases adaptive_cases("pooling", adaptive());
const golden::Cases global("pooling",
                           {
                               {"global_avg", function<4>([](const auto& x) { return global_average_pool(x); })},
                               {"global_max", function<4>([](const auto& x) { return global_max_pool(x); })},
                               {"gem_p3", golden::layer<GeM2d, 4>(GeM2dOptions{})},
                               {"gem_p1_7", golden::layer<GeM2d, 4>(GeM2dOptions{})},
                               {"gem_clamped", golden::layer<GeM2d, 4>(GeM2dOptions{})},
                               {"gem_eps", golden::layer<GeM2d, 4>(GeM2dOptions{.eps = 0.05})},
                           });

std::vector<golden::Named> resizes() {
  std::vector<golden::Named> cases;
  const auto add = [&](const std::string& mode, InterpolateOptions o) {
    for (const auto& [name, size] : std::vector<std::pair<std::string, Pair>>{{"up", {7, 9}},
                                                                              {"down", {3, 5}},
                                                                              {"double", {6, 10}},
                                                                              {"mixed", {3, 8}},
                                                                              {"from_one", {4, 1}},
                                                                              {"same", {4, 5}}}) {
      o.size = size;
      cases.push_back({mode + "_" + name, function<4>([o](const auto& x) { return interpolate(x, o); })});
    }
  };
  add("nearest", {.mode = Interpolation::nearest});
  add("nearest_exact", {.mode = Interpolation::nearest_exact});
  add("bilinear", {.mode = Interpolation::bilinear});
  add("bilinear_corners", {.mode = Interpolation::bilinear, .align_corners = true});
  return cases;
}
const golden::Cases resize("resize", resizes());

/// By a factor: where it does not divide, sampling follows the factor, not the sizes.
golden::Check scaled(InterpolateOptions o, double height, double width) {
  o.scale_factor = ScaleFactor(height, width);
  return function<4>([o](const auto& x) { return interpolate(x, o); });
}
const golden::Cases factors("resize",
                            {
                                {"nearest_factor", scaled({.mode = Interpolation::nearest}, 1.7, 0.6)},
                                {"nearest_exact_factor", scaled({.mode = Interpolation::nearest_exact}, 1.7, 0.6)},
                                {"bilinear_factor", scaled({.mode = Interpolation::bilinear}, 1.7, 0.6)},
                                {"bilinear_corners_factor",
                                 scaled({.mode = Interpolation::bilinear, .align_corners = true}, 1.7, 0.6)},
                                {"bilinear_factor_two", scaled({.mode = Interpolation::bilinear}, 2, 2)},
                            });
}  // namespace
}  // namespace pooling_parity_test
