"""scaled_dot_product_attention, generic attention with the survey's scores, nn.MultiheadAttention."""
import math

import torch
from torch import nn
import torch.nn.functional as F

from recorder import Family

from .position import rotary_half, rotary_interleaved


def bools(shape, seed, probability=0.6):
    """Random, with a true in every row."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < probability
    mask[..., 0] |= ~mask.any(-1)
    return mask


def sdpa():
    f = Family("sdpa")

    def case(name, q, k, v, *, mask=None, bias=None, dead=False, **options):
        inputs = [q, k, v] + [x for x in (mask, bias) if x is not None]

        def call(_, q, k, v, extra=None):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=extra, **options)
        layout = {f"input.{i}": "heads_first" for i in range(3)} | {"output": "heads_first"}
        f.case(name, None, inputs, dict(**options, mask=mask is not None, bias=bias is not None), call=call, layout=layout,
               origin="torch.nn.functional.scaled_dot_product_attention", low=-2.0, high=2.0)

    case("plain", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6))
    case("self", (2, 3, 5, 7), (2, 3, 5, 7), (2, 3, 5, 7))
    case("value_dim", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 9))
    case("value_dim_smaller", (1, 2, 4, 10), (1, 2, 6, 10), (1, 2, 6, 3))
    case("scale", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), scale=0.7)
    case("one_query", (2, 3, 1, 6), (2, 3, 7, 6), (2, 3, 7, 6))
    case("one_key", (2, 3, 4, 6), (2, 3, 1, 6), (2, 3, 1, 6))
    case("long", (1, 1, 33, 5), (1, 1, 70, 5), (1, 1, 70, 5))
    case("causal", (2, 3, 6, 5), (2, 3, 6, 5), (2, 3, 6, 5), is_causal=True)
    case("causal_more_keys", (2, 3, 4, 5), (2, 3, 7, 5), (2, 3, 7, 5), is_causal=True)
    case("causal_more_queries", (2, 3, 7, 5), (2, 3, 4, 5), (2, 3, 4, 5), is_causal=True)
    case("causal_bottom_right", (2, 3, 4, 5), (2, 3, 7, 5), (2, 3, 7, 5), mask=torch.ones(4, 7, dtype=torch.bool).tril(3)[None, None])
    case("mask_full", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), mask=bools((2, 3, 5, 7), 1))
    case("mask_shared", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), mask=bools((1, 1, 5, 7), 2))
    case("mask_per_head", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), mask=bools((1, 3, 5, 7), 3))
    case("mask_keys", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), mask=bools((2, 1, 1, 7), 4))
    dead = bools((2, 1, 5, 7), 5)
    dead[1, 0, 2] = False  # a query that may attend to nothing
    case("mask_dead_row", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), mask=dead)
    case("bias_full", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), bias=(2, 3, 5, 7))
    case("bias_per_head", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), bias=(1, 3, 5, 7))
    case("bias_shared", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), bias=(1, 1, 5, 7))
    case("bias_keys", (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 6), bias=(2, 1, 1, 7))
    case("grouped", (2, 6, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4), enable_gqa=True)
    case("grouped_one", (2, 4, 5, 6), (2, 1, 7, 6), (2, 1, 7, 5), enable_gqa=True)
    case("grouped_causal", (2, 4, 6, 5), (2, 2, 6, 5), (2, 2, 6, 5), enable_gqa=True, is_causal=True)
    return f


class Additive(nn.Module):
    """w^T tanh(W1 q + b + W2 k) (Bahdanau 2015, survey eq. 6)."""

    def __init__(self, dim):
        super().__init__()
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.weight = nn.Parameter(torch.empty(dim))

    def forward(self, q, k):
        return torch.tanh(self.query(q)[..., :, None, :] + self.key(k)[..., None, :, :]) @ self.weight


class General(nn.Module):
    """k^T W q (Luong 2015)."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim))

    def forward(self, q, k):
        return q @ self.weight.t() @ k.transpose(-1, -2)


class Dot(nn.Module):
    def __init__(self, scaled):
        super().__init__()
        self.scaled = scaled

    def forward(self, q, k):
        return q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if self.scaled else 1.0)


class Attention(nn.Module):
    def __init__(self, score):
        super().__init__()
        self.score = score

    def forward(self, q, k, v, mask=None):
        e = self.score(q, k)
        if mask is not None:
            e = e.masked_fill(~mask, -math.inf)
        return e.softmax(-1) @ v


def score():
    f = Family("score")
    layout = {f"input.{i}": "heads_first" for i in range(3)} | {"output": "heads_first"}
    for name, make in [("dot", lambda: Dot(False)), ("scaled_dot", lambda: Dot(True)), ("general", lambda: General(6)), ("additive", lambda: Additive(6))]:
        shapes = [(2, 3, 4, 6), (2, 3, 5, 6), (2, 3, 5, 7)]
        f.case(name, Attention(make()), shapes, dict(head_dim=6), layout=layout, origin="attention, " + name)
        f.case(name + "_mask", Attention(make()), shapes + [bools((2, 1, 4, 5), 8)], dict(head_dim=6), layout=layout, origin="attention, " + name)
    return f


