"""Operations land in the right block, indentation and style."""

from __future__ import annotations

import ast
import textwrap
from typing import Any

import pytest
from lowered import body_of

from rnnlint.diagnostic import Edit
from rnnlint.fixing import operations
from rnnlint.fixing.code import Code, Part
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.placement import place
from rnnlint.lowering import ir
from rnnlint.lowering.ir import nodes_in

PATH = "train.py"
CLIP = "{torch.nn.utils.clip_grad_norm_}(model.parameters(), 1.0)"


def applied(text: str, edits: tuple[Edit, ...]) -> str:
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    return text


def carried_out(text: str, *wanted: operations.AnyOperation) -> str:
    result = applied(text, place(wanted, lambda _: Layout(text, body_of(text))))
    ast.parse(result)
    return result


def at(text: str, needle: str) -> tuple[str, int, int]:
    start = text.index(needle)
    return PATH, start, start + len(needle)


def after(text: str, needle: str, *lines: str, where: Any = "after") -> str:
    return carried_out(text, operations.Insert(*at(text, needle), lines, where))


def call_of(text: str, name: str = "f") -> tuple[str, int, int]:
    for node in nodes_in(body_of(text)):
        if isinstance(node, ir.Call) and text[node.func.start : node.func.end] == name:
            return PATH, node.start, node.end
    raise AssertionError(name)


def dedented(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


# --- statements -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b()\n", "b()\nc()\n"),
        ("b()", "b()\nc()"),
        ("b()  # why\n", "b()  # why\nc()\n"),
        ("b();\n", "b();\nc()\n"),
        ("if x:\n    b()\n    d()\n", "if x:\n    b()\n    c()\n    d()\n"),
        ("if x:\n\tb()\nd()\n", "if x:\n\tb()\n\tc()\nd()\n"),
        ("if x: b()\nd()\n", "if x: b(); c()\nd()\n"),
        ("a(); b(); d()\n", "a(); b(); c(); d()\n"),
        ("b(\n    1,\n)\nd()\n", "b(\n    1,\n)\nc()\nd()\n"),
        ("if x:\r\n    b()\r\nd()\r\n", "if x:\r\n    b()\r\n    c()\r\nd()\r\n"),
        ("def f():\n  for i in x:\n    b()\n", "def f():\n  for i in x:\n    b()\n    c()\n"),
        ("x = b() \\\n    + 1\n", "x = b() \\\n    + 1\nc()\n"),
        ("try:\n    b()\nexcept E:\n    pass\n", "try:\n    b()\n    c()\nexcept E:\n    pass\n"),
        ("if a:\n    pass\nelse: b()\n", "if a:\n    pass\nelse: b(); c()\n"),
        (
            "match x:\n    case 1:\n        b()\n",
            "match x:\n    case 1:\n        b()\n        c()\n",
        ),
        ("class A:\n    def f(self): b()\n", "class A:\n    def f(self): b(); c()\n"),
        ("with a, b() as d:\n    pass\ne()\n", "with a, b() as d:\n    pass\nc()\ne()\n"),
    ],
)
def test_a_statement_goes_after_another(text: str, expected: str) -> None:
    assert after(text, "b(", "c()") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b()\n", "c()\nb()\n"),
        ("a()\n# why\nb()\n", "a()\n# why\nc()\nb()\n"),
        ("if x: b()\n", "if x: c(); b()\n"),
        ("a(); b()\n", "a(); c(); b()\n"),
        ("@d\ndef b(): pass\n", "c()\n@d\ndef b(): pass\n"),
        ("if x:\n    @d\n    class b(): pass\n", "if x:\n    c()\n    @d\n    class b(): pass\n"),
    ],
)
def test_a_statement_goes_before_another(text: str, expected: str) -> None:
    assert after(text, "b()", "c()", where="before") == expected


