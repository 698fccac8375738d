"""Comments that silence what is found stand where they are heeded, and change nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from repaired import silenced
from scripted import Finding, project_of, script
from trained import TORCH, check, lay

from rnnlint import engine

__all__ = ["script"]
MAIN = "main.py"
NET = "net = nn.LSTM(1, 1)\n"
FIRST, BOTH = "  # rnnlint: ignore[SCR001]", "  # rnnlint: ignore[SCR001, SCR002]"


@pytest.fixture
def finding(script: list[Finding]) -> None:
    """Whatever is bad, or worse, is found."""
    script += [Finding("SCR001", "bad"), Finding("SCR002", "worse")]


def after(tmp_path: Path, text: str | bytes) -> str:
    """What becomes of a file; it is then silent, means the same, and stays as it is."""
    root = project_of(tmp_path, {MAIN: text}, "extend-select = ['RNN002']\n")
    outcome = silenced(root)
    assert not outcome.diagnostics
    assert not outcome.notices
    assert not outcome.withheld
    result = (root / MAIN).read_bytes()
    assert not check(root, no_cache=True).diagnostics
    before = text.encode() if isinstance(text, str) else text
    assert ast.dump(ast.parse(before)) == ast.dump(ast.parse(result))
    assert not silenced(root).fixed
    assert (root / MAIN).read_bytes() == result
    return result.decode("utf-8")


@pytest.mark.usefixtures("finding")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bad = 1\n", f"bad = 1{FIRST}\n"),
        ("bad = 1", f"bad = 1{FIRST}"),
        ("bad = 1  \t\n", f"bad = 1{FIRST}  \t\n"),
        ("bad = 1;\nx = 2\n", f"bad = 1;{FIRST}\nx = 2\n"),
        ("x = 0; bad = 1; y = 2\n", f"x = 0; bad = 1; y = 2{FIRST}\n"),
        ("bad = worse = 1\n", f"bad = worse = 1{BOTH}\n"),
        ("if net: bad = 1\n", f"if net: bad = 1{FIRST}\n"),
        ("if bad(): pass\n", f"if bad(): pass{FIRST}\n"),
        ("if bad():\n    pass\n", f"if bad():{FIRST}\n    pass\n"),
        ("if net:\n\tbad = 1\n", f"if net:\n\tbad = 1{FIRST}\n"),
        ("if net:\r\n\tbad = 1\r\n", f"if net:\r\n\tbad = 1{FIRST}\r\n"),
        ("x = 1\rbad = 1\r", f"x = 1\rbad = 1{FIRST}\r"),
        ("\fbad = 1\n\f\n", f"\fbad = 1{FIRST}\n\f\n"),
        ("bad = '#'\n", f"bad = '#'{FIRST}\n"),
        ("é = bad = '日本'\n", f"é = bad = '日本'{FIRST}\n"),
    ],
)
def test_a_comment_stands_behind_the_statement(tmp_path: Path, text: str, expected: str) -> None:
    head = TORCH + NET
    if "\r" in text:
        end = "\r\n" if "\n" in text else "\r"
        head = head.replace("\n", end)
    text = text.replace("bad()", "bad(net)")
    assert after(tmp_path, head + text) == head + expected.replace("bad()", "bad(net)")


@pytest.mark.usefixtures("finding")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bad(\n    1,\n)\n", f"bad({FIRST}\n    1,\n)\n"),
        ("f(\n    bad,\n)\n", f"f(\n    bad,{FIRST}\n)\n"),
        ("f(\n    worse, bad)\n", "f(\n    worse, bad)  # rnnlint: ignore[SCR002, SCR001]\n"),
        (
            "f(\n    bad,\n    worse)\n",
            f"f(\n    bad,{FIRST}\n    worse)  # rnnlint: ignore[SCR002]\n",
        ),
        ("bad = '''\n  # x\n'''\n", f"bad = '''\n  # x\n'''{FIRST}\n"),
        ("bad(1, '''\n''', 2,\n  3)\n", f"bad(1, '''\n''', 2,\n  3){FIRST}\n"),
        ("bad = f'''\n{net}\n'''\n", f"bad = f'''\n{{net}}\n'''{FIRST}\n"),
        ("x = f'''\n{bad}\n'''\n", f"x = f'''\n{{bad}}\n'''{FIRST}\n"),
        ("x = f'''\n{net\n+ bad}\n'''\n", f"x = f'''\n{{net\n+ bad}}\n'''{FIRST}\n"),
        ("bad = 1 + \\\n    2\n", f"bad = 1 + \\\n    2{FIRST}\n"),
        ("x = 1 + \\\n    bad\n", f"x = 1 + \\\n    bad{FIRST}\n"),
        ("x = (1 + \\\n    2 + bad +\n 3)\n", f"x = (1 + \\\n    2 + bad +{FIRST}\n 3)\n"),
        ("x = (\n  1  # a\n  + bad  # b\n)\n", f"x = (\n  1  # a\n  + bad  # b{FIRST}\n)\n"),
        ("@bad\ndef f():\n    pass\n", f"@bad{FIRST}\ndef f():\n    pass\n"),
        ("@a\ndef f(x=bad):\n    pass\n", f"@a\ndef f(x=bad):{FIRST}\n    pass\n"),
        ("@a\nclass A(bad):\n    x = 1\n", f"@a\nclass A(bad):{FIRST}\n    x = 1\n"),
        ("for x in [\n  1]: bad\n", f"for x in [\n  1]: bad{FIRST}\n"),
        ("try:\n  pass\nexcept bad:\n  pass\n", f"try:\n  pass\nexcept bad:{FIRST}\n  pass\n"),
        (
            "match net:\n    case bad if bad:\n        pass\n",
            f"match net:\n    case bad if bad:{FIRST}\n        pass\n",
        ),
        ("f(lambda: (\n    bad))\n", f"f(lambda: (\n    bad)){FIRST}\n"),
        ("x = [\n\n  bad\n\n]\n", f"x = [\n\n  bad{FIRST}\n\n]\n"),
    ],
)
def test_a_statement_of_several_rows(tmp_path: Path, text: str, expected: str) -> None:
    assert after(tmp_path, TORCH + NET + text) == TORCH + NET + expected


@pytest.mark.usefixtures("finding")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bad  # why\n", f"bad  # why{FIRST}\n"),
        ("bad  # noqa: E501\n", f"bad  # noqa: E501{FIRST}\n"),
        ("bad  # noqa: E501, F821 why\n", f"bad  # noqa: E501, F821 why{FIRST}\n"),
        ("bad  # type: ignore[x]\n", f"bad  # type: ignore[x]{FIRST}\n"),
        ("bad = []  # type: list[int]\n", f"bad = []  # type: list[int]{FIRST}\n"),
        ("bad, worse  # noqa: SCR001\n", "bad, worse  # noqa: SCR001  # rnnlint: ignore[SCR002]\n"),
        (
            "bad, worse  # rnnlint: ignore[SCR002]\n",
            "bad, worse  # rnnlint: ignore[SCR002, SCR001]\n",
        ),
        (
            "bad, worse  # rnnlint: ignore[rule-2] so it is\n",
            "bad, worse  # rnnlint: ignore[rule-2, SCR001] so it is\n",
        ),
        (
            "bad(  # rnnlint: ignore[SCR002]\n    worse)\n",
            "bad(  # rnnlint: ignore[SCR002, SCR001]\n    worse)\n",
        ),
        (
            "# rnnlint: ignore[SCR002]\nbad, worse\n",
            f"# rnnlint: ignore[SCR002]\nbad, worse{FIRST}\n",
        ),
        (
            "# rnnlint: file-ignore[SCR002]\nbad, worse\n",
            f"# rnnlint: file-ignore[SCR002]\nbad, worse{FIRST}\n",
        ),
        ("x  # rnnlint: ignore[SCR001]\n", "x  # rnnlint: ignore[SCR001, RNN002]\n"),
        ("x  # noqa: E501, SCR001\n", "x  # noqa: E501, SCR001, RNN002\n"),
        ("# rnnlint: ignore[SCR001,]\nx\n", "# rnnlint: ignore[SCR001, RNN002,]\nx\n"),
        ("bad  # rnnlint: ignore[]\n", "bad  # rnnlint: ignore[SCR001]\n"),
        ("bad  # rnnlint: ignore[SCR002]\n", "bad  # rnnlint: ignore[SCR002, SCR001, RNN002]\n"),
    ],
)
def test_comments_that_are_there(tmp_path: Path, text: str, expected: str) -> None:
    assert after(tmp_path, TORCH + NET + text) == TORCH + NET + expected


@pytest.mark.parametrize(
    ("head", "end"),
    [
        ("", "\n"),
        ("#!/usr/bin/env python\n", "\n"),
        ("#!/usr/bin/env python\r\n# -*- coding: utf-8 -*-\r\n", "\r\n"),
        ("#!/usr/bin/env python\r# coding: utf-8\r", "\r"),
        ("# coding: utf-8\n", "\n"),
    ],
)
def test_a_file_that_cannot_be_parsed_is_silenced_at_its_top(
    tmp_path: Path, head: str, end: str
) -> None:
    text = f"{head}# notes{end}import torch{end}x = torch.nn.LSTM(1, 1){end}def f(:{end}"
    (tmp_path / MAIN).write_bytes(text.encode())
    silenced(tmp_path)
    said = f"# rnnlint: file-ignore[RNN001]{end}"
    assert (tmp_path / MAIN).read_bytes().decode() == text.replace(head, head + said, 1)
    assert not check(tmp_path, no_cache=True).diagnostics
    assert not silenced(tmp_path).fixed


def test_a_list_for_the_file_gets_longer(tmp_path: Path) -> None:
    text = "# rnnlint: file-ignore[RNN101]\nimport torch\nx = torch.nn.LSTM(1, 1)\ndef f(:\n"
    lay(tmp_path, {MAIN: text, "rnnlint.toml": "select = ['RNN001']\n"})
    assert len(silenced(tmp_path).fixed) == 1
    assert (tmp_path / MAIN).read_text() == text.replace("RNN101", "RNN101, RNN001")


@pytest.mark.usefixtures("finding")
def test_only_what_was_asked_about_is_silenced(tmp_path: Path, script: list[Finding]) -> None:
    script.append(Finding("SCR001", "bad", path="b.py"))
    text = f"{TORCH}{NET}bad = 1\n"
    root = project_of(tmp_path, {MAIN: text, "b.py": text})
    assert len(silenced(root, "b.py").fixed) == 1
    assert (root / MAIN).read_text() == text


def test_a_file_that_changes_meanwhile_is_left_alone_and_told(
    tmp_path: Path, script: list[Finding]
) -> None:
    text = f"{TORCH}{NET}bad = 1\n"
    root = project_of(tmp_path, {MAIN: text, "b.py": text})
    mine = f"{TORCH}{NET}# mine\nbad = 1\n"
    script += [
        Finding("SCR001", "bad", meanwhile=lambda: (root / MAIN).write_text(mine)),
        Finding("SCR001", "bad", path="b.py"),
    ]
    outcome = silenced(root)
    assert [(each.path, each.fatal) for each in outcome.notices] == [(MAIN, True)]
    assert "changed on disk meanwhile" in outcome.notices[0].message
    assert (root / MAIN).read_text() == mine
    assert (root / "b.py").read_text() == text.replace("bad = 1", f"bad = 1{FIRST}")


def test_a_rule_that_finds_more_than_its_place_says_is_silenced_where_it_reports(
    tmp_path: Path,
) -> None:
    root = lay(tmp_path, {MAIN: f"{TORCH}probe = nn.GRU(\n    3,\n    4, dropout=0.5)\n"})
    assert engine.check(engine.Request(cwd=str(root), no_cache=True)).diagnostics
    silenced(root)
    assert "nn.GRU(  # rnnlint: ignore[RNN503]\n" in (root / MAIN).read_text()