class LanguageAttention(nn.Module):
    """Grouped-query attention with rotary positions, as transformers' LlamaAttention; the last query stands at the last key."""

    def __init__(self, width, num_heads, num_kv_heads, rotary=None, dim=None, base=10000.0, causal=False, bias=True):
        super().__init__()
        self.heads, self.kv_heads, self.rotary, self.causal = num_heads, num_kv_heads, rotary, causal
        self.turn = dict(base=base, dim=dim)
        inner = width // num_heads * num_kv_heads
        if inner == width:
            self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        else:
            self.q_proj_weight, self.k_proj_weight, self.v_proj_weight = (nn.Parameter(torch.empty(n, width)) for n in (width, inner, inner))
        if bias:
            self.in_proj_bias = nn.Parameter(torch.empty(width + 2 * inner))
        self.out_proj = nn.Linear(width, width, bias=bias)
        self.sizes = [width, inner, inner]

    def forward(self, x, memory=None):
        memory = x if memory is None else memory
        weights = self.in_proj_weight.split(self.sizes) if hasattr(self, "in_proj_weight") else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = self.in_proj_bias.split(self.sizes) if hasattr(self, "in_proj_bias") else (None,) * 3
        q, k, v = (F.linear(source, w, b).unflatten(-1, (n, -1)).transpose(1, 2) for source, w, b, n in
                   zip((x, memory, memory), weights, biases, (self.heads, self.kv_heads, self.kv_heads)))
        first = memory.shape[1] - x.shape[1] if self.causal else 0
        if self.rotary:
            q, k = self.rotary(q, first=first, **self.turn), self.rotary(k, **self.turn)
        mask = torch.ones(x.shape[1], memory.shape[1], dtype=torch.bool).tril(first) if self.causal else None
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return self.out_proj(y.transpose(1, 2).flatten(2))


def multi_head_attention():
    f = Family("multi_head_attention")

    def case(name, shapes, options, *, padding=None, mask=None, average=True, weights=True):
        """Outputs: y and the weights; the weights are compared, not differentiated."""
        inputs, names = list(shapes), []
        for key, value in [("key_padding_mask", padding), ("attn_mask", mask)]:
            if value is not None:
                inputs.append(value)
                names.append(key)

        def call(m, *x):
            q, k, v = {1: lambda: (x[0],) * 3, 2: lambda: (x[0], x[1], x[1]), 3: lambda: x[:3]}[len(shapes)]()
            return m(q, k, v, need_weights=weights, average_attn_weights=average, **dict(zip(names, x[len(shapes):])))[:2 if weights else 1]
        f.case(name, nn.MultiheadAttention(batch_first=True, **options), inputs, dict(**options, extra=names, average=average),
               call=call, differentiate=[True, False], training=True)

    base = dict(embed_dim=6, num_heads=3)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[0, 5:], padding[1, 1] = True, True
    case("self", [(2, 5, 6)], base)
    case("self_per_head", [(2, 5, 6)], base, average=False)
    case("self_no_weights", [(2, 5, 6)], base, weights=False)
    case("no_bias", [(2, 5, 6)], dict(**base, bias=False))
    case("one_head", [(2, 5, 7)], dict(embed_dim=7, num_heads=1))
    case("cross", [(2, 5, 6), (2, 7, 6)], base)
    case("separate", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base)
    case("kdim_vdim", [(2, 5, 6), (2, 7, 4), (2, 7, 9)], dict(**base, kdim=4, vdim=9))
    case("kdim", [(2, 5, 6), (2, 7, 4), (2, 7, 6)], dict(**base, kdim=4))
    case("vdim_no_bias", [(2, 5, 6), (2, 7, 6), (2, 7, 5)], dict(**base, vdim=5, bias=False))
    case("bias_kv", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], dict(**base, add_bias_kv=True))
    case("zero_attn", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], dict(**base, add_zero_attn=True), average=False)
    case("bias_kv_zero_attn", [(2, 5, 6), (2, 7, 4), (2, 7, 9)], dict(**base, kdim=4, vdim=9, add_bias_kv=True, add_zero_attn=True), average=False)
    case("key_padding", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base, padding=padding, average=False)
    case("key_padding_bias_kv_zero", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], dict(**base, add_bias_kv=True, add_zero_attn=True), padding=padding)
    case("mask_bool", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base, mask=~bools((5, 7), 11))
    case("mask_bool_heads", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base, mask=~bools((6, 5, 7), 12), average=False)
    case("mask_bool_bias_kv", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], dict(**base, add_bias_kv=True), mask=~bools((5, 7), 13))
    case("mask_float", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base, mask=(5, 7))
    case("mask_float_heads", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base, mask=(6, 5, 7))
    case("mask_and_padding", [(2, 5, 6), (2, 7, 6), (2, 7, 6)], base, padding=padding, mask=~bools((5, 7), 3, 0.9), average=False)
    case("causal", [(2, 5, 6)], base, mask=~torch.ones(5, 5, dtype=torch.bool).tril(), average=False)
    for name, shapes, options in [
        ("grouped", [(2, 5, 12)], dict(num_heads=4, num_kv_heads=2)),
        ("grouped_one_no_bias", [(2, 5, 12), (2, 7, 12)], dict(num_heads=3, num_kv_heads=1, bias=False)),
        ("rotary_half", [(2, 5, 12)], dict(num_heads=2, num_kv_heads=2, rotary=rotary_half)),
        ("rotary_interleaved_partial", [(2, 5, 12), (2, 7, 12)], dict(num_heads=2, num_kv_heads=2, rotary=rotary_interleaved, dim=4, base=500.0)),
        ("grouped_rotary_causal", [(2, 5, 12)], dict(num_heads=3, num_kv_heads=1, rotary=rotary_half, causal=True)),
        ("grouped_rotary_decoding", [(2, 3, 12), (2, 7, 12)], dict(num_heads=2, num_kv_heads=1, rotary=rotary_interleaved, causal=True)),
    ]:
        text = {k: getattr(v, "__name__", v) for k, v in options.items()}
        f.case(name, LanguageAttention(12, **options), shapes, text, origin="attention of LLaMA")
    return f


FAMILIES = [sdpa, score, multi_head_attention]
