"""timm without torchvision, and one of its modules repaired; for generate.py and bench/peers."""
import importlib.abc
import importlib.machinery
import inspect
import re
import sys
import types

import torch


class AnyMembers(type):
    def __getattr__(cls, key):
        if key.startswith("_"):
            raise AttributeError(key)
        return key


class EmptyTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """timm imports names of torchvision, none of which its modules here use: only the family segmentation needs it."""

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] == "torchvision" else None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda key: None if key.startswith("__") else AnyMembers(key, (torch.nn.Module,), {})
        return module

    def exec_module(self, module):
        pass


sys.meta_path.append(EmptyTorchvision())  # asked last
sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")  # of compiled operators, for CUDA


def working_gather_excite():
    """timm's GatherExcite hands *dd on where **dd is meant, so that it cannot be constructed; this one can."""
    import timm.layers.gather_excite
    module = timm.layers.gather_excite
    source = re.sub(r"(?<!\*)\*dd", "**dd", inspect.getsource(module))
    names = dict(module.__dict__)
    exec(compile(source, module.__file__, "exec"), names)
    return names["GatherExcite"]
