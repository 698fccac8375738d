"""What happens while a program trains, in the order in which it happens.

The interpreter appends an event for everything that a rule may ask about.  An
event says where it happened (`place`), in which pass of which loops (`loops`),
under which calls (`stack`) and under which conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

import msgspec

from rnnlint.semantics.values import Place, Value

if TYPE_CHECKING:
    from rnnlint.semantics.frames import Call
    from rnnlint.semantics.naming import Scope
    from rnnlint.semantics.values import (
        Function,
        Instance,
        Layer,
        Padding,
        Parameter,
        Tensor,
        Thing,
    )


class Context(msgspec.Struct, frozen=True):
    """Where in the run something happens."""

    entry: int = 0
    """Number of the entry point whose run this is."""
    loops: tuple[tuple[Place, int, int], ...] = ()
    """(place, number of this execution of the loop, pass), outermost first."""
    stack: tuple[Place, ...] = ()
    """The call sites that led here, outermost first."""
    conditions: tuple[tuple[Place, int], ...] = ()
    """The branches taken on tests whose outcome is not known."""
    hypothetical: bool = False
    """Whether this code runs only if a constant of the program were changed."""
    fabricated: bool = False
    """Whether this builds an object that nobody builds, from arguments nobody gives."""
    unlikely: bool = False
    """Whether this code runs only if an option is given another value than its default."""
    attempted: bool = False
    """Whether the program goes on when this fails: it stands in a `try`."""
    settled: bool = False
    """Whether this is the second turn of a loop over an abstract element."""
    gradients: bool = True
    """Whether autograd records here."""


class Event:
    """Base of all events."""

    __slots__ = ("context", "place", "time")

    def __init__(self, place: Place, context: Context) -> None:
        self.place = place
        self.context = context
        self.time = 0

    @property
    def loops(self) -> tuple[tuple[Place, int, int], ...]:
        return self.context.loops

    def loop_place(self, number: int) -> Place | None:
        """Where one of the loops around it stands, by the number of its execution."""
        return next((place for place, known, _ in self.loops if known == number), None)

    @property
    def hypothetical(self) -> bool:
        return self.context.hypothetical

    def goes_with(self, other: Event) -> bool:
        """Whether both lie on one way through the program: no branch parts them."""
        taken = dict(self.context.conditions)
        return not taken or all(
            taken.get(place, arm) == arm for place, arm in other.context.conditions
        )

    @property
    def conditional(self) -> bool:
        """Whether a test decides if this happens (and not only to which alternative)."""
        return any(arm >= 0 for _, arm in self.context.conditions)


class LayerCall(Event):
    """A recurrent layer runs over its input.

    `under` lists the calls under way with their arguments, when the state hangs on a
    graph: one of them may have been handed the state.  `scope` are the names around the
    call of a layer that runs over padding.
    """

    __slots__ = ("input", "layer", "remembered", "scope", "state", "under")

    def __init__(
        self,
        place: Place,
        context: Context,
        layer: Layer,
        given: Tensor,
        state: Value | None,
        under: tuple[Call, ...] = (),
    ) -> None:
        super().__init__(place, context)
        self.under = under
        self.scope: Scope | None = None
        self.remembered = False
        """Whether its result was also given for later calls that were not run again, so
        that it says nothing of when those results came to be."""
        self.layer = layer
        self.input = given
        self.state = state


class Reading(Event):
    """Something reads a recurrent layer's result.

    `how` is "last-step" (`out[:, -1]`, `out[-1]`), "half-step" (the last step of
    some features: `out[:, -1, :hidden]`), "pooled" (mean or max over time),
    "attended" (a softmax over time weighs it), or "state" (the returned state is
    used).  `scope` are the names around a softmax that weighs padding.
    """

    __slots__ = ("axis", "how", "scope", "tensor")

    def __init__(
        self, place: Place, context: Context, tensor: Tensor, how: str, axis: int | None = None
    ) -> None:
        super().__init__(place, context)
        self.scope: Scope | None = None
        self.tensor = tensor
        self.how = how
        self.axis = axis


class Packing(Event):
    """pack_padded_sequence, pad_packed_sequence."""

    __slots__ = ("batch_first", "enforce_sorted", "given", "lengths", "unpacks")

    def __init__(
        self,
        place: Place,
        context: Context,
        given: Value,
        lengths: Value,
        batch_first: Value,
        enforce_sorted: Value,
        unpacks: bool,
    ) -> None:
        super().__init__(place, context)
        self.given = given
        self.lengths = lengths
        self.batch_first = batch_first
        self.enforce_sorted = enforce_sorted
        self.unpacks = unpacks


class LossComputed(Event):
    """A loss function meets a prediction and its target.

    `criterion` is the loss's module, None where a function computes it.
    """

    __slots__ = ("criterion", "kind", "options", "prediction", "target")

    def __init__(
        self,
        place: Place,
        context: Context,
        kind: str,
        prediction: Value,
        target: Value,
        options: dict[str, Value],
        criterion: Layer | None = None,
    ) -> None:
        super().__init__(place, context)
        self.kind = kind
        self.prediction = prediction
        self.target = target
        self.options = options
        self.criterion = criterion


class Update(Event):
    """Base of what updates the weights: a backward pass, and what an optimizer does.

    `scopes` are the names of the code under way, outermost first: first the file where the
    run begins, then the function of each call in `context.stack`.
    """

    __slots__ = ("scopes",)

    def __init__(self, place: Place, context: Context) -> None:
        super().__init__(place, context)
        self.scopes: tuple[Scope, ...] = ()


class Backward(Update):
    """A backward pass; `implicit` when a framework's trainer runs it."""

    __slots__ = ("calls", "implicit", "retains_graph", "scaled")

    def __init__(
        self,
        place: Place,
        context: Context,
        calls: frozenset[LayerCall],
        retains_graph: bool = False,
        scaled: bool = False,
        implicit: bool = False,
    ) -> None:
        super().__init__(place, context)
        self.implicit = implicit
        self.calls = calls
        self.retains_graph = retains_graph
        self.scaled = scaled


