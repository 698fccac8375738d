"""Initialisations that were written for one matrix, or for the first of several layers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.initialising import free, names_around
from rnnlint.fixing.layout import CannotPlaceError, Statement
from rnnlint.semantics import parameters
from rnnlint.semantics.events import Init
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_PARAMETER = re.compile(
    r"(?P<matrix>(?P<layer>[A-Za-z_][\w.]*)\.(?P<kind>(?:weight|bias)_(?:ih|hh))(?:_l0)?)"
    r"(?:\.data)?"
)


class _Fill(msgspec.Struct, frozen=True):
    """A statement that fills one parameter of a recurrent layer, which it names."""

    place: Place
    layer: str
    """The layer, as the code has it."""
    kind: str
    """"weight_hh" and the like."""
    matrix: str
    """The parameter, without `.data`."""
    text: str
    statement: Statement


def _fill_at(program: Program, place: Place) -> _Fill:
    """What a statement fills.

    Raises:
        CannotPlaceError: it is no statement of its own, or does not name the parameter.
    """
    code = program.code
    statement = code.statement(place)
    if (statement.start, statement.end) != (place.start, place.end):
        raise CannotPlaceError("this is no statement of its own")
    candidates = [code.receiver(place), code.argument(place, "tensor", 0)]
    texts = [code.text(one) for one in candidates if one is not None]
    found = [match for match in map(_PARAMETER.fullmatch, texts) if match is not None]
    text = code.text(place)
    if not found or re.search(r"[\n\r{}]", text):
        raise CannotPlaceError("the parameter is not named here")
    match = found[0]
    return _Fill(place, match["layer"], match["kind"], match["matrix"], text, statement)


def fill_orthogonally(program: Program, place: Place) -> Fix | None:
    """Make each gate of a recurrent matrix orthogonal, where it was filled with a constant."""
    inits = [init for init in program.possible(Init) if init.place == place]
    kinds = {init.parameter.layer.kind.removesuffix("Cell") for init in inits}
    gates = {len(parameters.GATES.get(kind, ("",))) for kind in kinds}
    try:
        fill = _fill_at(program, place)
        if fill.kind != "weight_hh" or len(gates) != 1:
            return None
        used = names_around(program.code.layout(place.path), place.start)
        gate, count = free(("gate", "matrix"), used), gates.pop()
    except CannotPlaceError:
        return None
    lines = [f"{{torch.nn.init.orthogonal_}}({fill.matrix})"]
    if count > 1:
        lines = [
            f"for {gate} in {fill.matrix}.chunk({count}):",
            f"    {{torch.nn.init.orthogonal_}}({gate})",
        ]
    rewrite = operations.Rewrite(place.path, place.start, place.end, tuple(lines))
    return program.code.repair("make each gate orthogonal", [rewrite], Applicability.UNSAFE)


def fill_all_layers(program: Program, inits: Sequence[Init]) -> Fix | None:
    """Fill the parameters of all stacked layers and directions as those of the first are.

    Args:
        program: the project.
        inits: what fills the parameters of the first layer.
    """
    places = sorted({init.place for init in inits})
    try:
        fills = [_fill_at(program, place) for place in places]
        used = names_around(program.code.layout(places[0].path), places[0].start)
        name = free(("name", "parameter_name"), used)
        parameter = free(("parameter", "param"), used)
    except CannotPlaceError:
        return None
    if not _stand_together(fills):
        return None
    lines = [f"for {name}, {parameter} in {fills[0].layer}.named_parameters():"]
    for number, fill in enumerate(fills):
        lines += [
            f'    {"elif" if number else "if"} "{fill.kind}" in {name}:',
            f"        {fill.text.replace(fill.matrix, parameter, 1)}",
        ]
    path = places[0].path
    changes: list[operations.AnyOperation] = [
        operations.Rewrite(path, places[0].start, places[0].end, tuple(lines)),
        *(operations.Remove(path, place.start, place.end) for place in places[1:]),
    ]
    message = "initialise all layers and directions"
    return program.code.repair(message, changes, Applicability.UNSAFE)


def _stand_together(fills: Sequence[_Fill]) -> bool:
    """Whether the fills follow each other in one block, each of another parameter of a layer."""
    first = fills[0]
    positions = [node.start for node in first.statement.block]
    if any(
        fill.place.path != first.place.path
        or fill.layer != first.layer
        or fill.statement.start not in positions
        or not fill.matrix.endswith("_l0")
        for fill in fills
    ):
        return False
    numbers = [positions.index(fill.statement.start) for fill in fills]
    in_a_row = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return in_a_row and len({fill.kind for fill in fills}) == len(fills)
