#include "attend/layers/batch_norm.hpp"
#include "attend/layers/group_norm.hpp"
#include "attend/layers/instance_norm.hpp"
#include "attend/layers/layer_norm.hpp"
#include "attend/layers/rms_norm.hpp"
#include "parity/golden.hpp"

namespace norm_parity_test {
namespace {
using namespace attend;
using golden::layer;

template <class S>
using LayerNorm1 = LayerNorm<S, 1>;
template <class S>
using LayerNorm2 = LayerNorm<S, 2>;
template <class S>
using RmsNorm1 = RmsNorm<S, 1>;

const auto batch = [](const BatchNormOptions& o) { return layer<BatchNorm, 4>(o); };
const golden::Cases batch_norm("batch_norm",
                               {
                                   {"rows_train", layer<BatchNorm, 2>(BatchNormOptions{.channels = 3})},
                                   {"rows_eval", layer<BatchNorm, 2>(BatchNormOptions{.channels = 3})},
                                   {"sequence_train", layer<BatchNorm, 3>(BatchNormOptions{.channels = 3})},
                                   {"sequence_eval", layer<BatchNorm, 3>(BatchNormOptions{.channels = 3})},
                                   {"map_train", batch({.channels = 3})},
                                   {"map_eval", batch({.channels = 3})},
                                   {"volume_train", layer<BatchNorm, 5>(BatchNormOptions{.channels = 3})},
                                   {"volume_eval", layer<BatchNorm, 5>(BatchNormOptions{.channels = 3})},
                                   {"eps_momentum_train", batch({.channels = 4, .eps = 1e-2, .momentum = 0.3})},
                                   {"eps_momentum_eval", batch({.channels = 4, .eps = 1e-2, .momentum = 0.3})},
                                   {"not_affine_train", batch({.channels = 4, .affine = false})},
                                   {"not_affine_eval", batch({.channels = 4, .affine = false})},
                                   {"cumulative_train", batch({.channels = 2, .momentum = std::nullopt})},
                                   {"cumulative_eval", batch({.channels = 2, .momentum = std::nullopt})},
                                   {"untracked_train", batch({.channels = 2, .track_running_stats = false})},
                                   {"untracked_eval", batch({.channels = 2, .track_running_stats = false})},
                                   {"one_sample_train", batch({.channels = 3})},
                               });

using Row = LayerNormOptions<1>;
using RmsRow = RmsNormOptions<1>;
const golden::Cases layer_norm("layer_norm",
                               {
                                   {"sequence", layer<LayerNorm1, 3>(Row{.normalized_shape = 7})},
                                   {"rows", layer<LayerNorm1, 2>(Row{.normalized_shape = 6})},
                                   {"map", layer<LayerNorm1, 4>(Row{.normalized_shape = 5})},
                                   {"two_axes", layer<LayerNorm2, 3>(LayerNormOptions<2>{.normalized_shape = {4, 5}})},
                                   {"eps", layer<LayerNorm1, 3>(Row{.normalized_shape = 7, .eps = 1e-2})},
                                   {"eps_timm", layer<LayerNorm1, 3>(Row{.normalized_shape = 3, .eps = 1e-6})},
                                   {"no_bias", layer<LayerNorm1, 3>(Row{.normalized_shape = 7, .bias = false})},
                                   {"not_affine", layer<LayerNorm1, 3>(Row{.normalized_shape = 7, .affine = false})},
                                   {"rms_sequence", layer<RmsNorm1, 3>(RmsRow{.normalized_shape = 7})},
                                   {"rms_map", layer<RmsNorm1, 4>(RmsRow{.normalized_shape = 5})},
                                   {"rms_eps", layer<RmsNorm1, 3>(RmsRow{.normalized_shape = 7, .eps = 1e-2})},
                                   {"rms_not_affine",
                                    layer<RmsNorm1, 3>(RmsRow{.normalized_shape = 7, .eps = 1e-6, .affine = false})},
                               });

const golden::Cases group_norm(
    "group_norm",
    {
        {"groups", layer<GroupNorm, 4>(GroupNormOptions{.num_groups = 3, .channels = 6})},
        {"one_group", layer<GroupNorm, 4>(GroupNormOptions{.num_groups = 1, .channels = 5})},
        {"each_channel", layer<GroupNorm, 4>(GroupNormOptions{.num_groups = 5, .channels = 5})},
        {"sequence", layer<GroupNorm, 3>(GroupNormOptions{.num_groups = 2, .channels = 6})},
        {"rows", layer<GroupNorm, 2>(GroupNormOptions{.num_groups = 2, .channels = 6})},
        {"eps", layer<GroupNorm, 4>(GroupNormOptions{.num_groups = 2, .channels = 4, .eps = 1e-2})},
        {"not_affine", layer<GroupNorm, 4>(GroupNormOptions{.num_groups = 2, .channels = 4, .affine = false})},
        {"instance_map", layer<InstanceNorm, 4>(InstanceNormOptions{.channels = 3})},
        {"instance_tracked_train",
         layer<InstanceNorm, 4>(InstanceNormOptions{.channels = 3, .affine = true, .track_running_stats = true})},
        {"instance_tracked_eval",
         layer<InstanceNorm, 4>(InstanceNormOptions{.channels = 3, .affine = true, .track_running_stats = true})},
        {"instance_affine", layer<InstanceNorm, 4>(InstanceNormOptions{.channels = 3, .affine = true})},
        {"instance_sequence", layer<InstanceNorm, 3>(InstanceNormOptions{.channels = 3, .eps = 1e-2, .affine = true})},
    });
}  // namespace
}  // namespace norm_parity_test
