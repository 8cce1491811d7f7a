"""Channel and spatial attention of timm and torchvision, with their rounding rules."""
import torch
from torch import nn
import timm.layers as T
from timm.layers.cbam import CbamModule, ChannelAttn, SpatialAttn
from timm.layers.squeeze_excite import EffectiveSEModule, SEModule
from timm.layers.non_local_attn import NonLocalAttn
from timm.layers.bottleneck_attn import BottleneckAttn
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.senet import SEModule as SenetModule

from recorder import Family


class TorchvisionSqueezeExcitation(nn.Module):
    """torchvision.ops.SqueezeExcitation written out: avgpool, fc1, activation, fc2, gate."""

    def __init__(self, channels, squeeze, activation=nn.ReLU, gate=nn.Sigmoid):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeeze, 1), nn.Conv2d(squeeze, channels, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, x):
        return x * self.gate(self.fc2(self.activation(self.fc1(x.mean((2, 3), keepdim=True)))))


def squeeze_excite():
    f = Family("squeeze_excite")
    for name, shape, kind, arguments, options in [
        ("default", (2, 19, 5, 4), SEModule, {}, {}),
        ("ratio", (2, 20, 3, 5), SEModule, dict(rd_ratio=0.5), {}),
        ("divisor", (2, 20, 3, 5), SEModule, dict(rd_ratio=0.25, rd_divisor=1), {}),
        ("rd_channels", (2, 5, 4, 3), SEModule, dict(rd_channels=3), {}),
        ("add_maxpool", (2, 5, 4, 3), SEModule, dict(rd_channels=3, add_maxpool=True), {}),
        ("no_bias", (2, 5, 4, 3), SEModule, dict(rd_channels=2, bias=False), {}),
        ("silu", (2, 5, 4, 3), SEModule, dict(rd_channels=3, act_layer=nn.SiLU), {}),
        ("hard_sigmoid", (2, 5, 4, 3), SEModule, dict(rd_channels=3, gate_layer="hard_sigmoid"), {}),
        ("norm_train", (4, 5, 3, 2), SEModule, dict(rd_channels=3, norm_layer=nn.BatchNorm2d), dict(training=True)),
        ("norm_eval", (4, 5, 3, 2), SEModule, dict(rd_channels=3, norm_layer=nn.BatchNorm2d), {}),
        ("effective", (2, 5, 4, 3), EffectiveSEModule, {}, {}),
        ("effective_maxpool", (2, 5, 4, 3), EffectiveSEModule, dict(add_maxpool=True), {}),
        ("effective_sigmoid", (2, 5, 4, 3), EffectiveSEModule, dict(gate_layer="sigmoid"), {}),
        ("efficientnet", (2, 10, 3, 4), SqueezeExcite, {}, {}),  # 2.5 rounds to 2: half to even
        ("efficientnet_6", (2, 6, 3, 4), SqueezeExcite, {}, {}),  # 1.5 rounds to 2
        ("efficientnet_hard", (2, 7, 3, 4), SqueezeExcite, dict(rd_channels=3, act_layer=nn.SiLU, gate_layer="hard_sigmoid"), {}),
    ]:
        text = {k: getattr(v, "__name__", v) for k, v in arguments.items()}
        f.case(name, kind(shape[1], **arguments), [shape], dict(channels=shape[1], **text), layout="channels_first", **options)
    f.case("torchvision", TorchvisionSqueezeExcitation(6, 4), [(2, 6, 3, 5)], dict(channels=6, squeeze=4), layout="channels_first",
           origin="torchvision.ops.SqueezeExcitation")
    f.case("torchvision_hard", TorchvisionSqueezeExcitation(6, 4, nn.ReLU, nn.Hardsigmoid), [(2, 6, 3, 5)], dict(channels=6, squeeze=4),
           layout="channels_first", origin="torchvision.ops.SqueezeExcitation")
    f.case("senet", SenetModule(37, 16), [(2, 37, 3, 2)], dict(channels=37, reduction=16), layout="channels_first")
    widths = [8, 16, 20, 24, 40, 64, 96, 100, 128, 256, 512, 960, 1024, 2048]
    for name, rule in [("se", lambda c: T.make_divisible(c / 16, 8, round_limit=0.0)), ("se_quarter", lambda c: T.make_divisible(c / 4, 8, round_limit=0.0)),
                       ("cbam", lambda c: T.make_divisible(c / 16, 1, round_limit=0.0)), ("non_local", lambda c: T.make_divisible(c / 8, 8)),
                       ("efficientnet", lambda c: round(c * 0.25)), ("ghost", lambda c: T.make_divisible(c * 0.25, 4))]:
        counts = widths if name != "efficientnet" else widths + [6, 10, 14, 18, 22, 26, 30]
        f.case("rounding_" + name, None, [torch.tensor(counts)], {}, call=lambda _, c, r=rule: torch.tensor([r(int(i)) for i in c]), origin="rounding")
    return f


