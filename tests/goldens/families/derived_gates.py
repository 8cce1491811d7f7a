"""Gates that timm does not have, written here from their papers in plain PyTorch (loops where they make the formula
plainer), independently of the library. Every case is marked "derived" and names the paper."""
import torch
from torch import nn

from recorder import Family


class ContrastAware(nn.Module):
    """Hui et al. 2019: z_c = mean + sqrt(mean of squared distances to the mean), eq. 2, then two maps and a sigmoid."""

    def __init__(self, channels, reduction):
        super().__init__()
        hidden = channels // reduction
        self.conv_du = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid())

    def forward(self, x):
        mean = x.mean((2, 3), keepdim=True)
        contrast = ((x - mean) ** 2).mean((2, 3), keepdim=True) ** 0.5
        return x * self.conv_du(contrast + mean)


class DanetChannel(nn.Module):
    """Fu et al. 2019, section 3.3, with the sign of its code: the most unlike channel gets the largest weight."""

    def __init__(self):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        flat = x.flatten(2)
        energy = torch.einsum("bcn,bdn->bcd", flat, flat)
        weights = torch.softmax(energy.max(-1, keepdim=True)[0] - energy, -1)
        return self.gamma * torch.einsum("bcd,bdn->bcn", weights, flat).reshape(x.shape) + x


class Bam(nn.Module):
    """Park et al. 2018, eqs. 1 to 5, with the norms of the authors' code; `multiply` as that code fuses the halves."""

    def __init__(self, channels, reduction, dilation, convolutions=2, multiply=False):
        super().__init__()
        hidden, self.multiply = channels // reduction, multiply
        c = self.channel_att = nn.Module()
        c.gate_c = nn.Module()
        c.gate_c.gate_c_fc_0, c.gate_c.gate_c_bn_1 = nn.Linear(channels, hidden), nn.BatchNorm1d(hidden)
        c.gate_c.gate_c_fc_final = nn.Linear(hidden, channels)
        s = self.spatial_att = nn.Module()
        s.gate_s = nn.Sequential()
        s.gate_s.add_module("gate_s_conv_reduce0", nn.Conv2d(channels, hidden, 1))
        s.gate_s.add_module("gate_s_bn_reduce0", nn.BatchNorm2d(hidden))
        s.gate_s.add_module("relu", nn.ReLU())
        for i in range(convolutions):
            s.gate_s.add_module(f"gate_s_conv_di_{i}", nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation))
            s.gate_s.add_module(f"gate_s_bn_di_{i}", nn.BatchNorm2d(hidden))
            s.gate_s.add_module(f"relu_{i}", nn.ReLU())
        s.gate_s.add_module("gate_s_conv_final", nn.Conv2d(hidden, 1, 1))

    def forward(self, x):
        c = self.channel_att.gate_c
        of_channels = c.gate_c_fc_final(torch.relu(c.gate_c_bn_1(c.gate_c_fc_0(x.mean((2, 3))))))[:, :, None, None]
        of_positions = self.spatial_att.gate_s(x)
        return (1 + torch.sigmoid(of_channels * of_positions if self.multiply else of_channels + of_positions)) * x


class Scse(nn.Module):
    """Roy et al. 2018: U_cSE + U_sSE; Roy et al. 2019: the larger of them."""

    def __init__(self, channels, reduction, maximum=False):
        super().__init__()
        hidden, self.maximum = channels // reduction, maximum
        self.cSE = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1), nn.Sigmoid())
        self.sSE = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x):
        by_channels, by_positions = x * self.cSE(x), x * self.sSE(x)
        return torch.maximum(by_channels, by_positions) if self.maximum else by_channels + by_positions


