"""The last step of an output that was packed and padded again: its lengths came with it."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout, Statement
from rnnlint.fixing.scopes import Scope, chain_to, exclude_each_other, runs_before
from rnnlint.lowering import ir
from rnnlint.remedies.packing import Recurrence
from rnnlint.remedies.readings import ReadSteps, Way, mended
from rnnlint.semantics.events import Reading
from rnnlint.semantics.program import Program


def read_last_valid(program: Program, reading: Reading) -> Fix | None:
    """Read the last valid step of each sequence, by the lengths that unpacking gives."""
    try:
        changes = _changes(program, reading)
    except CannotPlaceError:
        return None
    return program.code.repair("read the last valid step", changes, Applicability.SAFE)


def _changes(program: Program, reading: Reading) -> list[operations.AnyOperation]:
    place, code = reading.place, program.code
    layout = code.layout(place.path)
    statement = layout.statement_at(place.start)
    scope = Scope(layout, statement)
    chain = chain_to(statement.node, place.start, place.end)
    node = chain[-1] if chain else None
    if not isinstance(node, ir.Subscript) or not isinstance(node.value, ir.Name):
        raise CannotPlaceError("the output has no name")
    lengths = _unpacked_lengths(layout, scope, node.value.id, statement)
    changes: list[operations.AnyOperation] = []
    name = lengths.id
    if not name.strip("_"):
        name = scope.fresh("lengths", "seq_lengths")
        changes.append(operations.Replace(place.path, lengths.start, lengths.end, name))
    elif scope.bindings(name) != 1:
        raise CannotPlaceError("the lengths are bound twice")
    if reading.tensor.batch_axis is None:
        raise CannotPlaceError("the layout of the batch is not known")
    layer = Recurrence(place, reading.tensor.batch_axis == 0, None, has_cell=False)
    way = Way(name, name, companion=code.fix_style == "runtime")
    mend = mended(code, layer, ReadSteps(place, reading.how), way)
    return [*changes, *mend.operations]


def _unpacked_lengths(layout: Layout, scope: Scope, name: str, here: Statement) -> ir.Name:
    """What gets the lengths where `pad_packed_sequence` gives a name its value.

    Raises:
        CannotPlaceError: the name has its value from elsewhere.
    """
    bindings = [
        node
        for node in scope.binders(name)
        if node.start < here.node.start
        and not exclude_each_other(layout.statement_at(node.start), here)
    ]
    last = max(bindings, key=lambda one: one.start, default=None)
    if not isinstance(last, ir.Assign) or len(last.targets) != 1:
        raise CannotPlaceError("the output is bound in another way")
    target, value = last.targets[0], last.value
    if not isinstance(value, ir.Call) or ir.last_name(value.func) != "pad_packed_sequence":
        raise CannotPlaceError("something is made of the output")
    if not isinstance(target, ir.Sequence) or len(target.elements) != 2:
        raise CannotPlaceError("the lengths are not unpacked")
    output, lengths = target.elements
    is_output = isinstance(output, ir.Name) and output.id == name
    if not is_output or not isinstance(lengths, ir.Name):
        raise CannotPlaceError("the lengths have no name")
    if not runs_before(layout.statement_at(last.start), here):
        raise CannotPlaceError("the output is not always unpacked")
    return lengths
