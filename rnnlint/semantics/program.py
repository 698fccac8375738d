"""The view of an analysed project that rules query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar, cast

from rnnlint.diagnostic import Fix, Span, TrailStep
from rnnlint.fixing.code import Code
from rnnlint.fixing.initialising import Built, initialise
from rnnlint.lowering import ir
from rnnlint.project.config import FixStyle
from rnnlint.project.notebook import Cell
from rnnlint.semantics import events, modules, tensors, values
from rnnlint.semantics.entries import run_project
from rnnlint.semantics.interpreter import Interpreter, Resolver
from rnnlint.semantics.values import Place, Step

E = TypeVar("E", bound=events.Event)
Locate = Callable[[Place], Span]


FEW = 8
"""Steps over which a plain RNN learns from any initialisation, and without clipping: recalling the
first of 8 tokens, with 32 units and 400 steps of Adam, it got all right in 3 runs of 3 each."""


class Program:
    """What a project does when it trains, as far as it could be seen.

    Args:
        run: a finished abstract run.
        locate: turns a place into rows and columns.
        code: the text of the project, for repairs.
    """

    def __init__(self, run: Interpreter, locate: Locate, code: Code) -> None:
        self._run = run
        self._locate = locate
        self.code = code
        self.passages = run.passages
        """The ways that padded batches take."""
        self.events = tuple(run.events)
        self._possible: dict[type[events.Event], tuple[events.Event, ...]] = {}
        self._layers: dict[values.Value, frozenset[values.Layer]] = {}
        self._recurrent: dict[values.Value, frozenset[values.Layer]] = {}
        self.exhausted = run.exhausted
        """Whether some part of the project lay beyond the bounds of the analysis."""
        self.failures = tuple(run.failures)
        """What the analysis itself stumbled over; each cost the rest of an entry point."""

    # --- places ---

    def span(self, place: Place) -> Span:
        """Rows and columns of a place."""
        return self._locate(place)

    def trail(self, steps: Iterable[Step]) -> tuple[TrailStep, ...]:
        """A provenance as the trail of a diagnostic, each place once."""
        seen: set[Place] = set()
        trail = []
        for step in steps:
            if step.place not in seen and step.place.path:
                seen.add(step.place)
                trail.append(TrailStep(self.span(step.place), step.words))
        return tuple(trail)

    # --- events by kind ---

    def of(self, kind: type[E]) -> tuple[E, ...]:
        """All events of a kind that really happen, in order.

        Those of a turn of a loop that was not followed to its end are left out: what is
        missing after them may follow.
        """
        return tuple(
            event
            for event in self.possible(kind)
            if not event.hypothetical and not self._is_cut(event)
        )

    def _is_cut(self, event: events.Event) -> bool:
        """Whether the turn of the loop around an event was not followed to its end."""
        cut = self._run.cut
        return bool(cut) and not cut.isdisjoint(event.loops[-1:])

    def chosen(self, kind: type[E]) -> tuple[E, ...]:
        """Those that happen when every option has its default."""
        return tuple(event for event in self.of(kind) if not event.context.unlikely)

    def possible(self, kind: type[E]) -> tuple[E, ...]:
        """All events of a kind, also those that a constant of the program switches off."""
        found = self._possible.get(kind)
        if found is None:
            noted = issubclass(kind, events.Note)
            seen = self._run.notes if noted else self.events
            found = tuple(event for event in seen if isinstance(event, kind))
            self._possible[kind] = found
        return cast("tuple[E, ...]", found)

    # --- layers ---

    @cached_property
    def layers(self) -> tuple[values.Layer, ...]:
        """Recurrent layers and cells, in the order of their construction."""
        return tuple(
            layer
            for layer in self._run.layers
            if layer.context is None or not layer.context.hypothetical
        )

    @property
    def possible_layers(self) -> tuple[values.Layer, ...]:
        """The same, also those that a constant of the program switches off."""
        return tuple(self._run.layers)

    def initialisation_of(self, layer: values.Layer) -> Fix | None:
        """The repair that initialises a recurrent layer where it is built."""
        if layer.place is None:
            return None
        alternatives = self._built_at[layer.place]
        kinds = frozenset(one.kind.removesuffix("Cell") for one in alternatives)
        relu = all(modules.has_relu(one) for one in alternatives)
        forgets = any(_may_forget(one) for one in alternatives)
        built = Built(kinds, relu, forgets)
        return initialise(self.code, layer.place, built, self._built_at)

    @cached_property
    def _built_at(self) -> Mapping[Place, list[values.Layer]]:
        """Recurrent layers by the place of their construction."""
        found: dict[Place, list[values.Layer]] = {}
        for layer in self.possible_layers:
            if layer.place is not None:
                found.setdefault(layer.place, []).append(layer)
        return found

    def steps_of(self, call: events.LayerCall) -> int | None:
        """How many steps the input of a layer has, where that is known."""
        batch_first = modules.option(call.layer, "batch_first")
        if call.input.rank != 3 or not isinstance(batch_first, values.Const):
            return None
        return values.integer(call.input.axes[1 if batch_first.value else 0].size)

    def runs_briefly(self, layer: values.Layer) -> bool:
        """Whether a layer surely runs over a few steps only, whenever it is called."""
        known = [self.steps_of(call) for call in self.of(events.LayerCall) if call.layer is layer]
        return bool(known) and all(steps is not None and 1 < steps <= FEW for steps in known)

    @cached_property
    def optimizers(self) -> tuple[values.Thing, ...]:
        return tuple(thing for thing in self._run.things if thing.kind == "optimizer")

    @cached_property
    def schedulers(self) -> tuple[values.Thing, ...]:
        return tuple(thing for thing in self._run.things if thing.kind == "scheduler")

    def loaders_built_at(self, place: object) -> list[values.Thing]:
        """The loaders built at a place: it identifies the sizes of their batches."""
        return self._loaders.get(place, [])

    @cached_property
    def _loaders(self) -> Mapping[object, list[values.Thing]]:
        found: dict[object, list[values.Thing]] = {}
        for thing in self._run.things:
            if thing.kind == "loader":
                found.setdefault(thing.place, []).append(thing)
        return found

    def is_many(self, size: values.Value) -> bool:
        """Whether an axis is longer than 1: what is left of a loader's samples is."""
        if isinstance(size, values.Size) and isinstance(size.of, Place):
            asked = [one.options.get("batch_size") for one in self.loaders_built_at(size.of)]
            return bool(size.axis) or not {None, values.Const(1)} & set(asked)
        return (values.integer(size) or 0) > 1

    def layers_in(self, value: values.Value) -> frozenset[values.Layer]:
        """All layers that a module, optimizer or list leads to."""
        known = self._layers.get(value)
        if known is None:
            known = self._layers[value] = modules.layers_in(value)
        return known

    def recurrent_layers(self, value: values.Value) -> frozenset[values.Layer]:
        """Recurrent layers and cells that a module, optimizer or list leads to."""
        known = self._recurrent.get(value)
        if known is None:
            known = frozenset(
                layer
                for layer in self.layers_in(value)
                if modules.has_recurrence(layer) and not modules.is_frozen(layer)
            )
            self._recurrent[value] = known
        return known

    @cached_property
    def trained_by(self) -> dict[values.Layer, events.Event]:
        """Layers that something trains, with the event that first shows it."""
        trained: dict[values.Layer, events.Event] = {}
        called = {call.layer.place for call in self.of(events.LayerCall)}
        for event in self.events:
            if not event.hypothetical:
                for layer in self._trained_at(event):
                    if layer.place in called:
                        trained.setdefault(layer, event)
        return trained

    def _trained_at(self, event: events.Event) -> Iterable[values.Layer]:
        if isinstance(event, events.Backward):
            if not event.implicit and event.context.entry not in self._stepping_runs:
                return ()
            return (call.layer for call in event.calls if not modules.is_frozen(call.layer))
        if isinstance(event, events.Fit):
            return self.recurrent_layers(event.module)
        if isinstance(event, events.OptimizerEvent):
            fits = event.what == "built" and self._is_fit(event.optimizer)
            return self.recurrent_layers(event.optimizer) if fits or events.is_step(event) else ()
        return ()

    def is_loaded(self, layer: values.Layer, before: events.Event) -> bool:
        """Whether a checkpoint surely fills a layer before something happens."""
        return any(
            layer in load.layers and load.certain and load.time < before.time
            for load in self.of(events.Load)
        )

    def is_stepped(self, optimizer: values.Thing) -> bool:
        """Whether the optimizer's step is seen, with all that follows, or left to Lightning."""
        steps = self.optimizer_events(optimizer, "step")
        whole = self._run.cut.isdisjoint
        return self._is_fit(optimizer) or any(whole(step.loops) for step in steps)

    def _is_fit(self, optimizer: values.Value) -> bool:
        """Whether a Lightning trainer steps the optimizer of a LightningModule.

        Where no trainer is seen, it does unless the module is only ever loaded.
        """
        if not _is_lightnings(optimizer):
            return False
        places = {layer.place for layer in self.recurrent_layers(optimizer)}
        return bool(places & self._fit_places) or not places <= self._loaded_places

    @cached_property
    def _fit_places(self) -> frozenset[Place | None]:
        return frozenset(
            layer.place
            for fit in self.of(events.Fit)
            for layer in self.recurrent_layers(fit.module)
        )

    @cached_property
    def _loaded_places(self) -> frozenset[Place | None]:
        return frozenset(
            layer.place for load in self.possible(events.Load) for layer in load.layers
        )

    def optimizer_events(self, optimizer: values.Thing, *what: str) -> list[events.OptimizerEvent]:
        """What happens to one optimizer, also behind switches."""
        known = self._events_by_optimizer.get(optimizer, ())
        return [event for event in known if event.what in what]

    @cached_property
    def _events_by_optimizer(self) -> Mapping[values.Value, list[events.OptimizerEvent]]:
        found: dict[values.Value, list[events.OptimizerEvent]] = {}
        for event in self.possible(events.OptimizerEvent):
            for member in values.members(event.optimizer):
                if isinstance(member, values.Thing):
                    found.setdefault(member, []).append(event)
        return found

    def unknown_optimizer_events(self, entry: int, *what: str) -> list[events.OptimizerEvent]:
        """The same for optimizers that could not be traced, within one run."""
        return [
            event
            for event in self._run_of.get(entry, ())
            if isinstance(event, events.OptimizerEvent)
            and event.what in what
            and not any(isinstance(m, values.Thing) for m in values.members(event.optimizer))
        ]

    @cached_property
    def _run_of(self) -> Mapping[int, list[events.Event]]:
        """The events of each entry point's run."""
        found: dict[int, list[events.Event]] = {}
        for event in self.events:
            found.setdefault(event.context.entry, []).append(event)
        return found

    @cached_property
    def _inside(self) -> Mapping[int, list[events.Event]]:
        """The events inside each execution of a loop."""
        found: dict[int, list[events.Event]] = {}
        for event in self.events:
            for _, number, _ in event.loops:
                found.setdefault(number, []).append(event)
        return found

    def events_in_loop(self, number: int) -> Sequence[events.Event]:
        """All that happens inside one execution of a loop."""
        return self._inside.get(number, ())

    def loader_of(self, number: int) -> values.Thing | None:
        """The loader whose batches one execution of a loop goes over, if that was seen."""
        return _loader_in(self._run.loop_sources.get(number, values.UNKNOWN))

    def leads_to(self, number: int, layer: values.Layer) -> bool:
        """Whether what one execution of a loop goes over holds a layer."""
        source = self._run.loop_sources.get(number, values.UNKNOWN)
        over = source.fields.get("over", ()) if isinstance(source, values.ListObject) else ()
        return any(layer in self.layers_in(each) for each in (source, *over))

    def turns_of(self, number: int) -> int | None:
        """How many turns a loop over a `range` takes, where that is a number in the code."""
        source = self._run.loop_sources.get(number)
        if not isinstance(source, values.ListObject):
            return None
        if source.fields["items"] is not None:
            return len(source.fields["items"])
        bounds = [values.integer(bound) for bound in source.fields.get("bounds", ())]
        known = [bound for bound in bounds if bound is not None]
        return len(range(*known)) if known and len(known) == len(bounds) <= 2 else None

    def is_reached(self, event: events.Event) -> bool:
        """Whether the loops around an event take as many turns as lead to it."""
        return all(
            turn == 0 or (self.turns_of(number) or turn + 1) > turn
            for _, number, turn in event.loops
        )

    def is_whole(self, number: int) -> bool:
        """Whether every turn of an execution of a loop was followed to its end."""
        return number not in self._cut_loops

    @cached_property
    def _cut_loops(self) -> frozenset[int]:
        return frozenset(number for _, number, _ in self._run.cut)

    # --- training iterations ---

    def training_loop(self, backward: events.Backward) -> int | None:
        """The innermost loop around a backward pass which also steps an optimizer."""
        for _, number, _ in reversed(backward.loops):
            if number in self._stepping_loops:
                return number
        return None

    def iteration_of(self, backward: events.Backward) -> Sequence[events.Event]:
        """All that happens in the loop that trains with this backward pass.

        That is the innermost loop around it which also steps an optimizer, or the
        whole run of its entry point when none does.
        """
        number = self.training_loop(backward)
        return self._run_of[backward.context.entry] if number is None else self._inside[number]

    def comes_again(self, event: events.Event, number: int) -> bool:
        """Whether a loop runs the code of an event in more than one turn, all of them seen."""
        if not self.is_whole(number) or self.turns_of(number) == 1:
            return False
        turns = {
            turn
            for other in self.events_in_loop(number)
            if other.place == event.place
            for _, known, turn in other.loops
            if known == number
        }
        return len(turns) > 1

    @cached_property
    def _stepping_runs(self) -> frozenset[int]:
        """The entry points whose runs step an optimizer."""
        return frozenset(event.context.entry for event in self.events if events.is_step(event))

    @cached_property
    def _stepping_loops(self) -> frozenset[int]:
        """The executions of loops that step an optimizer."""
        return frozenset(
            number for event in self.events if events.is_step(event) for _, number, _ in event.loops
        )

    def layers_of(self, backward: events.Backward) -> frozenset[values.Layer]:
        """The recurrent layers that a backward pass trains."""
        stepped = {
            event.optimizer for event in self.iteration_of(backward) if events.is_step(event)
        }
        updated = frozenset(
            layer for optimizer in stepped for layer in self.recurrent_layers(optimizer)
        )
        if not backward.calls:
            return updated if self._may_run(backward, updated) else frozenset()
        reached = frozenset(
            call.layer for call in backward.calls if not modules.is_frozen(call.layer)
        )
        traced = stepped and all(self.layers_in(optimizer) for optimizer in stepped)
        return reached & updated if traced else reached

    def _may_run(self, backward: events.Backward, layers: frozenset[values.Layer]) -> bool:
        """Whether the loop of a backward pass runs these layers, or code that may."""
        return any(
            (isinstance(event, events.LayerCall) and event.layer in layers)
            or isinstance(event, events.Opaque)
            for event in self.iteration_of(backward)
        ) or not any(call.layer in layers for call in self.possible(events.LayerCall))

    def readings_of(self, call: events.LayerCall) -> list[events.Reading]:
        """How the result of one call of a recurrent layer is read."""
        return self._readings.get(call, [])

    @cached_property
    def _readings(self) -> Mapping[events.LayerCall, list[events.Reading]]:
        found: dict[events.LayerCall, list[events.Reading]] = {}
        for reading in self.of(events.Reading):
            if reading.tensor.output_of is not None:
                found.setdefault(reading.tensor.output_of, []).append(reading)
        return found

    def feels_padding(self, call: events.LayerCall) -> str | None:
        """Where the padding behind its sequences changes what is read of a layer, in words."""
        if values.default_truth(modules.option(call.layer, "bidirectional")) is True:
            return "its backward half starts in the padding"
        found = (_FELT.get(reading.how) for reading in self.readings_of(call))
        return next((words for words in found if words is not None), None)

    def counts_padding(self, call: events.LayerCall) -> bool:
        """Whether a loss counts a layer's steps over the padding."""
        return any(_has_steps_of(loss.prediction, call) for loss in self.unmasked_losses(call))

    def unmasked_losses(self, call: events.LayerCall) -> list[events.LossComputed]:
        """The losses of what a layer computed that nothing tells to leave steps out."""
        return self._unmasked_losses.get(call, [])

    @cached_property
    def _unmasked_losses(self) -> Mapping[events.LayerCall, list[events.LossComputed]]:
        found: dict[events.LayerCall, list[events.LossComputed]] = {}
        for loss in self.of(events.LossComputed):
            for call in () if _is_masked(loss) else tensors.graph_of(loss.prediction):
                found.setdefault(call, []).append(loss)
        return found

    def lengths_told(self, how: str) -> Iterator[tuple[events.Event, values.Value]]:
        """What says where sequences end, and the lengths that it is told.

        These are packings, and what uses lengths otherwise in one way (`LengthsUsed.how`).
        """
        for packing in self.chosen(events.Packing):
            if not packing.unpacks:
                yield packing, packing.lengths
        for use in self.chosen(events.LengthsUsed):
            if use.how == how:
                yield use, use.lengths

    def inits_of(self, layer: values.Layer) -> list[events.Init]:
        """What overwrites a layer's parameters, also behind switches."""
        return self._inits.get(layer, [])

    @cached_property
    def _inits(self) -> Mapping[values.Layer, list[events.Init]]:
        found: dict[values.Layer, list[events.Init]] = {}
        for init in self.possible(events.Init):
            found.setdefault(init.parameter.layer, []).append(init)
        return found

    def calls_around(self, number: int) -> int:
        """How many calls were under way when an execution of a loop began."""
        return self._run.loop_depths.get(number, 0)

    def receives_state(self, call: events.LayerCall, number: int) -> Place:
        """The call in the body of a loop that hands a carried state to a layer.

        That is the layer's own call where the state lives in the module.

        Args:
            call: the layer's call.
            number: the execution of the loop.
        """
        carried = tensors.graph_of(call.state) if call.state is not None else frozenset()
        for outer in call.under[self._run.loop_depths.get(number, 0) :]:
            if any(tensors.graph_of(value) & carried for value in outer.arguments.all()):
                return outer.place
        return call.place

    def call_path(self, event: events.Event, words: str = "the batch enters here") -> list[Step]:
        """The calls that lead to an event from the loop over the batches, outermost first."""
        stack = event.context.stack
        numbers = [number for _, number, _ in event.loops]
        inside = min((self._run.loop_depths.get(n, 0) for n in numbers), default=len(stack) - 1)
        return [Step(place, words) for place in stack[max(inside, 0) :]]


