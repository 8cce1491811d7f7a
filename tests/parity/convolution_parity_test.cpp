#include "attend/layers/conv1d.hpp"
#include "attend/layers/conv2d.hpp"
#include "attend/layers/conv_transpose2d.hpp"
#include "parity/golden.hpp"

namespace convolution_parity_test {
namespace {
using namespace attend;
using Mode = PaddingMode;

const auto flat = [](const Conv2dOptions& o) { return golden::layer<Conv2d, 4>(o); };
const golden::Cases conv2d(
    "conv2d",
    {
        {"plain", flat({.in_channels = 3, .out_channels = 5, .kernel_size = 3})},
        {"no_bias", flat({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .bias = false})},
        {"pointwise", flat({.in_channels = 3, .out_channels = 7, .kernel_size = 1})},
        {"pointwise_strided", flat({.in_channels = 3, .out_channels = 5, .kernel_size = 1, .stride = 2})},
        {"padding", flat({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 1})},
        {"stride", flat({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 2, .padding = 1})},
        {"stride_leaves_rest", flat({.in_channels = 2, .out_channels = 3, .kernel_size = 3, .stride = 3})},
        {"rectangular",
         flat({.in_channels = 3, .out_channels = 4, .kernel_size = {3, 5}, .stride = {2, 1}, .padding = {0, 2}})},
        {"dilation", flat({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 2, .dilation = 2})},
        {"dilation_pair", flat({.in_channels = 2,
                                .out_channels = 3,
                                .kernel_size = 3,
                                .stride = {1, 2},
                                .padding = {1, 3},
                                .dilation = {1, 3}})},
        {"groups", flat({.in_channels = 6, .out_channels = 9, .kernel_size = 3, .padding = 1, .groups = 3})},
        {"depthwise", flat({.in_channels = 5, .out_channels = 5, .kernel_size = 3, .padding = 1, .groups = 5})},
        {"depthwise_strided",
         flat({.in_channels = 5, .out_channels = 5, .kernel_size = 5, .stride = 2, .padding = 2, .groups = 5})},
        {"depthwise_multiplier",
         flat({.in_channels = 3, .out_channels = 6, .kernel_size = 3, .padding = 1, .groups = 3})},
        {"same_odd", flat({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = Padding::same})},
        {"same_even", flat({.in_channels = 3, .out_channels = 4, .kernel_size = {2, 4}, .padding = Padding::same})},
        {"same_dilated", flat({.in_channels = 3,
                               .out_channels = 4,
                               .kernel_size = {4, 3},
                               .padding = Padding::same,
                               .dilation = {1, 2}})},
        {"valid", flat({.in_channels = 3, .out_channels = 4, .kernel_size = {2, 3}, .padding = Padding::valid})},
        {"reflect", flat({.in_channels = 3,
                          .out_channels = 4,
                          .kernel_size = 3,
                          .padding = {1, 2},
                          .padding_mode = Mode::reflect})},
        {"replicate", flat({.in_channels = 3,
                            .out_channels = 4,
                            .kernel_size = 3,
                            .padding = {2, 1},
                            .padding_mode = Mode::replicate})},
        {"circular", flat({.in_channels = 3,
                           .out_channels = 4,
                           .kernel_size = 3,
                           .padding = {1, 2},
                           .padding_mode = Mode::circular})},
        {"reflect_same_even", flat({.in_channels = 3,
                                    .out_channels = 4,
                                    .kernel_size = {2, 4},
                                    .padding = Padding::same,
                                    .padding_mode = Mode::reflect})},
        {"circular_strided", flat({.in_channels = 4,
                                   .out_channels = 6,
                                   .kernel_size = 3,
                                   .stride = 2,
                                   .padding = 1,
                                   .groups = 2,
                                   .padding_mode = Mode::circular})},
        {"replicate_dilated", flat({.in_channels = 2,
                                    .out_channels = 3,
                                    .kernel_size = 3,
                                    .padding = 2,
                                    .dilation = 2,
                                    .padding_mode = Mode::replicate})},
        {"kernel_of_input", flat({.in_channels = 3, .out_channels = 4, .kernel_size = {4, 5}})},
        {"one_channel", flat({.in_channels = 1, .out_channels = 1, .kernel_size = 3, .padding = 1})},
        {"patches", flat({.in_channels = 3, .out_channels = 5, .kernel_size = 4, .stride = 4})},
        {"wide_channels", flat({.in_channels = 17, .out_channels = 19, .kernel_size = 3, .padding = 1})},
    });

const auto line = [](const Conv1dOptions& o) { return golden::layer<Conv1d, 3>(o); };
const golden::Cases conv1d(
    "conv1d",
    {
        {"plain", line({.in_channels = 3, .out_channels = 5, .kernel_size = 3})},
        {"stride_padding", line({.in_channels = 3, .out_channels = 4, .kernel_size = 5, .stride = 2, .padding = 2})},
        {"same_even", line({.in_channels = 3, .out_channels = 4, .kernel_size = 4, .padding = Padding::same})},
        {"dilation",
         line({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 2, .dilation = 2, .bias = false})},
        {"groups", line({.in_channels = 6, .out_channels = 4, .kernel_size = 3, .padding = 1, .groups = 2})},
        {"depthwise", line({.in_channels = 5, .out_channels = 5, .kernel_size = 3, .padding = 1, .groups = 5})},
        {"reflect",
         line({.in_channels = 3, .out_channels = 4, .kernel_size = 5, .padding = 2, .padding_mode = Mode::reflect})},
        {"replicate",
         line({.in_channels = 3, .out_channels = 4, .kernel_size = 5, .padding = 2, .padding_mode = Mode::replicate})},
        {"circular",
         line({.in_channels = 3, .out_channels = 4, .kernel_size = 5, .padding = 2, .padding_mode = Mode::circular})},
        {"pointwise", line({.in_channels = 3, .out_channels = 4, .kernel_size = 1})},
    });

const auto up = [](const ConvTranspose2dOptions& o) { return golden::layer<ConvTranspose2d, 4>(o); };
const golden::Cases conv_transpose2d(
    "conv_transpose2d",
    {
        {"plain", up({.in_channels = 3, .out_channels = 4, .kernel_size = 3})},
        {"stride", up({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 2})},
        {"stride_padding", up({.in_channels = 3, .out_channels = 4, .kernel_size = 4, .stride = 2, .padding = 1})},
        {"output_padding",
         up({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 2, .padding = 1, .output_padding = 1})},
        {"output_padding_pair", up({.in_channels = 3,
                                    .out_channels = 2,
                                    .kernel_size = {3, 4},
                                    .stride = {3, 2},
                                    .padding = {0, 1},
                                    .output_padding = {2, 1}})},
        {"dilation", up({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 1, .dilation = 2})},
        {"dilation_stride", up({.in_channels = 2,
                                .out_channels = 3,
                                .kernel_size = {2, 3},
                                .stride = 2,
                                .output_padding = 1,
                                .dilation = {3, 1}})},
        {"groups", up({.in_channels = 6, .out_channels = 4, .kernel_size = 3, .stride = 2, .padding = 1, .groups = 2})},
        {"depthwise", up({.in_channels = 3, .out_channels = 3, .kernel_size = 3, .stride = 2, .groups = 3})},
        {"no_bias", up({.in_channels = 3, .out_channels = 5, .kernel_size = 2, .stride = 2, .bias = false})},
        {"kernel_below_stride", up({.in_channels = 3, .out_channels = 4, .kernel_size = 2, .stride = 3})},
    });
}  // namespace
}  // namespace convolution_parity_test
