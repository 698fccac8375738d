"""Repairs in notebooks: the code of cells changes, and not a byte of the JSON around it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lowered import body_of
from repaired import repaired, saved, silenced
from scripted import Finding, project_of, script
from trained import TORCH, check, lay

from rnnlint.cli import application
from rnnlint.diagnostic import Edit
from rnnlint.fixing import operations
from rnnlint.fixing.cells import CannotEditError
from rnnlint.fixing.editing import Edited
from rnnlint.fixing.layout import CannotPlaceError, Layout
from rnnlint.fixing.placement import place
from rnnlint.fixing.soundness import flaw
from rnnlint.project.source import Source, source_from_bytes

__all__ = ["script"]
PATH = "book.ipynb"
PLOT = {
    "data": {"image/png": "iVBORw0KGgo=\n", "text/plain": ["<Figure>\n", 'source": "x"']},
    "metadata": {"source": ["no", "code"]},
    "output_type": "display_data",
}


def code(source: str | list[str], *outputs: object) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": 3,
        "metadata": {"cells": [{"source": "no code"}], "tags": []},
        "outputs": [*outputs],
        "source": source,
    }


def markdown(source: str) -> dict[str, object]:
    return {"cell_type": "markdown", "metadata": {}, "source": lines(source)}


def lines(text: str) -> list[str]:
    """The lines of a cell, as nbformat writes them."""
    return text.splitlines(keepends=True)


def notebook(*cells: object) -> dict[str, object]:
    named = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": [code(lines(each)) if isinstance(each, str) else each for each in cells],
        "metadata": {"kernelspec": named, "cells": [1, 2]},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def written(*cells: object, **style: Any) -> bytes:
    """A notebook as Jupyter writes it, unless told otherwise."""
    options = {"indent": 1, "ensure_ascii": False, **style}
    return (json.dumps(notebook(*cells), **options) + "\n").encode()


def read(data: bytes) -> Source:
    source = source_from_bytes(PATH, data)
    assert isinstance(source, Source)
    return source


def changed(data: bytes, *changes: tuple[str, str]) -> bytes:
    """A notebook in whose program some words are others."""
    source = read(data)
    edits = []
    for words, replacement in changes:
        assert source.text.count(words) == 1
        start = source.text.index(words)
        edits.append(Edit(PATH, start, start + len(words), replacement))
    return Edited(source, edits).data


def placed(data: bytes, *wanted: operations.AnyOperation) -> list[str]:
    """The code cells of a notebook after operations."""
    source = read(data)
    layout = Layout(source.text, body_of(source.text), source.cells)
    edited = Edited(source, place(wanted, lambda _: layout))
    assert flaw(edited) is None
    cells = json.loads(edited.data)["cells"]
    return ["".join(each["source"]) for each in cells if each["cell_type"] == "code"]


def at(data: bytes, words: str) -> tuple[str, int, int]:
    start = read(data).text.index(words)
    return PATH, start, start + len(words)


# --- the JSON text ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "style",
    [
        {},
        {"indent": 2},
        {"indent": "\t"},
        {"indent": None},
        {"indent": None, "separators": (",", ":")},
        {"ensure_ascii": True},
        {"sort_keys": True},
    ],
)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\nb = 2\nc = 3", "a = 1\nb = 4\nc = 3"),
        ("a = 1\nb = 2", "a = 1\nb = 4"),
        ("b = 2", "b = 4"),
        ("b = 2\n", "b = 4\n"),
        ("b = 2\na = 1\n\n", "b = 4\na = 1\n\n"),
        ("ä = 1\nb = 2  # é \U0001f600\n'\\n\"'", "ä = 1\nb = 4  # é \U0001f600\n'\\n\"'"),
        ("a = 1\nb = 2", "a = 1\nb = 4\nc = '日本'"),
        ("a = 1\nb = 2\nc = 3", "a = 1\nb = 4\n\nd = 1\nc = 3"),
    ],
)
@pytest.mark.parametrize("as_one", [False, True], ids=["lines", "string"])
def test_the_result_is_what_jupyter_would_write(
    before: str, after: str, style: dict[str, object], as_one: bool
) -> None:
    def whole(text: str) -> bytes:
        cell = code(text if as_one else lines(text), PLOT)
        # Other cells are of several lines, so that the file's style is known.
        return written(markdown("# é\nb = 2"), "x = 1\ny = 2", cell, "z = 3", **style)

    start = after[: len(after) - len(_common(before[::-1], after[::-1]))]
    old = before[: len(before) - len(_common(before[::-1], after[::-1]))]
    program = read(whole(before)).text
    offset = program.index(before)
    edit = Edit(PATH, offset, offset + len(old), start)
    assert Edited(read(whole(before)), [edit]).data == whole(after)


def _common(one: str, other: str) -> str:
    size = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    return one[: min(len(one), len(other)) if size is None else size]


def test_lines_that_stay_keep_their_escapes() -> None:
    odd = rb'"caf\u00e9 = 1\n" ,  "\u0062 = \"\/\"\n","c = 3"'
    data = written("SOURCE", markdown("é")).replace(b'"SOURCE"', odd)
    longer = changed(data, ("c = 3", "c = 4\nd = 'é'"))
    assert longer == data.replace(b'"c = 3"', '"c = 4\\n" ,  "d = \'é\'"'.encode())
    last = changed(data, ("\nc = 3", ""))
    assert last == data.replace(rb'"\u0062 = \"\/\"\n","c = 3"', rb'"\u0062 = \"\/\""')


def test_line_ends_of_the_json_stay() -> None:
    data = written("a = 1\nb = 2", "c = 3").replace(b"\n", b"\r\n")
    expected = written("a = 1\nb = 4\nd = 5", "c = 3").replace(b"\n", b"\r\n")
    assert changed(data, ("b = 2", "b = 4\nd = 5")) == expected


def test_a_byte_order_mark_stays() -> None:
    data = b"\xef\xbb\xbf" + written("a = 1")
    assert changed(data, ("1", "2")) == b"\xef\xbb\xbf" + written("a = 2")


def test_carriage_returns_in_cells_stay() -> None:
    data = written(code(["a = 1\r\n", "b = 2"]), "c = 3")
    assert changed(data, ("2", "4")) == written(code(["a = 1\r\n", "b = 4"]), "c = 3")


def test_form_feeds_divide_lines_where_they_did() -> None:
    data = written("a = 1\n\f\nb = 2")
    assert changed(data, ("2", "4")) == written("a = 1\n\f\nb = 4")


def test_what_is_named_twice_is_changed_where_it_counts() -> None:
    data = written("a = 1").replace(b'"source": [', b'"source": ["a = 0"],\n   "source": [')
    assert changed(data, ("1", "2")) == data.replace(b"a = 1", b"a = 2")


def test_cells_of_all_kinds_are_counted() -> None:
    raw = {"cell_type": "raw", "metadata": {}, "source": ["b = 2"]}
    cells = [markdown("b = 2"), "a = 1", raw, markdown(""), "b = 2", markdown("b = 2")]
    after = [*cells[:4], "b = 4", cells[5]]
    assert changed(written(*cells), ("b = 2", "b = 4")) == written(*after)


def test_two_cells_change_at_once() -> None:
    data = written("a = 1", markdown("x"), "b = 2\nc = 3")
    after = written("a = 9", markdown("x"), "b = 8\nc = 7")
    assert changed(data, ("1", "9"), ("2", "8"), ("3", "7")) == after


def test_a_notebook_without_edits_is_what_it_was() -> None:
    data = written("!ls", "a = 1", "") + b"  \n"
    assert Edited(read(data), ()).data == data


def test_what_a_notebook_becomes_can_be_edited_back() -> None:
    before = read(written("import torch\na = 1", "b = 'é'"))
    edited = Edited(before, [Edit(PATH, 0, 0, "x = 1\n"), Edit(PATH, 23, 24, "bc")])
    assert edited.undone().after == before


# --- what must not be changed -----------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "words", "replacement"),
    [
        (["a = 1", "b = 2"], "1\nb", "1; b"),
        (["a = 1", "b = 2"], "a = 1\n", ""),
        (["a = !ls", "b = 2"], "_", "3"),
        (["%matplotlib inline\na = 1"], "_     ", "b = 3 "),
        (["!ls\na = 1"], "_", "_; c = 3"),
        (["%%time\na = 1"], "a = 1", "%%bash"),
        (["a = 1"], "a = 1", "!ls"),
        (["a = 1"], "a = 1", "%%bash\nls"),
        (["a = 1", "x = 2"], "a = 1", "a = 1\n'''"),
    ],
)
def test_an_edit_stays_within_a_cell_and_off_magics(
    cells: list[str], words: str, replacement: str
) -> None:
    source = read(written(*cells))
    start = source.text.index(words)
    assert flaw(Edited(source, [Edit(PATH, start, start + len(words), replacement)])) is not None


def test_nothing_comes_before_the_magic_of_a_cell() -> None:
    source = read(written("%%time\na = 1"))
    with pytest.raises(CannotEditError):
        _ = Edited(source, [Edit(PATH, 0, 0, "import torch\n")]).data


def test_what_would_mean_something_else_is_named_by_its_cell() -> None:
    source = read(written("a = 1", markdown("x"), "b = 2\nc = 3"))
    start = source.text.index("b = 2")
    edited = Edited(source, [Edit(PATH, start, start + len("b = 2\n"), "if a:\n ")])
    assert flaw(edited) == "line 2 of cell 2 would mean something else"


def test_code_beside_magics_is_edited() -> None:
    data = written("%matplotlib inline\n!pip install x  # y\nnames = !ls\n%time a = 1\nb = 2\nb?")
    after = written("%matplotlib inline\n!pip install x  # y\nnames = !ls\n%time a = 9\nb = 8\nb?")
    assert changed(data, ("a = 1", "a = 9"), ("b = 2", "b = 8")) == after
    assert changed(written("%%time\na = 1"), ("1", "2")) == written("%%time\na = 2")


# --- places -----------------------------------------------------------------------------

CELLS = ("import os\nimport torch", "a = 1\nb = 2", "c = 3")


def inserted(data: bytes, words: str, where: Any) -> list[str]:
    path, start, end = at(data, words)
    return placed(data, operations.Insert(path, start, end, ("f()",), where=where))


def test_what_follows_the_last_line_of_a_cell_ends_it() -> None:
    assert inserted(written(*CELLS), "b = 2", "after") == [CELLS[0], "a = 1\nb = 2\nf();", "c = 3"]
    assert inserted(written("a = 1\n", "c"), "a = 1", "after") == ["a = 1\nf();\n", "c"]
    assert inserted(written("if 1:\n  a = 1", "c"), "a = 1", "after")[0] == "if 1:\n  a = 1\n  f()"


def test_what_precedes_the_first_line_of_a_cell_begins_it() -> None:
    assert inserted(written(*CELLS), "c = 3", "before") == [*CELLS[:2], "f()\nc = 3"]
    assert inserted(written(*CELLS), "b = 2", "before")[1] == "a = 1\nf()\nb = 2"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a = 1", [CELLS[0], "b = 2", "c = 3"]),
        ("b = 2", [CELLS[0], "a = 1", "c = 3"]),
        ("c = 3", [*CELLS[:2], ""]),
    ],
)
def test_a_line_that_goes_joins_no_cells(words: str, expected: list[str]) -> None:
    data = written(*CELLS)
    assert placed(data, operations.Remove(*at(data, words))) == expected


def test_a_blank_line_before_the_line_that_goes_stays() -> None:
    data = written("a = 1\r\n\r\nb = 2", "c = 3")
    assert placed(data, operations.Remove(*at(data, "b = 2")))[0] == "a = 1\r\n"


def test_a_statement_moves_into_another_cell() -> None:
    data = written(*CELLS)
    path, start, _ = at(data, "b = 2")
    target = at(data, "c = 3")[1]
    moved = operations.Move(path, start, start, target, where="after")
    assert placed(data, moved) == [CELLS[0], "a = 1", "c = 3\nb = 2"]


def test_the_last_line_of_a_cell_becomes_another() -> None:
    data = written(*CELLS)
    path, start, end = at(data, "b = 2")
    insert = operations.Insert(path, start, end, ("f()",), where="after")
    assert placed(data, insert, operations.Remove(path, start, end))[1] == "a = 1\nf();"


@pytest.mark.parametrize(
    ("cell", "code", "expected"),
    [
        ("b = 2", "clip(x)", "b = 2\nclip(x);"),
        ("b = 2  # two\n\n", "clip(x)", "b = 2  # two\nclip(x);\n\n"),
        ("b = 2", "scheduler.step()", "b = 2\nscheduler.step()"),
        ("b = 2", "c = clip(x)", "b = 2\nc = clip(x)"),
        ("b = 2\nc = 3", "clip(x)", "b = 2\nclip(x)\nc = 3"),
        ("if a:\n    b = 2", "clip(x)", "if a:\n    b = 2\n    clip(x)"),
    ],
)
def test_what_ends_a_cell_shows_no_value(cell: str, code: str, expected: str) -> None:
    data = written(cell, "d = 4")
    path, start, end = at(data, "b = 2")
    assert placed(data, operations.Insert(path, start, end, (code,)))[0] == expected


@pytest.mark.parametrize(
    ("cells", "code", "expected"),
    [
        (CELLS, "{numpy.zeros}(1)", ["import os\nimport torch\nfrom numpy import zeros"]),
        (CELLS, "{torch.nn.utils.rnn.pad}(1)", [CELLS[0]]),
        (("a = 1\nb = 2",), "{torch.ones}(1)", ["import torch\n\n\na = 1\nb = 2\ntorch.ones(1);"]),
        (
            ("%%time\na = 1\nb = 2",),
            "c = {torch.ones}(1)",
            ["%%time\nimport torch\n\n\na = 1\nb = 2\nc = torch.ones(1)"],
        ),
        (
            ("%%bash\nls", "%matplotlib inline\n!ls", "b = 2"),
            "c = {torch.ones}(1)",
            ["%%bash\nls", "%matplotlib inline\n!ls", "import torch\n\n\nb = 2\nc = torch.ones(1)"],
        ),
        (
            ("import torch\nfrom torch import nn", "import os", "b = 2"),
            "{from torch.optim import SGD}",
            ["import torch\nfrom torch import nn\nfrom torch.optim import SGD", "import os"],
        ),
        (
            ("import torch", "from b import c", "from x import y", "b = 2"),
            "{from x import a}",
            ["import torch", "from b import c", "from x import a, y"],
        ),
        (
            ("def f(): pass", "import torch", "b = 2", "from torch.optim import SGD"),
            "{torch.optim.SGD}(1)",
            ["def f(): pass", "import torch", "b = 2\ntorch.optim.SGD(1);"],
        ),
        (
            ("with x: pass", "import torch", "b = 2", "import numpy"),
            "{numpy.zeros}(1)",
            ["with x: pass", "import torch\nfrom numpy import zeros", "b = 2\nzeros(1);"],
        ),
    ],
)
def test_imports_go_where_the_others_are(
    cells: Sequence[str], code: str, expected: list[str]
) -> None:
    data = written(*cells)
    path, start, end = at(data, "b = 2")
    result = placed(data, operations.Insert(path, start, end, (code,), where="after"))
    assert result[: len(expected)] == expected
    assert len(result) == len(cells)


def test_a_statement_that_goes_over_several_cells_is_left_alone() -> None:
    data = written("a = (1,", "2)\nb = 2")
    with pytest.raises(CannotPlaceError):
        placed(data, operations.Remove(*at(data, "a = (1")))


# --- whole projects ---------------------------------------------------------------------

MODEL = "%matplotlib inline\nnet = nn.LSTM(4, 8)\nopt = torch.optim.SGD(net.parameters(), 0.1)"
LOOP = """\
for x, y in data:
    out, _ = net(x)
    loss = F.mse_loss(out, y)
    loss.backward()
    opt.step()"""
IMPORTS = "import torch\nimport torch.nn.functional as F\nfrom torch import nn"
TRAINING = (markdown("# é"), IMPORTS, MODEL, code(lines(LOOP), PLOT))
CLEARED = LOOP.replace("    loss.backward", "    opt.zero_grad()\n    loss.backward")
CLEARING = "select = ['RNN206']\n"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(application, ["check", "--no-cache", *arguments])


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A notebook that trains and never clears its gradients."""
    (tmp_path / PATH).write_bytes(written(*TRAINING))
    (tmp_path / "rnnlint.toml").write_text(CLEARING)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fix_writes_the_cells_alone(training: Path) -> None:
    assert run("--fix").exit_code == 0
    expected = written(*TRAINING[:3], code(lines(CLEARED), PLOT))
    assert (training / PATH).read_bytes() == expected
    assert run("--fix").exit_code == 0
    assert (training / PATH).read_bytes() == expected


