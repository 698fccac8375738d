"""What code can name while it runs: the names of a function, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rnnlint.fixing.bindings import names_bound
from rnnlint.lowering import ir
from rnnlint.semantics import values
from rnnlint.semantics.state import Store
from rnnlint.semantics.values import Value

if TYPE_CHECKING:
    from rnnlint.semantics.events import Event
    from rnnlint.semantics.interpreter import Interpreter

MAX_DEPTH = 2
"""How many attributes a name may have: `self.trainer.optimizer`."""
Names = Mapping[Any, Any]


class Scope:
    """The names that one function under way knows, or the body of a file.

    Args:
        path: the file in which its code stands.
        node: the function; None for the body of the file.
        local: its own names.
        enclosing: the names around them, innermost first.
    """

    def __init__(
        self,
        path: str,
        node: ir.FunctionDef | ir.Lambda | None,
        local: Names,
        enclosing: tuple[Names, ...],
    ) -> None:
        self.path = path
        self.node = node
        self._local = local
        self._enclosing = enclosing

    def value(self, dotted: str) -> Value | None:
        """What a name with its attributes stands for, as far as that was seen."""
        first, *rest = dotted.split(".")
        value = self._named.get(first)
        for attribute in rest:
            if not isinstance(value, values.Object):
                return None
            value = value.fields.get(attribute)
        return value if isinstance(value, Value) else None

    def names_of(self, is_wanted: Callable[[Value], bool]) -> Iterator[str]:
        """The names of things, with their attributes, the innermost and shortest first."""
        seen: set[int] = set()
        own = [(name, value) for name, value in self._named.items() if self.binds(name)]
        around = [(name, value) for name, value in self._named.items() if not self.binds(name)]
        for found in (own, around):
            yield from _names_of(found, is_wanted, seen)

    def binds(self, name: str) -> bool:
        """Whether a name is the function's own."""
        return name in self._own_names

    @cached_property
    def _named(self) -> dict[str, Value]:
        named = dict(_named(self._local))
        own = self._own_names
        for names in self._enclosing:
            for name, value in _named(names):
                if name not in own:
                    named.setdefault(name, value)
        return named

    @cached_property
    def _own_names(self) -> frozenset[str]:
        """Names that the function binds: they hide those around it, even before they are bound."""
        if not isinstance(self.node, ir.FunctionDef):
            return frozenset(self._local)
        elsewhere = {
            name
            for node in ir.nodes_in(self.node.body)
            if isinstance(node, ir.Scope)
            for name in node.names
        }
        bound = set(names_bound(self.node.body)) - elsewhere
        return frozenset({*bound, *(one.name for one in self.node.params)})


def _names_of(
    found: list[tuple[str, Value]], is_wanted: Callable[[Value], bool], seen: set[int]
) -> Iterator[str]:
    for _ in range(MAX_DEPTH + 1):
        deeper: list[tuple[str, Value]] = []
        for name, value in found:
            if is_wanted(value):
                yield name
            if isinstance(value, values.Instance) and id(value) not in seen:
                seen.add(id(value))
                deeper += [(f"{name}.{key}", inner) for key, inner in _named(value.fields)]
        found = deeper


def _named(names: Names) -> list[tuple[str, Value]]:
    return [
        (name, value)
        for name, value in names.items()
        if isinstance(name, str) and name.isidentifier() and isinstance(value, Value)
    ]


def scopes_under_way(run: Interpreter, event: Event) -> tuple[Scope, ...]:
    """The scopes of the code that leads to an event, outermost first, as they are now."""
    stack = event.context.stack
    outermost = stack[0].path if stack else event.place.path
    module = run.modules.get(outermost)
    scopes = [Scope(outermost, None, {} if module is None else module.fields, ())]
    for call in run.calls[len(run.calls) - len(stack) :]:
        function = call.function
        enclosing = (*function.closure, function.module.fields)
        scopes.append(Scope(function.module.path, function.node, _objects(call.names), enclosing))
    return tuple(scopes)


@contextmanager
def inner_names(run: Interpreter, outer: Store, inner: Store) -> Iterator[None]:
    """Let code within a comprehension name what the comprehension binds."""
    call = run.calls[-1] if run.calls and run.calls[-1].names is outer else None
    if call is not None:
        call.names = inner
    try:
        yield
    finally:
        if call is not None:
            call.names = outer


def innermost_scope(run: Interpreter, path: str) -> Scope:
    """All names of the function under way, as they are now, or of the body of a file."""
    if run.calls:
        call = run.calls[-1]
        return Scope(call.function.module.path, call.function.node, dict(call.names), ())
    module = run.modules.get(path)
    return Scope(path, None, {} if module is None else dict(module.fields), ())


def _objects(names: Names) -> Names:
    """Those of what has an identity, or may be one of several things that have."""
    return {
        name: value
        for name, value in names.items()
        if isinstance(value, (values.Object, values.Parameters, values.Union))
    }
