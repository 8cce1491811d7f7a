#!/usr/bin/env python3
"""Training throughput of examples/fashion_mnist's default network here and in PyTorch 2.13 (eager, channels_last), in turns.

    pip install torch==2.13.0
    bench/peers/fashion_mnist_training.py BUILD/bench/training_benchmark [--rounds 11] [--threads 2]

Both train the same network (convolutions, squeeze-and-excitation, non-local and multi-head attention, attention pooling) with
AdamW on batches of 128 random images, the same thread count, float32. A round times a block of steps of each, one after the
other; printed are both medians and the median and 10/90 % of the ratio of the pairs.
"""
import argparse
import statistics
import subprocess
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


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


class Network(nn.Module):
    def __init__(self, stem=32, widths=(32, 64), heads=4, grid=7):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem)
        blocks, channels = [], stem
        for stage, width in enumerate(widths):
            blocks.append(BasicBlock(channels, width, 2 if stage else 1))
            channels = width
        self.blocks, self.spatial = nn.Sequential(*blocks), NonLocal(channels, channels // 2)
        self.position = nn.Parameter(torch.zeros(1, grid * grid, channels))
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.query = nn.Parameter(torch.randn(1, 1, channels) * channels ** -0.5)
        self.pool = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.dropout, self.head = nn.Dropout(0.1), nn.Linear(channels, 10)

    def forward(self, images):
        x = self.spatial(self.blocks(F.max_pool2d(F.relu(self.bn(self.conv(images))), 2)))
        x = x.flatten(2).transpose(1, 2)
        h = self.norm1(x + self.position)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        h = self.norm2(x)
        pooled = self.pool(self.query.expand(len(x), -1, -1), h, h, need_weights=False)[0][:, 0]
        return self.head(self.dropout(pooled))


def torch_block(model, optimizer, images, labels, steps):
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    return (time.perf_counter() - start) / steps


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = torch.randn(128, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(128) % 10
    print(f"PyTorch {torch.__version__}, {sum(p.numel() for p in model.parameters())} parameters, {options.threads} threads")
    # Ours waits for a line on standard input, trains a block, and answers with the seconds per step.
    ours = subprocess.Popen([options.program, "--blocks", str(options.steps), str(options.threads)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    print(ours.stdout.readline().strip())

    def ours_block():
        ours.stdin.write("go\n")
        ours.stdin.flush()
        return float(ours.stdout.readline())

    torch_block(model, optimizer, images, labels, options.steps), ours_block()  # warm up
    pairs = [(ours_block(), torch_block(model, optimizer, images, labels, options.steps)) for _ in range(options.rounds)]
    ours.stdin.close()
    ratios = sorted(theirs / mine for mine, theirs in pairs)
    at = lambda share: ratios[round(share * (len(ratios) - 1))]
    print(f"attend  {128 / statistics.median(p[0] for p in pairs):7.0f} images/s")
    print(f"PyTorch {128 / statistics.median(p[1] for p in pairs):7.0f} images/s")
    print(f"ratio attend / PyTorch: median {at(0.5):.2f}, 10 % {at(0.1):.2f}, 90 % {at(0.9):.2f} over {len(ratios)} pairs")


if __name__ == "__main__":
    main()