def test_diff_shows_cells(training: Path) -> None:
    result = run("--diff")
    assert result.exit_code == 1
    assert result.stdout == (
        f"--- a/{PATH}:cell 3\n+++ b/{PATH}:cell 3\n"
        "@@ -1,5 +1,6 @@\n for x, y in data:\n     out, _ = net(x)\n"
        "     loss = F.mse_loss(out, y)\n+    opt.zero_grad()\n"
        "     loss.backward()\n     opt.step()\n"
    )
    assert (training / PATH).read_bytes() == written(*TRAINING)


def test_standard_input_may_be_a_notebook(training: Path) -> None:
    arguments = ["check", "--no-cache", "--fix", "-", "--stdin-filename", PATH]
    result = CliRunner().invoke(application, arguments, input=written(*TRAINING))
    assert result.stdout_bytes == written(*TRAINING[:3], code(lines(CLEARED), PLOT))


def test_reports_show_the_repair_in_its_cell(training: Path) -> None:
    shown = run("--output-format", "full").stdout
    assert re.search(r"\[\*\].*4 \+     opt\.zero_grad\(\)\n5 \|     loss\.backward", shown, re.S)
    told = json.loads(run("--output-format", "json").stdout)
    (edit,) = told[0]["fix"]["edits"]
    assert (edit["cell"], edit["location"]) == (3, {"row": 4, "column": 1})


