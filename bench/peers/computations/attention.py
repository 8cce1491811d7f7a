"""A1-A16."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from . import Computation, computes


class ScaledDotProduct(nn.Module):
    def __init__(self, causal, grouped, dropout=0.0):
        super().__init__()
        self.causal, self.grouped, self.dropout = causal, grouped, dropout

    def forward(self, query, key, value, bias=None):
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, is_causal=self.causal,
                                              enable_gqa=self.grouped, dropout_p=self.dropout)


@computes("attention")
class Attention(Computation):
    """(batch, length, heads, dim) in the file; PyTorch has heads before length."""

    def variants(self):
        t = self.tensors
        module = ScaledDotProduct(self.options["causal"] == "1", t["query"].shape[2] != t["key"].shape[2])
        bias = (t["bias"],) if "bias" in t else ()
        heads_first = [t[name].transpose(1, 2) for name in ("query", "key", "value")]
        yield "heads first", module, (*(x.contiguous() for x in heads_first), *bias)
        yield "length first", module, (*heads_first, *bias)

    def results(self, output):
        return {"output": output.transpose(1, 2)}

    wanted = ("query", "key", "value")

    def output_gradient(self):
        return self.tensors["gradient"].transpose(1, 2)

    def gradients(self, inputs, parameters):
        return {f"output.{name}": g.transpose(1, 2) for name, g in inputs.items()}

    def drop(self, module, on):
        module.dropout = float(self.options["dropout"]) if on else 0.0

    def onnx_models(self):
        """MultiHeadAttention of ONNX Runtime, and Attention of ONNX, which take (batch, length, heads dim) as it lies."""
        from onnx import TensorProto, helper
        t = self.tensors
        feeds = {n: t[n].flatten(2).numpy() for n in ("query", "key", "value")}
        if "bias" in t:
            feeds["bias"] = t["bias"].numpy()
        heads, key_heads = t["query"].shape[2], t["key"].shape[2]
        causal = int(self.options["causal"])

        def model(node, opset):
            shapes = {n: x.shape for n, x in feeds.items()}
            y = helper.make_tensor_value_info("output", TensorProto.FLOAT, None)
            graph = helper.make_graph([node], "attention", [helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
                                                            for n, s in shapes.items()], [y])
            domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
            return helper.make_model(graph, opset_imports=domains, ir_version=10)

        back = lambda y: torch.from_numpy(y).unflatten(2, (heads, -1)).transpose(1, 2)
        names = ["query", "key", "value"]
        if heads == key_heads:
            inputs = names + (["", "", "bias"] if "bias" in t else [])
            yield "MultiHeadAttention", model(helper.make_node("MultiHeadAttention", inputs, ["output"], num_heads=heads,
                                                               unidirectional=causal, domain="com.microsoft"), 17), feeds, back
        inputs = names + (["bias"] if "bias" in t else [])
        yield "Attention", model(helper.make_node("Attention", inputs, ["output"], q_num_heads=heads,
                                                  kv_num_heads=key_heads, is_causal=causal), 23), feeds, back
