"""C1-C12."""
import torch.nn as nn

from . import LayerComputation, computes


@computes("conv2d")
class Convolution(LayerComputation):
    def module(self):
        out, in_per_group, kernel, _ = self.tensors["layer.weight"].shape
        groups = int(self.options["groups"])
        return nn.Conv2d(in_per_group * groups, out, kernel, int(self.options["stride"]), int(self.options["padding"]),
                         groups=groups, bias=False)