def test_a_repair_in_another_cell_is_shown_there(tmp_path: Path, script: list[Finding]) -> None:
    script.append(Finding("SCR001", "bad", (PATH, "good = 0", "good = 1"), path=PATH))
    data = written(TORCH + "net = nn.LSTM(1, 1)", "x\ngood = 0", "bad")
    root = project_of(tmp_path, {PATH: data})
    shown = run("--output-format", "full", str(root)).stdout
    assert re.search(rf"--> \S*{PATH}:cell 1:2\n2 - good = 0\n2 \+ good = 1\n", shown)


def test_a_notebook_with_a_broken_cell_is_left_alone(training: Path) -> None:
    data = written(*TRAINING, "def f(:")
    (training / PATH).write_bytes(data)
    assert "RNN206" in [each.code for each in check(training, no_cache=True).diagnostics]
    assert not repaired(training).offered
    assert not saved(training).fixed
    assert (training / PATH).read_bytes() == data


def test_files_and_notebooks_change_together(tmp_path: Path, script: list[Finding]) -> None:
    bad = [(PATH, "bad", "good"), ("main.py", "worse = 0", "worse = 1")]
    script.append(Finding("SCR001", "bad", *bad, path=PATH))
    text = TORCH + "net = nn.LSTM(1, 1)\n"
    files: dict[str, str | bytes] = {
        PATH: written(text, "bad = 0"),
        "main.py": text + "worse = 0\n",
    }
    root = project_of(tmp_path, files)
    assert len(saved(root).fixed) == 1
    assert (root / PATH).read_bytes() == written(text, "good = 0")
    assert (root / "main.py").read_text() == text + "worse = 1\n"


