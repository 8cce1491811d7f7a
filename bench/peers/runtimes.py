"""The peers: each turns a computation into ways to call it, and is asked for its fastest."""
import copy
import os
import pathlib

import numpy as np
import torch

AVX2 = os.environ.get("ATEN_CPU_CAPABILITY") == "avx2"


class Runtime:
    """`ways(computation, threads)` yields (name, call, results): a call without arguments, and its results by name."""

    def set_threads(self, threads):
        pass

    def forget(self):
        """The last row is done with."""


class Torch(Runtime):
    """PyTorch, eager: inference mode; for convolutions both memory layouts."""

    binds_outputs = False  # a module makes a new result for each call

    def set_threads(self, threads):
        torch.set_num_threads(threads)

    def prepare(self, module):
        return module

    def variants(self, computation):
        return computation.variants()

    def ways(self, computation, threads):
        if computation.options.get("output") == "bound" and not self.binds_outputs:
            raise NotImplementedError("no bound output")
        for name, module, inputs in self.variants(computation):
            with_results = self.inference if computation.kind == "forward" else self.with_gradients
            yield name, *with_results(computation, module, inputs)

    def inference(self, computation, module, inputs):
        ready = self.prepare(module.eval())
        call = lambda: ready(*inputs)
        return call, lambda: computation.results(call())

    def with_gradients(self, computation, module, inputs):
        module.train()
        untrained = copy.deepcopy(module)
        wanted = [x.detach().requires_grad_() for x in inputs[:len(computation.wanted)]]
        inputs = [*wanted, *inputs[len(wanted):]]
        computation.drop(module, True)
        ready = self.prepare(module)
        if computation.kind == "step":
            optimizer = computation.optimizer(module.parameters())

            def call():
                optimizer.zero_grad()
                y = ready(*inputs)
                if computation.loss:
                    computation.loss(y).backward()
                else:
                    y.backward(computation.output_gradient())
                optimizer.step()
        else:
            leaves = [*wanted, *module.parameters()]
            y = ready(*inputs)
            dy = torch.empty_like(y).copy_(computation.output_gradient())
            if computation.kind == "training":
                call = lambda: torch.autograd.grad(ready(*inputs), leaves, dy)
            else:
                call = lambda: torch.autograd.grad(y, leaves, dy, retain_graph=True)

        def results():
            if computation.compares_evaluation:
                return computation.results(untrained.eval()(*inputs))
            y = untrained(*inputs)
            named = dict(untrained.named_parameters())
            found = torch.autograd.grad(y, [*wanted, *named.values()], computation.output_gradient())
            return {**computation.results(y.detach()), **computation.gradients(
                dict(zip(computation.wanted, found)), dict(zip(named, found[len(wanted):])))}
        return call, results


class Float64(Torch):
    """The reference."""

    binds_outputs = True  # whether they are changes no result


class TorchCompile(Torch):
    """PyTorch, compiled by its default compiler (inductor), parameters frozen into the graph for inference; maps lie
    channels last, which that compiler itself prefers."""

    def __init__(self):
        import torch._dynamo.config
        import torch._functorch.config
        import torch._inductor.config as config
        torch._dynamo.config.recompile_limit = torch._dynamo.config.accumulated_recompile_limit = 1 << 20  # rows share code
        config.freezing = True
        config.compile_threads = 1
        torch._functorch.config.donated_buffer = False  # so that a backward pass can be run again
        if AVX2:
            config.cpp.simdlen = 256

    def forget(self):
        torch._dynamo.reset()

    def variants(self, computation):
        variants = list(computation.variants())
        return [v for v in variants if v[0] == "channels last"] or variants[:1]

    def prepare(self, module):
        return torch.compile(module, dynamic=False)


class OnnxRuntime(Runtime):
    """ONNX Runtime on the CPU: all optimisations, inputs and outputs bound."""

    def ways(self, computation, threads):
        if computation.kind != "forward":
            raise NotImplementedError("no training")
        for name, model, feeds, back in computation.onnx_models():
            yield from self.way(name, model.SerializeToString(), feeds, back, computation, threads)
        try:
            _, module, inputs = next(iter(computation.variants()))
            model, feeds = exported(computation.models, module.eval(), inputs)
        except Exception as error:
            yield "exported", error, None
            return
        yield from self.way("exported", model, feeds, torch.from_numpy, computation, threads)

    def way(self, name, model, feeds, back, computation, threads):
        import onnxruntime
        try:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            binding = session.io_binding()
            values = {n: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x)) for n, x in feeds.items()}
            for n, value in values.items():
                binding.bind_ortvalue_input(n, value)
            first = session.run(None, feeds)[0]
            y = onnxruntime.OrtValue.ortvalue_from_numpy(first)
            binding.bind_ortvalue_output(session.get_outputs()[0].name, y)
            run = session.run_with_iobinding
            yield name, lambda: run(binding), lambda: computation.results(back(y.numpy()))
        except Exception as error:
            yield name, error, None


def exported(models, module, inputs):
    """The module as ONNX bytes, from its file if there is one, and its feeds."""
    import warnings
    import onnx
    path = pathlib.Path(f"{models}-torch-{torch.__version__}.onnx")
    if not path.exists():
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(module, tuple(inputs), dynamo=True, opset_version=23, verbose=False)
            program.optimize()
        save(path, lambda to: onnx.save(program.model_proto, to))
    bytes = path.read_bytes()
    names = [i.name for i in onnx.load_from_string(bytes).graph.input]
    return bytes, {n: x.contiguous().numpy() for n, x in zip(names, inputs)}


def save(path, write):
    """A file that is there entirely or not at all."""
    part = path.with_name("part-" + path.name)
    write(part)
    part.rename(path)


class OpenVino(Runtime):
    """OpenVINO on the CPU: float32 kept, one request at a time."""

    def ways(self, computation, threads):
        if computation.kind != "forward":
            raise NotImplementedError("no training")
        import openvino
        _, module, inputs = next(iter(computation.variants()))
        inputs = [x.contiguous() for x in inputs]
        path = pathlib.Path(f"{computation.models}-openvino-{openvino.__version__.split('-')[0]}.xml")
        if not path.exists():
            with torch.no_grad():
                model = openvino.convert_model(module.eval(), example_input=tuple(inputs), input=[tuple(x.shape) for x in inputs])
            weights = path.with_suffix(".bin")  # of the same name, beside
            save(path, lambda to: (openvino.save_model(model, to, compress_to_fp16=False), to.with_suffix(".bin").rename(weights)))
        compiled = openvino.Core().compile_model(openvino.Core().read_model(path), "CPU", {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1})
        request = compiled.create_infer_request()
        given = [x.numpy() for x in inputs]  # the request does not keep them alive
        for i, x in enumerate(given):
            request.set_input_tensor(i, openvino.Tensor(x, shared_memory=True))

        def call(given=given):
            request.start_async()
            request.wait()
        yield "converted from PyTorch", call, lambda: computation.results(
            torch.from_numpy(request.get_output_tensor(0).data.copy()))


RUNTIMES = {"torch": Torch, "torch.compile": TorchCompile, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "float64": Float64}
