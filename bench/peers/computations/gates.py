"""Attention of feature maps by timm's names (rows/gates.hpp), of timm itself."""
import pathlib
import sys

from . import LayerComputation, computes

sys.path.append(str(pathlib.Path(__file__).parents[3] / "tests" / "goldens"))  # for timm_alone


@computes("gate")
class GateRow(LayerComputation):
    def module(self):
        from timm_alone import working_gather_excite
        from timm.layers import create_attn
        from timm.layers.grn import GlobalResponseNorm
        name, (_, height, width, channels) = self.options["name"], self.tensors["x"].shape
        if name == "ge":
            return working_gather_excite()(channels)
        if name == "grn":
            return GlobalResponseNorm(channels, channels_last=False)
        given = {"bottleneck": {"feat_size": (height, width)}, "halo": {"block_size": 7}}.get(name, {})
        return create_attn(name, channels, **given)

    def variants(self):
        ways = super().variants()
        yield next(ways)
        if self.options["name"] != "lambda":  # weights of rank 5 have no such layout
            yield next(ways)
