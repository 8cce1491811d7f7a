"""Channel attention of timm, and gates that combine channel and space."""
import torch
from torch import nn
from timm.layers.cbam import LightCbamModule
from timm.layers.coord_attn import CoordAttn, EfficientLocalAttn, SimpleCoordAttn, StripAttn
from timm.layers.eca import CecaModule, EcaModule
from timm.layers.global_context import GlobalContext
from timm.layers.grn import GlobalResponseNorm
from timm.layers.selective_kernel import SelectiveKernel
from timm.layers.split_attn import SplitAttn

from recorder import Family
from timm_alone import working_gather_excite


def text_of(arguments):
    return {k: getattr(v, "__name__", v) for k, v in arguments.items()}


def cases_of(f):
    def case(name, kind, shape, training=False, origin=None, **arguments):
        f.case(name, kind(shape[1], **arguments), [shape], dict(channels=shape[1], **text_of(arguments)), layout="channels_first",
               training=training, origin=origin)

    return case


def channel_attention():
    f = Family("channel_attention")
    case = cases_of(f)

    case("eca", EcaModule, (2, 7, 5, 4))
    case("eca_wide", EcaModule, (2, 131, 2, 1), gate_layer="hard_sigmoid")  # a kernel of 5
    case("eca_gamma", EcaModule, (2, 9, 3, 4), gamma=0.5, beta=2)
    case("ecam", EcaModule, (2, 7, 5, 4), use_mlp=True)
    case("ecam_ratio", EcaModule, (2, 20, 3, 5), use_mlp=True, rd_ratio=0.5, rd_divisor=3, act_layer=nn.SiLU)
    case("ceca", CecaModule, (2, 7, 5, 4))
    case("ceca_wide", CecaModule, (2, 131, 1, 2))
    widths = [1, 2, 3, 8, 16, 31, 32, 64, 100, 127, 128, 129, 256, 512, 1024, 2047, 2048, 8192, 32768]
    f.case("eca_kernels", None, [torch.tensor(widths)], {},
           call=lambda _, c: torch.tensor([EcaModule(int(i)).conv.kernel_size[0] for i in c]), origin="timm.EcaModule")

    for training in (False, True):
        mode = "train" if training else "eval"
        # the gate that is asked for changes nothing, in either half
        case(f"light_cbam_{mode}", LightCbamModule, (2, 17, 5, 4), training, gate_layer="hard_sigmoid")
        case(f"light_cbam_options_{mode}", LightCbamModule, (2, 6, 4, 7), training, rd_channels=3, spatial_kernel_size=3, mlp_bias=True,
             act_layer=nn.SiLU)

    case("gc", GlobalContext, (2, 9, 5, 4))
    case("gc_rd", GlobalContext, (2, 6, 4, 5), rd_channels=3, act_layer=nn.SiLU, gate_layer="hard_sigmoid")
    case("gca", GlobalContext, (2, 17, 5, 4), fuse_add=True, fuse_scale=False)
    case("gca_ratio", GlobalContext, (2, 10, 3, 5), fuse_add=True, fuse_scale=False, rd_ratio=0.5, rd_divisor=3)
    case("gc_both", GlobalContext, (2, 6, 4, 7), fuse_add=True)
    case("gc_mean", GlobalContext, (2, 6, 4, 7), use_attn=False)

    gather_excite, repaired = working_gather_excite(), "timm.GatherExcite, its constructor repaired"
    case("ge", gather_excite, (2, 17, 5, 4), origin=repaired)
    case("ge_maxpool", gather_excite, (2, 6, 5, 4), origin=repaired, add_maxpool=True, rd_channels=3)
    case("ge_extent", gather_excite, (2, 6, 7, 5), origin=repaired, extent=2, rd_channels=3)
    case("ge_extent_4", gather_excite, (2, 5, 7, 10), origin=repaired, extent=4, add_maxpool=True, use_mlp=False)
    case("ge_one_cell", gather_excite, (2, 5, 3, 2), origin=repaired, extent=4, rd_channels=2)
    for training in (False, True):
        mode = "train" if training else "eval"
        case(f"ge_global_params_{mode}", gather_excite, (2, 6, 5, 3), training, repaired, extra_params=True, feat_size=(5, 3), rd_channels=3)
        case(f"ge_params_{mode}", gather_excite, (2, 6, 7, 9), training, repaired, extra_params=True, extent=4, rd_channels=3, act_layer=nn.SiLU)
    case("ge_params_plain", gather_excite, (2, 6, 5, 8), origin=repaired, extra_params=True, extent=2, norm_layer=None, use_mlp=False)

    case("grn", GlobalResponseNorm, (2, 7, 5, 4), channels_last=False)
    case("grn_eps", GlobalResponseNorm, (3, 5, 4, 3), channels_last=False, eps=0.5)
    return f


