"""Runs a PyTorch module in float64 and keeps everything that a parity test needs.

One family becomes one file, <family>.safetensors. The tensors of a case:

    <case>/input.<i>            what the module was called with (integers and masks too)
    <case>/param.<name>         parameters under PyTorch's names
    <case>/buffer.<name>        buffers before the call
    <case>/output[.<i>]         what it returned; numbered when there are several
    <case>/grad_output[.<i>]    the gradient given to the backward pass; absent where an output is not differentiated
    <case>/grad.input.<i>       gradients of the floating point inputs
    <case>/grad.param.<name>    gradients of the parameters, zeros where PyTorch has none
    <case>/after.<name>         buffers after the call, where the call changed them

The metadata has one JSON text per case: the PyTorch name, its options, training or not, and for each tensor that PyTorch
keeps in another order than this library its layout: "channels_first" (axis 1 is last here) or "heads_first" (axes 1 and 2
are swapped here).
"""
import json
import struct
import zlib
from pathlib import Path

import torch

torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)
torch.set_default_dtype(torch.float64)

# PyTorch's backward of hardsigmoid multiplies by 1/6 rounded to float32, in double too. The formula, which agrees with the
# forward pass, keeps its users comparable to 1e-10; one case of the family "activation" has the original.
torch_hardsigmoid = torch.nn.functional.hardsigmoid
torch.nn.functional.hardsigmoid = lambda x, inplace=False: torch.nn.functional.relu6(x + 3) / 6

DTYPES = {torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}


def exact_in_float(t):
    """Rounded to float32, so that a float run starts from exactly the same numbers."""
    return t.float().double()


class Family:
    def __init__(self, name):
        self.name, self.tensors, self.metadata, self.cases = name, {}, {}, 0

    def put(self, name, tensor):
        assert name not in self.tensors, name
        tensor = tensor.detach().clone()  # a BatchNorm writes into its buffers later
        assert not tensor.is_floating_point() or bool(tensor.isfinite().all()), f"{self.name}/{name} is not finite"
        self.tensors[name] = tensor.contiguous()

    def case(self, name, module, inputs, options=None, *, call=None, layout=(), training=False, differentiate=None,
             origin=None, parameters=None, low=-1.0, high=1.0):
        """Runs `module(*inputs)`, or `call(module, *inputs)`.

        inputs: shapes (drawn uniformly from [low, high)) or tensors, taken as they are; None is passed on and not stored.
        layout: {"input.0": "channels_first", ...}, or one word for every input and output of that rank of more than two.
        differentiate: which outputs get a gradient (all).
        """
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.name}/{name}".encode()))

        def uniform(shape, low, high):
            return exact_in_float(torch.rand(shape, generator=generator) * (high - low) + low)

        is_module = isinstance(module, torch.nn.Module)
        if is_module:
            module.double().train(training)
            with torch.no_grad():
                for key, p in module.named_parameters():
                    p.copy_((parameters or {}).get(key, lambda s: uniform(s, -1.0, 1.0) * randomised_scale(key, s))(p.shape))
                    p.copy_(exact_in_float(p))
                for key, b in module.state_dict().items():
                    if key.endswith("running_mean"):
                        b.copy_(uniform(b.shape, -0.5, 0.5))
                    elif key.endswith("running_var"):
                        b.copy_(uniform(b.shape, 0.5, 2.0))
                    elif key.endswith("num_batches_tracked"):
                        b.copy_(torch.randint(1, 9, (), generator=generator))
        arguments = []
        for i, x in enumerate(inputs):
            if isinstance(x, (tuple, list)):
                x = uniform(tuple(x), low, high)
            if x is not None and x.is_floating_point():
                x = exact_in_float(x.double()).requires_grad_(True)
            arguments.append(x)
            if x is not None:
                self.put(f"{name}/input.{i}", x)
        before = {}
        if is_module:
            learned = dict(module.named_parameters())
            for key, value in module.state_dict().items():
                if key in learned:
                    self.put(f"{name}/param.{key}", value)
                else:
                    self.put(f"{name}/buffer.{key}", value)
                    before[key] = value.clone()
        outputs = call(module, *arguments) if call else module(*arguments)
        several = isinstance(outputs, (tuple, list))
        outputs = list(outputs) if several else [outputs]
        suffix = [f".{i}" if several else "" for i in range(len(outputs))]
        loss = 0.0
        for i, y in enumerate(outputs):
            self.put(f"{name}/output{suffix[i]}", y)
            if y.requires_grad and (differentiate is None or differentiate[i]):
                g = uniform(tuple(y.shape), -1.0, 1.0)
                self.put(f"{name}/grad_output{suffix[i]}", g)
                loss = loss + (y * g).sum()
        if isinstance(loss, torch.Tensor):
            loss.backward()
            for i, x in enumerate(arguments):
                if x is not None and x.is_floating_point():
                    self.put(f"{name}/grad.input.{i}", torch.zeros_like(x) if x.grad is None else x.grad)
            if is_module:
                for key, p in module.named_parameters():
                    self.put(f"{name}/grad.param.{key}", torch.zeros_like(p) if p.grad is None else p.grad)
        if is_module:
            for key, value in before.items():
                if not torch.equal(module.state_dict()[key], value):
                    self.put(f"{name}/after.{key}", module.state_dict()[key])
        if isinstance(layout, str):
            word, layout = layout, {}
            for i, x in enumerate(arguments):
                if x is not None and x.dim() > 2 and x.is_floating_point():
                    layout[f"input.{i}"] = word
            for i, y in enumerate(outputs):
                if y.dim() > 2:
                    layout[f"output{suffix[i]}"] = word
        origin = origin or (type(module).__module__.split(".")[0] + "." + type(module).__name__ if is_module
                            else getattr(module, "__name__", str(module)))
        self.metadata[name] = json.dumps(
            {"origin": origin, "options": options or {}, "training": training, "layout": dict(layout)}, sort_keys=True)
        self.cases += 1

    def write(self, folder, versions):
        """The safetensors format, sorted, so that the same numbers give the same bytes."""
        header, data = {"__metadata__": {**versions, **self.metadata}}, bytearray()
        for name in sorted(self.tensors, key=lambda n: (self.tensors[n].dtype == torch.bool, n)):
            raw = self.tensors[name].numpy().tobytes()
            header[name] = {"dtype": DTYPES[self.tensors[name].dtype], "shape": list(self.tensors[name].shape),
                            "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
        text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        path = Path(folder) / f"{self.name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        return path.stat().st_size


def randomised_scale(key, shape):
    """Keeps sums over many terms near one, so that no activation saturates; the initialisation would hide mistakes."""
    fan = 1
    for n in shape[1:]:
        fan *= n
    return 1.0 if fan <= 1 else 1.5 / fan ** 0.5
