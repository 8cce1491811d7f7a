#include "attend/attention/spatial/cross_covariance_attention.hpp"
#include "attend/attention/spatial/efficient_attention.hpp"
#include "attend/attention/spatial/external_attention.hpp"
#include "attend/attention/spatial/factorized_attention.hpp"
#include "attend/attention/spatial/multi_scale_linear_attention.hpp"
#include "attend/attention/spatial/separable_attention.hpp"
#include "parity/golden.hpp"

namespace linear_attention_parity_test {
namespace {
using namespace attend;

const auto lite_mla = [](const MultiScaleLinearAttentionOptions& o) {
  return golden::layer<MultiScaleLinearAttention, 4>(o);
};
const auto efficient = [](const EfficientAttentionOptions& o) { return golden::layer<EfficientAttention, 4>(o); };
const auto xca = [](const CrossCovarianceAttentionOptions& o) { return golden::layer<CrossCovarianceAttention, 3>(o); };
const auto separable = [](const SeparableAttentionOptions& o) { return golden::layer<SeparableAttention, 4>(o); };
const auto external = [](const ExternalAttentionOptions& o) { return golden::layer<ExternalAttention, 3>(o); };
const auto factorized = [](const FactorizedAttentionOptions& o, const FactorizedAttentionCall& grid) {
  return golden::check([=](auto& run) -> void {
    auto layer = golden::make_layer<FactorizedAttention<typename std::decay_t<decltype(run)>::Scalar>>(o);
    run.load(layer);
    run.output(layer(run.template input<3>(0), grid));
    run.finish();
  });
};
const golden::Cases cases(
    "linear_attention",
    {
        {"lite_mla_eval", lite_mla({.channels = 8, .out_channels = 6, .dim = 4})},
        // behind the norm of a batch of nearly equal maps: PyTorch in float32 is off by 2.3e-5 here
        {"lite_mla_train", lite_mla({.channels = 8, .num_heads = 3, .dim = 2}).within({.in_float = 4e-5})},
        {"lite_mla_scales",
         lite_mla({.channels = 6, .out_channels = 5, .heads_ratio = 0.5, .dim = 3, .scales = {3, 5}})},
        // As timm's module is: it computes in float32 inside, also in a double network.
        {"lite_mla_in_float32", lite_mla({.channels = 8, .out_channels = 6, .dim = 4}).within({.in_double = 1e-6})},
        {"efficient", efficient({.channels = 6, .key_channels = 4, .value_channels = 6, .num_heads = 2})},
        {"efficient_one_head", efficient({.channels = 5, .key_channels = 3, .value_channels = 4})},
        {"xca", xca({.channels = 8})},
        {"xca_bias", xca({.channels = 6, .num_heads = 2, .qkv_bias = true})},
        {"separable", separable({.channels = 5})},
        {"separable_no_bias", separable({.channels = 6, .bias = false})},
        {"external", external({.channels = 6, .memory_size = 4})},
        {"external_wide", external({.channels = 4, .memory_size = 9})},
        {"factorized", factorized({.channels = 8}, {3, 4})},
        {"factorized_bias",
         factorized({.channels = 6, .num_heads = 3, .qkv_bias = true, .windows = {{3, 1}, {5, 2}}}, {2, 5})},
    });
}  // namespace
}  // namespace linear_attention_parity_test
