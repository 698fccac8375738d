"""What one call of a function has: where it stands, what it was given and its names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rnnlint.lowering import ir
from rnnlint.semantics import values
from rnnlint.semantics.state import Store
from rnnlint.semantics.values import UNKNOWN, Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.catalogue import Entry
    from rnnlint.semantics.interpreter import Interpreter

Flow = str
"""How a block ended: "" normally, or "return", "raise", "break", "continue"."""


class Arguments:
    """The arguments of one call; `open` when unknown ones may follow."""

    __slots__ = ("keywords", "open", "positional")

    def __init__(
        self,
        positional: list[Value] | None = None,
        keywords: dict[str, Value] | None = None,
        open_ended: bool = False,
    ) -> None:
        self.positional = positional or []
        self.keywords = keywords or {}
        self.open = open_ended

    def get(self, position: int | None, *names: str) -> Value | None:
        """The argument at `position` or by one of `names`, None when absent."""
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        if position is not None and position < len(self.positional):
            return self.positional[position]
        return None

    @property
    def first(self) -> Value:
        """The first positional argument; UNKNOWN when there is none."""
        return self.positional[0] if self.positional else UNKNOWN

    def all(self) -> list[Value]:
        return [*self.positional, *self.keywords.values()]

    def bind(self, parameters: tuple[str, ...]) -> dict[str, Value]:
        """The arguments by parameter name."""
        bound = dict(zip(parameters, self.positional, strict=False))
        bound.update(self.keywords)
        return bound


class Frame:
    """One activation of a function, a class body or a module body."""

    __slots__ = (
        "bound", "by_length", "closure", "function", "global_names", "loops", "module", "names",
        "receiver", "returns", "scope", "yields",
    )  # fmt: skip

    def __init__(
        self,
        scope: Store,
        module: values.ModuleScope,
        closure: tuple[Store, ...] = (),
        function: values.Function | None = None,
    ) -> None:
        self.scope = scope
        self.module = module
        self.closure = closure
        self.function = function
        self.returns: list[Value] = []
        self.yields: list[Value] = []
        self.global_names: set[str] = set()
        self.receiver: Value | None = None
        self.loops = 0
        """How many loops were under way when it began."""
        self.by_length = False
        """Whether a test on a sequence's length decided what is returned."""
        self.names = scope
        """The names of the function, also for a comprehension in it."""
        self.bound: dict[str, Any] = {}
        """What bound each name last: where that stands, or what a comprehension goes over."""

    @property
    def enclosing(self) -> tuple[Store, ...]:
        """The names that code defined here sees around its own; a module's are seen anyway."""
        return self.closure if self.scope is self.module.fields else (self.scope, *self.closure)

    def place(self, node: ir.Node) -> Place:
        """Where a node of the running code stands."""
        return Place(self.module.path, node.start, node.end)


class Call:
    """One call of a function of the project that is under way."""

    __slots__ = ("arguments", "function", "names", "place")

    def __init__(
        self, function: values.Function, place: Place, arguments: Arguments, names: Store
    ) -> None:
        self.function = function
        self.place = place
        self.arguments = arguments
        self.names = names


Effect: TypeAlias = "Callable[[Interpreter, Entry, str, Arguments, Place], Value]"
"""What a call of a library's name does: (run, its entry, its name, arguments, place)."""
Method: TypeAlias = "Callable[[Interpreter, values.Thing, str, Arguments, Place], Value]"
"""What a method of a library's object does: (run, the object, its name, arguments, place)."""
