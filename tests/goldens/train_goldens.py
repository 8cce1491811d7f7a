"""Values of torch 2.13.0 that tests/train compares with, written as a C++ header: losses, optimizers, schedules.

python tests/goldens/train_goldens.py    rewrites tests/train/torch_values.hpp (then clang-format -i)
generate.py may call write() as well.
"""
import math
import pathlib
import warnings

import torch
import torch.nn.functional as F

warnings.filterwarnings("ignore")
HEADER = pathlib.Path(__file__).resolve().parent.parent / "train" / "torch_values.hpp"


def wave(*shape, scale=1.0, shift=0.0):
    """The same numbers as `wave` in the tests: sin(1.7 i + shift) * scale, double."""
    count = math.prod(shape)
    return torch.tensor([math.sin(1.7 * i + shift) * scale for i in range(count)], dtype=torch.float64).reshape(shape)


def numbers(values):
    return ", ".join(repr(float(v)) for v in values)


# ---- losses: name, value, gradient by the first input -------------------------------------------------------------

def losses():
    x = wave(7, 5, scale=2)
    y = torch.tensor([0, 3, 4, 1, 1, 2, 4])
    ignored = torch.tensor([0, 3, 2, 1, 1, 2, 4])
    w = torch.tensor([0.5, 1.0, 2.0, 0.25, 1.5], dtype=torch.float64)
    t = torch.softmax(wave(7, 5, shift=0.4), -1)
    target = torch.sigmoid(wave(7, 5, shift=2))
    element = 0.2 + wave(7, 5, shift=3).abs()
    image = wave(2, 3, 4, 5, scale=2)
    labels = (torch.arange(24).reshape(2, 3, 4) * 7) % 5
    ce, bce = F.cross_entropy, F.binary_cross_entropy_with_logits
    cases = {
        "ce": (x, lambda v: ce(v, y)),
        "ce sum": (x, lambda v: ce(v, y, reduction="sum")),
        "ce smooth": (x, lambda v: ce(v, y, label_smoothing=0.1)),
        "ce weights": (x, lambda v: ce(v, y, weight=w)),
        "ce weights smooth": (x, lambda v: ce(v, y, weight=w, label_smoothing=0.3)),
        "ce ignore": (x, lambda v: ce(v, ignored, ignore_index=2)),
        "ce ignore weights smooth": (x, lambda v: ce(v, ignored, weight=w, ignore_index=2, label_smoothing=0.2)),
        "ce ignore weights smooth sum": (
            x, lambda v: ce(v, ignored, weight=w, ignore_index=2, label_smoothing=0.2, reduction="sum")),
        "ce probabilities": (x, lambda v: ce(v, t)),
        "ce probabilities weights smooth": (x, lambda v: ce(v, t, weight=w, label_smoothing=0.2)),
        "ce probabilities sum": (x, lambda v: ce(v, t, weight=w, reduction="sum")),
        "ce image": (image, lambda v: ce(v.permute(0, 3, 1, 2), labels, weight=w, label_smoothing=0.1)),
        "ce huge": (x * 5000, lambda v: ce(v, y)),
        "bce": (x, lambda v: bce(v, target)),
        "bce sum": (x, lambda v: bce(v, target, reduction="sum")),
        "bce pos_weight": (x, lambda v: bce(v, target, pos_weight=w)),
        "bce weight": (x, lambda v: bce(v, target, weight=element)),
        "bce weight column pos_weight": (x, lambda v: bce(v, target, weight=element[:, :1], pos_weight=w)),
        "bce huge": (x * 5000, lambda v: bce(v, (target > 0.5).double())),
        "mse": (x, lambda v: F.mse_loss(v, target)),
        "mse sum": (x, lambda v: F.mse_loss(v, target, reduction="sum")),
    }
    for name, (start, f) in cases.items():
        v = start.clone().requires_grad_()
        value = f(v)
        value.backward()
        yield name, value.item(), v.grad.reshape(-1)


# ---- optimizers: 60 steps of least squares; the eight numbers of weight (2, 3) and bias (2) after some of them ------

STEPS = 60
SHOWN = (1, 2, 10, 60)


def train(make, each_step=None, clip=None, skip_bias_at=()):
    weight = wave(2, 3, shift=0.5).requires_grad_()
    bias = wave(2, shift=0.9).requires_grad_()
    x, y = wave(5, 3, scale=1.5), wave(5, 2, shift=2.5)
    optimizer = make(weight, bias)
    after = each_step(optimizer) if each_step else None
    shown = []
    for step in range(1, STEPS + 1):
        optimizer.zero_grad(set_to_none=True)
        F.mse_loss(F.linear(x, weight, bias), y, reduction="sum").backward()
        if step in skip_bias_at:
            bias.grad = None
        if clip:
            clip([weight, bias])
        optimizer.step()
        if after:
            after.step()
        if step in SHOWN:
            shown += weight.reshape(-1).tolist() + bias.tolist()
    return shown


