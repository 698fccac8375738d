"""Lowering: what the representation of a text is, and why a text has none."""

from __future__ import annotations

import sys

import libcst
import pytest
from lowered import body_of, expression_of, outline

from rnnlint.lowering import ir
from rnnlint.lowering.ir import nodes_in
from rnnlint.lowering.lower import lower

# --- constructs ------------------------------------------------------------------

A, B, C, X, Y = (f"Name('{name}')" for name in "abcxy")

EXPRESSIONS = {
    "x": X,
    "((x))": X,
    "12_000": "Const('int', 12000)",
    "0x1F": "Const('int', 31)",
    "9223372036854775807": "Const('int', 9223372036854775807)",
    "9223372036854775808": "Const('float', 9.223372036854776e+18)",
    "1_0.5e-3": "Const('float', 0.0105)",
    "1" + 400 * "0": "Const('float', inf)",
    "2j": "Const('complex', None)",
    "True": "Const('bool', True)",
    "None": "Const('none', None)",
    "...": "Const('ellipsis', None)",
    "'a\\n\\x41\\u00e9\\101\\N{DIGIT ONE}\\q'": r"Const('str', 'a\nAéA1\\q')",
    "r'\\n'": r"Const('str', '\\n')",
    "'\\ud800'": "Const('str', '\ufffd')",
    "'''a\r\nb'''": r"Const('str', 'a\nb')",
    "''": "Const('str', '')",
    "b'a'": "Const('bytes', None)",
    "'a' \"b\" '''c'''": "Const('str', 'abc')",
    "b'a' b'b'": "Const('bytes', None)",
    "'a' f'b{x}' 'c'": f"FString([Const('str', 'a'), Const('str', 'b'), {X}, Const('str', 'c')])",
    "f'{{{x!r:>{y}}}}'": (
        f"FString([Const('str', '{{'), {X}, Const('str', '>'), {Y}, Const('str', '}}')])"
    ),
    "f'{x=}'": f"FString([{X}])",
    "f'{x!r}{y:=3}'": f"FString([{X}, {Y}, Const('str', '=3')])",
    "f'{a[\"x\"]}\\N{DIGIT ONE}'": (
        f"FString([Subscript({A}, [Const('str', 'x')]), Const('str', '1')])"
    ),
    "f'{f'{x}'}'": f"FString([FString([{X}])])",
    "x.y": f"Attribute({X}, 'y')",
    "x(a, *b, c=1, **y)": (
        f"Call({X}, [Argument({A}, None, ''), Argument({B}, None, '*'), "
        f"Argument(Const('int', 1), 'c', ''), Argument({Y}, None, '**')])"
    ),
    "x(a for a in b)": (
        f"Call({X}, [Argument(Comprehension('generator', None, {A}, "
        f"[Generator({A}, {B}, [])]), None, '')])"
    ),
    "x[a]": f"Subscript({X}, [{A}])",
    "x[:, a:, ::b, -1]": (
        f"Subscript({X}, [Slice(None, None, None), Slice({A}, None, None), "
        f"Slice(None, None, {B}), Unary('-', Const('int', 1))])"
    ),
    "x[*a, ...]": f"Subscript({X}, [Starred({A}), Const('ellipsis', None)])",
    "a, *b,": f"Sequence('tuple', [{A}, Starred({B})])",
    "()": "Sequence('tuple', [])",
    "[a, b,]": f"Sequence('list', [{A}, {B}])",
    "{a, *b}": f"Sequence('set', [{A}, Starred({B})])",
    "{}": "Dict([], [])",
    "{a: b, **c}": f"Dict([{A}, None], [{B}, {C}])",
    "not a": f"Unary('not', {A})",
    "~-a": f"Unary('~', Unary('-', {A}))",
    "a @ b ** c": f"Binary('@', {A}, Binary('**', {B}, {C}))",
    "a - b - c": f"Binary('-', Binary('-', {A}, {B}), {C})",
    "a and b and c or x": f"BoolOp('or', [BoolOp('and', [{A}, {B}, {C}]), {X}])",
    "a < b is not c not in x": f"Compare({A}, ['<', 'is not', 'not in'], [{B}, {C}, {X}])",
    "a if b else c": f"IfExp({B}, {A}, {C})",
    "[a for a, b in c if x if y]": (
        f"Comprehension('list', None, {A}, [Generator(Sequence('tuple', [{A}, {B}]), {C}, "
        f"[{X}, {Y}])])"
    ),
    "{a for b in c for a in b}": (
        f"Comprehension('set', None, {A}, [Generator({B}, {C}, []), Generator({A}, {B}, [])])"
    ),
    "{a: b for a in c}": f"Comprehension('dict', {A}, {B}, [Generator({A}, {C}, [])])",
    "(a async for a in b)": f"Comprehension('generator', None, {A}, [Generator({A}, {B}, [])])",
    "await x": f"Await({X})",
    "(yield)": "Yield(None, False)",
    "(yield from x)": f"Yield({X}, True)",
    "(x := a)": f"NamedExpr({X}, {A})",
    "lambda a, /, b=1, *c, x, **y: x": (
        "Lambda([Parameter('a', 'positional-only', None, None), "
        "Parameter('b', 'positional', None, Const('int', 1)), "
        "Parameter('c', '*', None, None), Parameter('x', 'keyword-only', None, None), "
        f"Parameter('y', '**', None, None)], {X})"
    ),
    "lambda: 0": "Lambda([], Const('int', 0))",
}


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expression(text: str) -> None:
    assert outline(expression_of(text)) == EXPRESSIONS[text]