def branch_choice():
    f = Family("branch_choice")
    case = cases_of(f)
    norm = nn.BatchNorm2d
    for training in (False, True):
        mode = "train" if training else "eval"
        batch = 5 if training else 2  # of two pooled values a batch norm leaves little but their sign
        case(f"sk_{mode}", SelectiveKernel, (batch, 6, 5, 4), training)
        case(f"sk_whole_input_{mode}", SelectiveKernel, (batch, 4, 7, 6), training, out_channels=6, kernel_size=[3, 5, 7], keep_3x3=False,
             split_input=False, stride=2, rd_channels=3, act_layer=nn.SiLU)
        case(f"sk_groups_{mode}", SelectiveKernel, (batch, 8, 5, 6), training, out_channels=12, groups=2, dilation=2, rd_ratio=0.5, rd_divisor=2)
        case(f"splat_norm_{mode}", SplitAttn, (batch, 4, 5, 4), training, norm_layer=norm, rd_channels=3)
        case(f"splat_groups_{mode}", SplitAttn, (batch, 12, 5, 4), training, groups=2, radix=3, out_channels=4, rd_channels=4, stride=2,
             bias=True, act_layer=nn.SiLU, norm_layer=norm)
        # PyTorch-Encoding's SplAtConv2d: the same computation with a bias, norms and 32 hidden channels
        case(f"splat_encoding_{mode}", SplitAttn, (batch, 4, 3, 5), training, bias=True, norm_layer=norm, rd_channels=16)
    case("splat", SplitAttn, (2, 4, 5, 4))
    case("splat_radix_1", SplitAttn, (2, 4, 5, 3), radix=1, groups=2, rd_channels=6, kernel_size=1)
    case("splat_dilation", SplitAttn, (2, 6, 7, 5), dilation=2, padding=2, rd_channels=2)
    widths = [8, 16, 24, 40, 64, 100, 128, 256, 512]
    f.case("rounding_sk", None, [torch.tensor(widths)], {}, origin="timm.SelectiveKernel",
           call=lambda _, c: torch.tensor([SelectiveKernel(int(i)).attn.fc_reduce.out_channels for i in c]))
    f.case("rounding_splat", None, [torch.tensor(widths)], {}, origin="timm.SplitAttn",
           call=lambda _, c: torch.tensor([SplitAttn(int(i)).fc1.out_channels for i in c]))
    return f


def strip_attention():
    f = Family("strip_attention")
    case = cases_of(f)
    for training in (False, True):
        mode = "train" if training else "eval"
        case(f"coord_{mode}", CoordAttn, (2, 7, 5, 4), training)
        case(f"coord_options_{mode}", CoordAttn, (2, 6, 3, 5), training, rd_channels=3, bias=True, act_layer=nn.ReLU, gate_layer="hard_sigmoid",
             has_skip=True)
    case("coord_ratio", CoordAttn, (2, 10, 3, 5), rd_ratio=0.5, rd_divisor=1, norm_layer=None)
    case("scoord", SimpleCoordAttn, (2, 7, 5, 4))
    case("scoord_options", SimpleCoordAttn, (2, 10, 3, 5), rd_ratio=0.5, rd_divisor=2, bias=False, act_layer=nn.ReLU, has_skip=True)
    case("ela", EfficientLocalAttn, (2, 5, 9, 4))
    case("ela_options", EfficientLocalAttn, (2, 4, 3, 5), kernel_size=3, bias=True, act_layer=nn.ReLU, gate_layer="hard_sigmoid", has_skip=True)
    case("ela_plain", EfficientLocalAttn, (2, 4, 6, 5), kernel_size=5, norm_layer=None)
    case("strip", StripAttn, (2, 5, 6, 4))
    case("strip_options", StripAttn, (2, 4, 3, 7), kernel_size=5, bias=True, has_skip=True)
    case("strip_plain", StripAttn, (2, 4, 3, 5), use_conv=False, gate_layer="hard_sigmoid")
    return f


FAMILIES = [channel_attention, branch_choice, strip_attention]
