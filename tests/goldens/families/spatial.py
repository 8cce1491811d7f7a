"""Spatial attention beyond families/gates.py: windows, halos, lambdas, axes, neighbourhoods, pooling, linear forms.

Modules of timm where timm has them. The classes below are re-derivations, written from the papers that they name, in the
plainest way (scores in full, loops where they help); their cases have an origin that begins with "derived".
"""
import math
from unittest import mock

import torch
from torch import nn
from torch.nn import functional as F
from timm.layers import AttentionPool2d, RotAttentionPool2d
from timm.layers.halo_attn import HaloAttn
from timm.layers.lambda_layer import LambdaLayer
from timm.layers.non_local_attn import BatNonLocalAttn
from timm.layers.other_pool import LsePlus2d, SimPool2d
from timm.models.cait import ClassAttn
from timm.models.coat import ConvRelPosEnc, FactorAttnConvRelPosEnc
from timm.models.efficientvit_mit import LiteMLA
from timm.models.mobilevit import LinearSelfAttention
from timm.models.swin_transformer import SwinTransformerBlock
from timm.models.swin_transformer_v2 import SwinTransformerV2Block
from timm.models.volo import OutlookAttention
from timm.models.xcit import XCA

from recorder import Family


class Windows(nn.Module):
    """The attention of a Swin block alone, without its norms and MLP: partition, shift, mask and padding included."""

    def __init__(self, block):
        super().__init__()
        self.block = [block]  # hidden, so that the parameters have the names of block.attn
        for name, child in block.attn.named_children():
            self.add_module(name, child)
        for name, parameter in block.attn.named_parameters(recurse=False):
            self.register_parameter(name, parameter)

    def forward(self, x):
        block = self.block[0].double()
        block.attn._init_buffers()
        return block._attn(x)


def window_attention():
    f = Family("window_attention")
    for name, shape, arguments in [
        ("plain", (2, 4, 6, 6), dict(window_size=2, num_heads=3)),
        ("shift", (2, 6, 9, 4), dict(window_size=3, shift_size=1, num_heads=2)),
        ("padded", (2, 5, 7, 4), dict(window_size=3, num_heads=2)),
        ("padded_shift", (2, 5, 8, 4), dict(window_size=(3, 4), shift_size=(1, 2), num_heads=2)),
        ("one_axis_shrinks", (2, 3, 8, 4), dict(window_size=4, shift_size=2, num_heads=2)),
        ("map_is_smaller", (2, 3, 2, 4), dict(window_size=4, shift_size=2, num_heads=1)),
        ("head_dim_no_bias", (2, 4, 4, 4), dict(window_size=2, num_heads=2, head_dim=3, qkv_bias=False)),
        ("any_size", (2, 5, 3, 4), dict(window_size=4, shift_size=2, num_heads=2, always_partition=True)),
        # Scores of hundreds: what lies behind the mask of -100 is seen through it.
        ("scores_beyond_the_mask", (1, 4, 4, 2), dict(window_size=2, shift_size=1, num_heads=1)),
    ]:
        block = SwinTransformerBlock(shape[3], shape[1:3], **arguments)
        large = {"qkv.weight": lambda s: torch.rand(s, generator=torch.Generator().manual_seed(7)) * 28 - 14}
        f.case(name, Windows(block), [shape], dict(dim=shape[3], input_resolution=shape[1:3], **arguments),
               origin="timm.SwinTransformerBlock._attn", parameters=large if name.startswith("scores") else None)
    for name, shape, arguments in [
        ("v2_plain", (2, 4, 6, 6), dict(window_size=2, num_heads=3)),
        ("v2_shift", (2, 5, 8, 4), dict(window_size=(3, 4), shift_size=(1, 2), num_heads=2)),
        ("v2_pretrained", (2, 4, 3, 4), dict(window_size=(4, 3), num_heads=2, pretrained_window_size=(6, 8))),
        ("v2_no_bias", (2, 3, 4, 4), dict(window_size=2, shift_size=1, num_heads=1, qkv_bias=False)),
        ("v2_scale_is_clamped", (2, 4, 2, 4), dict(window_size=2, num_heads=2)),
    ]:
        block = SwinTransformerV2Block(shape[3], shape[1:3], **arguments)
        scales = {"logit_scale": lambda s: torch.tensor([4.0, 5.0]).reshape(s)}  # ln 100 = 4.6
        f.case(name, Windows(block), [shape], dict(dim=shape[3], input_resolution=shape[1:3], **arguments),
               origin="timm.SwinTransformerV2Block._attn", parameters=scales if name.endswith("clamped") else None)
    return f