def test_blocks_take_the_indentation_of_the_file() -> None:
    lines = ("with e:", "    c()")
    for unit in ("    ", "  ", "\t"):
        text = f"def f():\n{unit}b()\n"
        assert after(text, "b()", *lines) == f"{text}{unit}with e:\n{unit * 2}c()\n"
    with pytest.raises(CannotPlaceError, match="cannot stand on a line"):
        after("if x: b()\n", "b()", *lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a()\nb()  # why\nd()\n", "a()\nd()\n"),
        ("if x:\n    b()\nd()\n", "if x:\n    pass\nd()\n"),
        ("if x: b()\n", "if x: pass\n"),
        ("a(); b(); d()\n", "a(); d()\n"),
        ("a(); b()\n", "a()\n"),
        ("b()\n", ""),
        ("a()\nb()", "a()\n"),
    ],
)
def test_a_statement_is_taken_away(text: str, expected: str) -> None:
    assert carried_out(text, operations.Remove(*at(text, "b()"))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for x in y:\n    b()\n    \n\n    c()\n", "for x in y:\n    c()\n"),
        ("for x in y:\n    # why\n    b()\n\n    c()\n", "for x in y:\n    # why\n\n    c()\n"),
        ("def f():\n    a()\n\n    b()\n\n    c()\n", "def f():\n    a()\n\n    c()\n"),
        ("def f():\n    a()\n\n    b()\n\n\nc()\n", "def f():\n    a()\n\n\nc()\n"),
        ("def f():\n    a()\n    b()\n\n    c()\n", "def f():\n    a()\n\n    c()\n"),
        ("def f():\n    a()\n\n    b()\n    c()\n", "def f():\n    a()\n\n    c()\n"),
        ("if a:\n    b()\n\nc()\n", "if a:\n    pass\n\nc()\n"),
        ("import a\n\n\nb()\n", "import a\n\n\n"),
        ("b()\n\nc()\n", "\nc()\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_blank_lines_that_set_a_statement_off_go_with_it(
    text: str, expected: str, newline: str
) -> None:
    text, expected = (one.replace("\n", newline) for one in (text, expected))
    assert carried_out(text, operations.Remove(*at(text, "b()"))) == expected


def test_a_comment_goes_with_the_statement_below_it() -> None:
    text = "def f():\n    a()\n\n    # all of b\n    b()\n\n    c()\n"
    comment = text.index("    # all")
    wanted = operations.Remove(*at(text, "b()"), comment)
    assert carried_out(text, wanted) == "def f():\n    a()\n\n    c()\n"


def test_a_statement_is_moved_into_another_block() -> None:
    text = dedented("""
        for epoch in epochs:
            for batch in loader:
                step()
                b(1,
                  2)  # why
            end()
        """)
    move = operations.Move(*at(text, "b(1"), text.index("end()"), "after")
    assert carried_out(text, move) == dedented("""
        for epoch in epochs:
            for batch in loader:
                step()
            end()
            b(1,
              2)  # why
        """)


def test_what_is_inserted_at_one_place_keeps_its_order() -> None:
    text = "b()\n"
    wanted = [operations.Insert(*at(text, "b()"), (line,)) for line in ("c()", "d()")]
    assert carried_out(text, *wanted) == "b()\nc()\nd()\n"


def test_operations_that_change_the_same_text_are_refused() -> None:
    text = "b(c)\n"
    wanted = (
        operations.Replace(*at(text, "b(c)"), "e"),
        operations.Replace(*at(text, "c"), "d"),
    )
    with pytest.raises(CannotPlaceError, match="same text"):
        carried_out(text, *wanted)


# --- arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f()", "f(k=1)"),
        ("f( )", "f( k=1)"),
        ("f(a)", "f(a, k=1)"),
        ("f(a,)", "f(a, k=1,)"),
        ("f((a))", "f((a), k=1)"),
        ("f((a),)", "f((a), k=1,)"),
        ("f(x for x in y)", "f((x for x in y), k=1)"),
        ("f((x for x in y))", "f((x for x in y), k=1)"),
        ("f([x for x in y])", "f([x for x in y], k=1)"),
        ("f(*a, **b)", "f(*a, **b, k=1)"),
        ("f(k=0)", "f(k=1)"),
        ("f(a, k=0, b=2)", "f(a, k=1, b=2)"),
        ("f(\n    a,\n    b\n)", "f(\n    a,\n    b,\n    k=1\n)"),
        ("f(\n    a,\n    b,\n)", "f(\n    a,\n    b,\n    k=1,\n)"),
        ("f(\n    a,  # why\n)", "f(\n    a,  # why\n    k=1,\n)"),
        ("f(\n    a  # why\n)", "f(\n    a,  # why\n    k=1\n)"),
        ("f(\n    a,\n    # b\n)", "f(\n    a,\n    # b\n    k=1,\n)"),
        ("f(a,\n  b)", "f(a,\n  b,\n  k=1)"),
        ("f(\n    a,\n    b)", "f(\n    a,\n    b,\n    k=1)"),
        ("f(a, b,\n  c)", "f(a, b,\n  c, k=1)"),
        ("f(a,\n  b,)", "f(a,\n  b,\n  k=1,)"),
        ("f(a, b\n)", "f(a, b, k=1\n)"),
        ("f(a,\n)", "f(a, k=1,\n)"),
        ("g(f(a), b)", "g(f(a, k=1), b)"),
        ("f(a)(b)", "f(a, k=1)(b)"),
        ("with f(a): pass", "with f(a, k=1): pass"),
        ("@f(a)\ndef g(): pass", "@f(a, k=1)\ndef g(): pass"),
        ("def g(b=f(a)): pass", "def g(b=f(a, k=1)): pass"),
        ("try: pass\nexcept f(a): pass", "try: pass\nexcept f(a, k=1): pass"),
        ("[b for b in f(a)]", "[b for b in f(a, k=1)]"),
    ],
)
def test_a_call_is_given_a_keyword(text: str, expected: str) -> None:
    changed = carried_out(text + "\n", operations.SetArgument(*call_of(text + "\n"), "k", "1"))
    assert changed == expected + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f()", "f(n)"),
        ("f(a)", "f(a, n)"),
        ("f(a, b=1)", "f(a, n, b=1)"),
        ("f(b=1)", "f(n, b=1)"),
        ("f(a, **b)", "f(a, n, **b)"),
        ("f(a, *b)", "f(a, *b, n)"),
    ],
)
def test_a_call_is_given_an_argument_by_position(text: str, expected: str) -> None:
    assert carried_out(text, operations.AddArgument(*call_of(text), "n")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f(k=1)", "f()"),
        ("f(a, k=1)", "f(a)"),
        ("f((a) , k=1)", "f((a) )"),
        ("f(a, k=1,)", "f(a,)"),
        ("f(k=1, a=2)", "f(a=2)"),
        ("f(a, k=1, b=2)", "f(a, b=2)"),
        ("f(\n    a,\n    k=1,\n    b=2,\n)", "f(\n    a,\n    b=2,\n)"),
    ],
)
def test_a_keyword_is_taken_from_a_call(text: str, expected: str) -> None:
    assert carried_out(text, operations.RemoveArgument(*call_of(text), "k")) == expected


