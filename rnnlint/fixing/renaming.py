"""A library's function by its other name: where it is called, and where it is imported."""

from __future__ import annotations

from rnnlint.fixing import operations
from rnnlint.fixing.arguments import call_at
from rnnlint.fixing.code import Code, Stretch
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.lowering import ir


def renamed(code: Code, call: Stretch, old: str, new: str) -> list[operations.AnyOperation]:
    """Calls a library's function by another name.

    Where the file imports the function by name, the import and all its uses change together.

    Raises:
        CannotPlaceError: it is not seen how the name came into the file.
    """
    layout = code.layout(call.path)
    function = call_at(layout, call.start, call.end).func
    if isinstance(function, ir.Attribute) and function.attr == old:
        return [_put(call.path, function.end - len(old), function.end, new)]
    if not isinstance(function, ir.Name):
        raise CannotPlaceError("the function has no name here")
    aliases = _imports_of(layout, old, function.id)
    if not aliases:
        raise CannotPlaceError("the name is imported elsewhere")
    found = [_renamed_import(call.path, alias, old, new) for alias in aliases]
    if function.id == old:
        if old in layout.names_bound:
            raise CannotPlaceError("the file binds the name, too")
        found += [_put(call.path, use.start, use.end, new) for use in _uses(layout, old)]
    return found


def _imports_of(layout: Layout, name: str, bound: str) -> list[ir.Alias]:
    return [
        alias
        for node in layout.body
        if isinstance(node, ir.ImportFrom) and not node.level
        for alias in node.names
        if alias.name == name and (alias.asname or alias.name) == bound
    ]


def _renamed_import(path: str, alias: ir.Alias, old: str, new: str) -> operations.AnyOperation:
    return _put(path, alias.start, alias.start + len(old), new)


def _uses(layout: Layout, name: str) -> list[ir.Name]:
    nodes = ir.nodes_in(layout.body)
    found = [node for node in nodes if isinstance(node, ir.Name) and node.id == name]
    return sorted(found, key=lambda node: node.start)


def _put(path: str, start: int, end: int, code: str) -> operations.AnyOperation:
    return operations.Replace(path, start, end, code)