class PositionAttention(nn.Module):
    """Fu et al. 2019, Dual Attention Network, eq. 1 and 2: s_ji = softmax_i(B_i C_j), E_j = alpha sum_i s_ji D_i + A_j."""

    def __init__(self, channels, reduced):
        super().__init__()
        self.query_conv, self.key_conv = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.value_conv, self.gamma = nn.Conv2d(channels, channels, 1), nn.Parameter(torch.zeros(1))

    def forward(self, a):
        c, b, d = self.query_conv(a).flatten(2), self.key_conv(a).flatten(2), self.value_conv(a).flatten(2)
        s = torch.einsum("nci,ncj->nji", b, c).softmax(-1)
        return self.gamma * torch.einsum("nji,nci->ncj", s, d).reshape(a.shape) + a


class EnhancedSpatialAttention(nn.Module):
    """Liu et al. 2020, Residual Feature Aggregation Network, section 3.3, with the sizes that RFDN publishes; with one
    convolution on the pooled map, Kong et al. 2022, RLFN, figure 3."""

    def __init__(self, channels, reduced, convolutions):
        super().__init__()
        self.conv1, self.conv_f = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, reduced, 1)
        self.conv2 = nn.Conv2d(reduced, reduced, 3, stride=2)
        self.conv3 = nn.Conv2d(reduced, reduced, 3, padding=1)
        if convolutions == 3:
            self.conv_max, self.conv3_ = nn.Conv2d(reduced, reduced, 3, padding=1), nn.Conv2d(reduced, reduced, 3, padding=1)
        self.conv4, self.convolutions = nn.Conv2d(reduced, channels, 1), convolutions

    def forward(self, x):
        narrow = self.conv1(x)
        wide_view = F.max_pool2d(self.conv2(narrow), kernel_size=7, stride=3)
        if self.convolutions == 3:
            wide_view = self.conv3_(F.relu(self.conv3(F.relu(self.conv_max(wide_view)))))
        else:
            wide_view = self.conv3(wide_view)
        wide_view = F.interpolate(wide_view, size=x.shape[2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.conv4(wide_view + self.conv_f(narrow)))


class NonLocalForm(nn.Module):
    """Wang et al. 2018, Non-local Neural Networks, eq. 2 (Gaussian), 4 (dot product), 5 (concatenation), with the names
    that timm gives the embedded Gaussian and no scale."""

    def __init__(self, channels, reduced, form):
        super().__init__()
        self.form = form
        if form != "gaussian":
            self.t, self.p = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.g, self.z, self.norm = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1), nn.BatchNorm2d(channels)
        if form == "concatenation":
            self.concat_project = nn.Sequential(nn.Conv2d(2 * reduced, 1, 1, bias=False), nn.ReLU())

    def forward(self, x):
        batch, _, height, width = x.shape
        n = height * width
        g = self.g(x).flatten(2)
        if self.form == "gaussian":
            weights = torch.einsum("bci,bcj->bij", x.flatten(2), x.flatten(2)).softmax(-1)
        elif self.form == "dot":
            weights = torch.einsum("bci,bcj->bij", self.t(x).flatten(2), self.p(x).flatten(2)) / n
        else:
            t, p = self.t(x).flatten(2), self.p(x).flatten(2)
            pairs = torch.cat([t[..., :, None].expand(-1, -1, n, n), p[..., None, :].expand(-1, -1, n, n)], 1)
            weights = self.concat_project(pairs)[:, 0] / n
        y = torch.einsum("bij,bcj->bci", weights, g).reshape(batch, -1, height, width)
        return self.norm(self.z(y)) + x


