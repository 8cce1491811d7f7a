"""Dense, activations, softmax, embedding."""
import torch
from torch import nn

from recorder import Family, torch_hardsigmoid


def dense():
    f = Family("dense")
    for name, shape, options in [
        ("rows", (5, 7), dict(in_features=7, out_features=3)),
        ("sequence", (2, 5, 7), dict(in_features=7, out_features=9)),
        ("map", (2, 3, 4, 5), dict(in_features=5, out_features=11)),
        ("one_output", (4, 6), dict(in_features=6, out_features=1)),
        ("no_bias", (3, 4, 5), dict(in_features=5, out_features=2, bias=False)),
    ]:
        f.case(name, nn.Linear(**options), [shape], options)
    return f


def activation():
    f = Family("activation")
    functions = {
        "relu": (nn.ReLU, {}), "leaky_relu": (nn.LeakyReLU, {}), "leaky_relu_slope": (nn.LeakyReLU, dict(negative_slope=0.2)),
        "gelu_erf": (nn.GELU, {}), "gelu_tanh": (nn.GELU, dict(approximate="tanh")), "silu": (nn.SiLU, {}),
        "sigmoid": (nn.Sigmoid, {}), "hard_sigmoid": (nn.Hardsigmoid, {}), "hard_swish": (nn.Hardswish, {}),
        "tanh": (nn.Tanh, {}), "softplus": (nn.Softplus, {}), "softplus_beta": (nn.Softplus, dict(beta=2.5, threshold=4.0)),
        "elu": (nn.ELU, {}), "elu_alpha": (nn.ELU, dict(alpha=0.7)),
    }
    for name, (kind, options) in functions.items():
        f.case(name, kind(**options), [(3, 5, 7)], options, low=-4.5, high=4.5)
    f.case("hard_sigmoid_torch", None, [(3, 5, 7)], {}, call=lambda _, x: torch_hardsigmoid(x), low=-4.5, high=4.5, origin="torch.nn.functional.hardsigmoid")
    for name in ["sigmoid", "tanh", "softplus", "silu", "gelu_erf", "gelu_tanh"]:  # far into the flat parts
        kind, options = functions[name]
        f.case(name + "_far", kind(**options), [(5, 9)], options, low=-45.0, high=45.0)
    return f


def softmax():
    f = Family("softmax")
    for name, shape, axis in [("last", (3, 5, 7), 2), ("middle", (3, 5, 7), 1), ("first", (4, 3), 0), ("one", (3, 1), 1)]:
        f.case("softmax_" + name, nn.Softmax(dim=axis), [shape], dict(axis=axis), low=-3.0, high=3.0)
        f.case("log_softmax_" + name, nn.LogSoftmax(dim=axis), [shape], dict(axis=axis), low=-3.0, high=3.0)
    f.case("softmax_large", nn.Softmax(dim=-1), [(3, 11)], dict(axis=1), low=-700.0, high=700.0)
    f.case("log_softmax_large", nn.LogSoftmax(dim=-1), [(3, 11)], dict(axis=1), low=-700.0, high=700.0)
    return f


def embedding():
    f = Family("embedding")
    ids = torch.tensor([[4, 0, 2, 4, 6], [1, 2, 2, 3, 0]])
    f.case("plain", nn.Embedding(7, 5), [ids], dict(num_embeddings=7, embedding_dim=5))
    f.case("padding_idx", nn.Embedding(7, 5, padding_idx=2), [ids], dict(num_embeddings=7, embedding_dim=5, padding_idx=2))
    f.case("one_axis", nn.Embedding(7, 3), [ids[0]], dict(num_embeddings=7, embedding_dim=3))
    return f


def arithmetic():
    """Broadcasting arithmetic, reductions and batched products, as torch has them."""
    f = Family("arithmetic")
    for name, function, shapes in [
        ("add_broadcast", lambda _, a, b: a + b, [(3, 4, 5), (3, 1, 5)]),
        ("multiply_broadcast", lambda _, a, b: a * b, [(2, 3, 4, 5), (2, 1, 1, 5)]),
        ("subtract_both", lambda _, a, b: a - b, [(3, 1, 5), (1, 4, 5)]),
        ("divide_broadcast", lambda _, a, b: a / (b + 2.5), [(3, 4, 5), (1, 4, 1)]),
        ("matmul", lambda _, a, b: a @ b, [(3, 4, 5), (3, 5, 2)]),
        ("sum_axis", lambda _, a: a.sum(1), [(3, 4, 5)]),
        ("mean_axis", lambda _, a: a.mean(2), [(3, 4, 5)]),
        ("max_axis", lambda _, a: a.amax(1), [(3, 4, 5)]),
        ("transpose", lambda _, a: a.transpose(0, 2), [(3, 4, 5)]),
        ("concat", lambda _, a, b: torch.cat([a, b], 1), [(3, 4, 5), (3, 2, 5)]),
        ("slice", lambda _, a: a[:, 1:3], [(3, 4, 5)]),
    ]:
        f.case(name, None, shapes, {}, call=function, origin="torch")
    return f


FAMILIES = [dense, activation, softmax, embedding, arithmetic]