class OptimizerEvent(Update):
    """`what` is "step", "zero_grad", "unscale", "rate" (a param_groups edit), "built",
    "attached" (a scheduler is built for it), or "schedule" (that one is stepped)."""

    __slots__ = ("arguments", "optimizer", "scheduler", "what")

    def __init__(
        self,
        place: Place,
        context: Context,
        what: str,
        optimizer: Value,
        scheduler: Thing | None = None,
        arguments: int = 0,
    ) -> None:
        super().__init__(place, context)
        self.what = what
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.arguments = arguments


def is_step(event: Event) -> TypeGuard[OptimizerEvent]:
    """Whether an optimizer steps."""
    return isinstance(event, OptimizerEvent) and event.what == "step"


class Clip(Event):
    """Gradients are clipped; `layers` is None when it is not known whose."""

    __slots__ = ("layers", "name")

    def __init__(
        self, place: Place, context: Context, name: str, layers: frozenset[Layer] | None
    ) -> None:
        super().__init__(place, context)
        self.name = name
        self.layers = layers


class Init(Event):
    """A parameter is overwritten: `how` names the initialiser, `value` its constant."""

    __slots__ = ("how", "parameter", "value")

    def __init__(
        self,
        place: Place,
        context: Context,
        parameter: Parameter,
        how: str,
        value: Value | None = None,
    ) -> None:
        super().__init__(place, context)
        self.parameter = parameter
        self.how = how
        self.value = value


class Load(Event):
    """A checkpoint is loaded into modules."""

    __slots__ = ("layers",)

    def __init__(self, place: Place, context: Context, layers: frozenset[Layer]) -> None:
        super().__init__(place, context)
        self.layers = layers

    @property
    def certain(self) -> bool:
        """Whether the program cannot go on without it."""
        return not self.conditional and not self.context.attempted