PASS = "Jump('pass')"
STATEMENTS = {
    "x; y;": f"ExprStmt({X}), ExprStmt({Y})",
    "a = b = c": f"Assign([{A}, {B}], {C}, None)",
    "a: b = c": f"Assign([{A}], {C}, {B})",
    "a: b": f"Assign([{A}], None, {B})",
    "a //= b": f"AugAssign({A}, '//', {B})",
    "a, [b, *c.x] = x": (
        f"Assign([Sequence('tuple', [{A}, Sequence('list', [{B}, "
        f"Starred(Attribute({C}, 'x'))])])], {X}, None)"
    ),
    "return": "Return(None)",
    "return a, b": f"Return(Sequence('tuple', [{A}, {B}]))",
    "raise a from b": f"Raise({A})",
    "raise": "Raise(None)",
    "assert a, b": f"Assert({A})",
    "del a, b.x": f"Delete([{A}, Attribute({B}, 'x')])",
    "del a[0]": f"Delete([Subscript({A}, [Const('int', 0)])])",
    "global a, b": "Scope('global', ['a', 'b'])",
    "nonlocal a": "Scope('nonlocal', ['a'])",
    "import a.b as c, x": "Import([Alias('a.b', 'c'), Alias('x', None)])",
    "from ... import (a as b, c,)": "ImportFrom('', 3, [Alias('a', 'b'), Alias('c', None)])",
    "from ....a.b import *": "ImportFrom('a.b', 4, [Alias('*', None)])",
    "type A[T: (int, str)] = list[T]": "",
    "if a: pass\nelif b: pass\nelse: x": (
        f"If({A}, [{PASS}], [If({B}, [{PASS}], [ExprStmt({X})])])"
    ),
    "for a, b in x:\n  continue\nelse:\n  pass": (
        f"For(Sequence('tuple', [{A}, {B}]), {X}, [Jump('continue')], [{PASS}])"
    ),
    "while a: break": f"While({A}, [Jump('break')], [])",
    "with (a as b, c): pass": f"With([WithItem({A}, {B}), WithItem({C}, None)], [{PASS}])",
    "with (a), b as (x, y): pass": (
        f"With([WithItem({A}, None), WithItem({B}, Sequence('tuple', [{X}, {Y}]))], [{PASS}])"
    ),
    "try: pass\nexcept (a, b) as c: x\nexcept: y\nelse: pass\nfinally: a": (
        f"Try([{PASS}], [Handler(Sequence('tuple', [{A}, {B}]), 'c', [ExprStmt({X})]), "
        f"Handler(None, None, [ExprStmt({Y})])], [{PASS}], [ExprStmt({A})])"
    ),
    "try: pass\nexcept* a: x": f"Try([{PASS}], [Handler({A}, None, [ExprStmt({X})])], [], [])",
    "match a, b:\n  case 1: pass\n  case x.y: pass": (
        f"Match(Sequence('tuple', [{A}, {B}]), [Case(Const('int', 1), [], None, [{PASS}]), "
        f"Case(Attribute({X}, 'y'), [], None, [{PASS}])])"
    ),
    "match a:\n  case [b, *c] if x: pass\n  case {'k': b, **c}: pass": (
        f"Match({A}, [Case(None, ['b', 'c'], {X}, [{PASS}]), "
        f"Case(None, ['b', 'c'], None, [{PASS}])])"
    ),
    "match a:\n  case B(b, k=c) | (b as c): pass\n  case None: pass\n  case _: pass": (
        f"Match({A}, [Case(None, ['b', 'c', 'b', 'c'], None, [{PASS}]), "
        f"Case(Const('none', None), [], None, [{PASS}]), Case(None, [], None, [{PASS}])])"
    ),
    "@a\n@b(x)\nclass A[T](B, c=1): pass": (
        "ClassDef('A', [Argument(Name('B'), None, ''), Argument(Const('int', 1), 'c', '')], "
        f"[{PASS}], [{A}, Call({B}, [Argument({X}, None, '')])])"
    ),
    "class A: pass": f"ClassDef('A', [], [{PASS}], [])",
    "@a\nasync def f[**P, *T](b: c = 1, *, x) -> y: yield b": (
        f"FunctionDef('f', [Parameter('b', 'positional', {C}, Const('int', 1)), "
        f"Parameter('x', 'keyword-only', None, None)], [ExprStmt(Yield({B}, False))], [{A}], "
        f"{Y}, True, ['b'])"
    ),
    "async def f():\n  async with a: pass\n  async for b in c: pass": (
        f"FunctionDef('f', [], [With([WithItem({A}, None)], [{PASS}]), "
        f"For({B}, {C}, [{PASS}], [])], [], None, False, ['a', 'c'])"
    ),
}