def position_attention():
    f = Family("position_attention")
    maps = dict(layout="channels_first")
    for name, shape, reduced in [("danet", (2, 16, 3, 5), 2), ("danet_odd", (3, 5, 4, 3), 3)]:
        f.case(name, PositionAttention(shape[1], reduced), [shape], dict(channels=shape[1], reduced=reduced),
               origin="derived from Fu et al. 2019 (DANet)", **maps)
    for name, shape, reduced, convolutions in [("esa", (2, 6, 17, 21), 4, 3), ("esa_smallest", (1, 5, 15, 15), 3, 3),
                                               ("esa_light", (1, 6, 22, 16), 3, 1)]:
        f.case(name, EnhancedSpatialAttention(shape[1], reduced, convolutions), [shape],
               dict(channels=shape[1], reduced=reduced, convolutions=convolutions),
               origin="derived from Liu et al. 2020 (RFANet)" if convolutions == 3 else "derived from Kong et al. 2022 (RLFN)", **maps)
    for form in ("gaussian", "dot", "concatenation"):
        for training in (False, True):
            f.case(f"non_local_{form}_" + ("train" if training else "eval"), NonLocalForm(6, 3, form), [(2, 6, 3, 4)],
                   dict(channels=6, reduced=3, form=form), origin="derived from Wang et al. 2018", training=training,
                   low=-3.0, high=3.0, **maps)  # a batch norm of nearly equal values would show float's rounding alone
    return f


class CrissCross(nn.Module):
    """Huang et al. 2019, CCNet, section 3.2: each position attends to its row and its column, itself once."""

    def __init__(self, channels, reduced):
        super().__init__()
        self.query_conv, self.key_conv = nn.Conv2d(channels, reduced, 1), nn.Conv2d(channels, reduced, 1)
        self.value_conv, self.gamma = nn.Conv2d(channels, channels, 1), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        _, _, height, width = x.shape
        q, k, v = self.query_conv(x), self.key_conv(x), self.value_conv(x)
        rows = []
        for i in range(height):
            for j in range(width):
                cross = [(u, j) for u in range(height) if u != i] + [(i, w) for w in range(width)]
                keys = torch.stack([k[:, :, u, w] for u, w in cross], -1)
                values = torch.stack([v[:, :, u, w] for u, w in cross], -1)
                weights = torch.einsum("bc,bcn->bn", q[:, :, i, j], keys).softmax(-1)
                rows.append(torch.einsum("bn,bcn->bc", weights, values))
        y = torch.stack(rows, -1).reshape(x.shape)
        return self.gamma * y + x


class AxisAttention(nn.Module):
    """Multi-head self-attention along one axis of (batch, height, width, channels)."""

    def __init__(self, channels, heads, dim):
        super().__init__()
        self.heads = heads
        self.to_q, self.to_kv = nn.Linear(channels, heads * dim, bias=False), nn.Linear(channels, 2 * heads * dim, bias=False)
        self.to_out = nn.Linear(heads * dim, channels)

    def forward(self, x):  # (batch, lines, length, channels)
        q, (k, v) = self.to_q(x), self.to_kv(x).chunk(2, -1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in (q, k, v))
        weights = (torch.einsum("blihd,bljhd->blhij", q, k) / math.sqrt(q.shape[-1])).softmax(-1)
        return self.to_out(torch.einsum("blhij,bljhd->blihd", weights, v).flatten(-2))


class Axial(nn.Module):
    """Ho et al. 2019, Axial Attention in Multidimensional Transformers, section 3: along columns and along rows, added up or
    one after the other; names of the package axial-attention."""

    class Along(nn.Module):
        def __init__(self, *arguments):
            super().__init__()
            self.fn = AxisAttention(*arguments)

    def __init__(self, channels, heads, dim, added):
        super().__init__()
        self.axial_attentions, self.added = nn.ModuleList(self.Along(channels, heads, dim) for _ in range(2)), added

    def forward(self, x):
        columns, rows = (a.fn for a in self.axial_attentions)
        down = columns(x.transpose(1, 2)).transpose(1, 2)
        return down + rows(x) if self.added else rows(down)


