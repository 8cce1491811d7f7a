"""A17, A18, E1, E2, FM."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import LayerComputation, computes
from .small_layers import SqueezeExcite


class MultiHeadAttention(nn.Module):
    """Self-attention of torch.nn.MultiheadAttention (its parameters), by scaled_dot_product_attention alone."""

    def __init__(self, embed_dim, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * embed_dim))
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        batch, length, embed = x.shape
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).view(batch, length, 3, self.heads, -1).unbind(2)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.out_proj(y.transpose(1, 2).reshape(batch, length, embed))


class TorchMultiHeadAttention(nn.MultiheadAttention):
    def __init__(self, embed_dim, heads):
        super().__init__(embed_dim, heads, batch_first=True)

    def forward(self, x):
        return super().forward(x, x, x, need_weights=False)[0]


class EncoderLayer(nn.Module):
    """torch.nn.TransformerEncoderLayer (its parameters) around the attention above."""

    def __init__(self, embed_dim, heads, feed_forward, eps, norm_first):
        super().__init__()
        self.norm_first = norm_first
        self.self_attn = MultiHeadAttention(embed_dim, heads)
        self.linear1, self.linear2 = nn.Linear(embed_dim, feed_forward), nn.Linear(feed_forward, embed_dim)
        self.norm1, self.norm2 = nn.LayerNorm(embed_dim, eps), nn.LayerNorm(embed_dim, eps)

    def feed_forward(self, x):
        return self.linear2(F.gelu(self.linear1(x)))

    def forward(self, x):
        if self.norm_first:
            x = x + self.self_attn(self.norm1(x))
            return x + self.feed_forward(self.norm2(x))
        x = self.norm1(x + self.self_attn(x))
        return self.norm2(x + self.feed_forward(x))


def torch_encoder_layer(embed_dim, heads, feed_forward, eps, norm_first):
    return nn.TransformerEncoderLayer(embed_dim, heads, feed_forward, 0.0, "gelu", eps, batch_first=True,
                                      norm_first=norm_first)


class SpelledTwice(LayerComputation):
    """By scaled_dot_product_attention, and by torch.nn's own layers with their fast paths."""

    def variants(self):
        for name in ("scaled_dot_product_attention", "torch.nn"):
            yield name, self.filled(self.module(name)), (self.given(),)

    def given(self):
        return self.tensors["x"]


@computes("multi_head_attention")
class MultiHeadAttentionRow(SpelledTwice):
    def module(self, name):
        make = TorchMultiHeadAttention if name == "torch.nn" else MultiHeadAttention
        return make(self.tensors["x"].shape[2], int(self.options["heads"]))

    def onnx_models(self):
        """Attention of ONNX Runtime, which projects and attends, and the projection out."""
        from onnx import TensorProto, helper, numpy_helper
        t, heads = self.tensors, int(self.options["heads"])
        constants = {"w": t["layer.in_proj_weight"].T, "b": t["layer.in_proj_bias"], "wo": t["layer.out_proj.weight"].T,
                     "bo": t["layer.out_proj.bias"]}
        nodes = [helper.make_node("Attention", ["x", "w", "b"], ["read"], num_heads=heads, domain="com.microsoft"),
                 helper.make_node("MatMul", ["read", "wo"], ["projected"]), helper.make_node("Add", ["projected", "bo"], ["output"])]
        shape = list(t["x"].shape)
        graph = helper.make_graph(nodes, "attention", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
                                  [numpy_helper.from_array(c.contiguous().numpy(), n) for n, c in constants.items()])
        domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        yield "Attention", helper.make_model(graph, opset_imports=domains, ir_version=10), {"x": t["x"].numpy()}, torch.from_numpy


@computes("encoder_layer")
class EncoderLayerRow(SpelledTwice):
    def module(self, name):
        make = torch_encoder_layer if name == "torch.nn" else EncoderLayer
        t = self.tensors
        return make(t["x"].shape[2], int(self.options["heads"]), t["layer.linear1.bias"].shape[0], 1e-5,
                    self.options["norm_first"] == "1")