def test_a_repair_that_changes_a_magic_is_withheld(tmp_path: Path, script: list[Finding]) -> None:
    script.append(Finding("SCR001", "_ ", (PATH, "_ ", "x "), path=PATH))
    script.append(Finding("SCR002", "bad", (PATH, "bad", "good"), path=PATH))
    data = written(TORCH + "net = nn.LSTM(1, 1)", "!ls .\nbad = 0")
    root = project_of(tmp_path, {PATH: data})
    outcome = saved(root)
    assert [each.reason for each in outcome.withheld] == [
        f"{PATH}: the edit changes a magic, which is no Python"
    ]
    assert (root / PATH).read_bytes() == data.replace(b"bad", b"good")


def test_the_same_row_of_another_cell_is_another_place(
    tmp_path: Path, script: list[Finding]
) -> None:
    bad = ["bad_a = 0", "bad_b = 0", "bad_c = 0"]
    script += [Finding("SCR001", each, (PATH, each, "good"), path=PATH) for each in bad[:2]]
    script.append(Finding("SCR001", bad[2], (PATH, bad[0], "('worse',\nbad_a)"), path=PATH))
    text = TORCH + "net = nn.LSTM(1, 1)"
    root = project_of(tmp_path, {PATH: written(text, *bad)})
    outcome = saved(root)
    assert [each.span.cell for each in outcome.fixed] == [1, 2]
    assert [each.span.cell for each in outcome.diagnostics] == [3]
    assert (root / PATH).read_bytes() == written(text, "good", "good", bad[2])


