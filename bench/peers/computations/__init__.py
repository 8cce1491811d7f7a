"""What the rows of the table compute, in PyTorch: the definition that every peer runs, and in float64 the reference.

The benchmark program writes a row's inputs and parameters (safetensors) with what it computes as metadata. A Computation is
made of them, in their precision.
"""
import importlib
import pkgutil

_known = {}


class Computation:
    """Subclasses give `variants` and `results`; those with a backward pass also `wanted` and `gradients`."""

    wanted = ()  # names of the first inputs, of which gradients are taken; those of all parameters are

    def __init__(self, tensors, options):
        self.tensors, self.options = tensors, options
        self.kind = options["pass"]  # forward, backward, training (both) or step (both, and the optimizer's)

    def variants(self):
        """(name, module, inputs), the same computation in several layouts or spellings; the first is what is exported."""
        raise NotImplementedError

    def results(self, output):
        """The module's output under the names and in the layout of the benchmark program."""
        raise NotImplementedError

    def output_gradient(self):
        raise NotImplementedError

    def gradients(self, inputs, parameters):
        """The same for gradients, given by name."""
        raise NotImplementedError

    compares_evaluation = False  # whether a step is compared by its gradients, or by the result in evaluation

    def optimizer(self, parameters):
        import torch
        return torch.optim.SGD(parameters, lr=1e-6)

    loss = None  # of the output, else the output's gradient is given

    def drop(self, module, on):
        """Turns dropout on for timing, off for comparing."""

    def onnx_models(self):
        """(name, model, feeds, back): forms that ONNX Runtime may run faster than an export, and what makes of their
        result the module's."""
        return []


class LayerComputation(Computation):
    """A layer with parameters that is called with x; feature maps are (batch, height, width, channels) in the file."""

    wanted = ("x",)

    def module(self):
        raise NotImplementedError

    def filled(self, module):
        state = {n[len("layer."):]: t for n, t in self.tensors.items() if n.startswith("layer.")}
        module = module.to(self.tensors["x"].dtype)
        module.load_state_dict(state)
        return module

    def variants(self):
        import torch
        x = self.tensors["x"]
        if x.dim() == 4:
            x = x.permute(0, 3, 1, 2)
            yield "channels first", self.filled(self.module()), (x.contiguous(),)
            yield "channels last", self.filled(self.module()).to(memory_format=torch.channels_last), (x,)
        else:
            yield "as it is", self.filled(self.module()), (x,)

    @staticmethod
    def last(x):
        return x.permute(0, 2, 3, 1) if x.dim() == 4 else x

    def results(self, output):
        return {"output": self.last(output)}

    def output_gradient(self):
        dy = self.tensors["gradient"]
        return dy.permute(0, 3, 1, 2) if dy.dim() == 4 else dy

    def gradients(self, inputs, parameters):
        return {"output.x": self.last(inputs["x"]), **{f"output.layer.{n}": g for n, g in parameters.items()}}


def computes(name):
    def register(cls):
        _known[name] = cls
        return cls
    return register


def make(tensors, options):
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _known[options["computes"]](tensors, options)