class Opaque(Event):
    """Objects of interest enter code that rnnlint cannot see."""

    __slots__ = ("callee", "given")

    def __init__(
        self, place: Place, context: Context, callee: str, given: tuple[Value, ...]
    ) -> None:
        super().__init__(place, context)
        self.callee = callee
        self.given = given

    @property
    def name(self) -> str:
        """The last name of what is called, in lower case; "" where it has none."""
        return self.callee.rsplit(".", 1)[-1].lower()

    @property
    def may_clip(self) -> bool:
        """Whether it may be given what it takes to clip, or a whole training step."""
        return not self.name or any(hint in self.name for hint in _MAY_CLIP)


_MAY_CLIP = ("clip", "norm", "grad", "train", "fit", "optimi", "update", "engine", "step")


class Fit(Event):
    """A framework's trainer trains a module."""

    __slots__ = ("module", "trainer")

    def __init__(self, place: Place, context: Context, trainer: Thing, module: Value) -> None:
        super().__init__(place, context)
        self.trainer = trainer
        self.module = module


# --- notes -----------------------------------------------------------------


class Note(Event):
    """Base of what is seen in passing.

    Nothing happens there, so no loop and no function runs again for its sake.  A note has
    the time of the event that follows it, and `number` tells the order of notes.
    """

    __slots__ = ("number",)

    def __init__(self, place: Place, context: Context) -> None:
        super().__init__(place, context)
        self.number = 0


class Discarded(Note):
    """The result of an operation that changes nothing in place is thrown away: `h.detach()`.

    Where the value is the variable of a loop, `loop` is that loop and `over` what it goes over.
    """

    __slots__ = ("loop", "name", "over", "value")

    def __init__(
        self,
        place: Place,
        context: Context,
        name: str,
        value: Value,
        loop: Place | None = None,
        over: Place | None = None,
    ) -> None:
        super().__init__(place, context)
        self.name = name
        self.value = value
        self.loop = loop
        self.over = over


class Reshaped(Note):
    """`tensor.view(sizes)`, `tensor.reshape(sizes)`: memory is cut into other axes."""

    __slots__ = ("name", "sizes", "tensor")

    def __init__(
        self, place: Place, context: Context, name: str, tensor: Tensor, sizes: tuple[Value, ...]
    ) -> None:
        super().__init__(place, context)
        self.name = name
        self.tensor = tensor
        self.sizes = sizes


class Diverted(Note):
    """A test whose outcome is not known may end the turn, or the function, before what follows:

    `if len(x) < batch_size: continue`.
    """

    __slots__ = ()


class Mode(Note):
    """`module.train()`, `module.eval()`; `training` is None when that is not known."""

    __slots__ = ("layers", "training")

    def __init__(
        self, place: Place, context: Context, layers: frozenset[Layer], training: bool | None
    ) -> None:
        super().__init__(place, context)
        self.layers = layers
        self.training = training


class ModeRead(Note):
    """A layer runs that does something else in training than in evaluation.

    `functions` are the names of the functions under way, outermost first, and `scopes` their
    names, below those of the file where the run begins.
    """

    __slots__ = ("functions", "layer", "scopes")

    def __init__(
        self,
        place: Place,
        context: Context,
        layer: Layer,
        functions: tuple[str, ...],
        scopes: tuple[Scope, ...],
    ) -> None:
        super().__init__(place, context)
        self.layer = layer
        self.functions = functions
        self.scopes = scopes


class Accumulated(Note):
    """`total += loss`: what hangs on a recurrent layer's graph is added to what was there.

    `operand` is where the added expression stands, `total` where its target does.
    """

    __slots__ = ("added", "before", "operand", "total")

    def __init__(
        self,
        place: Place,
        context: Context,
        before: Value,
        added: Value,
        total: Place,
        operand: Place,
    ) -> None:
        super().__init__(place, context)
        self.before = before
        self.added = added
        self.total = total
        self.operand = operand


