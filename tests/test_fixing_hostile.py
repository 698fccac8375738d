"""Operations in code that no one would want to edit: each finds its place or has none."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache

import pytest
from lowered import body_of

from rnnlint.fixing import operations
from rnnlint.fixing.editing import Edited
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.placement import place
from rnnlint.fixing.soundness import flaw
from rnnlint.lowering import ir
from rnnlint.lowering.ir import nodes_in
from rnnlint.project.source import Source, source_from_bytes

PATH = "main.py"
Make = Callable[[int, int], operations.AnyOperation]
OPERATIONS: dict[str, Make] = {
    "before": lambda start, end: operations.Insert(PATH, start, end, ("new()",), "before"),
    "after": lambda start, end: operations.Insert(PATH, start, end, ("new()", "newer()"), "after"),
    "block before": lambda start, end: operations.Insert(
        PATH, start, end, ("with new():", "    newer()"), "before"
    ),
    "block after": lambda start, end: operations.Insert(
        PATH, start, end, ("if new():", "    newer()"), "after"
    ),
    "import": lambda start, end: operations.Insert(
        PATH, start, end, ("{torch.nn.utils.clip_grad_norm_}(model.parameters(), 1.0)",), "after"
    ),
    "remove": lambda start, end: operations.Remove(PATH, start, end),
    "replace": lambda start, end: operations.Replace(PATH, start, end, "new(1)"),
    "keyword": lambda start, end: operations.SetArgument(PATH, start, end, "key", "None"),
    "argument": lambda start, end: operations.AddArgument(PATH, start, end, "new"),
}


@cache
def layout_of(text: str) -> Layout:
    return Layout(text, body_of(text))


def source_of(text: str) -> Source:
    source = source_from_bytes(PATH, text.encode())
    assert isinstance(source, Source)
    return source


def carried_out(text: str, name: str) -> str | None:
    """What an operation on the call of `f` makes of a text; None if it has no place there."""
    layout = layout_of(text)
    (call,) = (
        node
        for node in nodes_in(layout.body)
        if isinstance(node, ir.Call) and text[node.func.start : node.func.end] == "f"
    )
    try:
        edits = place([OPERATIONS[name](call.start, call.end)], lambda _: layout)
    except CannotPlaceError:
        return None
    edited = Edited(source_of(text), edits)
    assert edited.edits
    found = flaw(edited)
    assert found is None, f"{name}: {found}\n{edited.text}"
    return edited.text


HOSTILE = {
    "form feeds": "\f\nimport a\n\f\ndef g():\n\f    f(1)\n\f    b()\n\f\nc()\n",
    "form feed in the indentation": "if a:\n  \f  f(1)\n  b()\n",
    "continued": "a = \\\n  1 + \\\n  f(1) \\\n  + 2\nb()\n",
    "continued head": "if a and \\\n    f(1):\n    b()\nc()\n",
    "continued one-liner": "if a: \\\n    f(1)\nb()\n",
    "continued after a semicolon": "a(); \\\nf(1)\nb()\n",
    "continued after a semicolon, inside": "if x:\n    a(); \\\n    f(1)\n    b()\n",
    "continued into a semicolon": "f(1); \\\nb()\nc()\n",
    "comment that ends like a continuation": "a()\n# b \\\nf(1)\nc()\n",
    "string that ends like a continuation": "a = '''\n\\\n'''\nf(1)\nc()\n",
    "semicolons": "a(); f(1); b();\nc()\n",
    "semicolon before": "a() ;f(1)\nc()\n",
    "one-liner": "if a: f(1)\nc()\n",
    "one-liner with semicolons": "if a: b(); f(1); c();\nd()\n",
    "one-liner in else": "if a: b()\nelse: f(1)\nd()\n",
    "one-liner head": "if f(1): b()\nd()\n",
    "elif": "if a:\n    b()\nelif f(1):\n    c()\nelse:\n    d()\ne()\n",
    "elif body": "if a:\n    b()\nelif c:\n    f(1)\nelse:\n    d()\ne()\n",
    "elif one-liner": "if a: b()\nelif c: f(1)\nelse: d()\n",
    "else if": "if a:\n    b()\nelse:\n    if f(1):\n        c()\nd()\n",
    "while else": "while a:\n    b()\nelse:\n    f(1)\nc()\n",
    "for head": "for a in f(1):\n    b()\nc()\n",
    "for else one-liner": "for a in b: c()\nelse: f(1)\n",
    "with": "with f(1) as a, b:\n    c()\nd()\n",
    "with in parentheses": "with (\n    f(1) as a,\n    b,\n):\n    c()\nd()\n",
    "try": "try:\n    f(1)\nexcept A:\n    b()\nelse:\n    c()\nfinally:\n    d()\n",
    "try one-liner": "try: f(1)\nexcept A: b()\nfinally: c()\n",
    "except head": "try:\n    a()\nexcept f(1) as b:\n    c()\nd()\n",
    "except body": "try:\n    a()\nexcept A as b:\n    f(1)\nelse:\n    c()\n",
    "except one-liner": "try: a()\nexcept A: f(1)\nb()\n",
    "finally": "try:\n    a()\nfinally:\n    f(1)\nb()\n",
    "match head": "match f(1):\n    case 1:\n        a()\nb()\n",
    "match body": "match a:\n    case {'x': [1]} if b:\n        f(1)\n    case _:\n        c()\n",
    "match guard": "match a:\n    case 1 if f(1):\n        b()\nc()\n",
    "match one-liner": "match a:\n    case 1: f(1)\n    case _: b()\n",
    "walrus": "if (a := f(1)) > 2:\n    b()\nc()\n",
    "walrus in a loop": "while chunk := f(1):\n    b(chunk)\n",
    "lambda": "a = lambda x: f(x)\nb()\n",
    "lambda default": "a = lambda x=f(1): (\n    x\n)\nb()\n",
    "lambda in arguments": "a(key=lambda x: f(x), other=(\n    1))\nb()\n",
    "comprehension": "a = [\n    f(x)\n    for x in y\n    if x\n]\nb()\n",
    "generator argument": "a = f(x for x in y)\n",
    "conditional": "a = f(1) if b else c\nd()\n",
    "star": "f(*a, **b)\nc()\n",
    "no arguments": "f()\nc()\n",
    "f-string": "a = f'{f(1)!r:>{b}}'\nc()\n",
    "f-string of several rows": "a = f'''\n  {f(1)}\n  '''\nc()\n",
    "decorator": "@f(1)\ndef a():\n    b()\nc()\n",
    "second decorator": "@a\n# why\n@f(1)\nasync def b():\n    c()\nd()\n",
    "decorated class": "@a\n@f(1)\nclass A: pass\nc()\n",
    "decorated in a class": "class A:\n    @property\n    @f(1)\n    def a(self): return 1\n",
    "default": "def a(b=f(1)):\n    c()\nd()\n",
    "annotation": "def a(b: f(1)) -> c:\n    d()\ne()\n",
    "base class": "class A(f(1)):\n    b = 1\nc()\n",
    "function in a class in a function": (
        "def a():\n  class B:\n    def c(self):\n      f(1)\n    d = 1\n  return B\n"
    ),
    "one-line function": "def a(): f(1)\nb()\n",
    "one-line function with semicolons": "def a(): b(); f(1); return c\nd()\n",
    "one-line class": "class A: a = f(1); b = 2\nc()\n",
    "return": "def a():\n    return f(1)\n",
    "yield": "def a():\n    b = yield f(1)\n    return b\n",
    "await": "async def a():\n    b = await f(1)\n    return b\n",
    "async for": "async def a():\n    async for b in f(1):\n        c()\n",
    "async with": "async def a():\n    async with f(1) as b:\n        c()\n",
    "assert": "assert f(1), 'a'\nb()\n",
    "delete": "del f(1)[0]\nb()\n",
    "raise": "if a:\n    raise f(1) from b\nc()\n",
    "type comment": "a = f(1)  # type: List[int]\nb()\n",
    "type comment of a function": "def a(b):\n    # type: (int) -> None\n    f(1)\n",
    "wide characters": "名前 = '日本'; ñ = f(1); é = 2\nñ()\n",
    "wide characters around": "def 名前(ñ):\n    '''日本語'''\n    ñ = f(1)  # é\n    return ñ\n",
    "emoji": "a = '\U0001f600', f(1), '\U0001f600'\nb()\n",
    "tabs": "if a:\n\tif b:\n\t\tf(1)\n\t\tc()\n\td()\n",
    "tabs and spaces": "if a:\n\tif b:\n\t    f(1)\n\t    c()\n\td()\n",
    "one space": "if a:\n if b:\n  f(1)\n  c()\n d()\n",
    "eight spaces": "if a:\n        if b:\n                f(1)\n        c()\n",
    "different units": "if a:\n  b()\nif c:\n        f(1)\n        d()\n",
    "CRLF": "if a:\r\n    f(1)\r\nb()\r\n",
    "CR": "if a:\r    f(1)\rb()\r",
    "mixed line ends": "import a\r\nif b:\n    f(1)\r    c()\r\nd()\n",
    "no last line end": "if a:\n    f(1)",
    "no last line end, comment": "if a:\n    f(1)  # b",
    "no last line end, semicolon": "a(); f(1);",
    "blank line with white space": "if a:\n    b()\n  \t \n    f(1)\n\t\nc()\n",
    "comment at the end of the block": "if a:\n    f(1)\n    # b\n# c\nd()\n",
    "comment in the middle": "a = [  # b\n    f(1),  # c\n    # d\n]  # e\ng()\n",
    "comment between the arguments": "f(  # a\n    1,  # b\n    # c\n)\nd()\n",
    "string of several rows": "if a:\n    f('''\n  b\nc''', 1)\n    d()\n",
    "string before": "'''a\nb'''; f(1)\nc()\n",
    "docstring": "'''a\nb'''\nf(1)\n",
    "docstring and future": "'''a'''\nfrom __future__ import annotations\nf(1)\n",
    "docstring of a function": "def a():\n    '''b'''; f(1)\n",
    "cookie": "#!/usr/bin/python\n# -*- coding: utf-8 -*-\nf(1)\n",
    "imports with semicolons": "import a; import torch; b = 1\nf(1)\n",
    "import over several rows": "from torch import (  # a\n    nn,\n    optim,\n)\nf(1)\n",
    "continued import": "import torch, \\\n    os\nf(1)\n",
    "import in try": "try:\n    import torch\nexcept ImportError:\n    torch = None\nf(1)\n",
    "late import": "def a():\n    import torch\n    f(1)\n",
    "chained calls": "a.b(1).c(\n    f(1),\n).d()\ne()\n",
    "nested parentheses": "a = ((((f((1)))))) # b\nc()\n",
    "subscript": "a[f(1):2, ...] = b\nc()\n",
    "augmented": "a @= f(1)\nb()\n",
    "annotated": "a: int = f(1)\nb()\n",
    "chained assignment": "a = b = c[0] = f(1)\nd()\n",
    "global": "def a():\n    global b; b = f(1)\n",
    "slash and star": "def a(b, /, c=f(1), *, d): pass\n",
    "only statement of the file": "f(1)",
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_placed_is_sound(text: str, name: str) -> None:
    result = carried_out(text, name)
    if result is not None:
        ast.parse(result)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("continued one-liner", "before", "if a: \\\n    new(); f(1)\nb()\n"),
        ("continued one-liner", "block before", None),
        ("continued after a semicolon, inside", "remove", "if x:\n    a()\n    b()\n"),
        ("form feed in the indentation", "before", "if a:\n  new()\n  \f  f(1)\n  b()\n"),
        ("semicolon before", "remove", "a()\nc()\n"),
        ("continued into a semicolon", "remove", None),
        ("elif", "before", None),
        ("elif", "remove", None),
        ("return", "after", None),
        ("raise", "block after", None),
        ("f-string", "keyword", "a = f'{f(1, key=None)!r:>{b}}'\nc()\n"),
        ("second decorator", "before", "new()\n@a\n# why\n@f(1)\nasync def b():\n    c()\nd()\n"),
        (
            "match body",
            "block after",
            "match a:\n    case {'x': [1]} if b:\n        f(1)\n        if new():\n"
            "            newer()\n    case _:\n        c()\n",
        ),
        (
            "mixed line ends",
            "after",
            "import a\r\nif b:\n    f(1)\r    new()\r\n    newer()\r\n    c()\r\nd()\n",
        ),
    ],
)
def test_where_it_is_placed(text: str, name: str, expected: str | None) -> None:
    assert carried_out(HOSTILE[text], name) == expected


@pytest.mark.parametrize("name", ["block before", "keyword", "import"])
def test_a_long_file(name: str) -> None:
    block = "def g{0}(x):\n    if x:\n        a = [x, '{0}']  # {0}\n    return x\n\n"
    many = "".join(block.format(number) for number in range(500))
    text = f"import a\n\n{many}if b:\n    f(1)\n    c()\n\n{many}"
    assert text.count("\n") > 5000
    result = carried_out(text, name)
    assert result is not None
    assert (
        result.replace("import a\nfrom torch.nn.utils import clip_grad_norm_\n", "import a\n")[
            : len(many)
        ]
        == text[: len(many)]
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_deep_nesting(name: str) -> None:
    depth = 90
    heads = "".join(f"{' ' * level}if a{level}:\n" for level in range(depth))
    result = carried_out(f"{heads}{' ' * depth}f({'(' * 40}1{')' * 40})\n", name)
    assert result is not None
    assert result.endswith("\n")


def moved(text: str, statement: str, target: str) -> str | None:
    """A statement behind another; None if it cannot be moved."""
    layout = layout_of(text)
    move = operations.Move(PATH, text.index(statement), 0, text.index(target), "after")
    try:
        edits = place([move], lambda _: layout)
    except CannotPlaceError:
        return None
    edited = Edited(source_of(text), edits)
    assert flaw(edited) is None, edited.text
    return edited.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "for x in y:\n  for z in x:\n    f(\n      1,\n    )  # a\n    b()\n  c()\n",
            "for x in y:\n  for z in x:\n    b()\n  c()\n  f(\n    1,\n  )  # a\n",
        ),
        ("for x in y:\n    f('''\n    a''')\n    b()\nc()\n", None),
        ("for x in y:\n    f('''\n a''')\n    b()\n    c()\n", None),
        ("for x in y:\n    f(f'''\n    {a}''')\n    b()\nc()\n", None),
        ("for x in y:\n    f(1,\n  2)\n    b()\nc()\n", None),
        ("for x in y:\n    f(1); b()\nc()\n", None),
        (
            "for x in y:\r\n    f(1,\r\n      2)\r\n    b()\r\nc()\r\n",
            "for x in y:\r\n    b()\r\nc()\r\nf(1,\r\n  2)\r\n",
        ),
        (
            "for x in y:\r\n    f(1,\n      2)\r\n    b()\r\nc()\r\n",
            "for x in y:\r\n    b()\r\nc()\r\nf(1,\r\n  2)\r\n",
        ),
        ("for x in y:\n    f(1)\nc()\n", "for x in y:\n    pass\nc()\nf(1)\n"),
        (
            "if x:\n    f(1)\n    b()\nelif c():\n    d()\n",
            "if x:\n    b()\nelif c():\n    d()\nf(1)\n",
        ),
        ("def g():\n    f(1)\n    b()\n    return c()\n", None),
    ],
)
def test_a_statement_is_moved(text: str, expected: str | None) -> None:
    assert moved(text, "f(", "c(" if "c(" in text else "c") == expected
