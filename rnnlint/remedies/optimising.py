"""An optimizer that misses a module which is trained is given its parameters too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rnnlint.diagnostic import Applicability, Fix
from rnnlint.fixing import operations
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.scopes import Scope, chain_to, runs_before
from rnnlint.lowering import ir
from rnnlint.remedies.parameters import is_module, is_plain_name
from rnnlint.remedies.producing import with_element
from rnnlint.semantics import events, modules, naming, values
from rnnlint.semantics.program import Program
from rnnlint.semantics.values import Layer, Place, Value


def optimise_too(
    program: Program, steps: Sequence[events.OptimizerEvent], missed: Collection[Layer]
) -> Fix | None:
    """Give the optimizer the modules that it misses, where it is built.

    Args:
        program: the program.
        steps: the steps that follow the backward pass.
        missed: the layers that the loss depends on and no optimizer has.
    """
    optimizers = {one for step in steps for one in values.members(step.optimizer)}
    if len(optimizers) != 1:
        return None
    optimizer = optimizers.pop()
    if not isinstance(optimizer, values.Thing) or optimizer.place is None:
        return None
    built = [
        event
        for event in program.possible(events.OptimizerEvent)
        if event.what == "built" and event.place == optimizer.place and event.scopes
    ]
    if len(built) != 1:
        return None
    names = _names(program, built[0].scopes[-1], set(missed))
    if not names:
        return None
    try:
        changes = [_joined(program, optimizer.place, names)]
    except CannotPlaceError:
        return None
    message = f"let it optimise {' and '.join(names)} too"
    return program.code.repair(message, changes, Applicability.UNSAFE, uncovers=True)


def _names(program: Program, scope: naming.Scope, missed: set[Layer]) -> list[str]:
    """The names of modules that hold the layers, and nothing that an optimizer has already.

    There are none where a module holds both: that the rest of it stays as it is may be meant.
    """
    taken = {layer for one in program.optimizers for layer in program.layers_in(one)}

    def held(value: Value | None) -> set[Layer]:
        return set(modules.layers_in(value)) if value is not None and is_module(value) else set()

    names = list(scope.names_of(lambda value: bool(missed & held(value))))
    known = {name: held(scope.value(name)) for name in names if is_plain_name(name)}
    if any(taken & inside or any(map(modules.is_frozen, inside)) for inside in known.values()):
        return []
    found: list[str] = []
    left = set(missed)
    for name in sorted(known, key=lambda one: -len(known[one])):
        if left & known[name]:
            found.append(name)
            left -= known[name]
    return [] if left else sorted(found, key=names.index)


def _joined(program: Program, built: Place, names: Sequence[str]) -> operations.Replace:
    """What adds the parameters of modules to those that an optimizer is given.

    Raises:
        CannotPlaceError: these are not written out.
    """
    layout = program.code.layout(built.path)
    given = _written(program, layout, built)
    text = layout.text[given.start : given.end]
    more = [f"{name}.parameters()" for name in names]
    if _is_of_one_module(given):
        listed = ", ".join(f"*{one}" for one in (text, *more))
        return operations.Replace(built.path, given.start, given.end, f"[{listed}]")
    if isinstance(given, ir.Binary) and given.op == "+":
        added = "".join(f" + list({one})" for one in more)
        return operations.Replace(built.path, given.start, given.end, text + added)
    if isinstance(given, ir.Sequence) and given.kind == "list" and given.elements:
        are_groups = all(isinstance(one, ir.Dict) for one in given.elements)
        code = ", ".join(f'{{"params": {one}}}' if are_groups else f"*{one}" for one in more)
        return with_element(built.path, layout, given, code)
    raise CannotPlaceError("the parameters are not written out")


def _written(program: Program, layout: Layout, built: Place) -> ir.Expr:
    """The parameters that an optimizer is given, where they are put together.

    Raises:
        CannotPlaceError: that is not one place of the same function.
    """
    part = program.code.argument(built, "params", 0)
    if part is None:
        raise CannotPlaceError("the optimizer is given no parameters")
    statement = layout.statement_at(part.start)
    (*_, given) = chain_to(statement.node, part.start, part.end)
    if isinstance(given, ir.Name):
        around = Scope(layout, statement)
        bound = around.binders(given.id)
        node = bound[0] if len(bound) == 1 == around.bindings(given.id) else None
        if not isinstance(node, ir.Assign) or not isinstance(node.targets[0], ir.Name):
            raise CannotPlaceError("the parameters are put together elsewhere")
        if node.value is None or not runs_before(layout.statement_at(node.start), statement):
            raise CannotPlaceError("the parameters are put together elsewhere")
        return node.value
    if not isinstance(given, ir.Expr):
        raise CannotPlaceError("the parameters are not written out")
    return given


def _is_of_one_module(given: ir.Expr) -> bool:
    """`decoder.parameters()`"""
    if not isinstance(given, ir.Call) or given.args:
        return False
    return isinstance(given.func, ir.Attribute) and given.func.attr == "parameters"
