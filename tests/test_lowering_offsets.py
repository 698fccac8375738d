"""Lowering: the offsets of every node are right, whatever the text."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import libcst
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lowered import body_of, expression_of, outline

from rnnlint.lowering import ir
from rnnlint.lowering.ir import nodes_in
from rnnlint.lowering.lower import lower

# --- offsets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffbefore; name",
        "\x0cbefore\n\x0cname\n",
        "before\rname\r",
        "before\r\n\r\nname",
        "if before: # é ' comment \\\n  'é🙂'; (name)",
        "before = \\\n  name",
        "f'{before!r:{x}}é' + name # no end of line",
        "f'''{\n before # }'\n}''' + name",
        "f'\\{before}\\'' \"'\" + rf'\\{x}' + name",
        "0xfor(before)if 1.else.5j+name",
        "été·ª + name",
    ],
)
def test_offsets_after_unusual_text(text: str) -> None:
    names = [node for node in nodes_in(body_of(text)) if isinstance(node, ir.Name)]
    assert {node.id for node in names} >= {"name"}
    for node in names:
        assert text[node.start : node.end] == node.id


def test_function_and_class_offsets_cover_the_name() -> None:
    text = "@d\nasync  def  f (): pass\nclass  A (B): pass\n"
    assert [text[node.start : node.end] for node in body_of(text)] == ["f", "A"]


def test_offsets_leave_out_parentheses_and_semicolons() -> None:
    text = "x = ((a) + b) ; y"
    assign, _ = body_of(text)
    assert isinstance(assign, ir.Assign)
    assert assign.value is not None
    assert text[assign.value.start : assign.value.end] == "(a) + b"
    assert text[assign.start : assign.end] == "x = ((a) + b)"


def _offsets_by_interpreter(text: str) -> set[tuple[str, int, int]]:
    """Kind, start and end of the expressions that the representation also has."""
    starts = [0, *(found.end() for found in re.finditer(r"\r\n|\r|\n", text))]
    lines = [line.encode() for line in re.split(r"\r\n|\r|\n", text)]

    def offset(row: int, column: int) -> int:
        return starts[row - 1] + len(lines[row - 1][:column].decode())

    kinds = {"Name", "Attribute", "Call", "BinOp", "UnaryOp", "IfExp", "Lambda", "Dict"}
    found: set[tuple[str, int, int]] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        skipped: tuple[object, ...] = ()
        if isinstance(node, ast.JoinedStr) and sys.version_info < (3, 12):
            continue  # its offsets were wrong before
        if isinstance(node, ast.Raise):
            skipped = (node.cause,)
        elif isinstance(node, ast.Assert):
            skipped = (node.msg,)
        elif isinstance(node, ast.match_case):
            skipped = (node.pattern,)
        waiting.extend(child for child in ast.iter_child_nodes(node) if child not in skipped)
        kind = type(node).__name__
        if isinstance(node, ast.expr) and kind in kinds:
            assert node.end_lineno is not None
            assert node.end_col_offset is not None
            start = offset(node.lineno, node.col_offset)
            found.add((kind, start, offset(node.end_lineno, node.end_col_offset)))
    return found


def _offsets_by_lowering(text: str, body: tuple[ir.Stmt, ...]) -> set[tuple[str, int, int]]:
    renamed = {"Binary": "BinOp", "Unary": "UnaryOp"}
    formatted = [node for node in nodes_in(body) if isinstance(node, ir.FString)]
    hidden = {
        id(part)
        for node in formatted
        if sys.version_info < (3, 12)
        for part in nodes_in(node.parts)
    }
    kinds = (ir.Name, ir.Attribute, ir.Call, ir.Binary, ir.Unary, ir.IfExp, ir.Lambda, ir.Dict)
    return {
        (renamed.get(type(node).__name__, type(node).__name__), node.start, node.end)
        for node in nodes_in(body)
        if isinstance(node, kinds) and id(node) not in hidden
    }


REAL_FILES = sorted(Path(libcst.__file__).parent.glob("_*/*.py")) + sorted(
    Path(pytest.__file__).parent.parent.glob("_pytest/*.py")
)
assert len(REAL_FILES) > 30


@pytest.mark.parametrize("path", REAL_FILES[::4], ids=lambda path: path.name)
def test_offsets_of_real_files_agree_with_the_interpreter(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    body = body_of(text)
    assert _offsets_by_lowering(text, body) == _offsets_by_interpreter(text)
    for node in nodes_in(body):
        piece = text[node.start : node.end]
        assert piece.strip() == piece or isinstance(node, ir.Const)
    assert ir.decode(ir.encode(ir.FileIR(body))) == ir.FileIR(body)


# --- generated programs --------------------------------------------------------------

_gap = st.sampled_from(["", " ", "  ", "\t", " \\\n", "\f"])
_gap_in_brackets = st.sampled_from(["", " ", "\n", "\r\n", " # it's (a\n", " \\\n "])
_leaf = st.sampled_from(
    [
        *"a bc é self 0 1.5 0x1f 2j 'a' b'c' None ... f'{a}' () [] {}".split(" "),
        *['"""b\n#"""', "f'{{x}} {a!r:>{b}}{c=}'", "rf'\\d{a}'", "'a' f'{b}' 'c'"],
    ]
)


