#include "attend/attention/spatial/axial_attention.hpp"
#include "attend/attention/spatial/bilinear_attention.hpp"
#include "attend/attention/spatial/criss_cross_attention.hpp"
#include "attend/attention/spatial/halo_attention.hpp"
#include "attend/attention/spatial/lambda_layer.hpp"
#include "parity/golden.hpp"

namespace grid_attention_parity_test {
namespace {
using namespace attend;

const auto halo = [](const HaloAttentionOptions& o) { return golden::layer<HaloAttention, 4>(o); };
const auto lambda = [](const LambdaLayerOptions& o) { return golden::layer<LambdaLayer, 4>(o); };
const auto cross = [](const CrissCrossAttentionOptions& o) { return golden::layer<CrissCrossAttention, 4>(o); };
const auto axial = [](const AxialAttentionOptions& o) { return golden::layer<AxialAttention, 4>(o); };
const auto bilinear = [](const BilinearAttentionOptions& o) { return golden::layer<BilinearAttention, 4>(o); };
const golden::Cases cases(
    "grid_attention",
    {
        {"halo", halo({.channels = 6, .num_heads = 2, .block_size = 2, .halo_size = 1})},
        {"halo_dims", halo({.channels = 5,
                            .out_channels = 9,
                            .num_heads = 3,
                            .dim_head = 2,
                            .block_size = 3,
                            .halo_size = 2,
                            .qkv_bias = true})},
        {"halo_scaled",
         halo(
             {.channels = 6, .num_heads = 3, .dim_head = 4, .block_size = 2, .halo_size = 1, .scale_pos_embed = true})},
        {"halo_strided",
         halo({.channels = 4, .stride = 2, .num_heads = 2, .dim_head = 3, .block_size = 4, .halo_size = 1})},
        {"halo_pooled",
         halo({.channels = 4, .stride = 2, .num_heads = 2, .dim_head = 2, .block_size = 3, .halo_size = 1})},
        {"halo_averaged", halo({.channels = 4,
                                .stride = 2,
                                .num_heads = 2,
                                .dim_head = 2,
                                .block_size = 4,
                                .halo_size = 1,
                                .avg_down = true})},
        {"lambda_eval", lambda({.channels = 8, .dim_head = 3, .r = 3})},
        {"lambda_train", lambda({.channels = 8, .dim_head = 3, .r = 5})},
        {"lambda_ratio_bias",
         lambda({.channels = 6, .num_heads = 2, .dim_head = 0, .r = 3, .qk_ratio = 0.5, .qkv_bias = true})},
        {"lambda_stride", lambda({.channels = 6, .stride = 2, .num_heads = 3, .dim_head = 2, .r = 3})},
        {"lambda_positions", lambda({.channels = 6, .num_heads = 2, .dim_head = 3, .r = 0, .height = 3, .width = 4})},
        {"lambda_positions_train",
         lambda({.channels = 4, .num_heads = 1, .dim_head = 2, .r = 0, .height = 2, .width = 5})},
        {"criss_cross", cross({.channels = 8})},
        {"criss_cross_odd", cross({.channels = 5, .reduced_channels = 3})},
        {"criss_cross_row", cross({.channels = 4, .reduced_channels = 2})},
        {"axial", axial({.channels = 6, .num_heads = 2})},
        {"axial_wide", axial({.channels = 5, .num_heads = 3, .dim_head = 4})},
        {"axial_in_sequence", axial({.channels = 4, .num_heads = 2, .in_sequence = true})},
        {"bat_eval", bilinear({.channels = 8, .block_size = 2, .rd_channels = 4})},
        {"bat_train", bilinear({.channels = 6, .block_size = 3, .groups = 3, .rd_channels = 6, .dropout = 0})},
        {"bat_default", bilinear({.channels = 20})},
    });
}  // namespace
}  // namespace grid_attention_parity_test
