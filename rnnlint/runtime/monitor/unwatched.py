"""What becomes of hooks in a copy of a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

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
