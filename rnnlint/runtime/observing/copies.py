"""Copies and files of watched modules, which carry nothing of the observation."""

from __future__ import annotations

import copyreg
from typing import Any

from torch import nn

from rnnlint.runtime.monitor.unwatched import Hook

_HOOKS = "_hooks"


class Copies:
    """Has modules copied and saved without the hooks by which they are watched.

    What a script saves under observation can be loaded where there is no rnnlint.
    """

    def __init__(self) -> None:
        self._kinds: set[type[nn.Module]] = set()

    def leave_out(self, kind: type[nn.Module]) -> None:
        """Have modules of this class copied without our hooks, unless it has ways of its own."""
        if kind not in copyreg.dispatch_table:
            copyreg.dispatch_table[kind] = _reduced
            self._kinds.add(kind)

    def undo(self) -> None:
        """Have all copied as ever."""
        for kind in self._kinds:
            copyreg.dispatch_table.pop(kind, None)
        self._kinds.clear()


def _reduced(module: Any) -> Any:
    reduced = module.__reduce_ex__(2)
    if not (isinstance(reduced, tuple) and len(reduced) > 2 and isinstance(reduced[2], dict)):
        return reduced
    make, given, state, *more = reduced
    ours = {
        key
        for name, hooks in state.items()
        if name.endswith(_HOOKS)
        for key, hook in hooks.items()
        if isinstance(hook, Hook)
    }
    bare = {
        name: _without(value, ours) if _HOOKS in name and isinstance(value, dict) else value
        for name, value in state.items()
    }
    return (make, given, bare, *more)


def _without(hooks: dict[Any, Any], ours: set[Any]) -> dict[Any, Any]:
    kept = type(hooks)()
    kept.update((key, hook) for key, hook in hooks.items() if key not in ours)
    return kept