class SimAm(nn.Module):
    """Yang et al. 2021: 1 / e* of eq. 5 is d / (4 (v + lambda)) + 1 / 2, with the variance over H W - 1."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        variance = x.var((2, 3), unbiased=True, keepdim=True)
        distance = (x - x.mean((2, 3), keepdim=True)) ** 2
        return x * torch.sigmoid((distance + 2 * variance + 2 * self.weight) / (4 * (variance + self.weight)))


class ZPoolGate(nn.Module):
    """[max, mean] over the first axis of an image, a convolution, a norm of momentum 0.01, a sigmoid."""

    def __init__(self, kernel):
        super().__init__()
        self.conv = nn.Module()
        self.conv.conv = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.conv.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x):
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.conv.bn(self.conv.conv(pooled)))


class Triplet(nn.Module):
    """Misra et al. 2021, section 3.2: the tensor turned so that height, width or channels lie first, gated, turned back."""

    def __init__(self, kernel, spatial=True):
        super().__init__()
        self.cw, self.hc = ZPoolGate(kernel), ZPoolGate(kernel)
        self.hw = ZPoolGate(kernel) if spatial else None

    def forward(self, x):
        branches = [self.cw(x.transpose(1, 2)).transpose(1, 2), self.hc(x.transpose(1, 3)).transpose(1, 3)]
        if self.hw:
            branches.append(self.hw(x))
        return sum(branches) / len(branches)


class Encoding(nn.Module):
    """Zhang et al. 2017, every residual written out; the sign of the scores is that of the scale."""

    def __init__(self, channels, codewords):
        super().__init__()
        self.codewords, self.scale = nn.Parameter(torch.zeros(codewords, channels)), nn.Parameter(torch.zeros(codewords))

    def forward(self, x):
        positions = x.flatten(2).transpose(1, 2)  # (B, N, D)
        residuals = positions[:, :, None, :] - self.codewords[None, None, :, :]  # (B, N, K, D)
        shares = torch.softmax(self.scale * (residuals ** 2).sum(-1), -1)
        return (shares[..., None] * residuals).sum(1)


class EncModule(nn.Module):
    """Zhang et al. 2018: BN over the codewords of (B, K, D), which is BatchNorm1d."""

    def __init__(self, channels, classes, codewords):
        super().__init__()
        self.encoding = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(), Encoding(channels, codewords),
            nn.BatchNorm1d(codewords), nn.ReLU())
        self.fc = nn.Sequential(nn.Linear(channels, channels), nn.Sigmoid())
        self.selayer = nn.Linear(channels, classes)

    def forward(self, x):
        scene = self.encoding(x).mean(1)
        return torch.relu(x + x * self.fc(scene)[:, :, None, None]), self.selayer(scene)


def negative_scale(shape):
    return torch.linspace(-1.0, -0.25, shape[0])


def derived_gates():
    f = Family("derived_gates")

    def case(name, module, shape, paper, training=False, **options):
        f.case(name, module, [shape], options, layout="channels_first", training=training, origin="derived from " + paper)

    case("contrast_aware", ContrastAware(18, 16), (2, 18, 4, 3), "Hui et al. 2019", channels=18)
    case("contrast_aware_reduction", ContrastAware(6, 2), (2, 6, 5, 4), "Hui et al. 2019", channels=6, reduction=2)
    case("danet_channel", DanetChannel(), (2, 5, 4, 3), "Fu et al. 2019", channels=5)
    case("danet_channel_wide", DanetChannel(), (2, 9, 2, 3), "Fu et al. 2019", channels=9)
    for training in (False, True):
        mode = "train" if training else "eval"
        case(f"bam_{mode}", Bam(6, 2, 4), (5, 6, 4, 7), "Park et al. 2018", training, channels=6, reduction=2)
        case(f"bam_code_{mode}", Bam(8, 2, 1, 1, True), (5, 8, 3, 2), "Park et al. 2018 and its code", training, channels=8, reduction=2, dilation=1,
             convolutions=1, fusion="multiply")
        case(f"triplet_{mode}", Triplet(7), (3, 5, 4, 6), "Misra et al. 2021", training)
        case(f"triplet_no_spatial_{mode}", Triplet(3, False), (3, 4, 5, 2), "Misra et al. 2021", training, kernel_size=3, no_spatial=True)
    case("scse", Scse(17, 16), (2, 17, 4, 3), "Roy et al. 2018", channels=17)
    case("scse_max", Scse(6, 2, True), (2, 6, 3, 5), "Roy et al. 2019", channels=6, reduction=2, fusion="max")
    case("simam", SimAm(1e-4), (2, 5, 4, 3), "Yang et al. 2021")
    case("simam_lambda", SimAm(0.25), (3, 4, 1, 5), "Yang et al. 2021", weight=0.25)
    return f


def encoding():
    f = Family("encoding")
    for name, module, shape in [("encoding", Encoding(5, 3), (2, 5, 4, 3)), ("encoding_many", Encoding(3, 8), (3, 3, 2, 5))]:
        f.case(name, module, [shape], dict(channels=shape[1]), layout={"input.0": "channels_first"}, parameters={"scale": negative_scale},
               origin="derived from Zhang et al. 2017")
    f.case("encoding_positive", Encoding(4, 3), [(2, 4, 3, 2)], dict(channels=4), layout={"input.0": "channels_first"},
           parameters={"scale": lambda shape: -negative_scale(shape)}, origin="derived from Zhang et al. 2017")
    for training in (False, True):
        f.case("enc_module_" + ("train" if training else "eval"), EncModule(6, 4, 5), [(3, 6, 4, 5)], dict(channels=6, classes=4, codewords=5),
               layout={"input.0": "channels_first", "output.0": "channels_first"}, parameters={"encoding.3.scale": negative_scale},
               training=training, origin="derived from Zhang et al. 2018")
    return f


FAMILIES = [derived_gates, encoding]
