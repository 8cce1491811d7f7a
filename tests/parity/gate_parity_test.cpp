#include "attend/attention/cbam.hpp"
#include "attend/attention/channel/effective_squeeze_excite.hpp"
#include "attend/attention/channel/squeeze_excite.hpp"
#include "parity/golden.hpp"

namespace gate_parity_test {
namespace {
using namespace attend;
using golden::layer;

const auto se = [](const SqueezeExciteOptions& o) { return layer<SqueezeExcite, 4>(o); };
const auto effective = [](const EffectiveSqueezeExciteOptions& o) { return layer<EffectiveSqueezeExcite, 4>(o); };
const auto efficientnet_hard = [] {
  SqueezeExciteOptions o = efficientnet_squeeze_excite(7);
  o.rd_channels = 3, o.activation = Activation::silu, o.gate = Activation::hard_sigmoid;
  return o;
};
const auto torchvision_hard = [] {
  SqueezeExciteOptions o = torchvision_squeeze_excite(6, 4);
  o.gate = Activation::hard_sigmoid;
  return o;
};
/// Reduced widths of a list of widths.
const auto rounding = [](Index (*rule)(Index)) {
  return golden::check([rule](auto& run) -> void {
    const auto widths = run.golden().integers("input.0"), expected = run.golden().integers("output");
    for (std::size_t i = 0; i < widths.size(); ++i) EXPECT_EQ(rule(widths[i]), expected[i]) << widths[i] << " channels";
    run.outputs_were_compared();
  });
};
const golden::Cases squeeze_excite(
    "squeeze_excite",
    {
        {"default", se({.channels = 19})},
        {"ratio", se({.channels = 20, .rd_ratio = 0.5})},
        {"divisor", se({.channels = 20, .rd_ratio = 0.25, .rd_divisor = 1})},
        {"rd_channels", se({.channels = 5, .rd_channels = 3})},
        {"add_maxpool", se({.channels = 5, .rd_channels = 3, .add_maxpool = true})},
        {"no_bias", se({.channels = 5, .rd_channels = 2, .bias = false})},
        {"silu", se({.channels = 5, .rd_channels = 3, .activation = Activation::silu})},
        {"hard_sigmoid", se({.channels = 5, .rd_channels = 3, .gate = Activation::hard_sigmoid})},
        {"norm_train", se({.channels = 5, .rd_channels = 3, .norm = true})},
        {"norm_eval", se({.channels = 5, .rd_channels = 3, .norm = true})},
        {"effective", effective({.channels = 5})},
        {"effective_maxpool", effective({.channels = 5, .add_maxpool = true})},
        {"effective_sigmoid", effective({.channels = 5, .gate = Activation::sigmoid})},
        {"efficientnet", se(efficientnet_squeeze_excite(10))},
        {"efficientnet_6", se(efficientnet_squeeze_excite(6))},
        {"efficientnet_hard", se(efficientnet_hard())},
        {"torchvision", se(torchvision_squeeze_excite(6, 4))},
        {"torchvision_hard", se(torchvision_hard())},
        {"senet", se(senet_squeeze_excite(37))},
        {"rounding_se", rounding([](Index c) { return make_divisible(double(c) / 16, 8, 0, 0); })},
        {"rounding_se_quarter", rounding([](Index c) { return make_divisible(double(c) / 4, 8, 0, 0); })},
        {"rounding_cbam", rounding([](Index c) { return make_divisible(double(c) / 16, 1, 0, 0); })},
        {"rounding_non_local", rounding([](Index c) { return make_divisible(double(c) / 8); })},
        {"rounding_efficientnet", rounding([](Index c) { return round_half_even(double(c) * 0.25); })},
        {"rounding_ghost", rounding([](Index c) { return make_divisible(double(c) * 0.25, 4); })},
    });

const auto cbam = [](const CbamOptions& o) { return layer<Cbam, 4>(o); };
const CbamOptions small = {.channels = 5, .rd_channels = 3};
const CbamOptions bias_kernel = {.channels = 5, .rd_channels = 2, .spatial_kernel_size = 3, .bias = true};
const CbamOptions hard = {.channels = 5, .rd_channels = 3, .spatial_kernel_size = 5, .gate = Activation::hard_sigmoid};
const auto conv = [](const ConvNormActOptions& o) { return layer<ConvNormAct, 4>(o); };
const ConvNormActOptions plain_conv = {.in_channels = 4,
                                       .out_channels = 6,
                                       .kernel_size = {3, 5},
                                       .dilation = 2,
                                       .groups = 2,
                                       .activation = Activation::identity};
const golden::Cases cbam_cases(
    "cbam", {
                {"default_eval", cbam({.channels = 17})},
                {"default_train", cbam({.channels = 17})},
                {"rd_channels_eval", cbam(small)},
                {"rd_channels_train", cbam(small)},
                {"bias_kernel_eval", cbam(bias_kernel)},
                {"bias_kernel_train", cbam(bias_kernel)},
                {"hard_eval", cbam(hard)},
                {"hard_train", cbam(hard)},
                {"spatial_eval", layer<CbamSpatial, 4>(CbamSpatialOptions{})},
                {"spatial_train", layer<CbamSpatial, 4>(CbamSpatialOptions{})},
                {"conv_norm_act_eval", conv({.in_channels = 4, .out_channels = 6, .kernel_size = 3, .stride = 2})},
                {"conv_norm_act_train", conv({.in_channels = 4, .out_channels = 6, .kernel_size = 3, .stride = 2})},
                {"conv_norm_eval", conv(plain_conv)},
                {"conv_norm_train", conv(plain_conv)},
                {"channel", layer<CbamChannel, 4>(CbamChannelOptions{.channels = 6, .rd_channels = 4})},
            });
}  // namespace
}  // namespace gate_parity_test