@pytest.mark.parametrize("text", STATEMENTS)
def test_statement(text: str) -> None:
    assert outline(body_of(text)) == f"[{STATEMENTS[text]}]"


NEWER_CONSTRUCTS = {
    "LazyImport": ("lazy import a as b", "Import([Alias('a', 'b')])"),
    "LazyImportFrom": ("lazy from .a import b", "ImportFrom('a', 1, [Alias('b', None)])"),
    "TemplatedString": ("t'a{x}'", f"ExprStmt(FString([Const('str', 'a'), {X}]))"),
}


@pytest.mark.parametrize("kind", NEWER_CONSTRUCTS)
def test_construct_that_only_newer_libcst_parses(kind: str) -> None:
    text, expected = NEWER_CONSTRUCTS[kind]
    if hasattr(libcst, kind):
        assert outline(body_of(text)) == f"[{expected}]"
    else:
        assert isinstance(lower(text), ir.SyntaxProblem)


def test_mentions_are_what_the_body_reads() -> None:
    (function,) = body_of(
        "def f(p=default):\n"
        "    bound = self.read[index]\n"
        "    target.written, (other, [third]) = value\n"
        "    for item in items: pass\n"
        "    counter += 1\n"
        "    def inner(): return nested.attribute\n"
        "    match subject:\n"
        "        case Class.Member(capture): return lambda: free\n"
    )
    assert isinstance(function, ir.FunctionDef)
    assert function.mentions == tuple(
        sorted(
            "self read index target value items counter nested attribute subject "
            "Class Member free".split()
        )
    )


@pytest.mark.parametrize(
    ("text", "is_generator"),
    [
        ("def f(): yield", True),
        ("def f(): x = [(yield a)]", True),
        ("def f():\n  def g(): yield", False),
        ("def f(): return lambda: (yield)", False),
    ],
)
def test_is_generator(text: str, is_generator: bool) -> None:
    (function,) = body_of(text)
    assert isinstance(function, ir.FunctionDef)
    assert function.is_generator is is_generator


# --- nesting ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        " + ".join(["a"] * 2000),
        "a" + ".b(1)" * 300,
        "(" * 900 + "a" + ")" * 900,
        "[" * 300 + "]" * 300,
        "not " * 500 + "a",
        "lambda: " * 500 + "a",
        "a if b else " * 500 + "c",
        "a" + "[0]" * 300,
        "'a' " * 500,
    ],
    ids=lambda text: text[:12],
)
def test_deep_nesting_can_be_written_read_and_compared(text: str) -> None:
    lowered = lower(text)
    assert isinstance(lowered, ir.FileIR)
    (statement,) = lowered.body
    assert (statement.start, statement.end) == (0, len(text.rstrip()))
    assert ir.decode(ir.encode(lowered)) == lowered
    assert len(repr(lowered)) > 0


