"""A model, the generators of random numbers and PyTorch's switches, left as they were.

Nothing is deep-copied, as not every model can be: what may change is recorded, and written back.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

_CONTAINERS = (dict, list, set, deque)


def modules_of(model: nn.Module) -> list[nn.Module]:
    """The modules of a model, and those that it keeps in plain lists, tuples and dictionaries,
    which ``model.modules()`` does not see."""
    found: dict[int, nn.Module] = {}
    waiting: list[nn.Module] = [model]
    while waiting:
        for module in waiting.pop().modules():
            if id(module) not in found:
                found[id(module)] = module
                waiting.extend(_kept_modules(vars(module), set()))
    return list(found.values())


def _kept_modules(value: Any, seen: set[int]) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, (*_CONTAINERS, tuple)) and id(value) not in seen:
        seen.add(id(value))
        for part in value.values() if isinstance(value, dict) else value:
            yield from _kept_modules(part, seen)


@dataclass(frozen=True)
class _Values:
    """A tensor and what was in it."""

    tensor: Tensor
    values: Tensor
    gradient: Tensor | None
    requires_grad: bool

    def restore(self) -> None:
        with torch.inference_mode(self.tensor.is_inference()):
            # Through .data, so that a graph which the tensor is part of stays valid.
            self.tensor.data.copy_(self.values)

    def restore_gradient(self) -> None:
        if self.tensor.is_leaf and not self.tensor.is_inference():
            self.tensor.requires_grad_(self.requires_grad)
            self.tensor.grad = self.gradient


class Snapshot:
    """What a model is: the values of its tensors, their gradients, and every attribute.

    Parameters, buffers, training modes and state that is kept in attributes are restored bit by
    bit, also inside lists, tuples, sets and dictionaries.  Other objects are kept as they are,
    and what happens inside them is not seen.

    Args:
        model: the model.
        values: whether to keep values, and not only what there is.

    Attributes:
        modules: those of the model, and those in its plain lists and dictionaries.
        hidden_modules: the latter.

    Raises:
        ValueError: a parameter has no shape yet.
    """

    def __init__(self, model: nn.Module, values: bool = True) -> None:
        self._model = model
        self._copies = values
        self.modules = modules_of(model)
        registered = {id(module) for module in model.modules()}
        self.hidden_modules = [part for part in self.modules if id(part) not in registered]
        self._containers: dict[int, tuple[Any, Any]] = {}
        self._hooks: list[tuple[Any, Any]] = []
        self._tensors: dict[int, _Values] = {}
        for module in self.modules:
            self._record_module(module)
        self._state = [
            kept for kept in self._tensors.values() if not isinstance(kept.tensor, nn.Parameter)
        ]

    def replaced_state(self) -> list[Tensor]:
        """The state that the model was found with and has another instead, or has written to."""
        now = Snapshot(self._model, values=False)
        return [
            kept.tensor
            for kept in self._state
            if id(kept.tensor) not in now._tensors or not torch.equal(kept.tensor, kept.values)
        ]

    def clear_gradients(self) -> None:
        """Take the gradients away, so that nothing is added to them."""
        for kept in self._tensors.values():
            if kept.tensor.is_leaf and kept.gradient is not None:
                kept.tensor.grad = None

    def restore_state(self) -> None:
        """Restore attributes and buffers: all but parameters."""
        for container, contents in self._containers.values():
            _restore_contents(container, contents)
        for kept in self._state:
            kept.restore()

    def restore_parameters(self) -> None:
        """Restore the values of parameters."""
        for kept in self._tensors.values():
            if isinstance(kept.tensor, nn.Parameter):
                kept.restore()

    def restore(self) -> None:
        """Restore all, gradients among it."""
        self.restore_state()
        self.restore_parameters()
        for hooks, contents in self._hooks:
            _restore_contents(hooks, contents)
        for kept in self._tensors.values():
            kept.restore_gradient()

    def _record_module(self, module: nn.Module) -> None:
        attributes = vars(module)
        self._containers[id(attributes)] = (attributes, attributes.copy())
        for name, value in attributes.items():
            if name.endswith(("_hooks", "_hooks_with_kwargs", "_hooks_always_called")):
                # The probes have hooks of their own, from run to run.
                self._hooks.append((value, value.copy()))
            else:
                self._record(value)

    def _record(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._record_tensor(value)
        elif isinstance(value, tuple):
            self._record_all(value)
        elif isinstance(value, _CONTAINERS) and id(value) not in self._containers:
            self._containers[id(value)] = (value, value.copy())
            self._record_all(value.values() if isinstance(value, dict) else value)

    def _record_all(self, parts: Iterable[Any]) -> None:
        for part in parts:
            self._record(part)

    def _record_tensor(self, tensor: Tensor) -> None:
        if isinstance(tensor, (nn.UninitializedParameter, nn.UninitializedBuffer)):
            raise ValueError(
                "a lazy layer has no shape yet, and the probes could not leave it so: run the "
                "model once on a batch first"
            )
        if id(tensor) not in self._tensors:
            gradient = tensor.grad if tensor.is_leaf else None
            values = tensor.detach().clone() if self._copies else tensor.detach()
            self._tensors[id(tensor)] = _Values(tensor, values, gradient, tensor.requires_grad)


def _restore_contents(container: Any, contents: Any) -> None:
    # In C, as a vocabulary may stand there.
    if len(container) == len(contents) and all(map(is_, container, contents)):
        if not isinstance(container, dict):
            return
        if all(map(is_, container.values(), contents.values())):
            return
    if isinstance(container, dict):
        for key in [key for key in container if key not in contents]:
            del container[key]
    else:
        container.clear()
    if isinstance(container, (dict, set)):
        container.update(contents)
    else:
        container.extend(contents)


@contextmanager
def preserved(model: nn.Module) -> Iterator[Snapshot]:
    """Leave everything as it was in the end, whatever happens inside.

    The model, see :class:`Snapshot`; the generators of PyTorch (CPU, CUDA, MPS), of Python and,
    where it is in use, of NumPy; the mode of autograd; cuDNN's switches.  Inside, gradients are
    None, autograd is on, and hooks that run once a gradient is accumulated are off: optimizers
    stand in them.

    Args:
        model: the model.
    """
    snapshot = Snapshot(model)
    restorations = [*_random_generators(), *_switches(), *_accumulation_hooks(snapshot.modules)]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            snapshot.clear_gradients()
            yield snapshot
    finally:
        for restore in restorations:
            restore()
        with torch.inference_mode(False):
            snapshot.restore()
        torch.clear_autocast_cache()  # of parameters that were others in between


Restoration = Callable[[], Any]


def _random_generators() -> Iterator[Restoration]:
    state = torch.get_rng_state()
    yield lambda: torch.set_rng_state(state)
    python = random.getstate()
    yield lambda: random.setstate(python)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # untyped in PyTorch
        cuda = torch.cuda.get_rng_state_all()
        yield lambda: torch.cuda.set_rng_state_all(cuda)
    if torch.backends.mps.is_available():
        mps = torch.mps.get_rng_state()
        yield lambda: torch.mps.set_rng_state(mps)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        legacy = numpy.random.get_state()
        yield lambda: numpy.random.set_state(legacy)


def _switches() -> Iterator[Restoration]:
    cudnn = torch.backends.cudnn
    for name in ("enabled", "benchmark", "deterministic"):
        yield _setter(cudnn, name)


def _accumulation_hooks(modules: Iterable[nn.Module]) -> Iterator[Restoration]:
    for module in modules:
        for parameter in module.parameters(recurse=False):
            hooks = getattr(parameter, "_post_accumulate_grad_hooks", None)
            if hooks:
                # Autograd has this dictionary too, and would not see another in its place.
                yield partial(hooks.update, hooks.copy())
                hooks.clear()


def _setter(owner: Any, name: str) -> Restoration:
    value = getattr(owner, name)

    def restore() -> None:
        if getattr(owner, name) is not value:
            setattr(owner, name, value)

    return restore
