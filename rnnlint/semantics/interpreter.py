"""The abstract interpreter: runs a project over abstract values.

It follows calls into the project's own functions and records events.  Statements,
expressions and effects live in their own modules; this one knows modules and calls.

Work is bounded: a run has a budget of steps, calls have a depth, and what lies
beyond is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import (
    attributes,
    bases,
    branches,
    collation,
    companion,
    data,
    definitions,
    events,
    expressions,
    frameworks,
    joins,
    library,
    naming,
    operations,
    padding,
    parsers,
    passages,
    statements,
    torchtext,
    training,
    values,
)
from rnnlint.semantics.frames import Arguments, Call, Effect, Flow, Frame, Method
from rnnlint.semantics.histories import Histories
from rnnlint.semantics.state import State
from rnnlint.semantics.values import UNKNOWN, Place, Value

BASE_STEPS = 60_000
STEPS_PER_CHARACTER = 0.4
"""A whole run may take the base and this much for each character of the files it reads, so
that large projects cost in proportion to reading them."""
MAX_ENTRY_STEPS = 75_000
MAX_SHARE = 0.75
"""What one entry point may take, at most this share of what is left for all."""
STEPS_TO_A_PAUSE = 2_000
"""After so many, whoever waits for the run is asked whether it is still wanted."""
MAX_DEPTH = 40
"""How many calls may be under way at once."""
MAX_ACTIVATIONS = 2
"""How many of one function."""

Resolver = Callable[[str, str, int], "str | None"]
"""(importing file, module, level) -> path of the module's file, or "folder/"."""


_EXECUTORS = {**statements.EXECUTORS, **branches.EXECUTORS, **definitions.EXECUTORS}


class _Within:
    """Sets the context for a `with` block, and puts the former one back."""

    __slots__ = ("_inner", "_outer", "_run")

    def __init__(self, run: Interpreter, inner: events.Context) -> None:
        self._run = run
        self._inner = inner
        self._outer = run.context

    def __enter__(self) -> None:
        self._run.context = self._inner

    def __exit__(self, *failure: object) -> None:
        self._run.context = self._outer


class OutOfBudgetError(Exception):
    """The run of one entry point has used up its steps."""


