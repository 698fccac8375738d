"""Statements: LibCST nodes to the representation, token by token."""

from __future__ import annotations

from typing import Any

from rnnlint.lowering import ir
from rnnlint.lowering.expressions import lower_arguments, lower_parameters, lower_target
from rnnlint.lowering.patterns import lower_cases
from rnnlint.lowering.walk import (
    CannotLowerError,
    Dispatch,
    Walk,
    lower_expression,
    lower_optional,
    unknown,
)

MAX_BLOCKS = 100
"""Python itself refuses more levels of indentation."""
MAX_BRANCHES = 50
"""A longer chain of `elif`s is represented less deep, see `_if`."""


def lower_module(walk: Walk, module: Any) -> ir.FileIR:
    """Lower a whole file."""
    return ir.FileIR(_statements(walk, module.body))


def _statements(walk: Walk, nodes: Any) -> tuple[ir.Stmt, ...]:
    result: list[ir.Stmt] = []
    for node in nodes:
        lower = _COMPOUND[node.__class__]
        if lower is None:
            _simple_statements(walk, node, result)
        else:
            result.append(lower(walk, node))
    return tuple(result)


def _simple_statements(walk: Walk, line: Any, result: list[ir.Stmt]) -> None:
    """Lower the statements of one line, `a; b; c`."""
    for node in line.body:
        statement = _SIMPLE[node.__class__](walk, node)
        if statement is not None:
            result.append(statement)
        walk.skip(";")


def _block(walk: Walk, block: Any) -> tuple[ir.Stmt, ...]:
    """Lower the colon and the body behind it."""
    walk.position += 1
    if block.__class__.__name__ == "SimpleStatementSuite":
        result: list[ir.Stmt] = []
        _simple_statements(walk, block, result)
        return tuple(result)
    walk.blocks += 1
    if walk.blocks > MAX_BLOCKS:
        raise CannotLowerError(
            f"more than {MAX_BLOCKS} levels of indentation, which Python refuses",
            "move inner blocks to functions",
        )
    body = _statements(walk, block.body)
    walk.blocks -= 1
    return body


def _optional_block(walk: Walk, clause: Any) -> tuple[ir.Stmt, ...]:
    """Lower an `else` or `finally` clause that may be absent."""
    if clause is None:
        return ()
    walk.position += 1
    return _block(walk, clause.body)


# --- simple statements -----------------------------------------------------------