def cbam():
    f = Family("cbam")
    for training in (False, True):
        mode = "train" if training else "eval"
        for name, shape, arguments in [
            ("default", (2, 17, 5, 4), {}), ("rd_channels", (2, 5, 6, 7), dict(rd_channels=3)),
            ("bias_kernel", (2, 5, 4, 6), dict(rd_channels=2, mlp_bias=True, spatial_kernel_size=3)),
            ("hard", (2, 5, 4, 6), dict(rd_channels=3, spatial_kernel_size=5, gate_layer="hard_sigmoid")),
        ]:
            f.case(f"{name}_{mode}", CbamModule(shape[1], **arguments), [shape], dict(channels=shape[1], **arguments),
                   layout="channels_first", training=training)
        f.case(f"spatial_{mode}", SpatialAttn(7), [(2, 3, 6, 5)], dict(kernel_size=7), layout="channels_first", training=training)
    for name, arguments in [("conv_norm_act", dict(kernel_size=3, stride=2)), ("conv_norm", dict(kernel_size=(3, 5), dilation=2, groups=2, apply_act=False))]:
        for training in (False, True):
            arguments = dict(in_channels=4, out_channels=6, **{k: v for k, v in arguments.items() if not k.endswith("channels")})
            f.case(name + ("_train" if training else "_eval"), T.ConvNormAct(**arguments), [(3, 4, 7, 6)], arguments, layout="channels_first", training=training)
    f.case("channel", ChannelAttn(6, rd_channels=4), [(2, 6, 3, 5)], dict(channels=6, rd_channels=4), layout="channels_first")
    return f


def spatial_attention():
    f = Family("spatial_attention")
    for name, shape, arguments, training in [
        ("non_local_eval", (2, 12, 3, 4), {}, False), ("non_local_train", (3, 12, 2, 4), {}, True),
        ("non_local_ratio", (2, 10, 3, 5), dict(rd_ratio=0.5, rd_divisor=2), False),
        ("non_local_unscaled", (2, 6, 3, 5), dict(rd_channels=3, use_scale=False), False),
        ("non_local_channels", (2, 6, 5, 3), dict(rd_channels=4), True),
    ]:
        f.case(name, NonLocalAttn(shape[1], **arguments), [shape], dict(in_channels=shape[1], **arguments), layout="channels_first", training=training)
    for name, shape, arguments in [
        ("bottleneck", (2, 12, 3, 4), dict(num_heads=4)),
        ("bottleneck_bias", (2, 6, 4, 3), dict(num_heads=2, qkv_bias=True)),
        ("bottleneck_scaled", (2, 6, 3, 5), dict(num_heads=2, dim_head=3, scale_pos_embed=True)),
        ("bottleneck_out", (2, 5, 3, 2), dict(num_heads=3, dim_out=9, dim_head=4)),
        ("bottleneck_stride", (2, 6, 5, 4), dict(num_heads=3, stride=2, dim_head=2)),
        ("bottleneck_ratio", (1, 8, 4, 3), dict(num_heads=2, qk_ratio=0.5)),
    ]:
        f.case(name, BottleneckAttn(shape[1], feat_size=shape[2:], **arguments), [shape], dict(dim=shape[1], feat_size=shape[2:], **arguments),
               layout="channels_first")
    return f


FAMILIES = [squeeze_excite, cbam, spatial_attention]
