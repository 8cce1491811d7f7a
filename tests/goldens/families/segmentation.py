"""Segmentation networks: torchvision's DeepLabV3, and heads re-derived from their papers on timm's dilated ResNet-18.

Weights and the input are families/models.py's; of every map of logits each 8th row and column is kept. DeepLabV3 needs
torchvision itself (pip install --no-deps torchvision==0.28.0).
"""
import timm
import torch
from torch import nn
from torch.nn import functional as F

from families.derived_gates import DanetChannel, EncModule, negative_scale
from families.models import put
from families.spatial import PositionAttention
from recorder import Family

SHAPE = (1, 3, 128, 192)


def conv(in_channels, out_channels, kernel):
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU())


class Dilated(nn.Module):
    """PyTorch-Encoding's frame: a ResNet of output stride 8, a head, logits enlarged with aligned corners; with an
    auxiliary head on the third stage, its logits after the others."""

    def __init__(self, head, auxlayer=None):
        super().__init__()
        self.pretrained, self.head = timm.create_model("resnet18", num_classes=0, output_stride=8), head
        self.auxlayer = auxlayer

    def forward(self, x):
        p = self.pretrained
        maps = [p.maxpool(p.act1(p.bn1(p.conv1(x))))]
        for stage in (p.layer1, p.layer2, p.layer3, p.layer4):
            maps.append(stage(maps[-1]))
        outputs = self.head(*maps[2:]) if getattr(self.head, "lateral", False) else self.head(maps[-1])
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if self.auxlayer is not None:
            outputs += (self.auxlayer(maps[3]),)
        return [F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=True) if y.dim() == 4 else y for y in outputs]


