"""Sources: bytes to text, notebooks to programs, offsets to places."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlint.diagnostic import Location, Notice
from rnnlint.project.notebook import mask_magics
from rnnlint.project.source import LineIndex, Source, locate, read_source, source_from_bytes

LIMIT = 1_000_000


def source_of(data: bytes, path: str = "a.py") -> Source:
    source = source_from_bytes(path, data)
    assert isinstance(source, Source), source
    return source


def notice_of(data: bytes, path: str = "a.py") -> Notice:
    notice = source_from_bytes(path, data)
    assert isinstance(notice, Notice), notice
    return notice


@pytest.mark.parametrize(
    ("data", "text", "encoding", "bom"),
    [
        (b"", "", "utf-8", False),
        (b"x = 1\r\ny = 2\r", "x = 1\r\ny = 2\r", "utf-8", False),
        ("# caf\u00e9".encode(), "# caf\u00e9", "utf-8", False),
        (b"\xef\xbb\xbfx = 1", "x = 1", "utf-8", True),
        (b"\xef\xbb\xbf# coding: latin-1\n", "# coding: latin-1\n", "utf-8", True),
        (b"# -*- coding: latin-1 -*-\n# \xe9", "# -*- coding: latin-1 -*-\n# \u00e9", "latin-1", 0),
        (b"#!python\n# vim: fileencoding=cp1252\n# \x80", None, "cp1252", False),
        (b"# coding: UTF_8\n", "# coding: UTF_8\n", "utf-8", False),
        (b"x = 1\n# coding: latin-1\n", "x = 1\n# coding: latin-1\n", "utf-8", False),
        (b"# a\n# b\n# coding: latin-1\n", "# a\n# b\n# coding: latin-1\n", "utf-8", False),
        (b"'coding: nonsense'\n", "'coding: nonsense'\n", "utf-8", False),
    ],
)
def test_bytes_are_decoded_as_python_would(
    data: bytes, text: str | None, encoding: str, bom: bool
) -> None:
    source = source_of(data)
    assert source.text == (data.decode(encoding) if text is None else text)
    assert source.encoding == encoding
    assert source.bom is bool(bom)
    assert source.cells is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"# coding: klingon\n", "unknown encoding 'klingon'"),
        (b"# coding: rot13\n", "unknown encoding 'rot13'"),
        (b"# caf\xe9", "is not utf-8 (byte 5)"),
        (b"\x00\x01\x02", "null bytes"),
        ("x = 1".encode("utf-16"), "null bytes"),
    ],
)
def test_what_cannot_be_decoded_is_a_notice(data: bytes, message: str) -> None:
    notice = notice_of(data)
    assert message in notice.message
    assert notice.fatal


def test_digests_name_the_bytes() -> None:
    assert source_of(b"x = 1").digest == source_of(b"x = 1", "b.py").digest
    assert source_of(b"x = 1").digest != source_of(b"\xef\xbb\xbfx = 1").digest


def test_files_are_read_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_bytes(b"x" * 100)
    assert isinstance(read_source(tmp_path, "small.py", 100), Source)
    notice = read_source(tmp_path, "small.py", 99)
    assert isinstance(notice, Notice)
    assert "max-file-size = 99" in notice.message
    assert not notice.fatal


def test_the_limit_of_a_notebook_is_for_its_program(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(notebook(["x = 1"], padding="o" * 500))
    assert isinstance(read_source(tmp_path, "a.ipynb", 100), Source)
    (tmp_path / "b.ipynb").write_bytes(notebook(["x" * 101]))
    assert isinstance(read_source(tmp_path, "b.ipynb", 100), Notice)


def test_an_absent_file_is_a_fatal_notice(tmp_path: Path) -> None:
    notice = read_source(tmp_path, "absent.py", LIMIT)
    assert isinstance(notice, Notice)
    assert notice.fatal
    assert notice.path == "absent.py"


@given(st.binary(max_size=200), st.sampled_from(["a.py", "a.ipynb"]))
def test_no_bytes_break_it(data: bytes, path: str) -> None:
    assert isinstance(source_from_bytes(path, data), Source | Notice)


# --- notebooks -----------------------------------------------------------------


def notebook(cells: list[str], language: str = "python", padding: str = "") -> bytes:
    """A notebook with these code cells, each behind a cell of prose."""
    listed: list[dict[str, object]] = []
    for text in cells:
        listed.append({"cell_type": "markdown", "source": ["# prose\n", "import nothing"]})
        listed.append(
            {
                "cell_type": "code",
                "source": text.splitlines(keepends=True),
                "outputs": [{"text": padding}],
                "execution_count": None,
            }
        )
    metadata = {"kernelspec": {"language": language}}
    return json.dumps({"nbformat": 4, "cells": listed, "metadata": metadata}).encode()


def test_code_cells_are_joined_to_one_program() -> None:
    source = source_of(notebook(["import torch\n", "x = 1\ny = 2"]), "a.ipynb")
    assert source.text == "import torch\n\nx = 1\ny = 2"
    assert source.cells is not None
    texts = [source.text[cell.start : cell.end] for cell in source.cells]
    assert texts == ["import torch\n", "x = 1\ny = 2"]


def test_places_in_a_notebook_count_from_their_cell() -> None:
    source = source_of(notebook(["import torch\n", "%%bash\nls\n", "x = 1\nyy = 2"]), "a.ipynb")
    assert source.cells is not None
    start = source.text.index("yy")
    span = locate(source, start, start + 2)
    assert span.cell == source.cells[2].number
    assert span.location == Location(2, 1)
    assert span.end_location == Location(2, 3)
    index = LineIndex(source)
    assert index.row_text(2, span.cell) == "yy = 2"
    assert index.offset(span.location, span.cell) == start
    assert index.row_count(span.cell) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not a notebook"),
        (b"[]", "not a notebook"),
        (b'{"nbformat": 3, "worksheets": []}', "notebook format 3 is not supported"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]}', "not a notebook"),
    ],
)
def test_a_broken_notebook_is_a_fatal_notice(data: bytes, message: str) -> None:
    notice = notice_of(data, "a.ipynb")
    assert message in notice.message
    assert notice.fatal


def test_a_notebook_in_another_language_is_no_failure() -> None:
    notice = notice_of(notebook(["x <- 1"], language="R"), "a.ipynb")
    assert "in r, not in Python" in notice.message
    assert not notice.fatal


@pytest.mark.parametrize(
    ("cell", "masked"),
    [
        ("!pip install torch\nx = 1", "_" + " " * 17 + "\nx = 1"),
        ("%matplotlib inline", "_" + " " * 17),
        ("!ls", "_  "),
        (
            "if gpu:\n    !nvidia-smi\nelse:\n    x = 1",
            "if gpu:\n    _          \nelse:\n    x = 1",
        ),
        ("files = !ls", "files = _  "),
        ("a, b = %sql select", "a, b = _          "),
        ("model?", "_     "),
        ("torch.nn.LSTM??\nx = 1", "_" + " " * 14 + "\nx = 1"),
        ("?model", "_     "),
        ("!echo a \\\n  b\nx = 1", "_        \n   \nx = 1"),
        ("%time fit(model)", "_;    fit(model)"),
        ("%timeit -n 10 fit()", "_;            fit()"),
        ("%time for x in y: f(x)", "_" + " " * 21),
        ("%%time\nfit()", "_     \nfit()"),
        ("\n%%capture out\nfit()", "\n_            \nfit()"),
        ("%%bash\nrm -r x\n", "      \n       \n"),
        ("%%html\r\n<b>\r\n", "      \r\n   \r\n"),
        ("ls data/kaggle", "_" + " " * 13),
        ("cd '/content/drive/My Drive'", "_" + " " * 27),
        ("cp ../weights.pt .", "_" + " " * 17),
        ("!echo it's\nx = 'a'", "_         \nx = 'a'"),
    ],
)
def test_magics_become_python_of_the_same_length(cell: str, masked: str) -> None:
    assert mask_magics(cell) == masked
    ast.parse(masked)


@pytest.mark.parametrize(
    "cell",
    [
        "x = (a\n  % b)",
        "x = a \\\n  % b",
        's = """\n!not a magic\n%neither\nnor this?\n"""',
        "x %= 3\ny != x\n",
        "print('100 % = %d' % x)",
        "f(\n  '#(',\n  % 3)",
        "# what is this?\nx = 1",
        "ls = 3\ncat in man\nrm if cp else mv\n",
    ],
)
def test_python_is_left_alone(cell: str) -> None:
    assert mask_magics(cell) == cell


@given(st.text(alphabet="%!?=\\'\"#()[]{} \t\r\nax.,;", max_size=60))
def test_masking_keeps_length_and_line_ends(cell: str) -> None:
    masked = mask_magics(cell)
    assert len(masked) == len(cell)
    assert [c for c in masked if c in "\r\n"] == [c for c in cell if c in "\r\n"]


# --- rows and columns ------------------------------------------------------------


def test_rows_end_where_the_tokenizer_ends_them() -> None:
    source = source_of("a\r\nb\rc\nd\x0c\x0b\u2028e".encode())
    index = LineIndex(source)
    assert index.row_count() == 4
    assert [index.row_text(row) for row in range(1, 5)] == ["a", "b", "c", "d\x0c\x0b\u2028e"]


def test_columns_count_code_points() -> None:
    source = source_of("\U0001f600 = LSTM".encode())
    span = locate(source, 4, 8)
    assert (span.location, span.end_location) == (Location(1, 5), Location(1, 9))
    assert span.path == "a.py"
    assert span.cell is None


@given(st.lists(st.text(alphabet="ab\r\n", max_size=12), min_size=1, max_size=4), st.data())
def test_a_place_leads_back_to_its_offset(cells: list[str], data: st.DataObject) -> None:
    source = source_of(notebook(cells), "a.ipynb")
    index = LineIndex(source)
    offset = data.draw(st.integers(0, len(source.text)))
    cell, location = index.locate(offset)
    assert index.offset(location, cell) == offset