def _expression_statement(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    value = lower_expression(walk, node.value)
    return ir.ExprStmt(start, walk.end(), value)


def _assign(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    targets: list[ir.Expr] = []
    for target in node.targets:
        targets.append(lower_target(walk, target.target))
        walk.position += 1
    value = lower_expression(walk, node.value)
    return ir.Assign(start, walk.end(), tuple(targets), value)


def _annotated_assign(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    target = lower_target(walk, node.target)
    walk.position += 1
    annotation = lower_expression(walk, node.annotation.annotation)
    value = None
    if node.value is not None:
        walk.position += 1
        value = lower_expression(walk, node.value)
    return ir.Assign(start, walk.end(), (target,), value, annotation)


def _augmented_assign(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    target = lower_expression(walk, node.target)
    operator = walk.read()[:-1]
    value = lower_expression(walk, node.value)
    return ir.AugAssign(start, walk.end(), target, operator, value)


def _return(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    value = lower_optional(walk, node.value)
    return ir.Return(start, walk.end(), value)


def _raise(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    value = lower_optional(walk, node.exc)
    if node.cause is not None:
        walk.position += 1
        lower_expression(walk, node.cause.item)
    return ir.Raise(start, walk.end(), value)


def _assert(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    test = lower_expression(walk, node.test)
    if node.msg is not None:
        walk.position += 1
        lower_expression(walk, node.msg)
    return ir.Assert(start, walk.end(), test)


def _delete(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    target = lower_expression(walk, node.target)
    targets = target.elements if isinstance(target, ir.Sequence) else (target,)
    return ir.Delete(start, walk.end(), targets)


def _scope(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    kind = walk.read()
    walk.position += 2 * len(node.names) - 1
    return ir.Scope(start, walk.end(), kind, tuple(item.name.value for item in node.names))


def _jump(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    kind = walk.read()
    return ir.Jump(start, walk.end(), kind)


def _type_alias(walk: Walk, node: Any) -> None:
    """Read over `type Name[...] = value`, which does nothing at run time that matters."""
    walk.position += 2
    _skip_type_parameters(walk, node)
    walk.position += 1
    lower_expression(walk, node.value)


def _skip_type_parameters(walk: Walk, node: Any) -> None:
    if getattr(node, "type_parameters", None) is None:
        return
    depth = 0
    while True:
        token = walk.read()
        depth += (token in ("[", "(", "{")) - (token in ("]", ")", "}"))
        if depth == 0:
            return


# --- imports ---------------------------------------------------------------------


def _aliases(walk: Walk, nodes: Any) -> tuple[ir.Alias, ...]:
    aliases: list[ir.Alias] = []
    for node in nodes:
        start = walk.start()
        name = _dotted_name(walk, node.name)
        asname = None
        if node.asname is not None:
            walk.position += 2
            asname = node.asname.name.value
        aliases.append(ir.Alias(start, walk.end(), name, asname))
        walk.skip(",")
    return tuple(aliases)


def _dotted_name(walk: Walk, node: Any) -> str:
    names: list[str] = []
    while node.__class__.__name__ == "Attribute":
        names.append(node.attr.value)
        node = node.value
    names.append(node.value)
    walk.position += 2 * len(names) - 1
    return ".".join(reversed(names))


def _import(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.skip("lazy")
    walk.position += 1
    names = _aliases(walk, node.names)
    return ir.Import(start, walk.end(), names)


def _import_from(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.skip("lazy")
    walk.position += 1
    while walk.skip(".") or walk.skip("..."):
        pass
    module = "" if node.module is None else _dotted_name(walk, node.module)
    walk.position += 1
    if node.names.__class__.__name__ == "ImportStar":
        star = walk.start()
        walk.position += 1
        names: tuple[ir.Alias, ...] = (ir.Alias(star, walk.end(), "*", None),)
    else:
        parenthesised = walk.skip("(")
        names = _aliases(walk, node.names)
        walk.position += parenthesised
    return ir.ImportFrom(start, walk.end(), module, len(node.relative), names)


# --- compound statements ---------------------------------------------------------


def _if(walk: Walk, node: Any) -> ir.Stmt:
    """Lower `if` with its `elif`s in a loop: long chains must not exhaust the stack.

    Behind `MAX_BRANCHES` the `elif`s lie side by side, as if several could be taken.
    """
    branches: list[tuple[int, ir.Expr, tuple[ir.Stmt, ...]]] = []
    clause = node
    while clause is not None and clause.__class__.__name__ == "If":
        start = walk.start()
        walk.position += 1
        test = lower_expression(walk, clause.test)
        branches.append((start, test, _block(walk, clause.body)))
        clause = clause.orelse
    orelse = _optional_block(walk, clause)
    end = walk.end()
    far = branches[MAX_BRANCHES:]
    if far:
        orelse = (*(ir.If(start, end, test, body, ()) for start, test, body in far), *orelse)
    for start, test, body in reversed(branches[1:MAX_BRANCHES]):
        orelse = (ir.If(start, end, test, body, orelse),)
    start, test, body = branches[0]
    return ir.If(start, end, test, body, orelse)


def _for(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.skip("async")
    walk.position += 1
    target = lower_target(walk, node.target)
    walk.position += 1
    iterable = lower_expression(walk, node.iter)
    body = _block(walk, node.body)
    orelse = _optional_block(walk, node.orelse)
    return ir.For(start, walk.end(), target, iterable, body, orelse)


def _while(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    test = lower_expression(walk, node.test)
    body = _block(walk, node.body)
    orelse = _optional_block(walk, node.orelse)
    return ir.While(start, walk.end(), test, body, orelse)


def _with(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.skip("async")
    walk.position += 1
    parenthesised = node.lpar.__class__.__name__ == "LeftParen"
    walk.position += parenthesised
    items: list[ir.WithItem] = []
    for item in node.items:
        item_start = walk.start()
        context = lower_expression(walk, item.item)
        target = None
        if item.asname is not None:
            walk.position += 1
            target = lower_target(walk, item.asname.name)
        items.append(ir.WithItem(item_start, walk.end(), context, target))
        walk.skip(",")
    walk.position += parenthesised
    body = _block(walk, node.body)
    return ir.With(start, walk.end(), tuple(items), body)


def _try(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    body = _block(walk, node.body)
    handlers = tuple([_handler(walk, handler) for handler in node.handlers])
    orelse = _optional_block(walk, node.orelse)
    final = _optional_block(walk, node.finalbody)
    return ir.Try(start, walk.end(), body, handlers, orelse, final)


def _handler(walk: Walk, node: Any) -> ir.Handler:
    start = walk.start()
    walk.position += 1
    walk.skip("*")
    exception = lower_optional(walk, node.type)
    name = None
    if node.name is not None:
        walk.position += 2
        name = node.name.name.value
    body = _block(walk, node.body)
    return ir.Handler(start, walk.end(), exception, name, body)


def _match(walk: Walk, node: Any) -> ir.Stmt:
    start = walk.start()
    walk.position += 1
    subject = lower_expression(walk, node.subject)
    walk.position += 1
    cases = lower_cases(walk, node.cases, _block)
    return ir.Match(start, walk.end(), subject, cases)


def _decorators(walk: Walk, nodes: Any) -> tuple[ir.Expr, ...]:
    decorators: list[ir.Expr] = []
    for node in nodes:
        walk.position += 1
        decorators.append(lower_expression(walk, node.decorator))
    return tuple(decorators)


def _function(walk: Walk, node: Any) -> ir.Stmt:
    decorators = _decorators(walk, node.decorators)
    walk.skip("async")
    walk.position += 1
    start = walk.start()
    walk.position += 1
    end = walk.end()
    _skip_type_parameters(walk, node)
    walk.position += 1
    params = lower_parameters(walk, node.params)
    walk.position += 1
    returns = None
    if node.returns is not None:
        walk.position += 1
        returns = lower_expression(walk, node.returns.annotation)
    outer_mentions, outer_yields = walk.mentions, walk.yields
    walk.mentions, walk.yields = set(), False
    body = _block(walk, node.body)
    mentions, is_generator = walk.mentions, walk.yields
    walk.mentions, walk.yields = outer_mentions, outer_yields
    outer_mentions |= mentions
    return ir.FunctionDef(
        start,
        end,
        name=node.name.value,
        params=params,
        body=body,
        decorators=decorators,
        returns=returns,
        is_generator=is_generator,
        mentions=tuple(sorted(mentions)),
    )


def _class(walk: Walk, node: Any) -> ir.Stmt:
    decorators = _decorators(walk, node.decorators)
    walk.position += 1
    start = walk.start()
    walk.position += 1
    end = walk.end()
    _skip_type_parameters(walk, node)
    bases: tuple[ir.Argument, ...] = ()
    if walk.skip("("):
        bases = lower_arguments(walk, [*node.bases, *node.keywords])
        walk.position += 1
    body = _block(walk, node.body)
    return ir.ClassDef(
        start, end, name=node.name.value, bases=bases, body=body, decorators=decorators
    )


_SIMPLE = Dispatch(
    {
        "Expr": _expression_statement,
        "Assign": _assign,
        "AnnAssign": _annotated_assign,
        "AugAssign": _augmented_assign,
        "Return": _return,
        "Raise": _raise,
        "Assert": _assert,
        "Del": _delete,
        "Global": _scope,
        "Nonlocal": _scope,
        "Break": _jump,
        "Continue": _jump,
        "Pass": _jump,
        "Import": _import,
        "LazyImport": _import,
        "ImportFrom": _import_from,
        "LazyImportFrom": _import_from,
        "TypeAlias": _type_alias,
    },
    default=unknown,
)
_COMPOUND = Dispatch(
    {
        "If": _if,
        "For": _for,
        "While": _while,
        "With": _with,
        "Try": _try,
        "TryStar": _try,
        "Match": _match,
        "FunctionDef": _function,
        "ClassDef": _class,
        "SimpleStatementLine": None,
    },
    default=unknown,
)