_FELT = {
    "state": "its final state is read after the padding",
    "last-step": "its last step is read after the padding",
    "half-step": "its last step is read after the padding",
    "attended": "attention weighs its padded steps",
    "pooled": "its steps are pooled with the padded ones",
}
"""What padding does to a reading, by its kind."""
_MASKED_BY = ("ignore_index", "weight")


def _has_steps_of(prediction: values.Value, call: events.LayerCall) -> bool:
    """Whether a prediction still has the padded steps that a layer ran over."""
    return any(
        call in tensor.calls and tensor.padding is not None
        for tensor in tensors.tensors_in(prediction)
    )


def _is_masked(loss: events.LossComputed) -> bool:
    """Whether a loss is told to leave steps out, or may be masked when it is computed."""
    if any(name in loss.options for name in _MASKED_BY):
        return True
    reduction = loss.options.get("reduction")
    unreduced = isinstance(reduction, values.Const) and reduction.value == "none"
    return unreduced or loss.kind == "CTCLoss"


def _may_forget(layer: values.Layer) -> bool:
    """Whether a layer has biases; one without gates needs none."""
    bias = modules.option(layer, "bias")
    return modules.is_plain(layer) or not (isinstance(bias, values.Const) and not bias.value)


def _loader_in(source: values.Value, depth: int = 3) -> values.Thing | None:
    for member in values.members(source):
        if isinstance(member, values.Thing) and member.kind == "loader":
            return member
        if isinstance(member, values.ListObject) and depth:
            for inner in member.fields.get("over", ()):
                found = _loader_in(inner, depth - 1)
                if found is not None:
                    return found
    return None


def _is_lightnings(optimizer: values.Value) -> bool:
    """Whether a LightningModule hands the optimizer to its trainer."""
    if not isinstance(optimizer, values.Thing):
        return False
    function = optimizer.options.get("<function>")
    return isinstance(function, values.Const) and function.value == "configure_optimizers"


def analyse(
    files: Mapping[str, ir.FileIR],
    resolve: Resolver,
    locate: Locate,
    text_of: Callable[[str], str],
    fix_style: FixStyle = "auto",
    cells_of: Callable[[str], Sequence[Cell] | None] = lambda path: None,
    pause: Callable[[], object] = bool,
) -> Program:
    """Run a project abstractly.

    Args:
        files: the representation of each file by its path.
        resolve: the import graph.
        locate: turns places into spans.
        text_of: the text of a file, for repairs.
        fix_style: what repairs are written in.
        cells_of: the code cells of a notebook, for repairs.
        pause: called now and then; what it raises, if that is no `Exception`, ends the run.
    """
    run = Interpreter(files, resolve, pause)
    run_project(run)
    return Program(run, locate, Code(files, text_of, fix_style, cells_of))
