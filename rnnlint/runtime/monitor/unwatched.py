"""What becomes of hooks in a copy of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.hooks import RemovableHandle

_Method = TypeVar("_Method", bound=Callable[..., Any])


def uncompiled(hook: _Method) -> _Method:
    """Have ``torch.compile`` pass over a hook, which it cannot look into.

    What it calls may be compiled yet; to pass over that, too, takes longer than a hook may.
    """
    skipped: _Method = torch.compiler.disable(hook, recursive=False)  # type: ignore[no-untyped-call]
    return skipped


class Unwatched:
    """Stands for what watches a module in a copy of it, and in a file: nobody does."""

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        return Unwatched, ()

    def before(self, *arguments: Any) -> None:
        """Let a call begin."""

    def after(self, *arguments: Any) -> None:
        """Let a call end."""


class Watching:
    """What has hooks named ``before`` and ``after``, with which a module is copied and saved."""

    def __reduce__(self) -> tuple[type[Unwatched], tuple[()]]:
        return Unwatched, ()

    def hook(self, name: str) -> Hook:
        """The method of this name, to be registered with a module."""
        return Hook(self, name)


_compiling = getattr(torch._C._dynamo.eval_frame, "get_eval_frame_callback", None)
"""Tells whether who calls this was called by compiled code; None where PyTorch does not tell."""


class Sampled(Watching):
    """Has hooks while a step is sampled.

    A call with hooks takes longer, even if these do nothing.  Under ``torch.compile``, which
    compiles anew for them, they stay, and look only while :attr:`sampling` is set.
    """

    def __init__(self) -> None:
        self._sampling = False
        self._stays = False
        self._handles: list[RemovableHandle] = []

    @property
    def sampling(self) -> bool:
        """Whether a step is sampled."""
        return self._sampling

    @sampling.setter
    def sampling(self, sampling: bool) -> None:
        self._sampling = sampling
        if sampling and not self._handles:
            self._handles = self._lay_hooks()
        elif not sampling and not self._stays:
            self._take_hooks_away()

    def close(self) -> None:
        """Take the hooks away."""
        self._take_hooks_away()

    def _lay_hooks(self) -> list[RemovableHandle]:
        raise NotImplementedError

    def _take_hooks_away(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    @uncompiled
    def _looks(self) -> bool:
        """Whether a hook is to look."""
        if self._sampling and not self._stays:
            self._stays = _compiling is None or _compiling() is not None
        return self._sampling


class Hook:
    """A method as a hook.

    A bound method itself would not do: a deep copy of it is the same function, bound to what
    stands for the watcher in a copy.
    """

    def __init__(self, watcher: Watching | Unwatched, name: str) -> None:
        self._watcher, self._name = watcher, name
        self._call = getattr(watcher, name)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __reduce__(self) -> tuple[type[Hook], tuple[Unwatched, str]]:
        return Hook, (Unwatched(), self._name)
