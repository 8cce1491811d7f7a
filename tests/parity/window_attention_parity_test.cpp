#include "attend/attention/spatial/window_attention.hpp"
#include "attend/attention/spatial/window_attention_v2.hpp"
#include "parity/golden.hpp"

namespace window_attention_parity_test {
namespace {
using namespace attend;

const auto windows = [](const WindowAttentionOptions& o) { return golden::layer<WindowAttention, 4>(o); };
// timm computes the logarithmic offsets in float32, also in a double network.
const auto windows_v2 = [](const WindowAttentionV2Options& o) {
  return golden::layer<WindowAttentionV2, 4>(o).within({.in_double = 1e-6});
};
const golden::Cases cases(
    "window_attention",
    {
        {"plain", windows({.channels = 6, .num_heads = 3, .window_size = 2, .height = 4, .width = 6})},
        {"shift", windows({.channels = 4, .num_heads = 2, .window_size = 3, .shift_size = 1, .height = 6, .width = 9})},
        {"padded", windows({.channels = 4, .num_heads = 2, .window_size = 3, .height = 5, .width = 7})},
        {"padded_shift",
         windows(
             {.channels = 4, .num_heads = 2, .window_size = {3, 4}, .shift_size = {1, 2}, .height = 5, .width = 8})},
        {"one_axis_shrinks",
         windows({.channels = 4, .num_heads = 2, .window_size = 4, .shift_size = 2, .height = 3, .width = 8})},
        {"map_is_smaller",
         windows({.channels = 4, .num_heads = 1, .window_size = 4, .shift_size = 2, .height = 3, .width = 2})},
        {"head_dim_no_bias", windows({.channels = 4,
                                      .num_heads = 2,
                                      .head_dim = 3,
                                      .window_size = 2,
                                      .height = 4,
                                      .width = 4,
                                      .qkv_bias = false})},
        {"any_size", windows({.channels = 4, .num_heads = 2, .window_size = 4, .shift_size = 2})},
        {"scores_beyond_the_mask",
         windows({.channels = 2, .num_heads = 1, .window_size = 2, .shift_size = 1, .height = 4, .width = 4})},
        {"v2_plain", windows_v2({.channels = 6, .num_heads = 3, .window_size = 2, .height = 4, .width = 6})},
        {"v2_shift",
         windows_v2(
             {.channels = 4, .num_heads = 2, .window_size = {3, 4}, .shift_size = {1, 2}, .height = 5, .width = 8})},
        {"v2_pretrained", windows_v2({.channels = 4,
                                      .num_heads = 2,
                                      .window_size = {4, 3},
                                      .height = 4,
                                      .width = 3,
                                      .pretrained_window_size = {6, 8}})},
        {"v2_no_bias", windows_v2({.channels = 4,
                                   .num_heads = 1,
                                   .window_size = 2,
                                   .shift_size = 1,
                                   .height = 3,
                                   .width = 4,
                                   .qkv_bias = false})},
        {"v2_scale_is_clamped", windows_v2({.channels = 4, .num_heads = 2, .window_size = 2, .height = 4, .width = 2})},
    });
}  // namespace
}  // namespace window_attention_parity_test
