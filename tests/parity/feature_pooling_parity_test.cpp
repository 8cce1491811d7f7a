#include "attend/attention/class_attention.hpp"
#include "attend/attention/grid_attention_pool.hpp"
#include "attend/attention/lse_pool.hpp"
#include "attend/attention/sim_pool.hpp"
#include "parity/golden.hpp"

namespace feature_pooling_parity_test {
namespace {
using namespace attend;

const auto clip = [](const GridAttentionPoolOptions& o) { return golden::layer<GridAttentionPool, 4>(o); };
// timm turns by sines and cosines of float32, also in a double network.
const auto rotary_pool = [](GridAttentionPoolOptions o) {
  o.positions = GridPositions::rotary;
  return golden::layer<GridAttentionPool, 4>(o).within({.in_double = 1e-6});
};
const auto sim = [](const SimPoolOptions& o) { return golden::layer<SimPool, 4>(o); };
const auto lse = golden::layer<LsePool, 4>(LsePoolOptions{});
const auto class_attention = [](const ClassAttentionOptions& o) { return golden::layer<ClassAttention, 3>(o); };
const golden::Cases cases(
    "feature_pooling",
    {
        {"clip", clip({.channels = 6, .num_heads = 2, .height = 3, .width = 4})},
        {"clip_out", clip({.channels = 6, .out_channels = 4, .num_heads = 3, .height = 2, .width = 5})},
        {"clip_embed", clip({.channels = 5, .embed_dim = 8, .num_heads = 2, .height = 3, .width = 2})},
        {"clip_logits_off", clip({.channels = 6, .head_dim = 3, .height = 3, .width = 3, .project = false})},
        {"rotary", rotary_pool({.channels = 8, .num_heads = 2, .height = 3, .width = 4})},
        {"rotary_other_size", rotary_pool({.channels = 8, .out_channels = 3, .num_heads = 1, .height = 3, .width = 2})},
        {"rotary_default_reference", rotary_pool({.channels = 12, .head_dim = 4, .qkv_bias = false, .project = false})},
        {"sim_pool", sim({.channels = 6})},
        {"sim_pool_heads", sim({.channels = 6, .num_heads = 3, .qkv_bias = true})},
        {"sim_pool_gamma", sim({.channels = 6, .gamma = 1.25})},
        {"sim_pool_gamma_2", sim({.channels = 4, .num_heads = 2, .gamma = 2})},
        {"sim_pool_qk_norm", sim({.channels = 6, .num_heads = 2, .qk_norm = true})},
        {"lse_plus", lse},
        {"lse_plus_soft", lse},
        {"lse_plus_negative", lse},
        {"class_attention", class_attention({.channels = 8})},
        {"class_attention_bias", class_attention({.channels = 6, .num_heads = 3, .qkv_bias = true})},
    });
}  // namespace
}  // namespace feature_pooling_parity_test
