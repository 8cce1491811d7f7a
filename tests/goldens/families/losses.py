"""Losses with every reduction that matters; dice written out."""
import torch
import torch.nn.functional as F

from recorder import Family


def dice(p, t, smooth=1e-5, squared=False, pooled=False, background=True, reduction="mean"):
    """1 - (2 sum p t + s) / (sum p + sum t + s) per sample and class (Milletari et al. 2016; monai's DiceLoss)."""
    p, t = (v if background else v[..., 1:] for v in (p, t))
    axes = tuple(range(0 if pooled else 1, p.dim() - 1))
    power = 2 if squared else 1
    loss = 1 - (2 * (p * t).sum(axes) + smooth) / ((p ** power).sum(axes) + (t ** power).sum(axes) + smooth)
    return loss.mean() if reduction == "mean" else loss.sum()


def loss():
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
    on = (torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(6)) < 0.4).double()
    classes = torch.randint(0, 5, (2, 3, 4), generator=torch.Generator().manual_seed(7))
    for name, target, options in [("sigmoid", on, {}), ("sigmoid_squared_sum", on, dict(squared=True, reduction="sum", smooth=0.5)),
                                  ("labels", classes, {}), ("labels_pooled", classes, dict(pooled=True, smooth=1.0)),
                                  ("labels_no_background", classes, dict(background=False))]:
        def call(_, x, t, o=options, labelled=target is classes):
            p = x.softmax(-1) if labelled else x.sigmoid()
            return dice(p, F.one_hot(t, 5).double() if labelled else t, **o)
        f.case("dice_" + name, None, [(2, 3, 4, 5), target], options, call=call, origin="monai.losses.DiceLoss")
    return f


FAMILIES = [loss]
