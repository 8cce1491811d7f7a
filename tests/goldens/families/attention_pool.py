"""Attention pooling with learned queries."""
from torch import nn
from timm.layers import AttentionPoolLatent

from recorder import Family


def attention_pool():
    f = Family("attention_pool")
    for name, shape, arguments in [
        ("default", (3, 5, 16), {}),
        ("heads_ratio", (2, 7, 6), dict(num_heads=3, mlp_ratio=2.0)),
        ("latents_mean", (2, 5, 6), dict(num_heads=2, latent_len=3, pool_type="avg")),
        ("out_norm", (2, 4, 6), dict(out_features=5, num_heads=2, mlp_ratio=1.0, norm_layer=nn.LayerNorm)),
        ("no_bias", (2, 5, 6), dict(num_heads=1, qkv_bias=False, act_layer=nn.SiLU)),
        ("logits_off", (2, 5, 6), dict(num_heads=6, out_features=0, latent_len=2)),
    ]:
        text = {k: getattr(v, "__name__", v) for k, v in arguments.items()}
        f.case(name, AttentionPoolLatent(shape[2], **arguments), [shape], dict(in_features=shape[2], **text))
    return f


FAMILIES = [attention_pool]