def test_what_is_nested_too_deep_is_opaque() -> None:
    value = expression_of("f(" * 150 + "a" + ")" * 150)
    depth = 0
    while isinstance(value, ir.Call):
        value = value.args[0].value
        depth += 1
    assert isinstance(value, ir.Const)
    assert value.kind == "opaque"
    assert 90 < depth < 150


def test_a_long_chain_of_elifs_keeps_every_branch() -> None:
    text = "if a: pass\n" + "elif b: pass\n" * 300 + "else: c\n"
    lowered = lower(text)
    assert isinstance(lowered, ir.FileIR)
    branches = [node for node in nodes_in(lowered) if isinstance(node, ir.If)]
    assert len(branches) == 301
    assert any(isinstance(node, ir.Name) and node.id == "c" for node in nodes_in(lowered))
    assert ir.decode(ir.encode(lowered)) == lowered


def test_the_limit_on_recursion_is_left_as_it_was() -> None:
    before = sys.getrecursionlimit()
    lower("a")
    lower("a b")
    assert sys.getrecursionlimit() == before


# --- problems ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words", "row"),
    [
        ("x = 1\nprint 'x'\n", "Python 2 code: the print statement", 2),
        ("for a in b:\n    print a\n    c()\n", "Python 2 code: the print statement", 2),
        ("try:\n    print 'x'\nexcept A, e:\n    pass\n", "Python 2 code", 2),
        ("raise E, 'm'\n", "Python 2 code: `raise Error, message`", 1),
        ("exec 'x'\n", "Python 2 code: the exec statement", 1),
        ("x = `a`\n", "Python 2 code: backticks", 1),
        ("if a <> b: pass\n", "Python 2 code: the operator `<>`", 1),
        ("x = 0777\n", "Python 2 code: an octal number", 1),
        ("x = 10L\n", "Python 2 code: a long integer", 1),
        ("x = ur'a'\n", "Python 2 code: a `ur` string", 1),
        ("def f(a, (b, c)): pass\n", "Python 2 code: a tuple as a parameter", 1),
        ("\nx = x.cuda(async=True)\n", "non_blocking=True", 2),
        ("\nx = x.cuda(0, async=flag)\n", "non_blocking=True", 2),
        ("async = 3\n", "use another name", 1),
        ("a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> d\n", "unresolved merge conflict", 2),
        ("a\n%matplotlib inline\n", "IPython command", 2),
        ("!pip install torch\n", "IPython command", 1),
        ("a\nb\0c\n", "null byte", 2),
        ("a\n\ud800", "surrogate", 2),
        ("a\n  b\n", "indent", 2),
        ("x = (\n", "'(' was never closed", 1),
    ],
)
def test_syntax_problem(text: str, words: str, row: int) -> None:
    problem = lower(text)
    assert isinstance(problem, ir.SyntaxProblem)
    assert words in f"{problem.message}; {problem.remedy}"
    assert problem.row == row
    assert problem.column >= 1


def test_an_older_interpreter_is_not_believed_about_newer_syntax() -> None:
    problem = lower("x = f'{'b'}'\n\n\n\ny = (1,\n")
    assert isinstance(problem, ir.SyntaxProblem)
    assert problem.row >= 5


def test_a_remedy_is_about_its_problem() -> None:
    problem = lower("a\nb\0c\n")
    assert isinstance(problem, ir.SyntaxProblem)
    assert problem.remedy == "exclude it"
    ordinary = lower("x = (\n")
    assert isinstance(ordinary, ir.SyntaxProblem)
    assert ordinary.remedy.startswith("mend the syntax")


def test_what_libcst_refuses_after_parsing_is_a_syntax_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(text: str) -> None:
        raise libcst.CSTValidationError("Cannot concatenate string and bytes.")

    monkeypatch.setattr(libcst, "parse_module", refuse)
    problem = lower("x = 'a' f'{b}' rb'c'\n")
    assert isinstance(problem, ir.SyntaxProblem)
    assert (problem.row, "bytes" in problem.message) == (1, True)


def test_a_problem_never_hides_behind_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    lower("x = '\\d'\ny = 1if x else 2\n$\n")
    lower("x = '\\d'\n")
    assert not recwarn.list
