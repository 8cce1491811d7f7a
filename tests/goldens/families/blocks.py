"""Transformer layers and residual blocks with attention after the last norm."""
import torch
from torch import nn
from timm.models.resnet import BasicBlock, Bottleneck
from timm.layers import create_attn
from timm.layers.squeeze_excite import SEModule

from recorder import Family


class AttentionCnn(nn.Module):
    """Convolution, norm, ReLU, squeeze-and-excitation, max pool."""

    def __init__(self, in_channels, out_channels, pool):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.attention = SEModule(out_channels, rd_channels=2)
        self.pool = nn.MaxPool2d(pool)

    def forward(self, x):
        return self.pool(self.attention(self.bn(self.conv(x)).relu()))


def transformer():
    f = Family("transformer")
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[0, 3:] = True
    causal = ~torch.ones(5, 5, dtype=torch.bool).tril()
    for norm_first in (False, True):
        position = "pre" if norm_first else "post"
        for activation in ("relu", "gelu"):
            options = dict(d_model=6, nhead=2, dim_feedforward=11, activation=activation, norm_first=norm_first)
            f.case(f"encoder_{position}_{activation}", nn.TransformerEncoderLayer(dropout=0.0, batch_first=True, **options), [(2, 5, 6)], options, training=True)
            f.case(f"decoder_{position}_{activation}", nn.TransformerDecoderLayer(dropout=0.0, batch_first=True, **options), [(2, 5, 6), (2, 4, 6)], options, training=True)
        options = dict(d_model=6, nhead=3, dim_feedforward=7, norm_first=norm_first)
        f.case(f"encoder_{position}_padding", nn.TransformerEncoderLayer(dropout=0.0, batch_first=True, **options), [(2, 5, 6), padding], options,
               call=lambda m, x, p: m(x, src_key_padding_mask=p), training=True)
        f.case(f"encoder_{position}_causal", nn.TransformerEncoderLayer(dropout=0.0, batch_first=True, **options), [(2, 5, 6), causal], options,
               call=lambda m, x, c: m(x, src_mask=c), training=True)
        f.case(f"decoder_{position}_causal_padding", nn.TransformerDecoderLayer(dropout=0.0, batch_first=True, **options), [(2, 5, 6), (2, 5, 6), causal, padding], options,
               call=lambda m, x, memory, c, p: m(x, memory, tgt_mask=c, memory_key_padding_mask=p), training=True)
    options = dict(d_model=6, nhead=2, dim_feedforward=5, layer_norm_eps=1e-2, bias=False)
    f.case("encoder_no_bias_eps", nn.TransformerEncoderLayer(dropout=0.0, batch_first=True, **options), [(2, 3, 6)], options, training=True)
    return f


def residual():
    f = Family("residual")
    for attention, settings in [("none", None), ("se", dict(rd_channels=3)), ("cbam", dict(rd_channels=2, spatial_kernel_size=3)), ("nl", dict(rd_channels=2))]:
        for training in (True, False):
            layer = (lambda c, s=settings, a=attention, **_: create_attn(a, c, **s)) if settings else None
            f.case(f"basic_{attention}_{'train' if training else 'eval'}", BasicBlock(5, 5, attn_layer=layer), [(2, 5, 4, 6)],
                   dict(in_channels=5, out_channels=5, attention=attention, **(settings or {})), layout="channels_first", training=training)
    down = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6))
    f.case("basic_downsample", BasicBlock(4, 6, stride=2, downsample=down), [(2, 4, 5, 6)], dict(in_channels=4, out_channels=6, stride=2), layout="channels_first")
    down = nn.Sequential(nn.Conv2d(5, 8, 1, stride=2, bias=False), nn.BatchNorm2d(8))
    f.case("bottleneck_se", Bottleneck(5, 2, stride=2, downsample=down, attn_layer=lambda c, **_: create_attn("se", c, rd_channels=3)), [(2, 5, 6, 4)],
           dict(in_channels=5, planes=2, stride=2, rd_channels=3), layout="channels_first")
    for training in (True, False):
        f.case("attention_cnn_" + ("train" if training else "eval"), AttentionCnn(3, 7, 2), [(2, 3, 6, 8)],
               dict(in_channels=3, out_channels=7, pool=2, rd_channels=2), layout="channels_first", training=training)
    return f


FAMILIES = [transformer, residual]