def test_findings_in_notebooks_are_silenced(training: Path) -> None:
    assert len(silenced(training).fixed) == 1
    quiet = LOOP.replace("backward()", "backward()  # rnnlint: ignore[RNN206]")
    assert (training / PATH).read_bytes() == written(*TRAINING[:3], code(lines(quiet), PLOT))
    assert not check(training, no_cache=True).diagnostics


def test_a_list_in_a_notebook_gets_longer(tmp_path: Path, script: list[Finding]) -> None:
    script.append(Finding("SCR001", "bad", path=PATH))
    cells = [TORCH + "net = nn.LSTM(1, 1)", "x = 1", "bad = 0  # rnnlint: ignore[SCR009]"]
    root = project_of(tmp_path, {PATH: written(*cells)})
    assert len(silenced(root).fixed) == 1
    cells[2] = "bad = 0  # rnnlint: ignore[SCR009, SCR001]"
    assert (root / PATH).read_bytes() == written(*cells)


def test_what_is_wrong_with_a_cell_cannot_be_silenced(tmp_path: Path) -> None:
    data = written(TORCH + "net = nn.LSTM(1, 1)", "def f(:", "x = 1")
    lay(tmp_path, {"rnnlint.toml": "select = ['RNN001']\n"})
    (tmp_path / PATH).write_bytes(data)
    outcome = silenced(tmp_path)
    assert [each.code for each in outcome.diagnostics] == ["RNN001"]
    assert (tmp_path / PATH).read_bytes() == data