def grid_attention():
    f = Family("grid_attention")
    maps = dict(layout="channels_first")
    for name, shape, arguments in [
        ("halo", (2, 6, 4, 6), dict(num_heads=2, block_size=2, halo_size=1)),
        ("halo_dims", (1, 5, 6, 3), dict(num_heads=3, dim_out=9, dim_head=2, block_size=3, halo_size=2, qkv_bias=True)),
        ("halo_scaled", (2, 6, 4, 2), dict(num_heads=3, dim_head=4, block_size=2, halo_size=1, scale_pos_embed=True)),
        ("halo_strided", (2, 4, 4, 8), dict(num_heads=2, dim_head=3, block_size=4, halo_size=1, stride=2)),
        ("halo_pooled", (1, 4, 6, 12), dict(num_heads=2, dim_head=2, block_size=3, halo_size=1, stride=2)),
        ("halo_averaged", (1, 4, 4, 8), dict(num_heads=2, dim_head=2, block_size=4, halo_size=1, stride=2, avg_down=True)),
    ]:
        f.case(name, HaloAttn(shape[1], **arguments), [shape], dict(dim=shape[1], **arguments), **maps)
    for name, shape, arguments, training in [
        ("lambda_eval", (2, 8, 3, 4), dict(dim_head=3, r=3), False), ("lambda_train", (3, 8, 4, 3), dict(dim_head=3, r=5), True),
        ("lambda_ratio_bias", (2, 6, 3, 5), dict(num_heads=2, dim_head=None, r=3, qk_ratio=0.5, qkv_bias=True), False),
        ("lambda_stride", (2, 6, 5, 4), dict(num_heads=3, dim_head=2, r=3, stride=2), True),
        ("lambda_positions", (2, 6, 3, 4), dict(num_heads=2, dim_head=3, r=None, feat_size=(3, 4)), False),
        ("lambda_positions_train", (2, 4, 2, 5), dict(num_heads=1, dim_head=2, r=None, feat_size=(2, 5)), True),
    ]:
        f.case(name, LambdaLayer(shape[1], **arguments), [shape], dict(dim=shape[1], **arguments), training=training, **maps)
    for name, shape, reduced in [("criss_cross", (2, 8, 3, 4), 1), ("criss_cross_odd", (2, 5, 5, 3), 3), ("criss_cross_row", (1, 4, 1, 5), 2)]:
        f.case(name, CrissCross(shape[1], reduced), [shape], dict(channels=shape[1], reduced=reduced),
               origin="derived from Huang et al. 2019 (CCNet)", **maps)
    for name, shape, heads, dim, added in [("axial", (2, 3, 5, 6), 2, 3, True), ("axial_wide", (1, 4, 3, 5), 3, 4, True),
                                           ("axial_in_sequence", (2, 4, 3, 4), 2, 2, False)]:
        f.case(name, Axial(shape[3], heads, dim, added), [shape], dict(channels=shape[3], num_heads=heads, dim_head=dim, added=added),
               origin="derived from Ho et al. 2019")
    for name, shape, arguments, training in [
        ("bat_eval", (2, 8, 4, 6), dict(block_size=2, groups=2, rd_channels=4), False),
        ("bat_train", (3, 6, 3, 9), dict(block_size=3, groups=3, rd_channels=6, drop_rate=0.0), True),
        ("bat_default", (1, 20, 7, 14), {}, False),
    ]:
        f.case(name, BatNonLocalAttn(shape[1], **arguments), [shape], dict(in_channels=shape[1], **arguments), training=training, **maps)
    return f


def feature_pooling():
    f = Family("feature_pooling")
    maps = dict(layout="channels_first")
    for name, shape, arguments in [
        ("clip", (2, 6, 3, 4), dict(num_heads=2)), ("clip_out", (2, 6, 2, 5), dict(num_heads=3, out_features=4)),
        ("clip_embed", (2, 5, 3, 2), dict(num_heads=2, embed_dim=8)),
        ("clip_logits_off", (1, 6, 3, 3), dict(head_dim=3, out_features=0)),
    ]:
        f.case(name, AttentionPool2d(shape[1], feat_size=shape[2:], **arguments), [shape],
               dict(in_features=shape[1], feat_size=shape[2:], **arguments), **maps)
    for name, shape, arguments in [
        ("rotary", (2, 8, 3, 4), dict(num_heads=2, ref_feat_size=(3, 4))),
        ("rotary_other_size", (2, 8, 2, 5), dict(num_heads=1, ref_feat_size=(3, 2), out_features=3)),
        ("rotary_default_reference", (2, 12, 3, 2), dict(head_dim=4, qkv_bias=False, out_features=0)),
    ]:
        f.case(name, RotAttentionPool2d(shape[1], **arguments), [shape], dict(in_features=shape[1], **arguments), **maps)
    for name, shape, arguments in [
        ("sim_pool", (2, 6, 3, 4), {}), ("sim_pool_heads", (2, 6, 5, 2), dict(num_heads=3, qkv_bias=True)),
        ("sim_pool_gamma", (2, 6, 3, 4), dict(gamma=1.25)), ("sim_pool_gamma_2", (1, 4, 2, 3), dict(num_heads=2, gamma=2.0)),
        ("sim_pool_qk_norm", (2, 6, 3, 3), dict(num_heads=2, qk_norm=True)),
    ]:
        f.case(name, SimPool2d(shape[1], **arguments), [shape], dict(dim=shape[1], **arguments), **maps)
    for name, r in [("lse_plus", 10.0), ("lse_plus_soft", 0.5), ("lse_plus_negative", -2.0)]:
        f.case(name, LsePlus2d(), [(2, 5, 3, 4)], dict(r=r), parameters={"r": lambda s, r=r: torch.tensor(r)}, **maps)
    for name, shape, arguments in [("class_attention", (2, 5, 8), {}), ("class_attention_bias", (3, 7, 6), dict(num_heads=3, qkv_bias=True))]:
        f.case(name, ClassAttn(shape[2], **arguments), [shape], dict(dim=shape[2], **arguments))
    return f


