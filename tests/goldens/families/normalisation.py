"""Normalisation layers, in training and evaluation, with the running statistics that result."""
from torch import nn

from recorder import Family


def batch_norm():
    f = Family("batch_norm")
    for name, kind, shape, options in [
        ("rows", nn.BatchNorm1d, (5, 3), {}), ("sequence", nn.BatchNorm1d, (2, 3, 5), {}),
        ("map", nn.BatchNorm2d, (2, 3, 5, 4), {}), ("volume", nn.BatchNorm3d, (2, 3, 2, 5, 4), {}),
        ("eps_momentum", nn.BatchNorm2d, (3, 4, 2, 5), dict(eps=1e-2, momentum=0.3)),
        ("not_affine", nn.BatchNorm2d, (3, 4, 2, 5), dict(affine=False)),
        ("cumulative", nn.BatchNorm2d, (3, 2, 4, 5), dict(momentum=None)),
        ("untracked", nn.BatchNorm2d, (3, 2, 4, 5), dict(track_running_stats=False)),
    ]:
        for training in (True, False):
            channels = shape[1]
            f.case(f"{name}_{'train' if training else 'eval'}", kind(channels, **options), [shape],
                   dict(channels=channels, **options), layout="channels_first", training=training, low=-2.0, high=3.0)
    f.case("one_sample_train", nn.BatchNorm2d(3), [(1, 3, 2, 2)], dict(channels=3), layout="channels_first", training=True)
    return f


def layer_norm():
    f = Family("layer_norm")
    for name, shape, options in [
        ("sequence", (2, 5, 7), dict(normalized_shape=7)),
        ("rows", (5, 6), dict(normalized_shape=6)),
        ("map", (2, 3, 4, 5), dict(normalized_shape=5)),
        ("two_axes", (3, 4, 5), dict(normalized_shape=(4, 5))),
        ("eps", (2, 5, 7), dict(normalized_shape=7, eps=1e-2)),
        ("eps_timm", (2, 5, 3), dict(normalized_shape=3, eps=1e-6)),
        ("no_bias", (2, 5, 7), dict(normalized_shape=7, bias=False)),
        ("not_affine", (2, 5, 7), dict(normalized_shape=7, elementwise_affine=False)),
    ]:
        f.case(name, nn.LayerNorm(**options), [shape], options, low=-2.0, high=3.0)
    for name, shape, options in [
        ("rms_sequence", (2, 5, 7), dict(normalized_shape=7)),
        ("rms_map", (2, 3, 4, 5), dict(normalized_shape=5)),
        ("rms_eps", (2, 5, 7), dict(normalized_shape=7, eps=1e-2)),
        ("rms_not_affine", (2, 5, 7), dict(normalized_shape=7, eps=1e-6, elementwise_affine=False)),
    ]:
        f.case(name, nn.RMSNorm(**options), [shape], options, low=-2.0, high=3.0)
    return f


def group_norm():
    f = Family("group_norm")
    for name, shape, options in [
        ("groups", (2, 6, 5, 4), dict(num_groups=3, num_channels=6)),
        ("one_group", (2, 5, 3, 4), dict(num_groups=1, num_channels=5)),
        ("each_channel", (2, 5, 3, 4), dict(num_groups=5, num_channels=5)),
        ("sequence", (2, 6, 5), dict(num_groups=2, num_channels=6)),
        ("rows", (5, 6), dict(num_groups=2, num_channels=6)),
        ("eps", (2, 4, 5, 3), dict(num_groups=2, num_channels=4, eps=1e-2)),
        ("not_affine", (2, 4, 5, 3), dict(num_groups=2, num_channels=4, affine=False)),
    ]:
        f.case(name, nn.GroupNorm(**options), [shape], options, layout="channels_first", low=-2.0, high=3.0)
    for name, kind, shape, options in [
        ("instance_map", nn.InstanceNorm2d, (2, 3, 5, 4), {}),
        ("instance_affine", nn.InstanceNorm2d, (2, 3, 5, 4), dict(affine=True)),
        ("instance_sequence", nn.InstanceNorm1d, (2, 3, 5), dict(affine=True, eps=1e-2)),
    ]:
        f.case(name, kind(shape[1], **options), [shape], dict(channels=shape[1], **options), layout="channels_first",
               training=True, low=-2.0, high=3.0)
    for training in (True, False):
        f.case("instance_tracked_" + ("train" if training else "eval"), nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
               [(2, 3, 5, 4)], dict(channels=3, affine=True, track_running_stats=True), layout="channels_first",
               training=training, low=-2.0, high=3.0)
    return f


FAMILIES = [batch_norm, layer_norm, group_norm]
