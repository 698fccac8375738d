"""All mutable state of an abstract run, with branches that can be undone.

Every write goes through `State.set`.  While a branch is recorded, old values are
logged, so that the other arm starts from the same state and both are joined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnnlint.semantics.joins import join
from rnnlint.semantics.values import Value

Store = dict[Any, Any]
_MISSING = object()


class Changes:
    """What a branch wrote: for each (store, key) the value it left there."""

    def __init__(self) -> None:
        self.writes: dict[tuple[int, Any], tuple[Store, Any, Any]] = {}


class State:
    """The log of writes to scopes and objects."""

    def __init__(self) -> None:
        self._log: list[tuple[Store, Any, Any]] | None = None

    def set(self, store: Store, key: Any, value: Any) -> None:
        """Write `value`; undone when the branch being recorded ends."""
        if self._log is not None:
            self._log.append((store, key, store.get(key, _MISSING)))
        store[key] = value

    def delete(self, store: Store, key: Any) -> None:
        if key in store:
            if self._log is not None:
                self._log.append((store, key, store[key]))
            del store[key]

    def record(self, branch: Callable[[], Any]) -> tuple[Any, Changes]:
        """Run `branch`, undo what it wrote, and return its result and its writes."""
        outer, self._log = self._log, []
        try:
            result = branch()
        finally:
            log, self._log = self._log, outer
            changes = Changes()
            for store, key, _ in log:
                changes.writes[id(store), key] = (store, key, store.get(key, _MISSING))
            for store, key, old in reversed(log):
                if old is _MISSING:
                    store.pop(key, None)
                else:
                    store[key] = old
        return result, changes

    def merge(self, branches: list[Changes], forget: Store | None = None) -> None:
        """Make the writes of alternative branches, joined where they differ.

        Args:
            branches: the writes of each alternative, the likeliest first.
            forget: a store whose writes do not survive (the scope of a function
                that the branch returned from).
        """
        seen: set[tuple[int, Any]] = set()
        for branch in branches:
            for slot, (store, key, _) in branch.writes.items():
                if store is forget or slot in seen:
                    continue
                seen.add(slot)
                values = []
                for changes in branches:
                    write = changes.writes.get(slot)
                    value = store.get(key, _MISSING) if write is None else write[2]
                    if value is not _MISSING:
                        values.append(value)
                if values:
                    self.set(store, key, _join_any(values))


def _join_any(values: list[Any]) -> Any:
    first = values[0]
    for value in values:
        if value is not first:
            break
    else:
        return first
    if all(isinstance(value, Value) for value in values):
        return join(values)
    if all(isinstance(value, tuple) for value in values):
        # The items of a list that one branch extended: keep what was added.
        return max(values, key=len)
    if all(value is None or isinstance(value, tuple) for value in values):
        return None  # a list whose items one branch lost count of
    if all(isinstance(value, dict) for value in values):
        merged: dict[Any, Any] = {}
        for value in values:
            for key, item in value.items():
                merged[key] = _join_any([merged[key], item]) if key in merged else item
        return merged
    present = [value for value in values if value is not None and value != ""]
    return present[0] if present else first
