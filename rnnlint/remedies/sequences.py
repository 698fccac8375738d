"""A layer that runs over padding is told where its sequences end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from weakref import WeakKeyDictionary

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing.bindings import names_bound
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import Scope, chain_to, origins
from rnnlint.lowering import ir
from rnnlint.remedies import counting, handing
from rnnlint.remedies.packing import Recurrence, packed
from rnnlint.remedies.readings import ReadSteps
from rnnlint.remedies.told import Told, at
from rnnlint.semantics import modules, values
from rnnlint.semantics.events import LayerCall
from rnnlint.semantics.program import Program

_KNOWN: WeakKeyDictionary[Program, dict[values.Place, Fix | None]] = WeakKeyDictionary()
"""The repairs of each program, which two rules ask for and many calls share."""
_OTHER_STEPS = ("cat", "concat", "concatenate", "flip", "roll", "narrow", "chunk", "split")
_STEPS = ("last-step", "half-step", "pooled")


def tell_lengths(program: Program, call: LayerCall) -> Fix | None:
    """The repair of a layer call that runs over padding, and of how its output is read.

    The lengths are looked for where they cost least: in the function itself, then in those
    that call it and in the one that makes the batches, and at last in the ids.
    """
    known = _KNOWN.setdefault(program, {})
    if call.place not in known:
        known[call.place] = _repair(program, call)
    return known[call.place]


def _repair(program: Program, call: LayerCall) -> Fix | None:
    calls = [
        one
        for one in program.possible(LayerCall)
        if one.place == call.place and one.input.padding is not None
    ]
    try:
        _check_whole(program, call)
        _check_assertions(program, call)
        layer = _recurrence(calls)
        readings = _readings(program, calls)
    except CannotPlaceError:
        return None
    for told, applicability in _ways(program, call, calls):
        try:
            changes = [*told.before, *packed(program.code, layer, told, readings)]
        except CannotPlaceError:
            continue
        fix = program.code.repair("run over the real steps alone", changes, applicability)
        if fix is not None:
            return fix
    return None


def _recurrence(calls: Sequence[LayerCall]) -> Recurrence:
    """What all layers that are called there have in common."""
    kinds = {one.layer.kind for one in calls}
    firsts = {modules.option(one.layer, "batch_first") for one in calls}
    directions = {modules.option(one.layer, "bidirectional") for one in calls}
    axes = {one.input.batch_axis for one in calls}
    if len(firsts) != 1 or len({kind == "LSTM" for kind in kinds}) != 1:
        raise CannotPlaceError("layers of several kinds are called here")
    first = firsts.pop()
    if not isinstance(first, values.Const) or first.option:
        raise CannotPlaceError("the layout of the batch is not known")
    batch_first = bool(first.value)
    if not axes <= {None, 0 if batch_first else 1}:
        raise CannotPlaceError("the batch lies on another axis than the layer takes it from")
    direction = directions.pop() if len(directions) == 1 else values.UNKNOWN
    known = isinstance(direction, values.Const) and not direction.option
    bidirectional = bool(direction.value) if known and isinstance(direction, values.Const) else None
    return Recurrence(calls[0].place, batch_first, bidirectional, kinds == {"LSTM"})


def _check_whole(program: Program, call: LayerCall) -> None:
    """What the layer runs over has the steps of the batch: nothing is cut off or put in front.

    Raises:
        CannotPlaceError: it may have others.
    """
    value = _input(program, call)
    layout = program.code.layout(value.path)
    statement = layout.statement_at(value.start)
    chain = chain_to(statement.node, value.start, value.end)
    scope = Scope(layout, statement)
    lookups = program.passages.lookups
    looked_up = {(one.start, one.end) for one in lookups if one.path == value.path}
    made_of = origins(scope, chain[-1], statement.node.start) if chain else []
    if any(_changes_steps(node, scope, looked_up) for node in ir.nodes_in(tuple(made_of))):
        raise CannotPlaceError("the batch has other steps when it reaches the layer")


def _check_assertions(program: Program, call: LayerCall) -> None:
    """No assertion is about single steps of the output, which are others once it is packed.

    Raises:
        CannotPlaceError: one is.
    """
    around = at(program.code.layout(call.place.path), call.place.path, call.place.start, ())
    output = set(names_bound((around.statement.node,)))
    asserted = tuple(one for one in around.scope.nodes() if isinstance(one, ir.Assert))
    for node in ir.nodes_in(asserted):
        if isinstance(node, ir.Subscript) and ir.last_name(node.value) in output:
            raise CannotPlaceError("an assertion is about a step of the output")


def _changes_steps(node: ir.Node, scope: Scope, looked_up: AbstractSet[tuple[int, int]]) -> bool:
    """Whether what comes out has other steps than the batch.

    Args:
        node: one of the expressions of which the layer's input is made.
        scope: the function around it.
        looked_up: where embeddings look ids up, by the extents of their calls.
    """
    if isinstance(node, ir.Subscript):
        slices = [one for one in node.index[:2] if isinstance(one, ir.Slice)]
        return any(one.lower is not None or one.upper is not None for one in slices)
    if not isinstance(node, ir.Call) or ir.last_name(node.func) not in _OTHER_STEPS:
        return False
    axes = [one.value for one in node.args if one.keyword in ("dim", "axis")]
    axes += [one.value for one in node.args[1:2] if one.keyword is None]
    numbers = {ir.integer(one) for one in axes}
    if -1 in numbers:  # of ids, that is time; of what embeddings give, the features
        made_of = ir.nodes_in(tuple(origins(scope, node, node.start)))
        return not any((one.start, one.end) in looked_up for one in made_of)
    return 2 not in numbers


def _readings(program: Program, calls: Sequence[LayerCall]) -> list[ReadSteps]:
    """The places at which the padding is read, in the function that calls the layer."""
    found: dict[ReadSteps, None] = {}
    layout = program.code.layout(calls[0].place.path)
    here = at(layout, calls[0].place.path, calls[0].place.start, ()).scope.node
    for call in calls:
        for reading in program.readings_of(call):
            if reading.how not in _STEPS:
                continue
            steps = ReadSteps(reading.place, reading.how)
            if reading.place.path != call.place.path:
                raise CannotPlaceError("the output is read elsewhere")
            there = at(layout, reading.place.path, reading.place.start, ()).scope.node
            if there is not here:
                raise CannotPlaceError("the output is read elsewhere")
            found[steps] = None
    return list(found)


def _ways(
    program: Program, call: LayerCall, calls: Sequence[LayerCall]
) -> Iterator[tuple[Told, Applicability]]:
    padding = call.input.padding
    if padding is None:
        return
    for way in (_in_scope, _handed, _counted):
        try:
            told = way(program, call, calls)
        except CannotPlaceError:
            continue
        if told is not None:
            safe = told.is_certain and call.input.batch_axis is not None and way is _in_scope
            yield told, Applicability.SAFE if safe else Applicability.UNSAFE


_Way = Callable[[Program, LayerCall, Sequence[LayerCall]], "Told | None"]


def _in_scope(program: Program, call: LayerCall, calls: Sequence[LayerCall]) -> Told | None:
    layout = program.code.layout(call.place.path)
    scopes = [one.scope for one in calls if one.scope is not None]
    around = at(layout, call.place.path, call.place.start, scopes)
    node = around.node(_input(program, call))
    return around.lengths(node) if node is not None else None


def _handed(program: Program, call: LayerCall, calls: Sequence[LayerCall]) -> Told | None:
    if program.exhausted or call.input.padding is None:
        return None
    scopes = [one.scope for one in calls if one.scope is not None]
    return handing.handed(program, _input(program, call), scopes)


def _counted(program: Program, call: LayerCall, calls: Sequence[LayerCall]) -> Told | None:
    if call.input.padding is None:
        return None
    lookups = list(program.passages.lookups.values())
    return counting.counted(program.code, lookups, _input(program, call))


def _input(program: Program, call: LayerCall) -> values.Place:
    argument = program.code.argument(call.place, "input", 0)
    if argument is None:
        raise CannotPlaceError("the layer has no input")
    return values.Place(argument.path, argument.start, argument.end)