@pytest.mark.parametrize(
    ("signature", "default", "expected"),
    [
        ("()", None, "(n)"),
        ("(a)", None, "(a, n)"),
        ("(a, *b)", None, "(a, n, *b)"),
        ("(a, *, b)", None, "(a, n, *, b)"),
        ("(*b)", None, "(n, *b)"),
        ("(a: int)", None, "(a: int, n)"),
        ("(a=(1))", "None", "(a=(1), n=None)"),
        ("(a: int = 1,)", "None", "(a: int = 1, n=None,)"),
        ("(a) -> (int)", None, "(a, n) -> (int)"),
        ("(a=f((1)))", "2", "(a=f((1)), n=2)"),
    ],
)
def test_a_function_is_given_a_parameter(
    signature: str, default: str | None, expected: str
) -> None:
    text = f"def function{signature}:\n    pass\n"
    wanted = operations.AddParameter(*at(text, "function"), "n", default)
    assert carried_out(text, wanted) == f"def function{expected}:\n    pass\n"


def test_a_parameter_that_cannot_be_is_refused() -> None:
    text = "def function(n=1): pass\n"
    with pytest.raises(CannotPlaceError, match="has a parameter n already"):
        carried_out(text, operations.AddParameter(*at(text, "function"), "n", "1"))
    with pytest.raises(CannotPlaceError, match="before it has a default"):
        carried_out(text, operations.AddParameter(*at(text, "function"), "m"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b()  # why\n", "for c in d:\n    e(c)  # why\n"),
        ("if x:\n\tb(\n\t\t1,\n\t)\r\nf()\n", "if x:\n\tfor c in d:\n\t\te(c)\r\nf()\n"),
        ("if x: b()\n", None),
        ("a(); b()\n", None),
    ],
)
def test_a_statement_becomes_several(text: str, expected: str | None) -> None:
    wanted = operations.Rewrite(*at(text, "b("), ("for c in d:", "    e(c)"))
    if expected is not None:
        assert carried_out(text, wanted) == expected
        return
    with pytest.raises(CannotPlaceError):
        carried_out(text, wanted)