def optimizers():
    o = torch.optim
    both = lambda kind, **options: lambda w, b: kind([w, b], **options)
    groups = lambda w, b: o.AdamW([{"params": [w], "weight_decay": 0.2, "lr": 0.02},
                                   {"params": [b], "weight_decay": 0.0, "lr": 0.002}])
    clip = torch.nn.utils.clip_grad_norm_
    cases = {
        "sgd": (both(o.SGD, lr=0.02),),
        "sgd momentum": (both(o.SGD, lr=0.02, momentum=0.9),),
        "sgd dampening": (both(o.SGD, lr=0.02, momentum=0.9, dampening=0.4),),
        "sgd nesterov": (both(o.SGD, lr=0.02, momentum=0.8, nesterov=True),),
        "sgd decay": (both(o.SGD, lr=0.02, weight_decay=0.3),),
        "sgd nesterov decay": (both(o.SGD, lr=0.02, momentum=0.8, nesterov=True, weight_decay=0.3),),
        "adam": (both(o.Adam, lr=0.05),),
        "adam decay": (both(o.Adam, lr=0.05, weight_decay=0.3),),
        "adam amsgrad": (both(o.Adam, lr=0.05, amsgrad=True),),
        "adam eps": (both(o.Adam, lr=0.05, betas=(0.7, 0.95), eps=0.3),),
        "adamw": (both(o.AdamW, lr=0.05),),
        "adamw decay": (both(o.AdamW, lr=0.05, weight_decay=0.5),),
        "adamw amsgrad": (both(o.AdamW, lr=0.05, weight_decay=0.5, amsgrad=True, betas=(0.5, 0.6)),),
        "adamw groups": (groups,),
        "adam skip": (both(o.Adam, lr=0.05), None, None, (1, 4, 5)),
        "sgd skip": (both(o.SGD, lr=0.02, momentum=0.9, dampening=0.4, weight_decay=0.1), None, None, (1, 4, 5)),
        "sgd clip": (both(o.SGD, lr=0.02, momentum=0.9), None, lambda p: clip(p, 0.7)),
        "sgd clip 1": (both(o.SGD, lr=0.02, momentum=0.9), None, lambda p: clip(p, 0.7, norm_type=1)),
        "sgd clip inf": (both(o.SGD, lr=0.02, momentum=0.9), None, lambda p: clip(p, 0.7, norm_type=math.inf)),
        "sgd clip value": (both(o.SGD, lr=0.02, momentum=0.9), None,
                           lambda p: torch.nn.utils.clip_grad_value_(p, 0.5)),
        "adamw one cycle": (both(o.AdamW, lr=0.05, weight_decay=0.1),
                            lambda a: o.lr_scheduler.OneCycleLR(a, max_lr=0.1, total_steps=STEPS + 1)),
    }
    for name, arguments in cases.items():
        yield name, train(*arguments)


# ---- schedules: the rate at steps 0 .. 999; and momentum where it is cycled -----------------------------------------

def schedules():
    s = torch.optim.lr_scheduler
    sgd = lambda lr: torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    warm = lambda start, count: lambda o: s.SequentialLR(
        o, [s.LinearLR(o, start_factor=start, total_iters=count), s.CosineAnnealingLR(o, 1000 - count, eta_min=0.01)],
        [count])
    cases = {
        "constant": (0.3, lambda o: s.ConstantLR(o, factor=1.0)),
        "step": (0.3, lambda o: s.StepLR(o, 70, gamma=0.7)),
        "cosine": (0.3, lambda o: s.CosineAnnealingLR(o, 1000)),
        "cosine eta_min": (0.3, lambda o: s.CosineAnnealingLR(o, 1000, eta_min=0.02)),
        "one cycle": (1.0, lambda o: s.OneCycleLR(o, max_lr=0.3, total_steps=1000)),
        "one cycle linear": (1.0, lambda o: s.OneCycleLR(o, 0.3, 1000, pct_start=0.21, anneal_strategy="linear",
                                                         div_factor=10, final_div_factor=50)),
        "one cycle three phases": (1.0, lambda o: s.OneCycleLR(o, 0.3, 1000, pct_start=0.4, three_phase=True,
                                                               base_momentum=0.7, max_momentum=0.97)),
        "warm-up": (0.3, warm(1 / 3, 5)),
        "long warm-up": (0.3, warm(0.01, 250)),
    }
    for name, (rate, make) in cases.items():
        optimizer = sgd(rate)
        schedule = make(optimizer)
        rates, momenta = [], []
        for step in range(1000):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if step < 999:
                schedule.step()
        # every 37th step and the ends; the sum of all stands for the rest
        shown = sorted({*range(0, 1000, 37), 1, 2, 4, 5, 6, 249, 250, 251, 998, 999})
        yield name, shown, [rates[i] for i in shown], math.fsum(rates), [momenta[i] for i in shown]


def text():
    lines = ["#pragma once", "// Written by tests/goldens/train_goldens.py with torch " + torch.__version__ +
             "; do not edit.", "// clang-format off", "#include <vector>", "", "namespace torch_values {", "",
             "struct Loss {\n  const char* name;\n  double value;\n  std::vector<double> gradient;\n};",
             "inline const std::vector<Loss> losses = {"]
    lines += [f'    {{"{n}", {v!r}, {{{numbers(g)}}}}},' for n, v, g in losses()]
    lines += ["};", "", f"inline constexpr int steps = {STEPS};",
              "inline const std::vector<int> shown_steps = {" + ", ".join(map(str, SHOWN)) + "};",
              "/// weight (2, 3) then bias (2), after each of shown_steps.",
              "struct Trajectory {\n  const char* name;\n  std::vector<double> values;\n};",
              "inline const std::vector<Trajectory> optimizers = {"]
    lines += [f'    {{"{n}", {{{numbers(v)}}}}},' for n, v in optimizers()]
    lines += ["};", "",
              "struct Schedule {\n  const char* name;\n  std::vector<int> steps;\n  std::vector<double> rates;\n"
              "  double sum_of_1000;\n  std::vector<double> momenta;\n};",
              "inline const std::vector<Schedule> schedules = {"]
    lines += [f'    {{"{n}", {{{", ".join(map(str, i))}}}, {{{numbers(r)}}}, {total!r}, {{{numbers(m)}}}}},'
              for n, i, r, total, m in schedules()]
    return "\n".join(lines + ["};", "", "}  // namespace torch_values", ""])


def write():
    HEADER.write_text(text())


if __name__ == "__main__":
    write()
