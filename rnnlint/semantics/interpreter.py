"""The abstract interpreter: runs a project over abstract values.

It starts at entry points (module bodies, `__main__` blocks, functions that nobody
calls, classes that nobody builds), follows calls into the project's own functions
and records events.  Statements, expressions and effects live in their own
modules; this one knows modules, frames and calls.

Work is bounded: a run has a budget of steps, calls have a depth, and what lies
beyond is unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

import msgspec

from rnnlint.lowering import ir
from rnnlint.semantics import events, values
from rnnlint.semantics.state import State, Store
from rnnlint.semantics.values import UNKNOWN, Place, Value

BASE_STEPS = 200_000
STEPS_PER_CHARACTER = 0.2
"""A whole run may take the base and this much for each character of the files it reads, so
that large projects cost in proportion to reading them."""
MAX_ENTRY_STEPS = 150_000
MAX_FUNCTION_STEPS = 40_000
"""What one function may take within one entry point, all its calls together."""
MAX_DEPTH = 40
MAX_REPETITIONS = 4
"""How often a function is run on one object within one entry point; then it returns what
it returned before."""
MAX_TRAINING_REPETITIONS = 24
"""The same for functions that step, clip, schedule or initialise."""
MAX_HEIRS = 8
"""Subclasses for which a method that nobody calls is run."""
MAX_ACTIVATIONS = 2
"""How often one function may be on the call stack at once."""

Resolver = Callable[[str, str, int], "str | None"]
"""(importing file, module, level) -> path of the module's file, or "folder/"."""


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
        "by_length", "closure", "context_values", "function", "global_names", "module", "receiver",
        "returns", "scope", "yields",
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
        self.by_length = False
        """Whether a test on a sequence's length decided what is returned."""