class Interpreter:
    """One abstract run of a project."""

    effects: Mapping[str, Effect] = {
        **library.EFFECTS,
        **data.EFFECTS,
        **padding.EFFECTS,
        **torchtext.EFFECTS,
        **training.EFFECTS,
        **frameworks.EFFECTS,
        **companion.EFFECTS,
        **collation.EFFECTS,
    }
    """What calling a name of the catalogue does."""
    thing_methods: Mapping[str, Method] = {
        **data.METHODS,
        **torchtext.METHODS,
        **training.METHODS,
        **frameworks.METHODS,
        **parsers.METHODS,
        **companion.METHODS,
    }
    """What calling a method of a library's object does, by the kind of object."""

    def __init__(
        self, files: Mapping[str, ir.FileIR], resolve: Resolver, pause: Callable[[], object] = bool
    ) -> None:
        """
        Args:
            files: the representation of each file by its path.
            resolve: the import graph.
            pause: called now and then; what it raises, if that is no `Exception`, ends the run.
        """
        self.files = files
        self.resolve = resolve
        self.pause = pause
        self.state = State()
        self.context = events.Context()
        self.events: list[events.Event] = []
        self.notes: list[events.Note] = []
        self.modes_read: set[tuple[values.Layer, tuple[int, ...], bool]] = set()
        """Layers, loops and whether autograd is on, of the notes about modes."""
        self.layers: list[values.Layer] = []
        self.things: list[values.Thing] = []
        self.modules: dict[str, values.ModuleScope] = {}
        self.mains: list[tuple[tuple[ir.Stmt, ...], Frame]] = []
        self.executed: set[int] = set()
        self.functions: dict[int, values.Function] = {}
        self.classes: dict[int, values.Class] = {}
        self.steps = 0
        size = sum(file.body[-1].end for file in files.values() if file.body)
        self.max_steps = BASE_STEPS + int(STEPS_PER_CHARACTER * size)
        self.entry_limit = self.next_pause = MAX_ENTRY_STEPS
        self.exhausted = False
        self.cut: set[tuple[Place, int, int]] = set()
        """Turns of loops in which the steps ran out, or a call was not run once more."""
        self.failures: list[Exception] = []
        self.histories = Histories()
        self.passages = passages.Passages()
        self.calls: list[Call] = []
        """The calls under way, outermost first."""
        self.loop_counter = 0
        self.loop_sources: dict[int, Value] = {}
        """What each execution of a `for` loop iterates over."""
        self.loop_depths: dict[int, int] = {}
        """How many calls were under way when each execution of a loop began."""
        self.returned_at: Place | None = None
        """The last `return` that was run."""
        self.unpacked: set[Place] = set()
        """Expressions whose value is unpacked into several names."""
        self.filling: list[Place] = []
        """Loops that append padding until a sequence is long enough."""

    # --- events ---

    def emit(self, event: events.Event) -> None:
        event.time = len(self.events)
        if isinstance(event, events.Update):
            event.scopes = naming.scopes_under_way(self, event)
        self.events.append(event)

    def note(self, note: events.Note) -> None:
        """Take down what is seen in passing."""
        note.time = len(self.events)
        note.number = len(self.notes)
        self.notes.append(note)

    def tick(self) -> None:
        self.steps += 1
        if self.steps > self.next_pause:
            self._rest()

    def _rest(self) -> None:
        if self.steps > self.entry_limit:
            self.exhausted = True
            self.cut.update(self.context.loops)
            raise OutOfBudgetError
        self.pause()
        self.next_pause = min(self.entry_limit, self.steps + STEPS_TO_A_PAUSE)

    # --- contexts ---

    def condition(self, place: Place, arm: int, unlikely: bool = False) -> _Within:
        """One arm of a branch; an `unlikely` one is not what an option's default chooses."""
        context = self.context
        return self._within(
            conditions=(*context.conditions, (place, arm)), unlikely=context.unlikely or unlikely
        )

    def attempt(self) -> _Within:
        """Code whose failure the program survives."""
        return self._within(attempted=True)

    def hypothetical(self) -> _Within:
        """Code that runs only if the program were another."""
        return self._within(hypothetical=True)

    def loop(self, place: Place, number: int, turn: int, again: bool = False) -> _Within:
        """A turn of a loop's body; `again` when it runs over the same element as before."""
        context = self.context
        self.loop_depths[number] = len(context.stack)
        return self._within(
            loops=(*context.loops, (place, number, turn)), settled=context.settled or again
        )

    def without_gradients(self, off: bool = True) -> _Within:
        """Code under `torch.no_grad()`, if `off`."""
        return self._within(gradients=self.context.gradients and not off)

    def _within(self, **changes: Any) -> _Within:
        return _Within(self, msgspec.structs.replace(self.context, **changes))

    # --- modules ---

    def module(self, path: str) -> values.ModuleScope:
        """The module in the file at `path`, its body run at the first request."""
        known = self.modules.get(path)
        if known is not None:
            return known
        for package in _packages_around(path):
            if package in self.files and package not in self.modules:
                self.module(package)
        known = self.modules.get(path)
        if known is not None:
            return known
        scope = values.ModuleScope(path)
        self.modules[path] = scope
        file = self.files.get(path)
        if file is not None:
            self._run_module(scope, file)
        return scope

    def imported(self, path: str) -> Value:
        """What the import graph leads to: a module, or a folder that is a namespace package."""
        return values.Folder(path) if path.endswith("/") else self.module(path)

    def _run_module(self, scope: values.ModuleScope, file: ir.FileIR) -> None:
        with self._outside_branches(), _Within(self, events.Context(entry=self.context.entry)):
            try:
                self.execute(file.body, Frame(scope.fields, scope))
            except RecursionError:
                self.exhausted = True

    @contextmanager
    def _outside_branches(self) -> Iterator[None]:
        """Code whose effects outlive the branch in which it happens to be run first."""
        branch, self.state = self.state, State()
        try:
            yield
        finally:
            self.state = branch

    def execute(self, block: tuple[ir.Stmt, ...], frame: Frame) -> Flow:
        """Run statements in a frame, and say how they ended."""
        for statement in block:
            self.tick()
            flow = _EXECUTORS[type(statement)](self, statement, frame)
            if flow:
                return flow
        return ""

    # --- calls ---

    def call_function(
        self,
        function: values.Function,
        arguments: Arguments,
        place: Place,
        receiver: Value | None = None,
    ) -> Value:
        """Run a function of the project and return what it returns."""
        self.passages.note_call(self, function, arguments, place)
        if len(self.calls) >= MAX_DEPTH or self._activations(function) >= MAX_ACTIVATIONS:
            return UNKNOWN
        gradients = self.context.gradients
        history = self.histories.of(function, receiver, arguments, gradients)
        known = self.histories.remembered(history, arguments)
        if known is not None:
            if history.account.trains:
                self.cut.update(self.context.loops)  # what it does is missing from this turn
            return known
        history.count += 1
        frame = Frame({}, function.module, function.closure, function)
        frame.receiver = receiver
        frame.loops = len(self.context.loops)
        self._bind(function, arguments, receiver, frame)
        self.executed.add(id(function.node))
        begun, seen = self.steps, len(self.events)
        saved, saved_filling = self.context, self.filling
        self.calls.append(Call(function, place, arguments, frame.scope))
        self.filling = []
        self.context = msgspec.structs.replace(
            saved,
            stack=(*saved.stack, place),
            gradients=gradients and not function.stops_gradients,
        )
        try:
            history.result = statements.run_body(self, function.node, frame)
            return history.result
        finally:
            self.context, self.filling = saved, saved_filling
            self.calls.pop()
            self.histories.note(history, self.steps - begun, self.events[seen:])

    def _activations(self, function: values.Function) -> int:
        count = 0
        for call in self.calls:
            if call.function.node is function.node:
                count += 1
        return count

    def _bind(
        self,
        function: values.Function,
        arguments: Arguments,
        receiver: Value | None,
        frame: Frame,
    ) -> None:
        given = list(arguments.positional)
        if receiver is not None and function.kind != "static":
            given.insert(0, receiver)
        keywords = dict(arguments.keywords)
        for parameter in function.node.params:
            name = parameter.name
            if parameter.kind == "*":
                value: Value = (
                    values.ListObject(None, UNKNOWN)
                    if arguments.open and not given
                    else values.Tuple(tuple(given))
                )
                given = []
            elif parameter.kind == "**":
                value = values.DictObject(keywords, UNKNOWN if arguments.open else None)
                keywords = {}
            elif given and parameter.kind != "keyword-only":
                value = given.pop(0)
                keywords.pop(name, None)
            elif name in keywords:
                value = keywords.pop(name)
            elif arguments.open and name in function.defaults:
                value = operations.optional(function.defaults[name])
            elif arguments.open:
                value = UNKNOWN
            else:
                value = function.defaults.get(name, UNKNOWN)
            if isinstance(value, values.Unknown) and parameter.annotation is not None:
                value = self._annotated(parameter.annotation, function)
            self.passages.note_binding(frame.place(parameter), value)
            frame.scope[name] = value

    def _annotated(self, annotation: ir.Expr, function: values.Function) -> Value:
        """What an annotation says of a parameter nobody passed: an instance of the class."""
        frame = Frame({}, function.module, function.closure)
        if isinstance(annotation, ir.Binary) and annotation.op == "|":
            parts = (annotation.left, annotation.right)
            return joins.join_results([self._annotated(part, function) for part in parts])
        if isinstance(annotation, ir.Subscript):
            outer = expressions.evaluate(self, annotation.value, frame)
            if isinstance(outer, values.External) and outer.name in _UNION_TYPES:
                return joins.join_results(
                    [self._annotated(part, function) for part in annotation.index]
                )
            return UNKNOWN
        kind = expressions.evaluate(self, annotation, frame)
        if isinstance(kind, values.External) and kind.name in ("torch.Tensor", "torch.LongTensor"):
            return values.TENSOR
        if isinstance(kind, values.Class):
            return self.fabricate(kind)
        return UNKNOWN

    def fabricate(self, cls: values.Class) -> Value:
        """An instance of a class, built from arguments that nobody knows."""
        made = cls.fields.get("<fabricated>")
        if isinstance(made, Value):
            return made
        cls.fields["<fabricated>"] = UNKNOWN
        with self._outside_branches(), self._within(fabricated=True):
            place = cls.place or Place("", 0, 0)
            made = self.instantiate(cls, Arguments(open_ended=True), place)
        cls.fields["<fabricated>"] = made
        return made

    def instantiate(self, cls: values.Class, arguments: Arguments, place: Place) -> Value:
        """Build an instance of a class of the project."""
        instance = values.Instance(cls, place)
        initialiser = attributes.find_in_class(cls, "__init__")
        if isinstance(initialiser, values.Function):
            self.call_function(initialiser, arguments, place, instance)
        else:
            bases.construct_base(self, instance, arguments, place)
        return instance

    def enter(self, action: Callable[[], object]) -> None:
        """Run one entry point within its own budget."""
        if self.steps >= self.max_steps:
            self.exhausted = True
            return
        self.context = events.Context(entry=len(self.events) + 1)
        left = self.max_steps - self.steps
        self.entry_limit = self.steps + min(MAX_ENTRY_STEPS, int(MAX_SHARE * left))
        self.next_pause = min(self.entry_limit, self.steps + STEPS_TO_A_PAUSE)
        self.calls.clear()
        self.histories.begin()
        try:
            action()
        except OutOfBudgetError:
            pass  # `tick` has taken down what was cut short
        except RecursionError:
            self.exhausted = True
        except Exception as error:
            # A fault of ours in one entry point must not cost what the others show.
            self.failures.append(error)
        finally:
            self.state = State()


def _packages_around(path: str) -> list[str]:
    """The `__init__.py` files that Python runs before a module, outermost first."""
    folders = path.split("/")[:-1]
    around = ["/".join([*folders[:count], "__init__.py"]) for count in range(1, len(folders) + 1)]
    return [package for package in around if package != path]


_UNION_TYPES = {"typing.Optional", "typing.Union"}