class VisionTransformer(nn.Module):
    def __init__(self, make_layer, embed=384, depth=12, heads=6):
        super().__init__()
        self.patch_embed = nn.Conv2d(3, embed, 16, 16)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed))
        self.pos_embed = nn.Parameter(torch.zeros(1, 197, embed))
        self.blocks = nn.ModuleList(make_layer(embed, heads, 4 * embed, 1e-6, True) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(embed, 1e-6), nn.Linear(embed, 1000)

    def forward(self, images):
        x = self.patch_embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


@computes("vision_transformer")
class VisionTransformerRow(SpelledTwice):
    def module(self, name):
        return VisionTransformer(torch_encoder_layer if name == "torch.nn" else EncoderLayer)

    def given(self):
        return self.tensors["x"].permute(0, 3, 1, 2).contiguous()


class Bottleneck(nn.Module):
    def __init__(self, channels, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv3, self.bn3 = nn.Conv2d(planes, 4 * planes, 1, bias=False), nn.BatchNorm2d(4 * planes)
        self.se = SqueezeExcite(4 * planes, planes // 4)
        self.downsample = None
        if stride != 1 or channels != 4 * planes:
            self.downsample = nn.Sequential(nn.Conv2d(channels, 4 * planes, 1, stride, bias=False), nn.BatchNorm2d(4 * planes))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.se(self.bn3(self.conv3(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class SeResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for stage, depth in enumerate((3, 4, 6, 3)):
            blocks = []
            for block in range(depth):
                planes = 64 << stage
                blocks.append(Bottleneck(channels, planes, 2 if stage and not block else 1))
                channels = 4 * planes
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(2048, 1000)

    def forward(self, images):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(images))), 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


@computes("se_resnet")
class SeResNetRow(LayerComputation):
    def module(self):
        return SeResNet()


class BasicBlock(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.se = SqueezeExcite(width, 8)
        self.downsample = None
        if stride != 1 or channels != width:
            self.downsample = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.se(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class NonLocal(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.t, self.p, self.g = (nn.Conv2d(channels, reduced, 1) for _ in range(3))
        self.z, self.norm, self.scale = nn.Conv2d(reduced, channels, 1), nn.BatchNorm2d(channels), channels ** -0.5

    def forward(self, x):
        flat = lambda m: m.flatten(2).transpose(1, 2)
        read = F.scaled_dot_product_attention(flat(self.t(x)), flat(self.p(x)), flat(self.g(x)), scale=self.scale)
        return self.norm(self.z(read.transpose(1, 2).unflatten(2, x.shape[2:]))) + x


class Tokens(nn.Module):
    def __init__(self, channels, heads, tokens):
        super().__init__()
        self.position = nn.Embedding(tokens, channels)
        self.norm, self.attention = nn.LayerNorm(channels), nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x):
        h = self.norm(x + self.position.weight)
        return x + self.attention(h, h, h, need_weights=False)[0]


class Pool(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 1, channels))
        self.norm, self.attention = nn.LayerNorm(channels), nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, x):
        h = self.norm(x)
        return self.attention(self.query.expand(len(x), -1, -1), h, h, need_weights=False)[0][:, 0]


class FashionNetwork(nn.Module):
    """The default network of examples/fashion_mnist."""

    def __init__(self, stem=32, widths=(32, 64), heads=4, grid=7):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem)
        blocks, channels = [], stem
        for stage, width in enumerate(widths):
            blocks.append(BasicBlock(channels, width, 2 if stage else 1))
            channels = width
        self.blocks, self.spatial = nn.Sequential(*blocks), NonLocal(channels, channels // 2)
        self.tokens, self.pool = Tokens(channels, heads, grid * grid), Pool(channels, heads)
        self.dropout, self.head = nn.Dropout(0.1), nn.Linear(channels, 10)

    def forward(self, images):
        x = self.spatial(self.blocks(F.max_pool2d(F.relu(self.bn(self.conv(images))), 2)))
        return self.head(self.dropout(self.pool(self.tokens(x.flatten(2).transpose(1, 2)))))


@computes("fashion_mnist")
class FashionMnistTraining(LayerComputation):
    """Steps of AdamW on the cross entropy; compared are the logits of the untrained network."""

    wanted = ()
    compares_evaluation = True

    def module(self):
        return FashionNetwork()

    def optimizer(self, parameters):
        return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)

    def loss(self, output):
        return F.cross_entropy(output, self.tensors["labels"].long())