class _History:
    """How often a function ran on one object, and what it returned last."""

    __slots__ = ("count", "receiver", "result", "trains")

    def __init__(self, receiver: Value | None) -> None:
        self.receiver = receiver
        """Kept alive, because the histories know it by its identity."""
        self.count = 0
        self.trains = False
        """Whether it does more than compute: steps, clips, initialises, ..."""
        self.result: Value = UNKNOWN


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

    def __init__(self, files: Mapping[str, ir.FileIR], resolve: Resolver) -> None:
        self.files = files
        self.resolve = resolve
        self.state = State()
        self.context = events.Context()
        self.events: list[events.Event] = []
        self.layers: list[values.Layer] = []
        self.things: list[values.Thing] = []
        self.modules: dict[str, values.ModuleScope] = {}
        self.mains: list[tuple[tuple[ir.Stmt, ...], Frame]] = []
        self.executed: set[int] = set()
        self.built: set[int] = set()
        self.functions: dict[int, values.Function] = {}
        self.classes: dict[int, values.Class] = {}
        self.steps = 0
        size = sum(file.body[-1].end for file in files.values() if file.body)
        self.max_steps = BASE_STEPS + int(STEPS_PER_CHARACTER * size)
        self.entry_limit = MAX_ENTRY_STEPS
        self.exhausted = False
        self.failures: list[Exception] = []
        self.active: dict[int, int] = {}
        self.depth = 0
        self.spent: dict[tuple[int, bool], int] = {}
        """Steps that each function took within this entry point, with and without autograd."""
        self.barren: dict[int, int] = {}
        """Steps of each function's calls in which nothing happened, over the whole run."""
        self.histories: dict[tuple[int, int, bool, bool], _History] = {}
        self.given: list[tuple[Place, Arguments]] = []
        """The calls under way, with what they were given."""
        self.loop_counter = 0
        self.loop_depths: dict[int, int] = {}
        """How many calls were under way when each execution of a loop began."""
        self.returned_at: Place | None = None
        """The expression that the last `return` gave back."""
        self.filling: list[Place] = []
        """Loops that append padding until a sequence is long enough."""

    # --- events ---

    def emit(self, event: events.Event) -> None:
        event.time = len(self.events)
        self.events.append(event)

    def tick(self) -> None:
        self.steps += 1
        if self.steps > self.entry_limit:
            self.exhausted = True
            raise OutOfBudgetError

    # --- contexts ---

    def condition(self, place: Place, arm: int, unlikely: bool = False) -> _Within:
        """One arm of a branch; an `unlikely` one is not what an option's default chooses."""
        context = self.context
        return self._within(
            conditions=(*context.conditions, (place, arm)), unlikely=context.unlikely or unlikely
        )

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

    def _run_module(self, scope: values.ModuleScope, file: ir.FileIR) -> None:
        from rnnlint.semantics import statements

        saved = self.context
        self.context = events.Context(entry=saved.entry)
        frame = Frame(scope.fields, scope)
        try:
            statements.execute_block(self, file.body, frame)
        except RecursionError:
            self.exhausted = True
        finally:
            self.context = saved

    # --- calls ---

    def call_function(
        self,
        function: values.Function,
        arguments: Arguments,
        place: Place,
        receiver: Value | None = None,
    ) -> Value:
        """Run a function of the project and return what it returns."""
        from rnnlint.semantics import statements, tensors

        key = id(function.node)
        if self.depth >= MAX_DEPTH or self.active.get(key, 0) >= MAX_ACTIVATIONS:
            return UNKNOWN
        history = self._history(function, receiver, arguments)
        if history.count >= (MAX_TRAINING_REPETITIONS if history.trains else MAX_REPETITIONS):
            for call in tensors.graph_of(history.result):
                call.remembered = True
            return values.fresh_copy(history.result)
        history.count += 1
        account = (key, self.context.gradients)
        if max(self.spent.get(account, 0), self.barren.get(key, 0)) > MAX_FUNCTION_STEPS:
            return UNKNOWN
        begun, seen = self.steps, len(self.events)
        frame = Frame({}, function.module, function.closure, function)
        frame.receiver = receiver
        self._bind(function, arguments, receiver, frame)
        self.executed.add(key)
        self.active[key] = self.active.get(key, 0) + 1
        self.given.append((place, arguments))
        self.depth += 1
        saved, saved_filling, self.filling = self.context, self.filling, []
        self.context = msgspec.structs.replace(
            saved,
            stack=(*saved.stack, place),
            gradients=saved.gradients and not function.stops_gradients,
        )
        try:
            history.result = statements.run_body(self, function.node, frame)
            return history.result
        finally:
            self.filling = saved_filling
            self.context = saved
            self.depth -= 1
            self.given.pop()
            self.spent[account] = self.spent.get(account, 0) + self.steps - begun
            happened = self.events[seen:]
            history.trains = history.trains or any(
                not isinstance(event, _COMPUTATIONS) for event in happened
            )
            if not happened:
                self.barren[key] = self.barren.get(key, 0) + self.steps - begun
            self.active[key] -= 1

    def _history(
        self, function: values.Function, receiver: Value | None, arguments: Arguments
    ) -> _History:
        """What calls of a function on one object have given, within this entry point.

        Padded and other batches are told apart.
        """
        padded = any(
            isinstance(value, values.Tensor) and value.padding is not None
            for value in arguments.positional
        )
        key = (id(function.node), id(receiver), self.context.gradients, padded)
        history = self.histories.get(key)
        if history is None:
            history = self.histories[key] = _History(receiver)
        return history

    def _bind(
        self,
        function: values.Function,
        arguments: Arguments,
        receiver: Value | None,
        frame: Frame,
    ) -> None:
        from rnnlint.semantics import operations

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
            frame.scope[name] = value

    def _annotated(self, annotation: ir.Expr, function: values.Function) -> Value:
        """What an annotation says of a parameter nobody passed: an instance of the class."""
        from rnnlint.semantics import expressions

        frame = Frame({}, function.module, function.closure)
        if isinstance(annotation, ir.Binary) and annotation.op == "|":
            parts = (annotation.left, annotation.right)
            return values.join_results([self._annotated(part, function) for part in parts])
        if isinstance(annotation, ir.Subscript):
            outer = expressions.evaluate(self, annotation.value, frame)
            if isinstance(outer, values.External) and outer.name in _UNION_TYPES:
                return values.join_results(
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
        with self._within(fabricated=True):
            place = cls.place or Place("", 0, 0)
            made = self.instantiate(cls, Arguments(open_ended=True), place)
        cls.fields["<fabricated>"] = made
        return made

    def instantiate(self, cls: values.Class, arguments: Arguments, place: Place) -> Value:
        """Build an instance of a class of the project."""
        from rnnlint.semantics import attributes, library

        self.built.add(id(cls.node))
        instance = values.Instance(cls, place)
        initialiser = attributes.find_in_class(cls, "__init__")
        if isinstance(initialiser, values.Function):
            self.call_function(initialiser, arguments, place, instance)
        else:
            library.construct_base(self, instance, arguments, place)
        return instance

    # --- entry points ---

    def run(self) -> None:
        """Run the whole project: modules, `__main__` blocks, then what nobody called."""
        for path in sorted(self.files):
            self._entry(lambda path=path: self.module(path))  # type: ignore[misc]
            self._run_mains()
        self._run_uncalled()

    def _run_mains(self) -> None:
        from rnnlint.semantics import statements

        while self.mains:
            body, frame = self.mains.pop(0)
            self._entry(lambda b=body, f=frame: statements.execute_block(self, b, f))  # type: ignore[misc]

    def _run_uncalled(self) -> None:
        """Run functions and methods that no run has reached, callers before callees."""
        matters = relevant_names(list(self.functions.values()), list(self.classes.values()))
        for _ in range(2):
            pending = [
                key
                for key, function in self.functions.items()
                if key not in self.executed and _matters(function, matters)
            ]
            mentioned: dict[str, int] = {}
            for key in pending:
                function = self.functions[key]
                own = function.owner.name if function.owner is not None else ""
                for name in {*getattr(function.node, "mentions", ())} - {own}:
                    mentioned[name] = mentioned.get(name, 0) + 1
            roots = [key for key in pending if not mentioned.get(_known_as(self.functions[key]))]
            rest = [key for key in pending if mentioned.get(_known_as(self.functions[key]))]
            for key in [*roots, *rest]:
                if key in self.executed:
                    continue
                function = self.functions[key]
                if isinstance(function.node, ir.Lambda):
                    continue
                for receiver in self._receivers(function):
                    if isinstance(receiver, values.Instance) and self._run_lightning(receiver):
                        continue
                    place = Place(function.module.path, function.node.start, function.node.end)
                    self._entry(
                        lambda f=function, p=place, r=receiver: self.call_function(  # type: ignore[misc]
                            f, Arguments(open_ended=True), p, r
                        )
                    )

    def _receivers(self, function: values.Function) -> list[Value | None]:
        """What an uncalled function is called on: its class's instances, those of heirs too."""
        from rnnlint.semantics import attributes

        owner = function.owner
        if owner is None or function.kind == "static":
            return [None]
        if function.kind == "class":
            return [owner]
        heirs = (
            cls
            for cls in self.classes.values()
            if cls is not owner
            and owner in cls.lineage
            and attributes.find_in_class(cls, function.name) is function
        )
        receivers: list[Value | None] = []
        for cls in list(islice(heirs, MAX_HEIRS)) or [owner]:
            known = attributes.known_instance(self, cls)
            receivers.append(known if known is not None else self._fabricated(cls))
        return [] if id(function.node) in self.executed else receivers

    def _run_lightning(self, module: values.Instance) -> bool:
        """Run a LightningModule that no trainer was seen to fit; False for other objects."""
        from rnnlint.semantics import frameworks

        if not frameworks.is_lightning_module(module) or "<ran>" in module.cls.fields:
            return False
        module.cls.fields["<ran>"] = values.TRUE
        place = module.cls.place or Place("", 0, 0)
        self._entry(lambda: frameworks.run_lightning_module(self, module, None, None, place))
        return True

    def _fabricated(self, owner: values.Class) -> Value:
        result: list[Value] = [UNKNOWN]
        self._entry(lambda: result.append(self.fabricate(owner)))
        return result[-1]

    def _entry(self, action: Callable[[], object]) -> None:
        """Run one entry point within its own budget."""
        if self.steps >= self.max_steps:
            self.exhausted = True
            return
        self.context = events.Context(entry=len(self.events) + 1)
        self.entry_limit = min(self.steps + MAX_ENTRY_STEPS, self.max_steps)
        self.depth = 0
        self.given.clear()
        self.spent.clear()
        self.histories.clear()
        self.active.clear()
        try:
            action()
        except OutOfBudgetError:
            pass
        except RecursionError:
            self.exhausted = True
        except Exception as error:
            # A fault of ours in one entry point must not cost what the others show.
            self.failures.append(error)
        finally:
            self.state = State()


_COMPUTATIONS = (events.LayerCall, events.Reading, events.Packing)
_EVIDENCE = frozenset(
    "LSTM GRU RNN LSTMCell GRUCell RNNCell backward manual_backward training_step "
    "pack_padded_sequence pad_packed_sequence pack_sequence pad_sequence clip_grad_norm_ "
    "clip_grad_norm clip_grad_value_ clip_grad_value lr_scheduler ReduceLROnPlateau Trainer".split()
)
"""Names that code of interest to a rule mentions."""


_RUN_BY_OTHERS = frozenset({"forward", "training_step"})
"""Methods that matter when their class does, though they name no layer themselves."""


def _packages_around(path: str) -> list[str]:
    """The `__init__.py` files that Python runs before a module, outermost first."""
    folders = path.split("/")[:-1]
    around = ["/".join([*folders[:count], "__init__.py"]) for count in range(1, len(folders) + 1)]
    return [package for package in around if package != path]


def _known_as(function: values.Function) -> str:
    """The name by which callers of a function mention it."""
    if function.owner is not None and function.name in _RUN_BY_OTHERS:
        return function.owner.name
    return function.name


def _matters(function: values.Function, relevant: frozenset[str]) -> bool:
    mentions = getattr(function.node, "mentions", ())
    if function.owner is not None and function.name in _RUN_BY_OTHERS:
        return function.owner.name in relevant
    return not relevant.isdisjoint(mentions)


def relevant_names(functions: list[values.Function], classes: list[values.Class]) -> frozenset[str]:
    """Names of functions and classes that lead, by what they mention, to `_EVIDENCE`.

    A class leads there when one of its methods does, or one of its bases.
    """
    mentions: dict[str, set[str]] = {}
    for function in functions:
        named = set(getattr(function.node, "mentions", ()))
        if function.name != "__init__":
            mentions.setdefault(function.name, set()).update(named)
        if function.owner is not None:
            mentions.setdefault(function.owner.name, set()).update(named)
    for cls in classes:
        bases = {base.name for base in cls.bases if isinstance(base, values.Class)}
        mentions.setdefault(cls.name, set()).update(bases)
    relevant = set(_EVIDENCE)
    grew = True
    while grew:
        grew = False
        for name, named in mentions.items():
            if name not in relevant and not relevant.isdisjoint(named):
                relevant.add(name)
                grew = True
    return frozenset(relevant)


_UNION_TYPES = {"typing.Optional", "typing.Union"}
