"""What a program's training loops are made of, for a picture of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rnnlint.diagnostic import Stage
from rnnlint.flow import Flow, Stop
from rnnlint.semantics import events, values
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

MAX_FLOWS = 64
"""The training loops of one project that are told apart."""

_Seen = tuple[Stage, Place | None, str]


def flows(program: Program) -> tuple[Flow, ...]:
    """The flow of each training loop that trains recurrent layers."""
    found: dict[Place, dict[_Seen, None]] = {}
    trainers: dict[Place, str] = {}
    for backward in program.of(events.Backward):
        layers = program.layers_of(backward)
        if not layers:
            continue
        loop = _loop_around(program, backward)
        if loop not in found and len(found) == MAX_FLOWS:
            continue
        seen = found.setdefault(loop, {})
        seen.update(dict.fromkeys(_seen(program, backward, layers)))
        if backward.implicit:
            trainers[loop] = _trainer_of(program, backward)
    return tuple(
        Flow(_stops(program, seen), trainers.get(loop, "")) for loop, seen in found.items()
    )


def _loop_around(program: Program, backward: events.Backward) -> Place:
    """What tells the loop that trains with a backward pass from other loops."""
    number = program.training_loop(backward)
    loop = backward.loop_place(number) if number is not None else None
    return loop or backward.place


def _seen(
    program: Program, backward: events.Backward, layers: frozenset[values.Layer]
) -> Iterator[_Seen]:
    """Yield what happens in the iteration of a backward pass."""
    yield from _of_loops(program, backward)
    for layer in sorted(layers, key=lambda one: one.place or backward.place):
        yield Stage.LAYERS, layer.place, layer.kind
    yield Stage.BACKWARD, backward.place, "backward"
    stepped: dict[values.Thing, None] = {}
    for event in program.iteration_of(backward):
        if not event.hypothetical:
            yield from _of_event(event, layers)
            if events.is_step(event):
                stepped.update(dict.fromkeys(_things(event.optimizer)))
    for clip in program.of(events.Clip):
        # A hook is set once, wherever that is.
        if clip.name == "register_hook" and clip.layers is not None and clip.layers & layers:
            yield Stage.CLIP, clip.place, clip.name
    for optimizer in stepped:
        yield Stage.STEP, optimizer.place, optimizer.name
        yield from _schedule(program, optimizer)


def _of_loops(program: Program, backward: events.Backward) -> Iterator[_Seen]:
    """Yield where batches come from and which loop goes over them."""
    trains = program.training_loop(backward)
    for place, number, _ in backward.loops:
        loader = program.loader_of(number)
        if loader is not None:
            yield Stage.DATA, loader.place, loader.name or "loader"
        if loader is not None or number == trains:
            yield Stage.BATCH, place, "loop"


def _schedule(program: Program, optimizer: values.Thing) -> Iterator[_Seen]:
    for event in program.optimizer_events(optimizer, "schedule", "rate"):
        if not event.hypothetical:
            name = event.scheduler.name if event.scheduler is not None else "rate"
            yield Stage.SCHEDULE, event.place, name


def _of_event(event: events.Event, layers: frozenset[values.Layer]) -> Iterator[_Seen]:
    if isinstance(event, events.LayerCall) and event.layer in layers:
        yield Stage.LAYERS, event.place, event.layer.kind
        padding = event.input.padding
        if padding is not None and padding.steps:
            yield Stage.DATA, padding.steps[0].place, "padding"
    elif isinstance(event, events.LossComputed):
        yield Stage.LOSS, event.place, event.kind
    elif isinstance(event, events.Clip):
        yield Stage.CLIP, event.place, event.name
    elif isinstance(event, events.OptimizerEvent):
        names = [thing.name for thing in _things(event.optimizer)]
        if event.what == "zero_grad":
            yield Stage.CLEAR, event.place, "zero_grad"
        elif events.is_step(event):
            yield Stage.STEP, event.place, " or ".join(dict.fromkeys(names)) or "step"


def _things(value: values.Value) -> list[values.Thing]:
    return [member for member in values.members(value) if isinstance(member, values.Thing)]


def _trainer_of(program: Program, backward: events.Backward) -> str:
    """The library whose trainer runs a backward pass."""
    entry = backward.context.entry
    fits: Sequence[events.Fit] = program.of(events.Fit)
    return next((fit.trainer.name for fit in fits if fit.context.entry == entry), "a trainer")


def _stops(program: Program, seen: Iterable[_Seen]) -> tuple[Stop, ...]:
    order = list(Stage)
    stops: dict[tuple[Stage, Place], Stop] = {}
    for stage, place, name in seen:
        if place is not None and place.path:
            stops.setdefault((stage, place), Stop(stage, program.span(place), name))
    return tuple(sorted(stops.values(), key=lambda stop: order.index(stop.stage)))
