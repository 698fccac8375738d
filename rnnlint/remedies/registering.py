"""Layers in a plain list or dict become modules that their owner knows."""

from __future__ import annotations

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.lowering import ir
from rnnlint.semantics import events
from rnnlint.semantics.program import Program


def register_layers(program: Program, kept: events.Kept) -> Fix | None:
    """Put what a module keeps into a ModuleList or ModuleDict, where that is written out."""
    try:
        node = program.code.statement(kept.place).node
        layout = program.code.layout(kept.place.path)
    except CannotPlaceError:
        return None
    if not isinstance(node, ir.Assign) or node.value is None or len(node.targets) != 1:
        return None
    container = _container(node.value)
    if container is None:
        return None
    path, start, end = kept.place.path, node.value.start, node.value.end
    opening = f"{{torch.nn.{container}}}("
    around = [
        operations.Replace(path, start, start, opening),
        operations.Replace(path, end, end, ")"),
    ]
    if layout.text[start:end].strip("[]{} \n") == "":
        around = [operations.Replace(path, start, end, f"{opening})")]
    message = f"keep the layers in a {container}"
    return program.code.repair(message, around, Applicability.UNSAFE, uncovers=True)


def _container(value: ir.Expr) -> str | None:
    """The container of modules that can take the place of a display or comprehension."""
    if isinstance(value, (ir.Sequence, ir.Comprehension)) and value.kind == "list":
        return "ModuleList"
    if isinstance(value, ir.Dict) and value.keys and all(_is_text(key) for key in value.keys):
        return "ModuleDict"
    return None


def _is_text(key: ir.Expr | None) -> bool:
    return isinstance(key, ir.Const) and isinstance(key.value, str)