# --- whatever a notebook looks like -----------------------------------------------------

TEXTS = st.lists(
    st.sampled_from(["a = 1", "é = 'ü'", "", "!ls", "%time b = 2", "x?", '# \u2028 \\ "', "\t"]),
    max_size=5,
).map("\n".join)
ENDED = st.tuples(TEXTS, st.sampled_from(["", "\n", "\r\n"])).map("".join)
INSERTED = st.sampled_from(["", "z = 'ß'", "\nz = 3", "z = 4\n", "'\U0001f600'\r\n", "\\"])


@st.composite
def notebooks(draw: st.DrawFn) -> bytes:
    cells: list[object] = []
    for text in draw(st.lists(ENDED, min_size=1, max_size=5)):
        as_one = draw(st.booleans())
        cells.append(code(text if as_one else lines(text), PLOT))
        if draw(st.booleans()):
            cells.append(markdown(text))
    indent = draw(st.sampled_from([None, 1, 2, "\t"]))
    data = written(*cells, indent=indent, ensure_ascii=draw(st.booleans()))
    return data.replace(b"\n", draw(st.sampled_from([b"\n", b"\r\n"])))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(notebooks(), st.data())
def test_nothing_but_the_edited_code_is_another(data: bytes, draw: st.DataObject) -> None:
    source = read(data)
    size = len(source.text)
    places = sorted(draw.draw(st.sets(st.integers(0, size), min_size=1, max_size=4)))
    edits = []
    for number, start in enumerate(places):
        end = draw.draw(st.integers(start, min([start + 3, size, *places[number + 1 :]])))
        edits.append(Edit(PATH, start, end, draw.draw(INSERTED)))
    edited = Edited(source, edits)
    try:
        result = edited.data
    except CannotEditError:
        assume(False)
    assert read(result).text == edited.text
    old, new = json.loads(data), json.loads(result)
    assert source.cells is not None
    touched = {c.number for c in source.cells for e in edits if c.start <= e.start <= c.end}
    for number, cell in enumerate(old["cells"]):
        if number in touched:
            after = new["cells"][number].pop("source")
            assert isinstance(after, type(cell.pop("source")))
    assert old == new
    assert list(old) == list(new)
    outside = re.compile(rb'"source"\s*:\s*(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\])')
    assert outside.sub(b"", data) == outside.sub(b"", result)
    assert edited.undone().after.text == source.text