class FcnHead(nn.Module):
    """Long et al. 2015, Fully Convolutional Networks, as the auxiliary head of Zhao et al. 2017, section 3.3."""

    def __init__(self, channels, classes):
        super().__init__()
        self.conv5 = nn.Sequential(*conv(channels, channels // 4, 3), nn.Dropout2d(0.1), nn.Conv2d(channels // 4, classes, 1))

    def forward(self, x):
        return self.conv5(x)


class EncHead(nn.Module):
    """Zhang et al. 2018, Context Encoding for Semantic Segmentation, figure 2; lateral: the two stages before, reduced
    and beside the last one."""

    def __init__(self, channels, classes, hidden, codewords, lateral=False):
        super().__init__()
        self.lateral = lateral
        self.conv5, self.encmodule = conv(channels, hidden, 3), EncModule(hidden, classes, codewords)
        if lateral:
            self.connect = nn.ModuleList([conv(channels // 4, hidden, 1), conv(channels // 2, hidden, 1)])
            self.fusion = conv(3 * hidden, hidden, 3)
        self.conv6 = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(hidden, classes, 1))

    def forward(self, *stages):
        x = self.conv5(stages[-1])
        if self.lateral:
            x = self.fusion(torch.cat([x] + [reduce(map_) for reduce, map_ in zip(self.connect, stages)], 1))
        features, of_scene = self.encmodule(x)
        return self.conv6(features), of_scene


class DanetHead(nn.Module):
    """Fu et al. 2019, Dual Attention Network, figure 2."""

    def __init__(self, channels, classes):
        super().__init__()
        hidden = channels // 4
        self.conv5a, self.conv5c = conv(channels, hidden, 3), conv(channels, hidden, 3)
        self.sa, self.sc = PositionAttention(hidden, hidden // 8), DanetChannel()
        self.conv51, self.conv52 = conv(hidden, hidden, 3), conv(hidden, hidden, 3)
        self.conv6, self.conv7, self.conv8 = (nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(hidden, classes, 1)) for _ in range(3))

    def forward(self, x):
        positions, channels = self.conv51(self.sa(self.conv5a(x))), self.conv52(self.sc(self.conv5c(x)))
        return self.conv8(positions + channels), self.conv6(positions), self.conv7(channels)


class PyramidPooling(nn.Module):
    """Zhao et al. 2017, Pyramid Scene Parsing Network, section 3.2."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4 = (conv(channels, channels // 4, 1) for _ in range(4))

    def forward(self, x):
        views = [c(F.adaptive_avg_pool2d(x, n)) for c, n in zip((self.conv1, self.conv2, self.conv3, self.conv4), (1, 2, 3, 6))]
        return torch.cat([x] + [F.interpolate(v, x.shape[2:], mode="bilinear", align_corners=True) for v in views], 1)


class PspHead(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        hidden = channels // 4
        self.conv5 = nn.Sequential(PyramidPooling(channels), *conv(2 * channels, hidden, 3), nn.Dropout2d(0.1), nn.Conv2d(hidden, classes, 1))

    def forward(self, x):
        return self.conv5(x)


class UNetBlock(nn.Module):
    def __init__(self, in_channels, out_channels, attention):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        self.conv2, self.bn2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        self.attention = attention(out_channels)

    def forward(self, x):
        return self.attention(self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu())


class UNet(nn.Module):
    """Ronneberger et al. 2015, figure 1, with norms and padding."""

    def __init__(self, in_channels, classes, channels, attention):
        super().__init__()
        self.down = nn.ModuleList(UNetBlock(i, o, attention) for i, o in zip([in_channels] + channels, channels))
        self.up = nn.ModuleList()
        for out, inner in reversed(list(zip(channels, channels[1:]))):
            self.up.append(nn.ModuleDict(dict(upsample=nn.ConvTranspose2d(inner, out, 2, stride=2), block=UNetBlock(2 * out, out, attention))))
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x):
        levels = []
        for block in self.down:
            levels.append(block(F.max_pool2d(levels[-1], 2) if levels else x))
        x = levels.pop()
        for up in self.up:
            x = up["block"](torch.cat([levels.pop(), up["upsample"](x)], 1))
        return [self.head(x)]


def segmentation():
    f = Family("segmentation")
    import torchvision
    assert str(torchvision.__version__).split("+")[0] == "0.28.0", f"torchvision is {torchvision.__version__}"
    from timm.layers import create_attn
    from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50
    from torchvision.models.segmentation.fcn import FCNHead
    deeplab = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=7, aux_loss=False)
    put(f, "deeplabv3_resnet50", deeplab, SHAPE, "torchvision", read=lambda y: [y["out"]])
    put(f, "encnet", Dilated(EncHead(512, 7, 128, 16)), SHAPE, "derived from Zhang et al. 2018 (EncNet)")
    put(f, "danet", Dilated(DanetHead(512, 7)), SHAPE, "derived from Fu et al. 2019 (DANet)")
    put(f, "pspnet", Dilated(PspHead(512, 7)), SHAPE, "derived from Zhao et al. 2017 (PSPNet)")
    put(f, "unet", UNet(3, 7, [8, 16, 24, 32], lambda c: create_attn("se", c, rd_channels=4)), (2, 3, 64, 48), "derived from Ronneberger et al. 2015 (U-Net)")
    for name, network in (("deeplabv3_resnet50_aux", deeplabv3_resnet50), ("fcn_resnet50_aux", fcn_resnet50)):
        model = network(weights=None, weights_backbone=None, num_classes=7, aux_loss=True)
        put(f, name, model, (1, 3, 64, 96), "torchvision", read=lambda y: [y["out"], y["aux"]])
    put(f, "encnet_lateral", Dilated(EncHead(512, 7, 128, 16, lateral=True), FcnHead(256, 7)), (1, 3, 64, 96),
        "derived from Zhang et al. 2018 (EncNet with lateral connections and an auxiliary head)")
    f.case("fcn_head", FCNHead(16, 3), [(2, 16, 5, 4)], layout="channels_first")
    f.case("enc_head_lateral", EncHead(16, 3, 5, 3, lateral=True), [(2, 4, 5, 6), (2, 8, 5, 6), (2, 16, 5, 6)],
           layout="channels_first", parameters={"encmodule.encoding.3.scale": negative_scale},
           origin="derived from Zhang et al. 2018 (EncNet)")
    return f


FAMILIES = [segmentation]
