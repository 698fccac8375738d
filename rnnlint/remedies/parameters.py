"""The parameters that an optimizer updates, in the words of the code that needs them."""

from __future__ import annotations

import re

from rnnlint.fixing.bindings import binds
from rnnlint.fixing.layout import CannotPlaceError
from rnnlint.fixing.scopes import Scope as Around
from rnnlint.lowering import ir
from rnnlint.semantics import modules, values
from rnnlint.semantics.naming import Scope
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Value

MAX_NAMES = 3
"""Of how many modules the parameters are listed."""
_PLAIN = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\[[\w.'\"]+\])*")
"""A name that can be read twice, with attributes and simple indices."""
_MODULE = re.compile(r"([A-Za-z_][\w.]*)\.parameters\(\)")


def is_plain_name(code: str) -> bool:
    """Whether an expression only names something: `self.optimizers[0]`."""
    return _PLAIN.fullmatch(code) is not None


def of_its_own_names(program: Program, optimizer: Value, scope: Scope) -> str | None:
    """The parameters of an optimizer by the names of its modules; None if these have none."""
    listed = _list_given(program, optimizer, scope)
    if listed is not None:
        return listed
    roots = _roots(optimizer)
    if not roots:
        return None
    names = _covering(roots, scope, _name_given(program, optimizer))
    if names is None or len(names) > MAX_NAMES:
        return None
    if len(names) == 1:
        return f"{names[0]}.parameters()"
    return "[" + ", ".join(f"*{name}.parameters()" for name in names) + "]"


def of_its_groups(optimizer: str) -> str:
    """All parameters of an optimizer, by the optimizer's name."""
    return f'[p for group in {optimizer}.param_groups for p in group["params"]]'


def _list_given(program: Program, optimizer: Value, scope: Scope) -> str | None:
    """The name of the list that an optimizer was given; a generator would be used up by now."""
    place = optimizer.place if isinstance(optimizer, values.Thing) else None
    if place is None or not isinstance(optimizer, values.Thing) or place.path != scope.path:
        return None
    given = program.code.argument(place, "params", 0)
    name = program.code.text(given) if given is not None else ""
    value = scope.value(name) if name.isidentifier() else None
    if value is None or value is not optimizer.options.get("params"):
        return None
    layout = program.code.layout(place.path)
    around = Around(layout, layout.statement_at(place.start))
    bound = [
        node.value
        for node in ir.nodes_in(around.body)
        if isinstance(node, ir.Assign) and binds(node, name)
    ]
    once = len(bound) == 1 == around.bindings(name)
    return name if once and "<added>" not in optimizer.fields and _is_list(bound[0]) else None


def _is_list(value: ir.Expr | None) -> bool:
    """Whether an expression makes a list of parameters, not of groups."""
    if isinstance(value, ir.Binary):
        return _is_list(value.left) and _is_list(value.right)
    if isinstance(value, ir.Sequence):
        return value.kind == "list" and not any(isinstance(one, ir.Dict) for one in value.elements)
    if isinstance(value, ir.Comprehension):
        return value.kind == "list" and not isinstance(value.element, ir.Dict)
    called = value.func if isinstance(value, ir.Call) else None
    return isinstance(called, ir.Name) and called.id == "list"


def _roots(optimizer: Value) -> list[Value]:
    """The modules whose parameters an optimizer was given, all of them; none if in doubt."""
    found: list[Value] = []
    for member in values.members(optimizer):
        if not isinstance(member, values.Thing) or "<added>" in member.fields:
            return []
        given = _modules_in(member.options.get("params"))
        if given is None:
            return []
        found += [module for module in given if module not in found]
    return found


def _modules_in(given: object, depth: int = 3) -> list[Value] | None:
    """The modules that parameters come from; None if some come from elsewhere."""
    if isinstance(given, values.Union):
        parts: list[Value] = list(given.members)
    elif isinstance(given, values.Parameters):
        return [_unwrapped(one) for module in given.modules for one in values.members(module)]
    elif isinstance(given, values.Parameter):
        return [given.layer]
    elif isinstance(given, values.ListObject) and depth:
        items = given.fields["items"]
        element = given.fields["element"]
        parts = list(items) if items is not None else [element]
    elif isinstance(given, values.DictObject) and depth:
        parts = [given.fields["entries"].get("params", values.UNKNOWN)]
    else:
        return None
    found: list[Value] = []
    for part in parts:
        inner = _modules_in(part, depth - 1)
        if inner is None:
            return None
        found += inner
    return found


def _unwrapped(module: Value) -> Value:
    """The module that `DataParallel` and its like only pass on."""
    while isinstance(module, values.Container) and module.kind in modules.WRAPPERS:
        children = list(module.fields["children"].values())
        if len(children) != 1:
            break
        module = children[0]
    return module


def _covering(roots: list[Value], scope: Scope, preferred: str) -> list[str] | None:
    """Names of modules that together are just these modules."""

    def covered(value: Value) -> list[Value]:
        parts: list[Value] = [_unwrapped(member) for member in values.members(value)]
        if all(part in roots for part in parts):
            return parts
        parts = list(modules.layers_in(value)) if is_module(value) else []
        return parts if all(part in roots for part in parts) else []

    names = list(scope.names_of(lambda value: bool(covered(value))))
    if scope.binds(preferred.partition(".")[0]):
        names.insert(0, preferred)
    found: list[str] = []
    left = list(roots)
    known = {name: covered(scope.value(name) or values.UNKNOWN) for name in names}
    for name in sorted(names, key=lambda one: -len(known[one])):
        if any(module in left for module in known[name]):
            found.append(name)
            left = [module for module in left if module not in known[name]]
    return sorted(found, key=names.index) if not left else None


def is_module(value: Value) -> bool:
    """Whether a value is surely a module."""
    return all(
        isinstance(member, (values.Layer, values.Container))
        or (isinstance(member, values.Instance) and modules.is_module(member))
        for member in values.members(value)
    )


def _name_given(program: Program, optimizer: Value) -> str:
    """The module's name where the optimizer is built: `self.net` for `self.net.parameters()`."""
    place = optimizer.place if isinstance(optimizer, values.Thing) else None
    if place is None:
        return ""
    try:
        given = program.code.argument(place, "params", 0)
    except CannotPlaceError:
        return ""
    match = _MODULE.fullmatch(program.code.text(given)) if given is not None else None
    return match[1] if match is not None else ""
