"""Position encodings and resizing. The formulas of transformers and timm, written out in float64: both compute their
tables in float32, which would limit the agreement to 1e-7."""
import math

import torch
import torch.nn.functional as F
from timm.layers import RelPosBias

from recorder import Family


def sinusoidal(length, dim, base=10000.0):
    """sin and cos in turn (Vaswani et al. 2017, section 3.5)."""
    angle = torch.arange(length)[:, None] / base ** (torch.arange(0, dim, 2) / dim)
    return torch.stack([angle.sin(), angle.cos()], -1).reshape(length, -1)[:, :dim]


def rotary_angles(length, dim, base, first=0):
    return (torch.arange(length) + first).double()[:, None] * base ** (-torch.arange(0, dim, 2).double() / dim)


def rotary_half(x, base=10000.0, first=0, dim=None):
    """transformers (LLaMA): cat(f, f), rotate_half = cat(-x[d/2:], x[:d/2]). x: [B,H,L,D]; the last D - dim pass through."""
    dim = dim or x.shape[-1]
    x, rest = x[..., :dim], x[..., dim:]
    f = rotary_angles(x.shape[-2], dim, base, first)
    f = torch.cat([f, f], -1)
    turned = torch.cat([-x[..., dim // 2:], x[..., :dim // 2]], -1)
    return torch.cat([x * f.cos() + turned * f.sin(), rest], -1)


def rotary_interleaved(x, base=10000.0, first=0, dim=None):
    """timm, Meta's LLaMA: pairs (x0, x1) -> (-x1, x0)."""
    dim = dim or x.shape[-1]
    x, rest = x[..., :dim], x[..., dim:]
    f = rotary_angles(x.shape[-2], dim, base, first).repeat_interleave(2, -1)
    turned = torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
    return torch.cat([x * f.cos() + turned * f.sin(), rest], -1)


def alibi_slopes(heads):
    """transformers (BLOOM): a geometric series; between powers of two every other slope of the next series."""
    def series(n):
        start = 2.0 ** (-(2.0 ** -(math.log2(n) - 3)))
        return [start ** (i + 1) for i in range(n)]
    if math.log2(heads).is_integer():
        return torch.tensor(series(heads))
    closest = 2 ** math.floor(math.log2(heads))
    return torch.tensor(series(closest) + series(2 * closest)[0::2][:heads - closest])


class T5Bias(torch.nn.Module):
    """scores + relative_attention_bias(bucket(key - query)), as transformers' T5Attention."""

    def __init__(self, heads, bidirectional, buckets, distance):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(buckets, heads))
        self.options = dict(bidirectional=bidirectional, num_buckets=buckets, max_distance=distance)

    def forward(self, scores):
        from transformers.models.t5.modeling_t5 import T5Attention
        relative = torch.arange(scores.shape[3])[None, :] - torch.arange(scores.shape[2])[:, None]
        buckets = T5Attention._relative_position_bucket(relative, **self.options)
        return scores + self.weight[buckets].permute(2, 0, 1)


def position():
    f = Family("position")
    for length, dim in [(7, 6), (5, 10), (64, 4)]:
        f.case(f"sinusoidal_{length}x{dim}", None, [], dict(length=length, dim=dim),
               call=lambda _, n=length, d=dim: sinusoidal(n, d), origin="sinusoidal")
    for name, function in [("half", rotary_half), ("interleaved", rotary_interleaved)]:
        for case, shape, options in [("plain", (2, 3, 5, 6), {}), ("base", (2, 1, 7, 10), dict(base=500.0)),
                                     ("offset", (1, 2, 4, 6), dict(first=13)), ("partial", (2, 3, 5, 10), dict(dim=4))]:
            f.case(f"rotary_{name}_{case}", None, [shape], options, call=lambda _, x, o=options, g=function: g(x, **o),
                   layout="heads_first", origin="rotary_" + name)
    for heads in [1, 2, 6, 8, 12]:
        f.case(f"alibi_slopes_{heads}", None, [], dict(heads=heads), call=lambda _, n=heads: alibi_slopes(n), origin="alibi")
    for name, shape, tokens in [("window", (3, 2), 0), ("window_wide", (2, 5), 0), ("class_token", (2, 3), 1)]:
        n = shape[0] * shape[1] + tokens
        f.case("relative_" + name, RelPosBias(shape, num_heads=3, prefix_tokens=tokens), [(2, 3, n, n)],
               dict(window_size=shape, num_heads=3, prefix_tokens=tokens))
    for name, bidirectional, buckets, distance, queries, keys in [
        ("bidirectional", True, 32, 128, 3, 140), ("one_directional", False, 32, 128, 140, 2), ("few_buckets", True, 8, 20, 25, 27),
    ]:
        f.case("t5_" + name, T5Bias(3, bidirectional, buckets, distance), [(1, 3, queries, keys)],
               dict(num_heads=3, bidirectional=bidirectional, num_buckets=buckets, max_distance=distance), origin="transformers.T5Attention")
    # the published form of RoPE, checked against the formula above
    from transformers.models.llama.modeling_llama import rotate_half
    x = torch.rand(2, 3, 5, 6)
    angle = torch.cat([rotary_angles(5, 6, 10000.0)] * 2, -1)
    assert torch.allclose(x * angle.cos() + rotate_half(x) * angle.sin(), rotary_half(x), atol=1e-14)
    from timm.layers.pos_embed_sincos import apply_rot_embed
    angle = rotary_angles(5, 6, 10000.0).repeat_interleave(2, -1)
    assert torch.allclose(apply_rot_embed(x, angle.sin(), angle.cos()), rotary_interleaved(x), atol=1e-14)
    return f


def resize():
    f = Family("resize")
    for mode, corners in [("nearest", None), ("nearest-exact", None), ("bilinear", False), ("bilinear", True)]:
        for name, shape, size in [("up", (2, 3, 3, 4), (7, 9)), ("down", (2, 3, 8, 7), (3, 5)), ("double", (1, 2, 3, 5), (6, 10)),
                                  ("mixed", (2, 3, 5, 4), (3, 8)), ("from_one", (2, 3, 1, 3), (4, 1)), ("same", (1, 3, 4, 5), (4, 5))]:
            options = dict(size=size, mode=mode) | ({} if corners is None else dict(align_corners=corners))
            word = mode.replace("-", "_") + ("_corners" if corners else "")
            f.case(f"{word}_{name}", None, [shape], options, call=lambda _, x, o=options: F.interpolate(x, **o),
                   layout="channels_first", origin="torch.nn.functional.interpolate")
    for mode, corners in [("nearest", None), ("nearest-exact", None), ("bilinear", False), ("bilinear", True)]:
        options = dict(scale_factor=(1.7, 0.6), mode=mode) | ({} if corners is None else dict(align_corners=corners))
        f.case(mode.replace("-", "_") + ("_corners" if corners else "") + "_factor", None, [(2, 3, 5, 8)], options,
               call=lambda _, x, o=options: F.interpolate(x, **o), layout="channels_first", origin="torch.nn.functional.interpolate")
    f.case("bilinear_factor_two", None, [(1, 3, 3, 5)], dict(scale_factor=2, mode="bilinear"),
           call=lambda _, x: F.interpolate(x, scale_factor=2, mode="bilinear"), layout="channels_first", origin="torch.nn.functional.interpolate")
    return f


FAMILIES = [position, resize]
