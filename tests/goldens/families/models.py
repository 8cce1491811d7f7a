"""Whole networks of timm with numbers that both sides compute: weights of ResNets are too large to keep.

Parameter or buffer `name`, element i: u = splitmix64(crc32(name) 2^32 + i) as a number in [-1, 1), exact in float32;

    weights of rank 2 and more   1.5 u / sqrt(numbers per output)      running_var   1 + u / 2
    other weights (norms)        1 + u / 4                             else          u / 4

The input, (2, 3, 64, 48) where nothing else is said, is `unit` of the network's name. The file holds the output in evaluation, the number of parameters, and the CRC-32 of the sorted lines
"name shape\n" of the state dict (without num_batches_tracked), shape as "(64, 3, 7, 7)".
"""
import json
import math
import zlib

import numpy as np
import timm
import torch

from recorder import Family


def unit(name, count):
    with np.errstate(over="ignore"):
        z = (np.uint64(zlib.crc32(name.encode())) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
        z = z + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2 ** 23 - 1


def fill(model):
    for name, t in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        u = torch.from_numpy(unit(name, t.numel())).reshape(t.shape)
        if name.endswith("running_var"):
            t.copy_(1 + u / 2)
        elif name.endswith("weight") and t.dim() > 1:
            t.copy_(u * 1.5 / math.sqrt(t.numel() / t.shape[0]))
        elif name.endswith("weight"):
            t.copy_(1 + u / 4)
        else:
            t.copy_(u / 4)


def put(f, name, model, shape=(2, 3, 64, 48), origin="timm", read=lambda y: y):
    model = model.double().eval()
    with torch.no_grad():
        fill(model)
        y = read(model(torch.from_numpy(unit(name, math.prod(shape))).reshape(shape)))
    if isinstance(y, list):  # of maps, each 8th row and column, and vectors
        y = torch.cat([m[..., ::8, ::8].flatten() if m.dim() == 4 else m.flatten() for m in y])
    f.put(f"{name}/output", y)
    f.put(f"{name}/parameters", torch.tensor(sum(p.numel() for p in model.parameters())))
    lines = sorted(f"{n} {tuple(t.shape)}\n" for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked"))
    f.put(f"{name}/state", torch.tensor(zlib.crc32("".join(lines).encode())))
    f.metadata[name] = json.dumps({"layout": {}, "options": {}, "origin": origin, "training": False}, sort_keys=True)
    f.cases += 1


def models():
    """Networks on the frame of a ResNet, and of inverted residuals."""
    f = Family("models")
    for name, options in [
        ("resnet18", {}), ("resnet18d", {}), ("resnet50", {}), ("seresnet50", {}), ("resnext50_32x4d", {}),
        ("resnet26t", {}), ("efficientnet_b0", {}), ("efficientnet_b1", {}), ("mobilenetv3_small_100", {}), ("mobilenetv3_large_100", {}),
        ("resnet18_dilated", dict(model="resnet18", output_stride=8)), ("resnet50d_dilated", dict(model="resnet50d", output_stride=16)),
        ("ecaresnet26t", {}), ("ecaresnet50d", {}), ("cbam_resnet18", dict(model="resnet18", block_args=dict(attn_layer="cbam"))),
        ("skresnet18", {}), ("skresnet34", {}), ("skresnet50", {}), ("skresnext50_32x4d", {}),
        ("resnest14d", {}), ("resnest26d", {}), ("resnest50d", {}), ("resnest50d_4s2x40d", {}),
    ]:
        put(f, name, timm.create_model(options.pop("model", name), num_classes=7, **options))
    return f


def attention_models():
    """timm's byobnets with attention, and networks of other frames."""
    f = Family("attention_models")
    for name, shape, options in [
        ("gcresnet50t", (2, 3, 64, 48), {}), ("gcresnext26ts", (2, 3, 64, 48), {}), ("gcresnet33ts", (2, 3, 64, 48), {}),
        ("botnet26t_256", (2, 3, 64, 96), dict(img_size=(64, 96))),
        ("sebotnet33ts_256", (1, 3, 64, 96), dict(img_size=(64, 96))),
        ("halonet26t", (1, 3, 256, 256), {}), ("halonet_h1", (1, 3, 256, 256), {}), ("lambda_resnet26t", (2, 3, 64, 96), {}),
        ("lambda_resnet26rpt_256", (2, 3, 64, 96), dict(img_size=(64, 96))),
        ("convnextv2_atto", (2, 3, 64, 48), {}), ("convnextv2_tiny", (1, 3, 64, 48), {}), ("convnext_atto", (2, 3, 64, 48), {}),
        ("coatnet_0_rw_224", (2, 3, 64, 96), dict(img_size=(64, 96))), ("coatnet_nano_rw_224", (2, 3, 64, 96), dict(img_size=(64, 96))),
        ("coatnet_pico_rw_224", (2, 3, 64, 96), dict(img_size=(64, 96))),
    ]:
        put(f, name, timm.create_model(name, num_classes=7, **options), shape)
    return f


FAMILIES = [models, attention_models]
