"""The tensors in packed sequences."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import Scope, runs_before
from rnnlint.lowering import ir
from rnnlint.semantics import modules
from rnnlint.semantics.events import LayerCall
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Place


def take_data(program: Program, target: Place) -> Fix | None:
    """`x = pack(...).data`, where `x, _ = pack(...)` stands and nothing reads the rest."""
    try:
        layout = program.code.layout(target.path)
        statement = layout.statement_at(target.start)
    except CannotPlaceError:
        return None
    node = statement.node
    if not isinstance(node, ir.Assign) or len(node.targets) != 1:
        return None
    names, call = node.targets[0], node.value
    if not isinstance(names, ir.Sequence) or not isinstance(call, ir.Call):
        return None
    scope = Scope(layout, statement)
    first, *others = names.elements
    if not all(isinstance(one, ir.Name) and _is_unread(scope, one) for one in others):
        return None
    text = layout.text
    changes = [
        operations.Replace(target.path, names.start, names.end, text[first.start : first.end]),
        operations.Replace(
            target.path, call.start, call.end, f"{text[call.start : call.end]}.data"
        ),
    ]
    return program.code.repair("take the data", changes, Applicability.UNSAFE)


def _is_unread(scope: Scope, name: ir.Name) -> bool:
    """Whether a name is nowhere but where it is bound: `_`."""
    return len(scope.uses(name.id)) == scope.bindings(name.id)


def unpack_output(program: Program, call: LayerCall, use: Place) -> Fix | None:
    """`out, _ = pad_packed_sequence(out)` behind the call of the layer that gave it."""
    batch_first = modules.known_option(call.layer, "batch_first", bool)
    try:
        layout = program.code.layout(call.place.path)
        statement = layout.statement_at(call.place.start)
        reader = layout.statement_at(use.start)
    except CannotPlaceError:
        return None
    node = statement.node
    if batch_first is None or call.place.path != use.path or not runs_before(statement, reader):
        return None
    if not isinstance(node, ir.Assign) or len(node.targets) != 1 or node.value is None:
        return None
    if (node.value.start, node.value.end) != (call.place.start, call.place.end):
        return None
    names = node.targets[0]
    output = names.elements[0] if isinstance(names, ir.Sequence) else None
    if not isinstance(output, ir.Name):
        return None
    unpacked = "{from torch.nn.utils.rnn import pad_packed_sequence}"
    arguments = f"{output.id}, batch_first=True" if batch_first else output.id
    line = f"{output.id}, _ = {unpacked}({arguments})"
    change = operations.Insert(call.place.path, node.start, node.end, (line,))
    return program.code.repair("unpack the output", [change], Applicability.UNSAFE)
