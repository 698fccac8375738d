"""Functions, classes and imports: statements that give names to code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rnnlint.lowering import ir
from rnnlint.semantics import attributes, calls, expressions, statements, values
from rnnlint.semantics.frames import Arguments, Flow, Frame
from rnnlint.semantics.values import UNKNOWN, Value

if TYPE_CHECKING:
    from rnnlint.semantics.interpreter import Interpreter


def _function(run: Interpreter, node: ir.FunctionDef, frame: Frame) -> Flow:
    decorators = tuple(expressions.evaluate(run, mark, frame) for mark in node.decorators)
    defaults = {
        parameter.name: expressions.evaluate(run, parameter.default, frame)
        for parameter in node.params
        if parameter.default is not None
    }
    owner = frame.scope.get("<class>")
    function = values.Function(
        node,
        frame.module,
        # The names of a class are not those of its methods.
        frame.enclosing if owner is None else frame.closure,
        defaults,
        owner if isinstance(owner, values.Class) else None,
        _kind(node, decorators),
        decorators,
    )
    run.functions[id(node)] = function
    if function.kind == "setter":
        return ""  # the name stays the property's
    statements.bind_name(run, node.name, function, frame)
    return ""


def _kind(node: ir.FunctionDef, decorators: tuple[Value, ...]) -> str:
    for mark, expression in zip(decorators, node.decorators, strict=True):
        name = mark.name if isinstance(mark, values.External) else ""
        if name == "builtins.staticmethod":
            return "static"
        if name == "builtins.classmethod":
            return "class"
        if name in ("builtins.property", "functools.cached_property"):
            return "property"
        if isinstance(expression, ir.Attribute) and expression.attr in ("setter", "deleter"):
            return "setter"
    return ""


def _class(run: Interpreter, node: ir.ClassDef, frame: Frame) -> Flow:
    bases = tuple(
        expressions.evaluate(run, base.value, frame)
        for base in node.bases
        if base.keyword is None and base.value is not None
    )
    cls = values.Class(node, frame.module, bases, frame.place(node))
    cls.decorators = tuple(expressions.evaluate(run, mark, frame) for mark in node.decorators)
    run.classes[id(node)] = cls
    cls.fields["<class>"] = cls
    run.execute(node.body, Frame(cls.fields, frame.module, frame.enclosing))
    statements.bind_name(run, node.name, cls, frame)
    for mark in cls.decorators:
        if isinstance(mark, (values.Function, values.Bound)):  # it may enter a register
            calls.call(run, mark, Arguments([cls]), cls.place or frame.place(node))
    return ""


def _import(run: Interpreter, node: ir.Import, frame: Frame) -> Flow:
    for alias in node.names:
        first = alias.name.split(".")[0]
        if alias.asname is not None:
            value = import_module(run, frame.module.path, alias.name, 0)
            statements.bind_name(run, alias.asname, value, frame)
        else:
            import_module(run, frame.module.path, alias.name, 0)
            statements.bind_name(run, first, import_module(run, frame.module.path, first, 0), frame)
    return ""


def import_module(run: Interpreter, importer: str, module: str, level: int) -> Value:
    """The module that an import names: the project's, or a library's."""
    path = run.resolve(importer, module, level)
    if path is None:
        return values.External(module) if level == 0 and module else UNKNOWN
    return run.imported(path)


def _import_from(run: Interpreter, node: ir.ImportFrom, frame: Frame) -> Flow:
    module = import_module(run, frame.module.path, node.module, node.level)
    place = frame.place(node)
    for alias in node.names:
        if alias.name == "*":
            _import_star(run, module, frame)
            continue
        value = attributes.get_attribute(run, module, alias.name, place)
        statements.bind_name(run, alias.asname or alias.name, value, frame)
    return ""


def _import_star(run: Interpreter, module: Value, frame: Frame) -> None:
    if isinstance(module, values.ModuleScope):
        for name, value in list(module.fields.items()):
            if isinstance(name, str) and not name.startswith("_") and isinstance(value, Value):
                statements.bind_name(run, name, value, frame)
        handed_on = module.fields.get("<stars>", ())
    elif isinstance(module, values.External):
        handed_on = (module.name,)
    else:
        return
    known = frame.module.fields.get("<stars>", ())
    run.state.set(frame.module.fields, "<stars>", (*known, *handed_on))


EXECUTORS: dict[type, Callable[[Interpreter, Any, Frame], Flow]] = {
    ir.FunctionDef: _function,
    ir.ClassDef: _class,
    ir.Import: _import,
    ir.ImportFrom: _import_from,
}
