"""Convolutions: every padding rule, dilation, groups, transposed."""
from torch import nn

from recorder import Family


def conv2d():
    f = Family("conv2d")
    for name, shape, options in [
        ("plain", (2, 3, 7, 6), dict(in_channels=3, out_channels=5, kernel_size=3)),
        ("no_bias", (2, 3, 5, 6), dict(in_channels=3, out_channels=4, kernel_size=3, bias=False)),
        ("pointwise", (2, 3, 5, 4), dict(in_channels=3, out_channels=7, kernel_size=1)),
        ("pointwise_strided", (2, 3, 7, 6), dict(in_channels=3, out_channels=5, kernel_size=1, stride=2)),
        ("padding", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=3, padding=1)),
        ("stride", (2, 3, 9, 8), dict(in_channels=3, out_channels=4, kernel_size=3, stride=2, padding=1)),
        ("stride_leaves_rest", (1, 2, 8, 9), dict(in_channels=2, out_channels=3, kernel_size=3, stride=3)),
        ("rectangular", (2, 3, 8, 9), dict(in_channels=3, out_channels=4, kernel_size=(3, 5), stride=(2, 1), padding=(0, 2))),
        ("dilation", (2, 3, 9, 8), dict(in_channels=3, out_channels=4, kernel_size=3, padding=2, dilation=2)),
        ("dilation_pair", (2, 2, 9, 11), dict(in_channels=2, out_channels=3, kernel_size=3, padding=(1, 3), dilation=(1, 3), stride=(1, 2))),
        ("groups", (2, 6, 5, 7), dict(in_channels=6, out_channels=9, kernel_size=3, padding=1, groups=3)),
        ("depthwise", (2, 5, 6, 7), dict(in_channels=5, out_channels=5, kernel_size=3, padding=1, groups=5)),
        ("depthwise_strided", (2, 5, 7, 9), dict(in_channels=5, out_channels=5, kernel_size=5, padding=2, stride=2, groups=5)),
        ("depthwise_multiplier", (2, 3, 6, 5), dict(in_channels=3, out_channels=6, kernel_size=3, padding=1, groups=3)),
        ("same_odd", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=3, padding="same")),
        ("same_even", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=(2, 4), padding="same")),
        ("same_dilated", (2, 3, 7, 6), dict(in_channels=3, out_channels=4, kernel_size=(4, 3), padding="same", dilation=(1, 2))),
        ("valid", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=(2, 3), padding="valid")),
        ("reflect", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=3, padding=(1, 2), padding_mode="reflect")),
        ("replicate", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=3, padding=(2, 1), padding_mode="replicate")),
        ("circular", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=3, padding=(1, 2), padding_mode="circular")),
        ("reflect_same_even", (2, 3, 6, 5), dict(in_channels=3, out_channels=4, kernel_size=(2, 4), padding="same", padding_mode="reflect")),
        ("circular_strided", (2, 4, 7, 6), dict(in_channels=4, out_channels=6, kernel_size=3, stride=2, padding=1, padding_mode="circular", groups=2)),
        ("replicate_dilated", (2, 2, 7, 6), dict(in_channels=2, out_channels=3, kernel_size=3, padding=2, dilation=2, padding_mode="replicate")),
        ("kernel_of_input", (2, 3, 4, 5), dict(in_channels=3, out_channels=4, kernel_size=(4, 5))),
        ("one_channel", (3, 1, 6, 7), dict(in_channels=1, out_channels=1, kernel_size=3, padding=1)),
        ("patches", (2, 3, 8, 12), dict(in_channels=3, out_channels=5, kernel_size=4, stride=4)),
        ("wide_channels", (1, 17, 5, 6), dict(in_channels=17, out_channels=19, kernel_size=3, padding=1)),
    ]:
        f.case(name, nn.Conv2d(**options), [shape], options, layout="channels_first")
    return f


def conv1d():
    f = Family("conv1d")
    for name, shape, options in [
        ("plain", (2, 3, 9), dict(in_channels=3, out_channels=5, kernel_size=3)),
        ("stride_padding", (2, 3, 10), dict(in_channels=3, out_channels=4, kernel_size=5, stride=2, padding=2)),
        ("same_even", (2, 3, 9), dict(in_channels=3, out_channels=4, kernel_size=4, padding="same")),
        ("dilation", (2, 3, 11), dict(in_channels=3, out_channels=4, kernel_size=3, padding=2, dilation=2, bias=False)),
        ("groups", (2, 6, 7), dict(in_channels=6, out_channels=4, kernel_size=3, padding=1, groups=2)),
        ("depthwise", (2, 5, 7), dict(in_channels=5, out_channels=5, kernel_size=3, padding=1, groups=5)),
        ("reflect", (2, 3, 7), dict(in_channels=3, out_channels=4, kernel_size=5, padding=2, padding_mode="reflect")),
        ("replicate", (2, 3, 7), dict(in_channels=3, out_channels=4, kernel_size=5, padding=2, padding_mode="replicate")),
        ("circular", (2, 3, 7), dict(in_channels=3, out_channels=4, kernel_size=5, padding=2, padding_mode="circular")),
        ("pointwise", (2, 3, 7), dict(in_channels=3, out_channels=4, kernel_size=1)),
    ]:
        f.case(name, nn.Conv1d(**options), [shape], options, layout="channels_first")
    return f


def conv_transpose2d():
    f = Family("conv_transpose2d")
    for name, shape, options in [
        ("plain", (2, 3, 4, 5), dict(in_channels=3, out_channels=4, kernel_size=3)),
        ("stride", (2, 3, 4, 5), dict(in_channels=3, out_channels=4, kernel_size=3, stride=2)),
        ("stride_padding", (2, 3, 4, 5), dict(in_channels=3, out_channels=4, kernel_size=4, stride=2, padding=1)),
        ("output_padding", (2, 3, 4, 5), dict(in_channels=3, out_channels=4, kernel_size=3, stride=2, padding=1, output_padding=1)),
        ("output_padding_pair", (2, 3, 4, 3), dict(in_channels=3, out_channels=2, kernel_size=(3, 4), stride=(3, 2), padding=(0, 1), output_padding=(2, 1))),
        ("dilation", (2, 3, 5, 4), dict(in_channels=3, out_channels=4, kernel_size=3, padding=1, dilation=2)),
        ("dilation_stride", (2, 2, 4, 3), dict(in_channels=2, out_channels=3, kernel_size=(2, 3), stride=2, dilation=(3, 1), output_padding=1)),
        ("groups", (2, 6, 4, 5), dict(in_channels=6, out_channels=4, kernel_size=3, stride=2, padding=1, groups=2)),
        ("depthwise", (2, 3, 4, 5), dict(in_channels=3, out_channels=3, kernel_size=3, stride=2, groups=3)),
        ("no_bias", (2, 3, 4, 5), dict(in_channels=3, out_channels=5, kernel_size=2, stride=2, bias=False)),
        ("kernel_below_stride", (2, 3, 4, 5), dict(in_channels=3, out_channels=4, kernel_size=2, stride=3)),
    ]:
        f.case(name, nn.ConvTranspose2d(**options), [shape], options, layout="channels_first")
    return f


FAMILIES = [conv2d, conv1d, conv_transpose2d]
