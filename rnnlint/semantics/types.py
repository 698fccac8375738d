"""`isinstance` on abstract values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnnlint.semantics import library, modules, values
from rnnlint.semantics.values import Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


_THING_BASES = {
    "scheduler": {"LRScheduler", "_LRScheduler"},
    "optimizer": {"Optimizer"},
}


def is_instance(run: Interpreter, value: Value, kind: Value) -> bool | None:
    """`isinstance(value, kind)`; None when open."""
    kinds = kind.items if isinstance(kind, values.Tuple) else values.members(kind)
    answers = {_is_one(value, one) for one in kinds}
    if True in answers:
        return True
    return None if None in answers or not answers else False


def _is_one(value: Value, kind: Value) -> bool | None:
    if isinstance(value, (values.Unknown, values.Union)):
        return None
    if isinstance(value, values.Instance):
        return _instance_is(value, kind)
    if isinstance(kind, values.Class):
        return False
    return (
        _is_library_type(value, library.canonical(kind.name))
        if isinstance(kind, values.External)
        else None
    )


def _instance_is(value: values.Instance, kind: Value) -> bool | None:
    if isinstance(kind, values.Class):
        return kind in value.cls.ancestry or (None if value.cls.is_opaque() else False)
    if not isinstance(kind, values.External):
        return None
    wanted = library.canonical(kind.name)
    names = {library.canonical(name) for name in value.cls.external_bases()}
    if wanted in names or (wanted == "torch.nn.Module" and modules.is_module(value)):
        return True
    return False if names <= {"torch.nn.Module"} else None


def _is_library_type(value: Value, wanted: str) -> bool | None:
    last = wanted.rsplit(".", 1)[-1]
    if isinstance(value, values.Thing) and value.kind in _THING_BASES:
        return last in _THING_BASES[value.kind] | {value.name}
    if isinstance(value, values.Layer):
        if wanted == "torch.nn.RNNBase":
            return modules.is_recurrent(value)
        return wanted in (f"torch.nn.{value.kind}", "torch.nn.Module")
    if isinstance(value, values.Container):
        return last in (value.kind, "Module")
    if isinstance(value, values.Tensor):
        if wanted == "torch.nn.utils.rnn.PackedSequence":
            return value.packed
        if wanted in ("builtins.tuple", "builtins.list", "builtins.dict", "builtins.str"):
            return False
        return wanted in ("torch.Tensor", "torch.autograd.Variable") or None
    return _plain_type(value, wanted)


_PLAIN: dict[type, str] = {
    values.Tuple: "builtins.tuple",
    values.DictObject: "builtins.dict",
}


def _plain_type(value: Value, wanted: str) -> bool | None:
    if isinstance(value, values.ListObject):
        return wanted == f"builtins.{value.kind}" or (None if value.kind == "generator" else False)
    name = _PLAIN.get(type(value))
    if name is not None:
        return wanted == name
    if isinstance(value, values.Const):
        return wanted == f"builtins.{type(value.value).__name__}"
    if isinstance(value, values.Parameter):
        return wanted in ("torch.Tensor", "torch.nn.Parameter")
    return None
