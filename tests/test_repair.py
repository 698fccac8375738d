"""The loop of repairs: what stands the test is carried out, what does not is withheld."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from repaired import Result, repaired
from scripted import Finding, project_of, script
from trained import TORCH

from rnnlint.diagnostic import Applicability, Edit, Level
from rnnlint.repair import MAX_PASSES

__all__ = ["script"]
NET = TORCH + "net = nn.LSTM(1, 1)\n"
MAIN = "main.py"
CELL: dict[str, object] = {
    "cell_type": "code",
    "metadata": {},
    "outputs": [],
    "execution_count": None,
    "source": NET,
}
NOTEBOOK = json.dumps({"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
GOOD = Finding("SCR003", "good = 0", (MAIN, "good = 0", "good = 1"))
"""A repair that stands the test, beside one that may not."""


def reasons(result: Result) -> list[str]:
    return [f"{each.diagnostic.code}: {each.reason}" for each in result.withheld]


def withheld_from(
    tmp_path: Path, script: list[Finding], text: str, bad: Finding, encoding: str = "utf-8"
) -> str:
    """Why the repair of a finding was withheld; another lands in the same run."""
    script += [bad, GOOD]
    result = repaired(project_of(tmp_path, {MAIN: text.encode(encoding)}))
    assert result.codes == ["SCR001"]
    assert result.outcome.diagnostics[0].fix is None
    (reason,) = reasons(result)
    assert result.texts == {MAIN: text.replace("good = 0", "good = 1")}
    return reason.removeprefix("SCR001: ")


def test_a_repair_that_cures_is_carried_out(tmp_path: Path, script: list[Finding]) -> None:
    script.append(Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")))
    result = repaired(project_of(tmp_path, {MAIN: NET + "bad = 0\n"}))
    assert result.texts == {MAIN: NET + "bad = 1\n"}
    assert (result.codes, result.withheld) == ([], ())
    assert [each.code for each in result.outcome.fixed] == ["SCR001"]


def test_a_statement_may_come_behind_the_last_of_a_block(
    tmp_path: Path, script: list[Finding]
) -> None:
    text = NET + "def f():\n    if net:\n        bad = 0  # why\n\nx = 1\n"
    behind = text.index("\nx = 1")
    added = Edit(MAIN, behind, behind, "        ok = 1\n")
    script.append(Finding("SCR001", "bad = 0", edits=(added,), unless="ok"))
    result = repaired(project_of(tmp_path, {MAIN: text}))
    assert result.texts == {MAIN: text.replace("# why\n", "# why\n        ok = 1\n")}


LOOP = "for i in range(3):\n    bad = 0 + i\n    last = 0\ngood = 0\n"


@pytest.mark.parametrize(
    ("words", "replacement", "reason"),
    [
        ("bad = 0", "bad = (", "main.py: it would no longer compile"),
        ("bad = 0", "return", "main.py: it would no longer compile"),
        ("bad = 0", "bad = '", "main.py: it would no longer compile"),
        ("bad = 0", "bad = '''", "main.py: it would no longer compile"),
        ("bad = 0 + i", "print(bad := i)", "main.py: it would need Python 3.8 or later"),
        ("bad = 0", "bad = 1 #", "main.py: line 5 would mean something else"),
        ("bad = 0 + i\n    ", "bad = 1\n", "main.py: line 6 would mean something else"),
        ("bad = 0 + i\n", "if i:\n     bad = 1\n\n    if not i:", "main.py: line 6 would"),
        ("0 + i", "1\r", "main.py: its lines would end in different ways"),
        ("0 + i", "0 - i", "the finding would still be there"),
        ("bad = 0", "worse = 0", "it would lead to SCR002 (rule-2) at main.py:5"),
    ],
)
def test_a_repair_that_does_harm_is_withheld_and_others_land(
    tmp_path: Path, script: list[Finding], words: str, replacement: str, reason: str
) -> None:
    script.append(Finding("SCR002", "worse = 0"))
    bad = Finding("SCR001", "bad = 0", (MAIN, words, replacement))
    assert reason in withheld_from(tmp_path, script, NET + LOOP, bad)


@pytest.mark.parametrize(
    ("words", "replacement", "row"),
    [
        ("else:\n", "", 9),
        ("except ValueError:", "except:", None),
    ],
)
def test_a_statement_stays_in_its_branch(
    tmp_path: Path, script: list[Finding], words: str, replacement: str, row: int | None
) -> None:
    text = (
        "try:\n    bad = 0\nexcept ValueError:\n    x = 1\nelse:\n    y = 1\n"
        "finally:\n    z = 1\nw = 1\n"
    )
    script.append(
        Finding("SCR001", "bad = 0", (MAIN, words, replacement), (MAIN, "bad = 0", "bad = 1"))
    )
    result = repaired(project_of(tmp_path, {MAIN: NET + text}))
    said = [f"SCR001: main.py: line {row} would mean something else"] if row else []
    assert reasons(result) == said


@pytest.mark.parametrize(
    ("encoding", "words", "replacement", "reason"),
    [
        ("latin-1", "bad = 0", "bad = '\N{GREEK SMALL LETTER ALPHA}'", "latin-1 has no '\u03b1'"),
        ("latin-1", "coding: latin-1", "coding: utf-8", "its encoding would be read as another"),
        ("latin-1", "coding: latin-1", "coding: what", "its encoding would be read as another"),
        ("utf-8", "coding: utf-8", "coding: latin-1", "its encoding would be read as another"),
    ],
)
def test_a_repair_leaves_the_encoding(
    tmp_path: Path, script: list[Finding], encoding: str, words: str, replacement: str, reason: str
) -> None:
    text = f"# coding: {encoding}\nname = 'caf\N{LATIN SMALL LETTER E WITH ACUTE}'\n{NET}{LOOP}"
    bad = Finding("SCR001", "bad = 0", (MAIN, words, replacement))
    assert withheld_from(tmp_path, script, text, bad, encoding) == f"main.py: {reason}"


@pytest.mark.parametrize(
    "edits",
    [
        (Edit(MAIN, 0, 10_000, ""),),
        (Edit(MAIN, 5, 4, ""),),
        (Edit(MAIN, -3, -2, ""),),
        (Edit(MAIN, 0, 5, ""), Edit(MAIN, 4, 6, "")),
        (Edit(MAIN, 0, 0, "x = '\ud800'\n"),),
        (Edit("gone.py", 0, 0, ""),),
        (Edit("../other.py", 0, 0, ""),),
        (Edit("excluded/other.py", 0, 0, "x = 1\n"),),
        (Edit("plain.py", 0, 0, "x = 1\n"),),
        (Edit("book.ipynb", 0, 0, "x = 1\n"),),
    ],
)
def test_edits_stay_within_what_was_analysed(
    tmp_path: Path, script: list[Finding], edits: tuple[Edit, ...]
) -> None:
    script += [Finding("SCR001", "bad = 0", edits=edits), GOOD]
    files: dict[str, str | bytes] = {
        MAIN: NET + LOOP,
        "excluded/other.py": NET,
        "plain.py": "x = 0\n",
        "book.ipynb": NOTEBOOK,
    }
    root = project_of(tmp_path, files, "extend-exclude = ['excluded']\n")
    result = repaired(root)
    assert result.texts == {MAIN: (NET + LOOP).replace("good = 0", "good = 1")}
    assert [each.fix for each in result.outcome.diagnostics] == [None]


# --- repairs that meet ------------------------------------------------------------------


def test_the_first_of_two_that_meet_is_carried_out_then_the_other(
    tmp_path: Path, script: list[Finding]
) -> None:
    script += [
        Finding("SCR002", "bad = 0, 0", (MAIN, "0, 0", "1, 0")),
        Finding("SCR001", ", 0", (MAIN, ", 0", ", 1")),
    ]
    result = repaired(project_of(tmp_path, {MAIN: NET + "bad = 0, 0\n"}))
    assert result.texts == {MAIN: NET + "bad = 1, 1\n"}
    assert [each.code for each in result.outcome.fixed] == ["SCR002", "SCR001"]


def test_what_two_repairs_want_alike_is_done_once(tmp_path: Path, script: list[Finding]) -> None:
    importing = (MAIN, "", "import math\n")
    script += [
        Finding("SCR001", "bad = 0", importing, (MAIN, "bad = 0", "bad = math.e")),
        Finding("SCR002", "worse = 0", importing, (MAIN, "worse = 0", "worse = math.e")),
        Finding("SCR003", "awful = 0", importing, (MAIN, "awful = 0", "awful = (")),
    ]
    result = repaired(project_of(tmp_path, {MAIN: NET + "bad = 0\nworse = 0\nawful = 0\n"}))
    assert result.texts == {MAIN: f"import math\n{NET}bad = math.e\nworse = math.e\nawful = 0\n"}
    assert reasons(result) == ["SCR003: main.py: it would no longer compile"]


def test_repairs_that_are_sound_only_one_at_a_time(tmp_path: Path, script: list[Finding]) -> None:
    script += [
        Finding("SCR001", "a = 0", (MAIN, "a = 0", "a = 1")),
        Finding("SCR002", "b = 0", (MAIN, "b = 0", "b = 1")),
        Finding("SCR003", "net = ", unless=" = 0"),
    ]
    result = repaired(project_of(tmp_path, {MAIN: NET + "a = 0\nb = 0\n"}))
    assert result.texts == {MAIN: NET + "a = 1\nb = 0\n"}
    assert reasons(result) == ["SCR002: it would lead to SCR003 (rule-3) at main.py:3"]


def test_what_a_repair_uncovers_is_repaired_in_turn(tmp_path: Path, script: list[Finding]) -> None:
    script += [
        Finding("SCR001", "a = 0", (MAIN, "a = 0", "a = 1"), uncovers=True),
        Finding("SCR002", "b = 0", (MAIN, "b = 0", "b = 1"), unless="a = 0"),
        Finding("SCR003", "net = ", unless="a = 0", level=Level.ADVICE),
    ]
    result = repaired(project_of(tmp_path, {MAIN: NET + "a = 0\nb = 0\n"}))
    assert result.texts == {MAIN: NET + "a = 1\nb = 1\n"}
    assert (result.codes, result.withheld) == (["SCR003"], ())


@pytest.mark.parametrize(
    ("words", "level"), [("b = 0", Level.ERROR), ("1  # worse", Level.WARNING)]
)
def test_a_repair_uncovers_no_error_and_nothing_that_it_writes(
    words: str, level: Level, tmp_path: Path, script: list[Finding]
) -> None:
    script += [
        Finding("SCR001", "a = 0", (MAIN, "0\nb", "1  # worse\nb"), uncovers=True),
        Finding("SCR002", words, unless="a = 0", level=level),
    ]
    result = repaired(project_of(tmp_path, {MAIN: NET + "a = 0\nb = 0\n"}))
    assert not result.texts
    (reason,) = reasons(result)
    assert reason.startswith("SCR001: it would lead to SCR002")


def test_what_uncovers_is_carried_out_by_itself(tmp_path: Path, script: list[Finding]) -> None:
    script += [
        Finding("SCR001", "a = 0", (MAIN, "a = 0", "a = 1"), uncovers=True),
        Finding("SCR002", "b = 0", (MAIN, "b = 0", "b = 1")),
        Finding("SCR003", "net = ", unless="b = 0", level=Level.ADVICE),
    ]
    result = repaired(project_of(tmp_path, {MAIN: NET + "a = 0\nb = 0\n"}))
    assert result.texts == {MAIN: NET + "a = 1\nb = 0\n"}
    assert reasons(result) == ["SCR002: it would lead to SCR003 (rule-3) at main.py:3"]


def test_repairs_that_undo_each_other_come_to_an_end(tmp_path: Path, script: list[Finding]) -> None:
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")),
        Finding("SCR002", "bad = 1", (MAIN, "bad = 1", "bad = 0")),
        Finding("SCR003", "x = 0", (MAIN, "x = 0", "x =  0")),
        Finding("SCR003", "x =  0", (MAIN, "x =  0", "x = 0")),
    ]
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\nx = 0\n"})
    result = repaired(root)
    assert (result.texts, result.codes) == ({}, ["SCR001", "SCR003"])
    assert sorted(reasons(result)) == [
        "SCR001: it would lead to SCR002 (rule-2) at main.py:4",
        "SCR003: the finding would still be there",
    ]


@pytest.mark.parametrize("more", [0, 1])
def test_repairs_that_wait_for_each_other_take_ten_passes_at_most(
    tmp_path: Path, script: list[Finding], more: int
) -> None:
    count = MAX_PASSES + more
    names = "abcdefghijk"[:count]
    script += [
        Finding("SCR001", f"{name} = 0", (MAIN, "", f"{name} = 1\n"), unless=f"{name} = 1")
        for name in names
    ]
    root = project_of(tmp_path, {MAIN: NET + "".join(f"{name} = 0\n" for name in names)})
    result = repaired(root)
    assert len(result.outcome.fixed) == MAX_PASSES
    said = [notice.message for notice in result.outcome.notices]
    assert said == more * ["there is more to repair after 10 passes; run it again"]
    (root / MAIN).write_text(result.texts[MAIN])
    assert len(repaired(root).outcome.fixed) == more


def test_many_repairs_of_which_a_few_do_harm(tmp_path: Path, script: list[Finding]) -> None:
    names = [f"name_{number}_" for number in range(60)]
    bad = {names[7], names[31], names[32]}
    for name in names:
        replacement = f"{name} = (" if name in bad else f"{name} = 1"
        script.append(Finding("SCR001", f"{name} = 0", (MAIN, f"{name} = 0", replacement)))
    text = NET + "".join(f"{name} = 0\n" for name in names)
    result = repaired(project_of(tmp_path, {MAIN: text}))
    assert len(result.outcome.fixed) == 57
    assert {each.diagnostic.span.location.row - 4 for each in result.withheld} == {7, 31, 32}


# --- repairs of several files -----------------------------------------------------------

MODEL = "model.py"
PAIR = Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1"), (MODEL, "size = 0", "size = 1"))


def test_a_repair_of_two_files_is_carried_out_in_both(
    tmp_path: Path, script: list[Finding]
) -> None:
    script.append(PAIR)
    result = repaired(project_of(tmp_path, {MAIN: NET + "bad = 0\n", MODEL: NET + "size = 0\n"}))
    assert result.texts == {MAIN: NET + "bad = 1\n", MODEL: NET + "size = 1\n"}


def test_a_repair_of_two_files_is_withheld_from_both(tmp_path: Path, script: list[Finding]) -> None:
    script += [PAIR, Finding("SCR002", "size = 1", path=MODEL), GOOD]
    files: dict[str, str | bytes] = {MAIN: NET + "bad = 0\ngood = 0\n", MODEL: NET + "size = 0\n"}
    result = repaired(project_of(tmp_path, files))
    assert result.texts == {MAIN: NET + "bad = 0\ngood = 1\n"}
    assert reasons(result) == ["SCR001: it would lead to SCR002 (rule-2) at model.py:4"]


def test_the_paths_choose_what_is_repaired_not_what_is_edited(
    tmp_path: Path, script: list[Finding]
) -> None:
    script += [PAIR, Finding("SCR002", "other = 0", (MODEL, "other = 0", "other = 1"), path=MODEL)]
    files: dict[str, str | bytes] = {
        MAIN: NET + "bad = 0\n",
        MODEL: NET + "size = 0\nother = 0\n",
    }
    root = project_of(tmp_path, files)
    result = repaired(root, "main.py")
    assert result.texts == {MAIN: NET + "bad = 1\n", MODEL: NET + "size = 1\nother = 0\n"}
    assert set(repaired(root, "model.py").texts) == {MODEL}


# --- what is to be repaired -------------------------------------------------------------


@pytest.mark.parametrize(
    ("unsafe", "settings", "fixed"),
    [
        (False, "", ["SCR001"]),
        (True, "", ["SCR001", "SCR002"]),
        (True, "unfixable = ['SCR001']", ["SCR002"]),
        (True, "unfixable = ['rule-2']", ["SCR001"]),
        (True, "fixable = ['SCR002']", ["SCR002"]),
        (True, "fixable = ['SCR002']\nextend-fixable = ['SCR001']", ["SCR001", "SCR002"]),
        (True, "fixable = []", []),
        (True, "fixable = ['SCR00']\nunfixable = ['SCR002']", ["SCR001"]),
        (True, "unfixable = ['ALL']", []),
        (False, "extend-safe-fixes = ['SCR002']", ["SCR001", "SCR002"]),
        (False, "extend-unsafe-fixes = ['ALL']", []),
        (False, "extend-unsafe-fixes = ['ALL']\nextend-safe-fixes = ['rule-2']", ["SCR002"]),
        (False, "extend-unsafe-fixes = ['SCR002']\nextend-safe-fixes = ['SCR002']", ["SCR001"]),
        (True, "extend-unsafe-fixes = ['ALL']", ["SCR001", "SCR002"]),
        (True, "ignore = ['SCR001']", ["SCR002"]),
        (True, "per-file-ignores = { 'main.py' = ['SCR002'] }", ["SCR001"]),
    ],
)
def test_settings_say_what_is_repaired(
    tmp_path: Path, script: list[Finding], unsafe: bool, settings: str, fixed: list[str]
) -> None:
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")),
        Finding(
            "SCR002",
            "worse = 0",
            (MAIN, "worse = 0", "worse = 1"),
            applicability=Applicability.UNSAFE,
        ),
    ]
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\nworse = 0\n"}, settings)
    result = repaired(root, unsafe=unsafe)
    assert [each.code for each in result.outcome.fixed] == fixed


def test_a_folder_may_forbid_that_it_is_repaired(tmp_path: Path, script: list[Finding]) -> None:
    script.append(
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1"), ("a/b.py", "x = 0", "x = 1"))
    )
    files: dict[str, str | bytes] = {MAIN: NET + "bad = 0\n", "a/b.py": NET + "x = 0\n"}
    root = project_of(tmp_path, files)
    (root / "a" / "rnnlint.toml").write_text("unfixable = ['SCR001']\nplugins=['scripted_rules']\n")
    assert repaired(root).texts == {}


def test_what_a_comment_silences_is_not_repaired(tmp_path: Path, script: list[Finding]) -> None:
    script.append(Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")))
    for comment in ("# noqa: SCR001", "# noqa", "# rnnlint: ignore[rule-1]"):
        root = project_of(tmp_path, {MAIN: f"{NET}bad = 0  {comment}\n"})
        assert repaired(root).texts == {}
        assert repaired(root, ignore_noqa=True).texts


def in_the_run(happening: Callable[[], object]) -> Callable[[], object]:
    """Let something happen while the run that repairs looks; a first run only looks."""
    count = itertools.count(1)
    return lambda: happening() if next(count) == 2 else None


def test_a_file_that_changes_meanwhile_is_left_alone(tmp_path: Path, script: list[Finding]) -> None:
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\n", MODEL: NET + "worse = 0\n"})
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")),
        Finding(
            "SCR002",
            "worse = 0",
            (MODEL, "worse = 0", "worse = 1"),
            path=MODEL,
            meanwhile=in_the_run(lambda: (root / MODEL).write_text(NET + "# mine\nworse = 0\n")),
        ),
    ]
    result = repaired(root)
    assert result.texts == {MAIN: NET + "bad = 1\n"}
    assert reasons(result) == ["SCR002: model.py changed on disk meanwhile, so it was left alone"]


def test_a_file_that_goes_meanwhile_is_no_hindrance(tmp_path: Path, script: list[Finding]) -> None:
    root = project_of(tmp_path, {MAIN: NET + "bad = 0\n", MODEL: NET + "worse = 0\n"})
    script += [
        Finding("SCR001", "bad = 0", (MAIN, "bad = 0", "bad = 1")),
        Finding("SCR002", "worse = 0", (MODEL, "worse = 0", "worse = 1"), path=MODEL),
    ]
    script[0].meanwhile = in_the_run((root / MODEL).unlink)
    result = repaired(root)
    assert result.texts == {MAIN: NET + "bad = 1\n"}
    (reason,) = reasons(result)
    assert reason.startswith("SCR002: model.py cannot be read")
