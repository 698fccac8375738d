"""Where a program builds a module, and what it calls it from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from rnnlint.fixing.layout import Layout, Statement
from rnnlint.lowering import ir

_CHANGED_IN_PLACE = frozenset(
    "to cuda cpu float double half bfloat16 type train eval requires_grad_ share_memory".split()
)
"""Methods of a module that return the module itself."""
_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
_COLLECTIONS = frozenset({"OrderedDict", "dict", "list", "tuple"})

IsLayer = Callable[[ir.Node], bool]
"""Whether an expression builds one of the layers in question."""


class Named(msgspec.Struct, frozen=True):
    """What a statement calls the module that it builds.

    `anchor` is the offset of the statement after which the name holds; `is_list` says that it
    is a list of modules, which is none itself.
    """

    name: str
    anchor: int
    is_list: bool = False
    is_alone: bool = True
    """Whether it is, or holds, what one construction builds, and no other layer."""


def named(
    layout: Layout, call: ir.Call, is_layer: IsLayer, *, in_any_case: bool = True
) -> Named | None:
    """What the program calls a module that is built here; None if it has no plain name.

    Args:
        layout: the file.
        call: the construction.
        is_layer: whether an expression builds a layer of the kind in question.
        in_any_case: look for the place at which the name holds such a layer whatever the tests
            around the construction say, rather than for that right behind it.
    """
    statement = layout.statement_at(call.start)
    node = statement.node
    if not isinstance(node, ir.Assign) or node.value is None or not _within(call, node.value):
        return None
    found = _assigned(layout, node.targets[0], node.value, call, is_layer)
    if found is None:
        return None
    found = msgspec.structs.replace(found, anchor=statement.start)
    if found.is_list or not in_any_case:
        return found
    return msgspec.structs.replace(found, anchor=_anchor(layout, statement, found.name, is_layer))


def path_to(node: ir.Node, inner: ir.Node) -> list[ir.Node]:
    """The nodes from one to another that lies in it, both included."""
    path = [node]
    while path[-1] != inner:
        nested = [child for child in _children(path[-1]) if _within(inner, child)]
        if not nested:
            return []
        path.append(nested[0])
    return path


def _assigned(
    layout: Layout, target: ir.Expr, value: ir.Expr, call: ir.Call, is_layer: IsLayer
) -> Named | None:
    if isinstance(value, ir.Sequence) and isinstance(target, ir.Sequence):
        number = next((n for n, one in enumerate(value.elements) if _within(call, one)), None)
        starred = any(isinstance(one, ir.Starred) for one in (*value.elements, *target.elements))
        if starred or number is None or len(value.elements) != len(target.elements):
            return None
        return _assigned(layout, target.elements[number], value.elements[number], call, is_layer)
    if not _is_plain(target):
        return None
    alone = sum(map(is_layer, ir.nodes_in(value))) == 1
    found = Named(layout.text[target.start : target.end], target.start, is_alone=alone)
    if is_layer(_bare(value)) or _is_choice(value, is_layer):
        return found
    if _is_container(value) and _builds_all(value, call):
        return found
    if isinstance(value, (ir.Sequence, ir.Comprehension)) and value.kind == "list":
        elements = value.elements if isinstance(value, ir.Sequence) else (value.element,)
        if all(is_layer(_bare(one)) for one in elements):
            return msgspec.structs.replace(found, is_list=True)
    return None


def _bare(value: ir.Expr) -> ir.Expr:
    """Without methods that return the module they are called on: `nn.LSTM(3, 4).to(device)`."""
    while (
        isinstance(value, ir.Call)
        and isinstance(value.func, ir.Attribute)
        and value.func.attr in _CHANGED_IN_PLACE
    ):
        value = value.func.value
    return value


def _is_choice(value: ir.Expr, is_layer: IsLayer) -> bool:
    """`nn.LSTM(3, 4) if gated else nn.RNN(3, 4)`: one of several layers in any case."""
    return isinstance(value, ir.IfExp) and all(
        is_layer(_bare(one)) or _is_choice(one, is_layer) for one in (value.body, value.orelse)
    )


def _is_container(value: ir.Expr) -> bool:
    return _called(_bare(value)) in _CONTAINERS


def _builds_all(value: ir.Expr, call: ir.Call) -> bool:
    """Whether a container is given nothing that was built before, and may be in use."""
    path = path_to(value, call)
    for node in path[:-1]:
        if isinstance(node, ir.Call):
            given: tuple[ir.Node, ...] = node.args
            if _called(_bare(node)) not in _CONTAINERS | _COLLECTIONS:
                return False
        elif isinstance(node, ir.Sequence):
            given = node.elements
        elif isinstance(node, ir.Dict):
            given = node.values
        elif isinstance(node, (ir.Argument, ir.Attribute, ir.Comprehension)):
            continue
        else:
            return False
        if any(isinstance(one, (ir.Name, ir.Attribute, ir.Starred)) for one in map(_value, given)):
            return False
    return bool(path)


def _value(node: ir.Node) -> ir.Node:
    return node.value if isinstance(node, ir.Argument) else node


def _called(value: ir.Expr) -> str:
    """The last name of what is called."""
    return ir.last_name(value.func) if isinstance(value, ir.Call) else ""


def _is_plain(target: ir.Expr) -> bool:
    """Whether a target can be read again: `rnn`, `self.rnn`, `self.rnns[0]`."""
    if isinstance(target, ir.Attribute):
        return _is_plain(target.value)
    if isinstance(target, ir.Subscript):
        return (
            len(target.index) == 1
            and isinstance(target.index[0], (ir.Name, ir.Const))
            and _is_plain(target.value)
        )
    return isinstance(target, ir.Name)


# --- alternatives -------------------------------------------------------------------


def _anchor(layout: Layout, statement: Statement, name: str, is_layer: IsLayer) -> int:
    """Behind which statement the layer has its name in any case.

    Where each branch of a test builds another layer of that name, that is the whole test.
    """
    anchor = statement.start
    inner: ir.Stmt | None = None
    for parent in reversed(statement.parents):
        if not isinstance(parent, ir.If):
            break
        chained = inner is None or parent.orelse == (inner,)
        if not chained or not _always_builds(layout, (parent,), name, is_layer):
            break
        inner, anchor = parent, parent.start
    return anchor


def _always_builds(
    layout: Layout, block: tuple[ir.Stmt, ...], name: str, is_layer: IsLayer
) -> bool:
    """Whether a block builds a layer of that name once, or raises."""
    if block and isinstance(block[-1], ir.Raise):
        return True
    if len(block) == 1 and isinstance(block[0], ir.If):
        branches = (block[0].body, block[0].orelse)
        return all(_always_builds(layout, one, name, is_layer) for one in branches)
    builds = [node for node in _assignments(block) if _is_called(layout, node, name)]
    return (
        len(builds) == 1
        and builds[0] in block
        and builds[0].value is not None
        and (is_layer(_bare(builds[0].value)) or _is_choice(builds[0].value, is_layer))
    )


def _assignments(block: tuple[ir.Stmt, ...]) -> Iterator[ir.Assign]:
    return (node for node in ir.nodes_in(block) if isinstance(node, ir.Assign))


def _is_called(layout: Layout, node: ir.Assign, name: str) -> bool:
    return any(layout.text[target.start : target.end] == name for target in node.targets)


# --- nodes ----------------------------------------------------------------------------


def _within(inner: ir.Node, outer: ir.Node) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _children(node: ir.Node) -> Iterator[ir.Node]:
    for field in node.__struct_fields__:
        value = getattr(node, field)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, ir.Node):
                yield one