def test_statements_take_the_place_of_one_on_its_line() -> None:
    text = "if x: b()\n"
    assert carried_out(text, operations.Rewrite(*at(text, "b("), ("c()", "d()"))) == (
        "if x: c(); d()\n"
    )


# --- names and imports ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "name"),
    [
        ("import torch\n", "torch.nn.utils.clip_grad_norm_"),
        ("import torch as t\n", "t.nn.utils.clip_grad_norm_"),
        ("import torch\nimport torch.nn as nn\n", "nn.utils.clip_grad_norm_"),
        ("import torch.optim\n", "torch.nn.utils.clip_grad_norm_"),
        ("from torch import nn\n", "nn.utils.clip_grad_norm_"),
        ("from torch.nn import utils\n", "utils.clip_grad_norm_"),
        ("from torch.nn.utils import clip_grad_norm_\n", "clip_grad_norm_"),
        ("from torch.nn.utils import clip_grad_norm_ as clip\n", "clip"),
    ],
)
def test_names_that_a_file_has_are_used(imports: str, name: str) -> None:
    text = imports + "step()\n"
    expected = imports + f"step()\n{name}(model.parameters(), 1.0)\n"
    assert after(text, "step()", CLIP) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("import os\n", "import os\n+"),
        ("import os  # why\nimport sys\n\n", "import os  # why\nimport sys\n+\n"),
        ('"""Doc."""\n', '"""Doc."""\n\n+'),
        ('"""Doc."""\nfrom __future__ import annotations\n\n', None),
        ("from torch import optim\nimport os\n", "from torch import optim\n+import os\n"),
        ("from torch import (\n    optim,\n)\nimport os\n", None),
        (
            "#!/usr/bin/env python\n# coding: utf-8\n",
            "#!/usr/bin/env python\n# coding: utf-8\n+\n\n",
        ),
    ],
)
def test_imports_are_added_in_their_place(head: str, expected: str | None) -> None:
    added = "from torch.nn.utils import clip_grad_norm_\n"
    if expected is None:
        expected = head.replace("annotations\n", "annotations\n+").replace(")\n", ")\n+")
    body = "step()\n"
    result = after(head + body, "step()", CLIP)
    assert (
        result
        == expected.replace("+", added)
        + body
        + CLIP.replace("{torch.nn.utils.clip_grad_norm_}", "clip_grad_norm_")
        + "\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        "import torch\nfrom data import *\n+",
        "import os\n\nimport torch\n+from torch import nn\nfrom tqdm import tqdm\n",
        "from attr import define\n+from torch import nn\n\nfrom model import Net\n",
        "from torch import nn\nimport torch\n+import os\n",
        "from tqdm import tqdm\nfrom torch import nn\n+",
        "from . import torch\nimport torch\n+",
        "import torch\nfrom rnnlint.runtime import clip_gradients@, init_recurrent_@\n",
        "from rnnlint.runtime import (\n    detach,\n    @init_recurrent_, @pool,\n)\n",
    ],
)
def test_the_companion_is_imported_beside_torch(head: str) -> None:
    line = "from rnnlint.runtime import init_recurrent_\n"
    pieces = head.split("@")
    before = "".join(pieces[::2]).replace("+", "") + "step()\n"
    expected = "".join(pieces).replace("+", line) + "step()\ninit_recurrent_(rnn)\n"
    assert after(before, "step()", "{rnnlint.runtime.init_recurrent_}(rnn)") == expected


