"""The intermediate representation: what a file says, as small immutable values.

Lowering turns one file into one `FileIR`, which depends on that file's bytes
alone.  The representation knows Python and nothing of torch.  It is plain data:
`msgspec` writes it to the cache and reads it back.

Every expression and statement carries `start` and `end`, offsets in code points
into the decoded source (`Source.text`), so that `text[start:end]` is its text
(without surrounding parentheses).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

import msgspec


class Node(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Base of all nodes."""

    start: int
    end: int


# --- expressions -----------------------------------------------------------


class Const(Node, frozen=True, tag="c"):
    """A literal number, string, True, False, None or Ellipsis.

    Adjacent string literals are joined.  Bytes, complex and Ellipsis literals
    have the value None and say so in `kind` ("bytes", "complex", "ellipsis"), and
    so has an expression nested too deep to be worth reading ("opaque");
    otherwise `kind` is "int", "float", "str", "bool" or "none".  Integers beyond
    64 bits are lowered as floats.
    """

    kind: str
    value: bool | int | float | str | None


class Name(Node, frozen=True, tag="n"):
    id: str


class Attribute(Node, frozen=True, tag="a"):
    value: Expr
    attr: str


class Argument(Node, frozen=True, tag="g"):
    """An argument of a call: `keyword` for `k=v`, `star` "*" or "**" for unpacking."""

    value: Expr
    keyword: str | None = None
    star: str = ""


class Call(Node, frozen=True, tag="C"):
    func: Expr
    args: tuple[Argument, ...]


class Slice(Node, frozen=True, tag="s"):
    lower: Expr | None
    upper: Expr | None
    step: Expr | None


class Subscript(Node, frozen=True, tag="S"):
    """`value[index]`; several indices (`x[:, 0]`) are several elements."""

    value: Expr
    index: tuple[Expr, ...]


class Sequence(Node, frozen=True, tag="q"):
    """A tuple, list or set display; `kind` is "tuple", "list" or "set"."""

    kind: str
    elements: tuple[Expr, ...]


class Dict(Node, frozen=True, tag="d"):
    """A dict display; a key of None stands for `**value`."""

    keys: tuple[Expr | None, ...]
    values: tuple[Expr, ...]


class Unary(Node, frozen=True, tag="u"):
    """`op` is "-", "+", "~" or "not"."""

    op: str
    operand: Expr


class Binary(Node, frozen=True, tag="b"):
    """`op` as written: "+", "@", "//", "<<", ..."""

    op: str
    left: Expr
    right: Expr


class BoolOp(Node, frozen=True, tag="B"):
    """`op` is "and" or "or"; chains of one operator are flat."""

    op: str
    values: tuple[Expr, ...]


class Compare(Node, frozen=True, tag="m"):
    """`left ops[0] comparators[0] ...`; ops as written ("==", "not in", "is not")."""

    left: Expr
    ops: tuple[str, ...]
    comparators: tuple[Expr, ...]


class IfExp(Node, frozen=True, tag="i"):
    test: Expr
    body: Expr
    orelse: Expr


class Generator(Node, frozen=True, tag="e"):
    """One `for target in iter if ... if ...` of a comprehension."""

    target: Expr
    iter: Expr
    ifs: tuple[Expr, ...]


class Comprehension(Node, frozen=True, tag="o"):
    """`kind` is "list", "set", "dict" or "generator"; `key` only for a dict."""

    kind: str
    key: Expr | None
    element: Expr
    generators: tuple[Generator, ...]


class Starred(Node, frozen=True, tag="*"):
    value: Expr


class Await(Node, frozen=True, tag="w"):
    value: Expr


class Yield(Node, frozen=True, tag="y"):
    """`yield value`; `is_from` for `yield from value`."""

    value: Expr | None
    is_from: bool = False


class FString(Node, frozen=True, tag="f"):
    """An f-string (or t-string): literal parts are Const, the rest expressions."""

    parts: tuple[Expr, ...]


class NamedExpr(Node, frozen=True, tag="="):
    target: Expr
    value: Expr


class Parameter(Node, frozen=True, tag="p"):
    """A parameter; `kind` is "positional" (also keyword), "positional-only",
    "keyword-only", "*" or "**"."""

    name: str
    kind: str
    annotation: Expr | None = None
    default: Expr | None = None


class Lambda(Node, frozen=True, tag="l"):
    params: tuple[Parameter, ...]
    body: Expr


# --- statements ------------------------------------------------------------


class ExprStmt(Node, frozen=True, tag="X"):
    value: Expr


class Assign(Node, frozen=True, tag="A"):
    """`targets[0] = targets[1] = value`; an annotated assignment has `annotation`,
    and `value` None when it only declares."""

    targets: tuple[Expr, ...]
    value: Expr | None
    annotation: Expr | None = None


class AugAssign(Node, frozen=True, tag="U"):
    """`target op= value`, with `op` "+", "*", ..."""

    target: Expr
    op: str
    value: Expr


class Return(Node, frozen=True, tag="R"):
    value: Expr | None


class Raise(Node, frozen=True, tag="Z"):
    value: Expr | None


class Assert(Node, frozen=True, tag="T"):
    test: Expr


class Delete(Node, frozen=True, tag="D"):
    targets: tuple[Expr, ...]


class Scope(Node, frozen=True, tag="G"):
    """`global` or `nonlocal` names; `kind` says which."""

    kind: str
    names: tuple[str, ...]


class Jump(Node, frozen=True, tag="J"):
    """`kind` is "break", "continue" or "pass"."""

    kind: str


