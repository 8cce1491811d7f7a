"""G1-G14."""
import torch.nn as nn

from . import Computation, computes


class Matmul(nn.Module):
    def __init__(self, turned_a, turned_b):
        super().__init__()
        self.turned_a, self.turned_b = turned_a, turned_b

    def forward(self, a, b):
        return (a.T if self.turned_a else a) @ (b.T if self.turned_b else b)


@computes("matmul")
class MatmulRow(Computation):
    def variants(self):
        turned = self.options["transposed"]
        yield "as it is", Matmul(turned == "a", turned == "b"), (self.tensors["a"], self.tensors["b"])

    def results(self, output):
        return {"output": output}
