"""Losses with every reduction that matters; dice written out."""
import torch
import torch.nn.functional as F

from recorder import Family


def losses():
    f = Family("loss")
    labels = torch.tensor([2, 0, 3, 1, 3])
    maps = torch.tensor([[1, 0, 3, 2], [2, 2, 0, 1]])
    weight = torch.tensor([0.5, 1.5, 2.0, 0.25])
    ignoring = torch.tensor([2, -100, 3, 1, -100])
    for name, shape, target, options in [
        ("plain", (5, 4), labels, {}), ("sum", (5, 4), labels, dict(reduction="sum")), ("none", (5, 4), labels, dict(reduction="none")),
        ("smoothing", (5, 4), labels, dict(label_smoothing=0.1)), ("weight", (5, 4), labels, dict(weight=weight)),
        ("weight_smoothing", (5, 4), labels, dict(weight=weight, label_smoothing=0.2)),
        ("ignore", (5, 4), ignoring, {}), ("ignore_other", (5, 4), labels, dict(ignore_index=3)),
        ("ignore_weight_smoothing", (5, 4), ignoring, dict(weight=weight, label_smoothing=0.2)),
        ("weight_sum", (5, 4), labels, dict(weight=weight, reduction="sum")),
        ("large", (5, 4), labels, {}),
    ]:
        text = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
        f.case("cross_entropy_" + name, None, [shape, target], text, call=lambda _, x, t, o=options: F.cross_entropy(x, t, **o),
               origin="torch.nn.functional.cross_entropy", low=-400.0 if name == "large" else -3.0, high=400.0 if name == "large" else 3.0)
    f.case("cross_entropy_sequence", None, [(2, 4, 4), maps], {}, call=lambda _, x, t: F.cross_entropy(x.flatten(0, 1), t.flatten()),
           origin="torch.nn.functional.cross_entropy")
    target = torch.rand(3, 5, generator=torch.Generator().manual_seed(4)).float().double()
    pos_weight = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.25])
    for name, options in [("plain", {}), ("sum", dict(reduction="sum")), ("none", dict(reduction="none")), ("pos_weight", dict(pos_weight=pos_weight))]:
        text = {k: v.tolist() if isinstance(v, torch.Tensor) else v for k, v in options.items()}
        f.case("bce_with_logits_" + name, None, [(3, 5), target], text,
               call=lambda _, x, t, o=options: F.binary_cross_entropy_with_logits(x, t, **o), low=-4.0, high=4.0,
               origin="torch.nn.functional.binary_cross_entropy_with_logits")
    f.case("bce_with_logits_large", None, [(3, 5), target], {}, call=lambda _, x, t: F.binary_cross_entropy_with_logits(x, t),
           low=-500.0, high=500.0, origin="torch.nn.functional.binary_cross_entropy_with_logits")
    for name, options in [("plain", {}), ("sum", dict(reduction="sum")), ("none", dict(reduction="none"))]:
        f.case("mse_" + name, None, [(3, 4, 5), (3, 4, 5)], options, call=lambda _, x, t, o=options: F.mse_loss(x, t, **o), origin="torch.nn.functional.mse_loss")
    return f


FAMILIES = [losses]