class If(Node, frozen=True, tag="I"):
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


class For(Node, frozen=True, tag="F"):
    target: Expr
    iter: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


class While(Node, frozen=True, tag="W"):
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


class WithItem(Node, frozen=True, tag="t"):
    context: Expr
    target: Expr | None


class With(Node, frozen=True, tag="H"):
    items: tuple[WithItem, ...]
    body: tuple[Stmt, ...]


class Handler(Node, frozen=True, tag="h"):
    exception: Expr | None
    name: str | None
    body: tuple[Stmt, ...]


class Try(Node, frozen=True, tag="Y"):
    body: tuple[Stmt, ...]
    handlers: tuple[Handler, ...]
    orelse: tuple[Stmt, ...]
    final: tuple[Stmt, ...]


class Case(Node, frozen=True, tag="k"):
    """A `case` block: `names` are those its pattern binds; `literal` is the value
    of a pattern that is a single literal or dotted name, else None."""

    literal: Expr | None
    names: tuple[str, ...]
    guard: Expr | None
    body: tuple[Stmt, ...]


class Match(Node, frozen=True, tag="M"):
    subject: Expr
    cases: tuple[Case, ...]


class FunctionDef(Node, frozen=True, tag="N"):
    """`start` and `end` cover the name alone.  `mentions` holds every identifier
    that the function's body reads, as a name or an attribute, sorted."""

    name: str
    params: tuple[Parameter, ...]
    body: tuple[Stmt, ...]
    decorators: tuple[Expr, ...]
    returns: Expr | None
    is_generator: bool
    mentions: tuple[str, ...]


class ClassDef(Node, frozen=True, tag="K"):
    """`start` and `end` cover the name alone."""

    name: str
    bases: tuple[Argument, ...]
    body: tuple[Stmt, ...]
    decorators: tuple[Expr, ...]


class Alias(Node, frozen=True, tag="L"):
    name: str
    asname: str | None


class Import(Node, frozen=True, tag="P"):
    names: tuple[Alias, ...]


class ImportFrom(Node, frozen=True, tag="Q"):
    """`from {'.' * level}{module} import names`; a star import has one Alias "*"."""

    module: str
    level: int
    names: tuple[Alias, ...]


Expr: TypeAlias = (
    Const | Name | Attribute | Call | Slice | Subscript | Sequence | Dict | Unary | Binary
    | BoolOp | Compare | IfExp | Comprehension | Starred | Await | Yield | FString | NamedExpr
    | Lambda
)  # fmt: skip

Stmt: TypeAlias = (
    ExprStmt | Assign | AugAssign | Return | Raise | Assert | Delete | Scope | Jump | If | For
    | While | With | Try | Match | FunctionDef | ClassDef | Import | ImportFrom
)  # fmt: skip


class FileIR(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one file says."""

    body: tuple[Stmt, ...]


def nodes_in(value: object) -> Iterator[Node]:
    """Every node of a representation, parents first."""
    waiting = [value.body if isinstance(value, FileIR) else value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, tuple):
            waiting.extend(current)
        elif isinstance(current, Node):
            yield current
            for name in _fields_with_nodes(type(current)):
                inner = getattr(current, name)
                if inner:
                    waiting.append(inner)


@cache
def _fields_with_nodes(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    """The fields of a structure that may hold nodes."""
    return tuple(
        name
        for name, annotation in kind.__annotations__.items()
        if not _PLAIN.issuperset(_WORD.findall(annotation))
    )


def moved(block: tuple[Stmt, ...], shift: int) -> tuple[Stmt, ...]:
    """Statements as they are where their text stands further down, or with a shift below 0 up."""
    return tuple(_moved(statement, shift) for statement in block) if shift else block


def _moved(value: Any, shift: int) -> Any:
    if isinstance(value, tuple):
        return tuple([_moved(inner, shift) if inner else inner for inner in value])
    if not isinstance(value, Node):
        return value
    kind = type(value)
    fields = [value.start + shift, value.end + shift]
    nodes = _fields_with_nodes(kind)
    for name in kind.__struct_fields__[2:]:
        inner = getattr(value, name)
        fields.append(_moved(inner, shift) if inner and name in nodes else inner)
    return kind(*fields)


_PLAIN = frozenset("int str bool float None tuple".split())
_WORD = re.compile(r"\w+")


def last_name(node: object) -> str:
    """What an expression names at its end: `b` in `a.b` and in `b`; "" where it names nothing."""
    if isinstance(node, Attribute):
        return node.attr
    return node.id if isinstance(node, Name) else ""


def integer(node: object) -> int | None:
    """The whole number that an expression writes, `-1` as well; None where it is another."""
    if isinstance(node, Unary) and node.op == "-":
        inner = integer(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, Const) and type(node.value) is int else None


class SyntaxProblem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Why a file could not be lowered; row and column from 1, 0 when unknown."""

    message: str
    row: int = 0
    column: int = 0
    remedy: str = "mend the syntax, or exclude the file in the settings"


_DECODER: msgspec.msgpack.Decoder[FileIR] | None = None


def encode(ir: FileIR) -> bytes:
    """The representation as bytes, for the cache and between processes."""
    return msgspec.msgpack.encode(ir)


def decode(data: bytes) -> FileIR:
    """Read back what `encode` wrote.

    Raises:
        msgspec.DecodeError: the bytes are not a `FileIR`.
    """
    global _DECODER
    if _DECODER is None:
        _DECODER = msgspec.msgpack.Decoder(FileIR)
    return _DECODER.decode(data)
