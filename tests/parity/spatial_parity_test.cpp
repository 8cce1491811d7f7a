#include "attend/attention/spatial/bottleneck_attention.hpp"
#include "attend/attention/spatial/non_local.hpp"
#include "parity/golden.hpp"

namespace spatial_parity_test {
namespace {
using namespace attend;

const auto non_local = [](const NonLocalOptions& o) { return golden::layer<NonLocal, 4>(o); };
const auto bottleneck = [](const BottleneckAttentionOptions& o) { return golden::layer<BottleneckAttention, 4>(o); };
const golden::Cases cases(
    "spatial_attention",
    {
        {"non_local_eval", non_local({.channels = 12})},
        {"non_local_train", non_local({.channels = 12})},
        {"non_local_ratio", non_local({.channels = 10, .rd_ratio = 0.5, .rd_divisor = 2})},
        {"non_local_unscaled", non_local({.channels = 6, .rd_channels = 3, .scale = false})},
        {"non_local_channels", non_local({.channels = 6, .rd_channels = 4})},
        {"bottleneck", bottleneck({.channels = 12, .height = 3, .width = 4, .num_heads = 4})},
        {"bottleneck_bias", bottleneck({.channels = 6, .height = 4, .width = 3, .num_heads = 2, .qkv_bias = true})},
        {"bottleneck_scaled",
         bottleneck({.channels = 6, .height = 3, .width = 5, .num_heads = 2, .dim_head = 3, .scale_pos_embed = true})},
        {"bottleneck_out",
         bottleneck({.channels = 5, .out_channels = 9, .height = 3, .width = 2, .num_heads = 3, .dim_head = 4})},
        {"bottleneck_stride",
         bottleneck({.channels = 6, .height = 5, .width = 4, .stride = 2, .num_heads = 3, .dim_head = 2})},
        {"bottleneck_ratio", bottleneck({.channels = 8, .height = 4, .width = 3, .num_heads = 2, .qk_ratio = 0.5})},
    });
}  // namespace
}  // namespace spatial_parity_test
