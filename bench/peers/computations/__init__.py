"""What the rows of the table compute, in PyTorch: the definition that every peer runs, and in float64 the reference.

The benchmark program writes a row's inputs and parameters (safetensors) with what it computes as metadata. A Computation is
made of them, in their precision.
"""
import importlib
import pkgutil

import torch

_known = {}


class Computation:
    """Subclasses give `variants` and `results`; those with a backward pass say in `wanted` what is differentiated."""

    def __init__(self, tensors, options):
        self.tensors, self.options = tensors, options
        self.dtype = next(t.dtype for t in tensors.values() if t.is_floating_point())

    def variants(self):
        """(name, module, inputs), the same computation in several memory layouts; the first is what is exported."""
        raise NotImplementedError

    def results(self, output):
        """The module's output under the names and in the layout of the benchmark program."""
        raise NotImplementedError

    def onnx_models(self):
        """(name, model, feeds, order of axes of the output): forms that ONNX Runtime may run faster than an export."""
        return []

    @property
    def training(self):
        return self.options.get("pass", "forward") != "forward"


def computes(name):
    def register(cls):
        _known[name] = cls
        return cls
    return register


def make(tensors, options):
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _known[options["computes"]](tensors, options)