class Neighborhood(nn.Module):
    """Hassani et al. 2023, Neighborhood Attention Transformer, section 3.2: the k x k nearest positions, which at the border
    are those of the nearest window that fits, and a bias for each offset key - query."""

    def __init__(self, channels, heads, kernel, dilation=1, bias=True):
        super().__init__()
        self.heads, self.kernel, self.dilation = heads, kernel, dilation
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        if bias:
            self.rpb = nn.Parameter(torch.zeros(heads, 2 * kernel - 1, 2 * kernel - 1))

    def neighbours(self, at, length):
        """Of one axis: among the positions of the same residue, the `kernel` ones nearest to `at`."""
        same = [p for p in range(length) if (p - at) % self.dilation == 0]
        place = same.index(at)
        start = min(max(place - self.kernel // 2, 0), len(same) - self.kernel)
        return [(p, (p - at) // self.dilation) for p in same[start:start + self.kernel]]

    def forward(self, x):
        _, height, width, channels = x.shape
        q, k, v = (t.unflatten(-1, (self.heads, -1)) for t in self.qkv(x).chunk(3, -1))
        rows = []
        for i in range(height):
            for j in range(width):
                pairs = [(u, w) for u in self.neighbours(i, height) for w in self.neighbours(j, width)]
                keys = torch.stack([k[:, u[0], w[0]] for u, w in pairs], 1)
                values = torch.stack([v[:, u[0], w[0]] for u, w in pairs], 1)
                scores = torch.einsum("bhd,bnhd->bhn", q[:, i, j], keys) / math.sqrt(channels // self.heads)
                if hasattr(self, "rpb"):
                    scores = scores + torch.stack([self.rpb[:, u[1] + self.kernel - 1, w[1] + self.kernel - 1] for u, w in pairs], -1)
                rows.append(torch.einsum("bhn,bnhd->bhd", scores.softmax(-1), values).flatten(1))
        return self.proj(torch.stack(rows, 1).reshape(x.shape))


class MixtureOfSoftmaxes(nn.Module):
    """Zhang et al. 2019, Co-occurrent Features in Semantic Segmentation, eq. 5 and 6, with the names of PyTorch-Encoding's
    ACFModule: every mixture component sees d_k / n_mix channels, the temperature is that of all d_k."""

    def __init__(self, channels, heads, n_mix, d_k, d_v, pooling=True, concat=False, around=0):
        super().__init__()
        self.heads, self.n_mix, self.d_k, self.pooling, self.concat = heads, n_mix, d_k, pooling, concat
        self.conv_qs, self.conv_vs = nn.Conv2d(channels, heads * d_k, 1), nn.Conv2d(channels, heads * d_v, 1)
        if around:  # a projection that sees the neighbours, this far from each other
            self.conv_qs = nn.Sequential(nn.Conv2d(channels, heads * d_k, 3, padding=around, dilation=around, bias=False),
                                         nn.BatchNorm2d(heads * d_k), nn.ReLU(), nn.Conv2d(heads * d_k, heads * d_k, 1))
        self.conv, self.norm_layer = nn.Conv2d(heads * d_v, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.attention = nn.Module()
        if n_mix > 1:
            self.attention.weight = nn.Parameter(torch.zeros(n_mix, d_k))

    def forward(self, x):
        small = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False) if self.pooling else x
        q = self.conv_qs(x).flatten(2).unflatten(1, (self.heads, -1))      # b h c i
        k = self.conv_qs(small).flatten(2).unflatten(1, (self.heads, -1))  # b h c j
        v = self.conv_vs(small).flatten(2).unflatten(1, (self.heads, -1))
        width = self.d_k // self.n_mix
        y = 0
        if self.n_mix > 1:
            prior = torch.einsum("mc,bhc->bhm", self.attention.weight, q.mean(-1)).softmax(-1)
        for m in range(self.n_mix):
            part = slice(m * width, (m + 1) * width)
            weights = (torch.einsum("bhci,bhcj->bhij", q[:, :, part], k[:, :, part]) / math.sqrt(self.d_k)).softmax(-1)
            read = torch.einsum("bhij,bhcj->bhci", weights, v)
            y = y + (read * prior[:, :, m, None, None] if self.n_mix > 1 else read)
        y = self.norm_layer(self.conv(y.flatten(1, 2).unflatten(2, x.shape[2:])))
        return torch.cat([y, x], 1) if self.concat else y + x


def local_attention():
    f = Family("local_attention")
    for name, shape, arguments in [
        ("neighborhood", (2, 4, 5, 4), dict(heads=2, kernel=3)), ("neighborhood_large", (1, 5, 6, 3), dict(heads=1, kernel=5)),
        ("neighborhood_dilated", (1, 6, 7, 4), dict(heads=2, kernel=3, dilation=2)),
        ("neighborhood_no_bias", (2, 3, 4, 4), dict(heads=2, kernel=3, bias=False)),
    ]:
        f.case(name, Neighborhood(shape[3], **arguments), [shape], dict(channels=shape[3], **arguments), origin="derived from Hassani et al. 2023 (NAT)")
    for name, shape, arguments in [
        ("outlook", (2, 3, 5, 4), dict(num_heads=2)), ("outlook_stride", (2, 4, 6, 4), dict(num_heads=2, stride=2, qkv_bias=True)),
        ("outlook_kernel_2", (1, 4, 6, 4), dict(num_heads=1, kernel_size=2, padding=0, stride=2)),
        ("outlook_stride_odd", (1, 5, 3, 4), dict(num_heads=2, stride=2)),
    ]:
        f.case(name, OutlookAttention(shape[3], **arguments), [shape], dict(dim=shape[3], **arguments))
    for name, shape, arguments, training in [
        ("acf_eval", (2, 6, 4, 6), dict(heads=2, n_mix=2, d_k=4, d_v=3), False),
        ("acf_train", (3, 6, 4, 6), dict(heads=1, n_mix=3, d_k=6, d_v=4), True),
        ("acf_odd", (2, 5, 3, 5), dict(heads=2, n_mix=1, d_k=4, d_v=2), False),
        ("acf_unpooled_concat", (2, 4, 3, 2), dict(heads=2, n_mix=2, d_k=4, d_v=2, pooling=False, concat=True), False),
        ("acf_ffn", (3, 6, 6, 5), dict(heads=2, n_mix=2, d_k=4, d_v=3, around=1), False),
        ("acf_dilated_ffn", (2, 4, 5, 3), dict(heads=1, n_mix=2, d_k=4, d_v=3, pooling=False, around=4), False),
    ]:
        f.case(name, MixtureOfSoftmaxes(shape[1], **arguments), [shape], dict(channels=shape[1], **arguments), training=training,
               origin="derived from Zhang et al. 2019 (CFNet)", layout="channels_first", low=-3.0, high=3.0)
    return f


class EfficientAttention(nn.Module):
    """Shen et al. 2021, Efficient Attention, eq. 4 with softmax normalisation (section 3.2) and the residual of section 3.4."""

    def __init__(self, channels, key_channels, heads, value_channels):
        super().__init__()
        self.heads = heads
        self.keys, self.queries = nn.Conv2d(channels, key_channels, 1), nn.Conv2d(channels, key_channels, 1)
        self.values, self.reprojection = nn.Conv2d(channels, value_channels, 1), nn.Conv2d(value_channels, channels, 1)

    def forward(self, x):
        q, k, v = (conv(x).flatten(2).unflatten(1, (self.heads, -1)) for conv in (self.queries, self.keys, self.values))
        full = torch.einsum("bhci,bhcj->bhij", q.softmax(2), k.softmax(3))  # the map that it never makes; rows sum to one
        return self.reprojection(torch.einsum("bhij,bhdj->bhdi", full, v).flatten(1, 2).unflatten(2, x.shape[2:])) + x


class ExternalAttention(nn.Module):
    """Guo et al. 2021, Beyond Self-attention, eq. 6 to 10 (double normalisation)."""

    def __init__(self, channels, memory):
        super().__init__()
        self.mk, self.mv = nn.Linear(channels, memory, bias=False), nn.Linear(memory, channels, bias=False)

    def forward(self, x):
        weights = self.mk(x).softmax(1)
        return self.mv(weights / weights.sum(2, keepdim=True))


class Factorized(nn.Module):
    """timm's factorised attention with its convolutional positions as a child, and the size of the map given."""

    def __init__(self, dim, heads, window, size, bias):
        super().__init__()
        self.attention = [FactorAttnConvRelPosEnc(dim, heads, qkv_bias=bias, shared_crpe=ConvRelPosEnc(dim // heads, heads, window))]
        self.qkv, self.proj, self.crpe, self.size = self.attention[0].qkv, self.attention[0].proj, self.attention[0].crpe, size

    def forward(self, x):
        return self.attention[0](x, self.size)


def linear_attention():
    f = Family("linear_attention")
    maps = dict(layout="channels_first")
    def in_double(module, x):
        with mock.patch.object(torch.Tensor, "float", lambda tensor: tensor):  # LiteMLA casts; one case below keeps that
            return module(x)

    for name, shape, arguments, training in [
        ("lite_mla_eval", (2, 8, 4, 5), dict(out_channels=6, dim=4), False),
        ("lite_mla_scales", (1, 6, 5, 4), dict(out_channels=5, dim=3, scales=(3, 5), heads_ratio=0.5), False),
    ]:
        f.case(name, LiteMLA(shape[1], **arguments), [shape], dict(in_channels=shape[1], **arguments), training=training, call=in_double, **maps)
    # Weights above zero keep the divisors away from it.
    positive = {name: lambda s: torch.rand(s, generator=torch.Generator().manual_seed(3)) * 1.5 / s[1:].numel() ** 0.5
                for name in ("qkv.conv.weight", "aggreg.0.0.weight", "aggreg.0.1.weight")}
    f.case("lite_mla_train", LiteMLA(8, out_channels=8, dim=2, heads=3), [(5, 8, 4, 5)],
           dict(in_channels=8, out_channels=8, dim=2, heads=3), training=True, call=in_double, low=0.0, parameters=positive, **maps)
    f.case("lite_mla_in_float32", LiteMLA(8, 6, dim=4), [(1, 8, 2, 3)], dict(in_channels=8, out_channels=6, dim=4), low=0.0,
           parameters=positive, **maps)
    for name, shape, arguments in [("efficient", (2, 6, 3, 4), (4, 2, 6)), ("efficient_one_head", (1, 5, 4, 3), (3, 1, 4))]:
        f.case(name, EfficientAttention(shape[1], *arguments), [shape],
               dict(channels=shape[1], key_channels=arguments[0], heads=arguments[1], value_channels=arguments[2]),
               origin="derived from Shen et al. 2021", **maps)
    for name, shape, arguments in [("xca", (2, 7, 8), {}), ("xca_bias", (3, 5, 6), dict(num_heads=2, qkv_bias=True))]:
        f.case(name, XCA(shape[2], **arguments), [shape], dict(dim=shape[2], **arguments))
    for name, shape, arguments in [("separable", (2, 5, 4, 6), {}), ("separable_no_bias", (1, 6, 1, 7), dict(bias=False))]:
        f.case(name, LinearSelfAttention(shape[1], **arguments), [shape], dict(embed_dim=shape[1], **arguments), **maps)
    for name, shape, memory in [("external", (2, 7, 6), 4), ("external_wide", (3, 5, 4), 9)]:
        f.case(name, ExternalAttention(shape[2], memory), [shape], dict(channels=shape[2], memory=memory), origin="derived from Guo et al. 2021")
    for name, shape, heads, window, size, bias in [("factorized", (2, 13, 8), 8, {3: 2, 5: 3, 7: 3}, (3, 4), False),
                                                   ("factorized_bias", (2, 11, 6), 3, {3: 1, 5: 2}, (2, 5), True)]:
        f.case(name, Factorized(shape[2], heads, window, size, bias), [shape],
               dict(dim=shape[2], num_heads=heads, window={str(k): v for k, v in window.items()}, size=size, qkv_bias=bias),
               origin="timm.FactorAttnConvRelPosEnc")
    return f


FAMILIES = [window_attention, position_attention, grid_attention, feature_pooling, local_attention, linear_attention]
