"""What is unpacked gets the steps of the whole batch, and not those of one replica's part."""

from __future__ import annotations

import re

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.code import Part
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.fixing.scopes import Scope, chain_to, origins, runs_before, runs_once
from rnnlint.lowering import ir
from rnnlint.semantics import tensors, values
from rnnlint.semantics.events import Packing
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place

_SIMPLE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


def give_total_length(program: Program, unpacking: Packing) -> Fix | None:
    """Unpack to as many steps as the batch had when it was packed in the same function.

    On one device nothing changes where batches are padded to their longest sequence.
    """
    try:
        packing = _packing_before(program, unpacking)
        wanted = _measured(program, packing, unpacking.place)
    except CannotPlaceError:
        return None
    safe = _is_padded_to_longest(packing)
    applicability = Applicability.SAFE if safe else Applicability.UNSAFE
    return program.code.repair("unpack to the length of the whole batch", wanted, applicability)


def _is_padded_to_longest(packing: Packing) -> bool:
    found = list(tensors.tensors_in(packing.given))
    return bool(found) and all(
        one.padding is not None
        and any(step.words == values.TO_LONGEST for step in one.padding.steps)
        for one in found
    )


def _packing_before(program: Program, unpacking: Packing) -> Packing:
    """The one packing, in the same function, of what is unpacked.

    Raises:
        CannotPlaceError: there is none, or more than one.
    """
    given = program.code.argument(unpacking.place, "sequence", 0)
    if given is None:
        raise CannotPlaceError("nothing is unpacked")
    statement = program.code.statement(unpacking.place)
    scope = Scope(program.code.layout(given.path), statement)
    made_of = origins(scope, program.code.node_at(given), statement.node.start)
    calls = {
        (one.start, one.end) for one in ir.nodes_in(tuple(made_of)) if isinstance(one, ir.Call)
    }
    found = [
        packing
        for packing in program.possible(Packing)
        if not packing.unpacks
        and packing.place.path == given.path
        and (packing.place.start, packing.place.end) in calls
    ]
    if len({(one.place, one.batch_first) for one in found}) != 1:
        raise CannotPlaceError("it is not packed in just one place of this function")
    return found[0]


def _measured(
    program: Program, packing: Packing, unpacking: Place
) -> list[operations.AnyOperation]:
    """The steps of the padded batch: asked of it by its name, or kept before the name is reused."""
    code, first = program.code, packing.batch_first
    source = code.argument(packing.place, "input", 0)
    if source is None or not isinstance(first, values.Const) or first.option:
        raise CannotPlaceError("the layout of the batch is not known")
    steps = f".size({1 if first.value else 0})"
    layout, statement = code.layout(source.path), code.statement(source)
    scope = Scope(layout, statement)
    name = code.text(source)
    if _SIMPLE.fullmatch(name) and _still_means(layout, scope, name, statement, unpacking):
        return [_told(unpacking, name + steps)]
    chain = chain_to(statement.node, source.start, source.end)
    is_simple = isinstance(statement.node, (ir.Assign, ir.Return, ir.ExprStmt))
    if not is_simple or not runs_once(chain) or "\n" in name or "#" in name:
        raise CannotPlaceError("nothing can be kept before the batch is packed")
    if not runs_before(statement, code.statement(unpacking)):
        raise CannotPlaceError("the batch is not always packed before")
    if _SIMPLE.fullmatch(name):
        total = scope.fresh("total_length", "padded_length")
        return [_before(source, f"{total} = {name}{steps}"), _told(unpacking, total)]
    padded = scope.fresh("padded", "padded_input")
    return [
        _before(source, f"{padded} = {name}"),
        operations.Replace(source.path, source.start, source.end, padded),
        _told(unpacking, padded + steps),
    ]


def _told(unpacking: Place, length: str) -> operations.SetArgument:
    place = unpacking
    return operations.SetArgument(place.path, place.start, place.end, "total_length", length)


def _before(source: Part, line: str) -> operations.Insert:
    return operations.Insert(source.path, source.start, source.end, (line,), "before")


def _still_means(
    layout: Layout, scope: Scope, name: str, packed: Statement, unpacking: Place
) -> bool:
    """Whether a name still has the padded batch when it is unpacked."""
    there = layout.statement_at(unpacking.start)
    if there.node is packed.node:
        return True
    bound = name.partition(".")[0]
    rebound = any(packed.start <= node.start < there.start for node in scope.binders(bound))
    return runs_before(packed, there) and not rebound