def _joined(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map("".join)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    gap, wide = _gap, _gap_in_brackets
    operator = st.sampled_from([*"+-*/%@&|^<>", "**", "//", "==", " and ", " or ", " not in "])
    atom = _joined("(", wide, inner, wide, ")")
    items = st.lists(_joined(wide, inner, wide), min_size=1, max_size=3).map(",".join)
    argument = st.one_of(atom, _joined("k", wide, "=", wide, atom), _joined("**", atom))
    return st.one_of(
        atom,
        _joined("[", items, "]"),
        _joined("(", items, ",)"),
        _joined("{", items, ",", wide, "}"),
        _joined("{", atom, wide, ":", atom, ", **", atom, "}"),
        _joined(atom, gap, operator, gap, atom),
        _joined(atom, gap, ".", gap, "attr", gap, "(", wide, argument, wide, ")"),
        _joined(atom, gap, "[", wide, atom, ":", wide, atom, "::", "]").map(
            lambda text: text.replace("::", ":")
        ),
        _joined(st.sampled_from(["not ", "-", "~"]), gap, atom),
        _joined(atom, " if ", gap, atom, " else ", atom),
        _joined("lambda x, *y, z=", atom, ":", gap, atom),
        _joined("[", atom, wide, " for x,y in ", wide, atom, wide, " if ", atom, "]"),
        _joined("f(", atom, " for x in ", atom, wide, ")"),
        _joined("(x", wide, ":=", wide, atom, ")"),
    )


EXPRESSION = st.recursive(_leaf, _compound, max_leaves=12)


def _suite(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    value = EXPRESSION.map(lambda text: f"({text})")
    header = st.one_of(
        _joined("if ", value, ":"),
        _joined("for x, y.z in", value, " :"),
        _joined("@d\nclass A(b, c=", value, ") :"),
        _joined("def f(a: b=", value, ", *c) -> d :"),
    )
    return st.tuples(header, st.lists(inner, min_size=1, max_size=2)).map(_indented)


def _indented(parts: tuple[str, list[str]]) -> str:
    header, statements = parts
    return header + "".join("\n" + statement for statement in statements).replace("\n", "\n  ")


_simple = st.one_of(
    _joined("x, y.z =", _gap, EXPRESSION),
    _joined("x : a =", EXPRESSION),
    _joined("x **= ", EXPRESSION),
    _joined("assert ", EXPRESSION, " ; del x"),
    st.just("from . import a as b, c"),
    EXPRESSION.map(lambda text: f"({text})"),
)
PROGRAM = st.lists(st.recursive(_simple, _suite, max_leaves=4), min_size=1, max_size=3).map(
    lambda statements: "\n".join(statements) + "\n"
)


@settings(max_examples=100, deadline=None)
@given(EXPRESSION)
def test_the_text_of_an_expression_is_that_expression(text: str) -> None:
    text = f"({text})"
    kinds = (ir.Slice, ir.Starred, ir.Const)
    for node in nodes_in(expression_of(text)):
        if isinstance(node, ir.Expr) and not isinstance(node, kinds):
            assert outline(expression_of(f"({text[node.start : node.end]})")) == outline(node)


@settings(max_examples=80, deadline=None)
@given(PROGRAM)
def test_offsets_of_generated_programs(text: str) -> None:
    body = body_of(text)
    for node in nodes_in(body):
        piece = text[node.start : node.end]
        assert piece.strip() == piece or isinstance(node, ir.Const)
        if isinstance(node, ir.Name):
            assert piece == node.id
        elif isinstance(node, ir.Call):
            assert piece.endswith(")")
        elif isinstance(node, ir.Attribute):
            assert piece.endswith(node.attr)
        elif isinstance(node, ir.Subscript):
            assert piece.endswith("]")
    assert ir.decode(ir.encode(ir.FileIR(body))) == ir.FileIR(body)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"a \n()[]{}:,='\"\\#!*\0é\r", "  ", "f'", "def ", "if ", "lambda ", "1.", '"""']
        ),
        max_size=25,
    ).map("".join)
)
def test_any_text_is_lowered_or_has_a_problem(text: str) -> None:
    lowered = lower(text)
    if isinstance(lowered, ir.SyntaxProblem):
        assert lowered.message
        assert "report it" not in lowered.message + lowered.remedy
    else:
        assert ir.decode(ir.encode(lowered)) == lowered
