#include "attend/attention/spatial/cooccurrent_attention.hpp"
#include "attend/attention/spatial/neighborhood_attention.hpp"
#include "attend/attention/spatial/outlook_attention.hpp"
#include "parity/golden.hpp"

namespace local_attention_parity_test {
namespace {
using namespace attend;

const auto neighbours = [](const NeighborhoodAttentionOptions& o) {
  return golden::layer<NeighborhoodAttention, 4>(o);
};
const auto outlook = [](const OutlookAttentionOptions& o) { return golden::layer<OutlookAttention, 4>(o); };
const auto acf = [](CooccurrentAttentionOptions o) {
  o.dropout = 0;
  return golden::layer<CooccurrentAttention, 4>(o);
};
const golden::Cases cases(
    "local_attention",
    {
        {"neighborhood", neighbours({.channels = 4, .num_heads = 2, .kernel_size = 3})},
        {"neighborhood_large", neighbours({.channels = 3, .num_heads = 1, .kernel_size = 5})},
        {"neighborhood_dilated", neighbours({.channels = 4, .num_heads = 2, .kernel_size = 3, .dilation = 2})},
        {"neighborhood_no_bias", neighbours({.channels = 4, .num_heads = 2, .kernel_size = 3, .position_bias = false})},
        {"outlook", outlook({.channels = 4, .num_heads = 2})},
        {"outlook_stride", outlook({.channels = 4, .num_heads = 2, .stride = 2, .qkv_bias = true})},
        {"outlook_kernel_2", outlook({.channels = 4, .num_heads = 1, .kernel_size = 2, .padding = 0, .stride = 2})},
        {"outlook_stride_odd", outlook({.channels = 4, .num_heads = 2, .stride = 2})},
        {"acf_eval", acf({.channels = 6, .num_heads = 2, .num_mixtures = 2, .key_channels = 4, .value_channels = 3})},
        {"acf_train", acf({.channels = 6, .num_heads = 1, .num_mixtures = 3, .key_channels = 6, .value_channels = 4})},
        {"acf_odd", acf({.channels = 5, .num_heads = 2, .num_mixtures = 1, .key_channels = 4, .value_channels = 2})},
        {"acf_unpooled_concat", acf({.channels = 4,
                                     .num_heads = 2,
                                     .num_mixtures = 2,
                                     .key_channels = 4,
                                     .value_channels = 2,
                                     .pooling = false,
                                     .concat = true})},
        {"acf_ffn", acf({.channels = 6,
                         .num_heads = 2,
                         .num_mixtures = 2,
                         .key_channels = 4,
                         .value_channels = 3,
                         .projection = CooccurrentProjection::ffn})},
        {"acf_dilated_ffn", acf({.channels = 4,
                                 .num_mixtures = 2,
                                 .key_channels = 4,
                                 .value_channels = 3,
                                 .projection = CooccurrentProjection::dilated_ffn,
                                 .pooling = false})},
    });
}  // namespace
}  // namespace local_attention_parity_test
