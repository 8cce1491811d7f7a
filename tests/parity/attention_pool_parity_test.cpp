#include "attend/attention/attention_pool.hpp"
#include "parity/golden.hpp"

namespace attention_pool_parity_test {
namespace {
using namespace attend;

const auto pool = [](const AttentionPoolOptions& o) { return golden::layer<AttentionPool, 3>(o); };
const golden::Cases attention_pool(
    "attention_pool",
    {
        {"default", pool({.channels = 16})},
        {"heads_ratio", pool({.channels = 6, .num_heads = 3, .mlp_ratio = 2})},
        {"latents_mean", pool({.channels = 6, .num_heads = 2, .latents = 3, .pool = LatentPool::mean})},
        {"out_norm",
         pool({.channels = 6, .out_channels = 5, .num_heads = 2, .mlp_ratio = 1, .norm = true, .eps = 1e-5})},
        {"no_bias", pool({.channels = 6, .num_heads = 1, .qkv_bias = false, .activation = Activation::silu})},
        {"logits_off", pool({.channels = 6, .num_heads = 6, .latents = 2, .project = false})},
    });
}  // namespace
}  // namespace attention_pool_parity_test