def test_two_names_of_one_module_are_imported_together() -> None:
    pack = "{from torch.nn.utils.rnn import pack_padded_sequence}(x)"
    unpack = "{from torch.nn.utils.rnn import pad_packed_sequence}(x)"
    result = after("import torch.nn as nn\n\nstep()\n", "step()", pack, unpack)
    together = "from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence\n"
    assert result.startswith("import torch.nn as nn\n" + together)


def test_what_lies_deep_is_named_by_the_module_that_holds_it() -> None:
    text = "import torch.nn.utils.rnn as rnn_utils\n\nstep()\n"
    pack = "{from torch.nn.utils.rnn import pack_padded_sequence}(x)"
    assert after(text, "step()", pack) == text + "rnn_utils.pack_padded_sequence(x)\n"


def test_torch_itself_is_imported_before_its_parts() -> None:
    result = after("import os\nimport torch.nn as nn\n\nstep()\n", "step()", "{torch.arange}(3)")
    assert result == "import os\nimport torch\nimport torch.nn as nn\n\nstep()\ntorch.arange(3)\n"


def test_an_import_is_added_once() -> None:
    text = "step()\n"
    result = after(text, "step()", CLIP, CLIP)
    assert result.count("import") == 1


@pytest.mark.parametrize(
    "text",
    [
        "import torch\ndef f(torch):\n    step()\n",
        "import torch\nfor torch in x:\n    step()\n",
        "import torch\ndef f():\n    import os as torch\n    step()\n",
    ],
)
def test_a_name_that_means_something_else_somewhere_is_not_used(text: str) -> None:
    assert "from torch.nn.utils import clip_grad_norm_" in after(text, "step()", CLIP)


def test_a_name_that_is_taken_is_not_bound_again() -> None:
    with pytest.raises(CannotPlaceError, match="a clip_grad_norm_ of its own"):
        after("def clip_grad_norm_(): pass\nstep()\n", "step()", CLIP)


def test_several_files_are_changed_by_one_repair() -> None:
    texts = {"a.py": "f(x)\n", "b.py": "g(y)\n"}
    wanted = [operations.Replace("b.py", 2, 3, "z"), operations.Replace("a.py", 2, 3, "z")]
    edits = place(wanted, lambda path: Layout(texts[path], body_of(texts[path])))
    assert [edit.path for edit in edits] == ["a.py", "b.py"]
    assert applied(texts["a.py"], edits[:1]) == "f(z)\n"


@pytest.mark.parametrize(
    ("expression", "operand"),
    [
        ("head(out)", "head(out)"),
        ("out[-1]", "out[-1]"),
        ("self.out", "self.out"),
        ("out * 3", "(out * 3)"),
        ("-out", "(-out)"),
        ("out if out else 1", "(out if out else 1)"),
    ],
)
def test_a_method_can_follow_an_operand(expression: str, operand: str) -> None:
    text = f"loss(input={expression}, target=y)\n"
    code = Code({PATH: ir.FileIR(body_of(text))}, lambda _: text)
    path, start, end = at(text, expression)
    assert code.operand(Part(path, start, end)) == operand
    with pytest.raises(CannotPlaceError):
        code.operand(Part(path, start, end + 1))
