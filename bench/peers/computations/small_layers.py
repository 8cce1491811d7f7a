"""S1-S5, N1-N3, R1."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Computation, LayerComputation, computes


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


@computes("squeeze_excite")
class SqueezeExciteRow(LayerComputation):
    def module(self):
        reduced, channels = self.tensors["layer.fc1.weight"].shape[:2]
        return SqueezeExcite(channels, reduced)


class CbamChannel(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, reduced, 1, bias=False), nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, x):
        mean = self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        largest = self.fc2(F.relu(self.fc1(x.amax((2, 3), keepdim=True))))
        return x * torch.sigmoid(mean + largest)


class ConvNorm(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(1)

    def forward(self, x):
        return self.bn(self.conv(x))


class CbamSpatial(nn.Module):
    def __init__(self, kernel):
        super().__init__()
        self.conv = ConvNorm(kernel)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)))


class Cbam(nn.Module):
    def __init__(self, channels, reduced, kernel):
        super().__init__()
        self.channel, self.spatial = CbamChannel(channels, reduced), CbamSpatial(kernel)

    def forward(self, x):
        return self.spatial(self.channel(x))


@computes("cbam")
class CbamRow(LayerComputation):
    def module(self):
        reduced, channels = self.tensors["layer.channel.fc1.weight"].shape[:2]
        return Cbam(channels, reduced, self.tensors["layer.spatial.conv.conv.weight"].shape[2])


@computes("layer_norm")
class LayerNormRow(LayerComputation):
    def module(self):
        return nn.LayerNorm(self.tensors["x"].shape[1])


@computes("softmax")
class SoftmaxRow(LayerComputation):
    def module(self):
        return nn.Softmax(-1)


class BiasGelu(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels))

    def forward(self, x):
        return F.gelu(x + self.bias)


@computes("bias_gelu")
class BiasGeluRow(LayerComputation):
    def module(self):
        return BiasGelu(self.tensors["x"].shape[1])


class BahdanauStep(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, query, keys):
        weights = torch.softmax(torch.tanh(query + keys) @ self.weight, -1)
        return torch.bmm(weights.unsqueeze(1), keys)


@computes("bahdanau")
class BahdanauRow(Computation):
    def variants(self):
        t = self.tensors
        yield "as it is", BahdanauStep(t["layer.weight"]), (t["query"].flatten(1, 2), t["keys"].flatten(2))

    def results(self, output):
        return {"output": output.unsqueeze(1)}