class Measured(Note):
    """The norm of parameters is taken, or of their gradients (`gradient`)."""

    __slots__ = ("gradient",)

    def __init__(self, place: Place, context: Context, gradient: bool) -> None:
        super().__init__(place, context)
        self.gradient = gradient


class Kept(Note):
    """A module keeps something in a plain list, tuple or dict, where it registers nothing."""

    __slots__ = ("container", "owner")

    def __init__(self, place: Place, context: Context, owner: Instance, container: Value) -> None:
        super().__init__(place, context)
        self.owner = owner
        self.container = container


class Activated(Note):
    """What recurrent layers computed goes through an activation.

    `kind` is "relu", "softmax", "log_softmax", "sigmoid" or "log_sigmoid"; `dim` is None
    where no axis was named; `layer` is its module, None where it is a function.
    """

    __slots__ = ("dim", "given", "kind", "layer")

    def __init__(
        self,
        place: Place,
        context: Context,
        kind: str,
        given: Tensor,
        dim: Value | None,
        layer: Layer | None = None,
    ) -> None:
        super().__init__(place, context)
        self.kind = kind
        self.layer = layer
        self.given = given
        self.dim = dim


class Adjusted(Note):
    """A parameter's content is changed in place by what depends on it: `weight.mul_(mask)`."""

    __slots__ = ("parameter",)

    def __init__(self, place: Place, context: Context, parameter: Parameter) -> None:
        super().__init__(place, context)
        self.parameter = parameter


class FinitenessTested(Note):
    """The program asks whether a number is infinite or none at all: a loss, a norm."""

    __slots__ = ()


class DroppedOut(Note):
    """`F.dropout(x, ...)`: a function drops out, which knows of no mode but its argument.

    `options` are its arguments by name, `function` is the one in which it stands, and
    `forward` the innermost `forward` of a module of the project that is under way.
    """

    __slots__ = ("forward", "function", "options")

    def __init__(
        self,
        place: Place,
        context: Context,
        options: dict[str, Value],
        function: Function | None,
        forward: Function | None,
    ) -> None:
        super().__init__(place, context)
        self.options = options
        self.function = function
        self.forward = forward


class PackedUsed(Note):
    """A packed sequence is used as if it were a tensor or a pair.

    `how` is "unpacked" into so many names (`count`), "indexed", "called" (one of a tensor's
    methods, `name`) or "given" to a layer of that `name`.
    """

    __slots__ = ("count", "how", "name", "tensor")

    def __init__(
        self,
        place: Place,
        context: Context,
        tensor: Tensor,
        how: str,
        name: str = "",
        count: int = 0,
    ) -> None:
        super().__init__(place, context)
        self.tensor = tensor
        self.how = how
        self.name = name
        self.count = count


class Replicated(Note):
    """A module that DataParallel wraps is called with `arguments`, once for each device."""

    __slots__ = ("arguments", "result")

    def __init__(
        self, place: Place, context: Context, arguments: tuple[Value, ...], result: Value
    ) -> None:
        super().__init__(place, context)
        self.arguments = arguments
        self.result = result


class PaddingTested(Note):
    """The program leaves out what a padded batch is padded with: `tags != 0`."""

    __slots__ = ("padding",)

    def __init__(self, place: Place, context: Context, padding: Padding) -> None:
        super().__init__(place, context)
        self.padding = padding


class LengthsUsed(Note):
    """Lengths say where the sequences of a batch end, other than in packing.

    `how` is "mask" where relative ones are compared with the positions of steps, and "given"
    where a utility of the companion, `name`, is told them.
    """

    __slots__ = ("how", "lengths", "name")

    def __init__(
        self, place: Place, context: Context, lengths: Value, how: str, name: str = ""
    ) -> None:
        super().__init__(place, context)
        self.lengths = lengths
        self.how = how
        self.name = name
