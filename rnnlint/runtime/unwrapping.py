"""The model that frameworks wrap, under whose names its layers are known."""

from __future__ import annotations

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel


def unwrapped(model: nn.Module) -> nn.Module:
    """What is inside DDP, ``torch.compile`` and Fabric, in whatever order."""
    while (inner := _inner(model)) is not None:
        model = inner
    return model


def _inner(model: nn.Module) -> nn.Module | None:
    if isinstance(model, (DataParallel, DistributedDataParallel)):
        module: nn.Module = model.module
        return module
    # Those of torch.compile and of Fabric are known by their names alone without being imported.
    names = vars(model).get("_modules", {})
    inner: nn.Module | None = names.get("_orig_mod", names.get("_forward_module"))
    return inner
