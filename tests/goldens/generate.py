#!/usr/bin/env python3
"""Writes the golden files that the parity tests compare with, beside this script.

    python3 -m venv venv && venv/bin/pip install numpy pillow transformers==5.23.0 torch==2.13.0 && venv/bin/pip install --no-deps timm==1.0.31 torchvision==0.28.0
    venv/bin/python tests/goldens/generate.py [family ...]

Every tensor is float64; see recorder.py for what a file holds. The same versions write the same bytes.
"""
import importlib
import sys
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import torch  # noqa: E402

import timm_alone  # noqa: E402, F401


def main():
    import timm
    import transformers
    assert torch.__version__.split("+")[0] == "2.13.0", torch.__version__
    versions = {"torch": torch.__version__.split("+")[0], "timm": timm.__version__, "transformers": transformers.__version__}
    makers = []
    for name in ("basics", "convolution", "pooling", "normalisation", "recurrent", "position", "attention", "gates",
                 "channel_attention", "derived_gates",
                 "attention_pool", "spatial", "blocks", "losses", "models", "segmentation"):
        makers += importlib.import_module("families." + name).FAMILIES
    total, cases = 0, 0
    for make in makers:
        if len(sys.argv) > 1 and make.__name__ not in sys.argv[1:]:
            continue
        family = make()
        assert family.name == make.__name__
        size = family.write(HERE, versions)
        assert size < 1 << 20, f"{family.name} has {size} bytes"
        total, cases = total + size, cases + family.cases
        print(f"{family.name:22} {family.cases:4} cases {size / 1024:8.1f} KiB")
    if (HERE / "train_goldens.py").exists() and len(sys.argv) == 1:
        importlib.import_module("train_goldens").write()
    print(f"{'':22} {cases:4} cases {total / 1024:8.1f} KiB   {versions}")


if __name__ == "__main__":
    main()
