"""Pooling with torch's edge rules, and GeM as timm writes it."""
import torch
from torch import nn
import torch.nn.functional as F

from recorder import Family


class GeM(nn.Module):
    """Generalised mean: mean(clamp(x, min=eps)^p)^(1/p), p learned (timm, SelectAdaptivePool2d's relative; Radenovic 2018)."""

    def __init__(self, p=3.0, eps=1e-6):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), p))
        self.eps = eps

    def forward(self, x):
        return F.avg_pool2d(x.clamp(min=self.eps).pow(self.p), (x.size(-2), x.size(-1))).pow(1.0 / self.p).flatten(1)


def pooling():
    f = Family("pooling")
    for name, shape, options in [
        ("k2", (2, 3, 6, 7), dict(kernel_size=2)),
        ("k3s2p1", (2, 3, 7, 8), dict(kernel_size=3, stride=2, padding=1)),
        ("overlap", (2, 3, 5, 6), dict(kernel_size=3, stride=1)),
        ("rectangular", (2, 3, 7, 9), dict(kernel_size=(2, 3), stride=(1, 2), padding=(0, 1))),
        ("ceil", (2, 3, 6, 8), dict(kernel_size=3, stride=2, ceil_mode=True)),
        ("ceil_padded", (2, 3, 4, 5), dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
        ("ceil_window_outside", (2, 3, 5, 4), dict(kernel_size=2, stride=3, padding=1, ceil_mode=True)),
        ("dilation", (2, 3, 9, 8), dict(kernel_size=3, stride=1, padding=1, dilation=2)),
        ("dilation_ceil", (2, 3, 9, 10), dict(kernel_size=(2, 3), stride=(3, 2), dilation=(3, 2), ceil_mode=True)),
    ]:
        f.case("max_" + name, nn.MaxPool2d(**options), [shape], options, layout="channels_first")
    for name, shape, options in [
        ("k2", (2, 3, 6, 7), dict(kernel_size=2)),
        ("k3s2p1", (2, 3, 7, 8), dict(kernel_size=3, stride=2, padding=1)),
        ("k3s2p1_valid_count", (2, 3, 7, 8), dict(kernel_size=3, stride=2, padding=1, count_include_pad=False)),
        ("rectangular", (2, 3, 7, 9), dict(kernel_size=(2, 3), stride=(1, 2), padding=(0, 1))),
        ("ceil", (2, 3, 6, 8), dict(kernel_size=3, stride=2, ceil_mode=True)),
        ("ceil_padded", (2, 3, 4, 5), dict(kernel_size=3, stride=2, padding=1, ceil_mode=True)),
        ("ceil_padded_valid_count", (2, 3, 4, 5), dict(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)),
        ("divisor", (2, 3, 6, 7), dict(kernel_size=3, stride=2, padding=1, divisor_override=5)),
        ("divisor_ceil", (2, 3, 6, 8), dict(kernel_size=3, stride=2, ceil_mode=True, divisor_override=4)),
    ]:
        f.case("avg_" + name, nn.AvgPool2d(**options), [shape], options, layout="channels_first")
    f.case("max_1d", nn.MaxPool1d(3, 2, 1), [(2, 3, 8)], dict(kernel_size=3, stride=2, padding=1), layout="channels_first")
    f.case("max_1d_dilation_ceil", nn.MaxPool1d(2, 2, dilation=3, ceil_mode=True), [(2, 3, 10)],
           dict(kernel_size=2, stride=2, dilation=3, ceil_mode=True), layout="channels_first")
    f.case("avg_1d", nn.AvgPool1d(3, 2, 1), [(2, 3, 8)], dict(kernel_size=3, stride=2, padding=1), layout="channels_first")
    f.case("avg_1d_valid_count_ceil", nn.AvgPool1d(3, 2, 1, ceil_mode=True, count_include_pad=False), [(2, 3, 8)],
           dict(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), layout="channels_first")
    for name, shape, size in [
        ("even", (2, 3, 6, 8), (3, 4)), ("uneven", (2, 3, 5, 7), (3, 4)), ("one", (2, 3, 5, 7), (1, 1)),
        ("larger", (2, 3, 3, 2), (5, 7)), ("same", (2, 3, 4, 5), (4, 5)),
    ]:
        f.case("adaptive_avg_" + name, nn.AdaptiveAvgPool2d(size), [shape], dict(output_size=size), layout="channels_first")
        f.case("adaptive_max_" + name, nn.AdaptiveMaxPool2d(size), [shape], dict(output_size=size), layout="channels_first")
    f.case("global_avg", None, [(2, 3, 5, 7)], {}, call=lambda _, x: x.mean((2, 3)), layout="channels_first", origin="torch.mean")
    f.case("global_max", None, [(2, 3, 5, 7)], {}, call=lambda _, x: x.amax((2, 3)), layout="channels_first", origin="torch.amax")
    for name, p, low in [("p3", 3.0, 0.1), ("p1_7", 1.7, 0.1), ("clamped", 3.0, -1.0)]:  # clamped: half of the values lie below eps
        f.case("gem_" + name, GeM(), [(2, 3, 5, 4)], dict(p=p, eps=1e-6), low=low, layout="channels_first",
               parameters={"p": lambda s, p=p: torch.full(s, p)}, origin="GeM")
    f.case("gem_eps", GeM(eps=0.05), [(2, 3, 4, 5)], dict(p=2.5, eps=0.05), low=-0.5, layout="channels_first",
           parameters={"p": lambda s: torch.full(s, 2.5)}, origin="GeM")
    return f


FAMILIES = [pooling]
