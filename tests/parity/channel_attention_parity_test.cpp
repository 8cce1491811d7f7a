#include "attend/attention/bam.hpp"
#include "attend/attention/channel/context_encoding.hpp"
#include "attend/attention/channel/contrast_aware_attention.hpp"
#include "attend/attention/channel/coordinate_attention.hpp"
#include "attend/attention/channel/danet_channel_attention.hpp"
#include "attend/attention/channel/efficient_channel_attention.hpp"
#include "attend/attention/channel/efficient_local_attention.hpp"
#include "attend/attention/channel/gather_excite.hpp"
#include "attend/attention/channel/global_context.hpp"
#include "attend/attention/channel/global_response_norm.hpp"
#include "attend/attention/channel/residual_encoding.hpp"
#include "attend/attention/channel/selective_kernel.hpp"
#include "attend/attention/channel/simple_coordinate_attention.hpp"
#include "attend/attention/channel/split_attention.hpp"
#include "attend/attention/channel/strip_attention.hpp"
#include "attend/attention/light_cbam.hpp"
#include "attend/attention/scse.hpp"
#include "attend/attention/simam.hpp"
#include "attend/attention/triplet_attention.hpp"
#include "parity/golden.hpp"

namespace channel_attention_parity_test {
namespace {
using namespace attend;
using golden::layer;

const auto eca = [](const EfficientChannelAttentionOptions& o) { return layer<EfficientChannelAttention, 4>(o); };
const auto context = [](const GlobalContextOptions& o) { return layer<GlobalContext, 4>(o); };
const auto ge = [](const GatherExciteOptions& o) { return layer<GatherExcite, 4>(o); };
const auto light_cbam = [](const LightCbamOptions& o) { return layer<LightCbam, 4>(o); };
/// A width that follows from another, for a list of them.
const auto widths = [](Index (*rule)(Index)) {
  return golden::check([rule](auto& run) -> void {
    const auto given = run.golden().integers("input.0"), expected = run.golden().integers("output");
    for (std::size_t i = 0; i < given.size(); ++i) EXPECT_EQ(rule(given[i]), expected[i]) << given[i] << " channels";
    run.outputs_were_compared();
  });
};
const LightCbamOptions light_options = {
    .channels = 6, .rd_channels = 3, .spatial_kernel_size = 3, .activation = Activation::silu, .bias = true};
const GatherExciteOptions ge_global_params = {
    .channels = 6, .extra_params = true, .feature_size = {5, 3}, .rd_channels = 3};
const GatherExciteOptions ge_params = {
    .channels = 6, .extent = 4, .extra_params = true, .rd_channels = 3, .activation = Activation::silu};
const golden::Cases gates(
    "channel_attention",
    {
        {"eca", eca({.channels = 7})},
        {"eca_wide", eca({.channels = 131, .gate = Activation::hard_sigmoid})},
        {"eca_gamma", eca({.channels = 9, .gamma = 0.5, .beta = 2})},
        {"ecam", eca({.channels = 7, .mlp = true})},
        {"ecam_ratio",
         eca({.channels = 20, .mlp = true, .rd_ratio = 0.5, .rd_divisor = 3, .activation = Activation::silu})},
        {"ceca", eca({.channels = 7, .circular = true})},
        {"ceca_wide", eca({.channels = 131, .circular = true})},
        {"eca_kernels", widths([](Index c) { return efficient_channel_kernel(c); })},
        {"light_cbam_eval", light_cbam({.channels = 17})},
        {"light_cbam_train", light_cbam({.channels = 17})},
        {"light_cbam_options_eval", light_cbam(light_options)},
        {"light_cbam_options_train", light_cbam(light_options)},
        {"gc", context({.channels = 9})},
        {"gc_rd",
         context({.channels = 6, .rd_channels = 3, .activation = Activation::silu, .gate = Activation::hard_sigmoid})},
        {"gca", context({.channels = 17, .fuse_add = true, .fuse_scale = false})},
        {"gca_ratio",
         context({.channels = 10, .fuse_add = true, .fuse_scale = false, .rd_ratio = 0.5, .rd_divisor = 3})},
        {"gc_both", context({.channels = 6, .fuse_add = true})},
        {"gc_mean", context({.channels = 6, .attention = false})},
        {"ge", ge({.channels = 17})},
        {"ge_maxpool", ge({.channels = 6, .rd_channels = 3, .add_maxpool = true})},
        {"ge_extent", ge({.channels = 6, .extent = 2, .rd_channels = 3})},
        {"ge_extent_4", ge({.channels = 5, .extent = 4, .mlp = false, .add_maxpool = true})},
        {"ge_one_cell", ge({.channels = 5, .extent = 4, .rd_channels = 2})},
        {"ge_global_params_eval", ge(ge_global_params)},
        {"ge_global_params_train", ge(ge_global_params)},
        {"ge_params_eval", ge(ge_params)},
        {"ge_params_train", ge(ge_params)},
        {"ge_params_plain", ge({.channels = 6, .extent = 2, .extra_params = true, .mlp = false, .norm = false})},
        {"grn", layer<GlobalResponseNorm, 4>(GlobalResponseNormOptions{.channels = 7})},
        {"grn_eps", layer<GlobalResponseNorm, 4>(GlobalResponseNormOptions{.channels = 5, .eps = 0.5})},
    });

const auto sk = [](const SelectiveKernelOptions& o) { return layer<SelectiveKernel, 4>(o); };
const auto splat = [](const SplitAttentionOptions& o) { return layer<SplitAttention, 4>(o); };
const SelectiveKernelOptions sk_whole_input = {.channels = 4,
                                               .out_channels = 6,
                                               .kernel_sizes = {3, 5, 7},
                                               .stride = 2,
                                               .keep_3x3 = false,
                                               .split_input = false,
                                               .rd_channels = 3,
                                               .activation = Activation::silu};
const SelectiveKernelOptions sk_groups = {
    .channels = 8, .out_channels = 12, .dilation = 2, .groups = 2, .rd_ratio = 0.5, .rd_divisor = 2};
const SplitAttentionOptions splat_norm = {.channels = 4, .norm = true, .rd_channels = 3};
const SplitAttentionOptions splat_groups = {.channels = 12,
                                            .out_channels = 4,
                                            .stride = 2,
                                            .groups = 2,
                                            .radix = 3,
                                            .bias = true,
                                            .norm = true,
                                            .rd_channels = 4,
                                            .activation = Activation::silu};
const golden::Cases branch_choice(
    "branch_choice",
    {
        {"sk_eval", sk({.channels = 6})},
        {"sk_train", sk({.channels = 6})},
        {"sk_whole_input_eval", sk(sk_whole_input)},
        {"sk_whole_input_train", sk(sk_whole_input)},
        {"sk_groups_eval", sk(sk_groups)},
        {"sk_groups_train", sk(sk_groups)},
        {"splat_norm_eval", splat(splat_norm)},
        {"splat_norm_train", splat(splat_norm)},
        {"splat_groups_eval", splat(splat_groups)},
        {"splat_groups_train", splat(splat_groups)},
        {"splat_encoding_eval", splat(encoding_split_attention(4))},
        {"splat_encoding_train", splat(encoding_split_attention(4))},
        {"splat", splat({.channels = 4})},
        {"splat_radix_1", splat({.channels = 4, .kernel_size = 1, .groups = 2, .radix = 1, .rd_channels = 6})},
        {"splat_dilation", splat({.channels = 6, .padding = 2, .dilation = 2, .rd_channels = 2})},
        {"rounding_sk", widths([](Index c) { return make_divisible(double(c) / 16); })},
        {"rounding_splat", widths([](Index c) { return make_divisible(double(c) * 0.5, 8, 32); })},
    });

const auto coord = [](const CoordinateAttentionOptions& o) { return layer<CoordinateAttention, 4>(o); };
const auto simple = [](const SimpleCoordinateAttentionOptions& o) { return layer<SimpleCoordinateAttention, 4>(o); };
const auto ela = [](const EfficientLocalAttentionOptions& o) { return layer<EfficientLocalAttention, 4>(o); };
const auto strip = [](const StripAttentionOptions& o) { return layer<StripAttention, 4>(o); };
const CoordinateAttentionOptions coord_options = {.channels = 6,
                                                  .rd_channels = 3,
                                                  .bias = true,
                                                  .activation = Activation::relu,
                                                  .gate = Activation::hard_sigmoid,
                                                  .skip = true};
const golden::Cases strips("strip_attention",
                           {
                               {"coord_eval", coord({.channels = 7})},
                               {"coord_train", coord({.channels = 7})},
                               {"coord_options_eval", coord(coord_options)},
                               {"coord_options_train", coord(coord_options)},
                               {"coord_ratio",
                                coord({.channels = 10, .rd_ratio = 0.5, .rd_divisor = 1, .norm = false})},
                               {"scoord", simple({.channels = 7})},
                               {"scoord_options", simple({.channels = 10,
                                                          .rd_ratio = 0.5,
                                                          .rd_divisor = 2,
                                                          .bias = false,
                                                          .activation = Activation::relu,
                                                          .skip = true})},
                               {"ela", ela({.channels = 5})},
                               {"ela_options", ela({.channels = 4,
                                                    .kernel_size = 3,
                                                    .bias = true,
                                                    .activation = Activation::relu,
                                                    .gate = Activation::hard_sigmoid,
                                                    .skip = true})},
                               {"ela_plain", ela({.channels = 4, .kernel_size = 5, .norm = false})},
                               {"strip", strip({.channels = 5})},
                               {"strip_options", strip({.channels = 4, .kernel_size = 5, .bias = true, .skip = true})},
                               {"strip_plain", strip({.channels = 4, .conv = false, .gate = Activation::hard_sigmoid})},
                           });

const auto bam = [](const BamOptions& o) { return layer<Bam, 4>(o); };
const auto triplet = [](const TripletAttentionOptions& o) { return layer<TripletAttention, 4>(o); };
const BamOptions bam_code = {
    .channels = 8, .reduction = 2, .dilation = 1, .dilated_convolutions = 1, .fusion = BamFusion::multiply};
const golden::Cases derived(
    "derived_gates",
    {
        {"contrast_aware", layer<ContrastAwareAttention, 4>(ContrastAwareAttentionOptions{.channels = 18})},
        {"contrast_aware_reduction",
         layer<ContrastAwareAttention, 4>(ContrastAwareAttentionOptions{.channels = 6, .reduction = 2})},
        {"danet_channel", layer<DanetChannelAttention, 4>(DanetChannelAttentionOptions{.channels = 5})},
        {"danet_channel_wide", layer<DanetChannelAttention, 4>(DanetChannelAttentionOptions{.channels = 9})},
        {"bam_eval", bam({.channels = 6, .reduction = 2})},
        {"bam_train", bam({.channels = 6, .reduction = 2})},
        {"bam_code_eval", bam(bam_code)},
        {"bam_code_train", bam(bam_code)},
        {"triplet_eval", triplet({})},
        {"triplet_train", triplet({})},
        {"triplet_no_spatial_eval", triplet({.kernel_size = 3, .spatial = false})},
        {"triplet_no_spatial_train", triplet({.kernel_size = 3, .spatial = false})},
        {"scse", layer<Scse, 4>(ScseOptions{.channels = 17})},
        {"scse_max", layer<Scse, 4>(ScseOptions{.channels = 6, .reduction = 2, .fusion = ScseFusion::maximum})},
        {"simam", golden::function<4>([](const auto& x) { return SimAm()(x); })},
        {"simam_lambda", golden::function<4>([](const auto& x) { return SimAm({.lambda = 0.25})(x); })},
    });

const auto enc_module = golden::check([](auto& run) -> void {
  using S = typename std::decay_t<decltype(run)>::Scalar;
  auto model =
      golden::make_layer<ContextEncoding<S>>(ContextEncodingOptions{.channels = 6, .classes = 4, .codewords = 5});
  run.load(model);
  const auto y = model(run.template input<4>(0));
  run.outputs(y.features, y.class_logits);
  run.finish();
});
const auto residuals = [](const ResidualEncodingOptions& o) { return layer<ResidualEncoding, 4>(o); };
const golden::Cases encoding("encoding", {
                                             {"encoding", residuals({.channels = 5, .codewords = 3})},
                                             {"encoding_many", residuals({.channels = 3, .codewords = 8})},
                                             {"encoding_positive", residuals({.channels = 4, .codewords = 3})},
                                             {"enc_module_eval", enc_module},
                                             {"enc_module_train", enc_module},
                                         });
}  // namespace
}  // namespace channel_attention_parity_test
