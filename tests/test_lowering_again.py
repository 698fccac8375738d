"""What is lowered again after an edit is what lowering the whole file gives."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lowered import file_of

from rnnlint.lowering import ir
from rnnlint.lowering.again import lower_again
from rnnlint.lowering.lower import lower
from rnnlint.lowering.recollection import Recollection
from rnnlint.project.source import Source, source_from_bytes

FILE = '''\
"""A model."""
import torch
from torch import nn  # layers

SIZE = (
    3
)


@decorated
class Tagger(nn.Module):
    """Reads."""

    def forward(self, x):
        return self.lstm(x)[0]


if SIZE > 2:
    print("large")
elif SIZE:
    print("small")

@(
    wrapped
)
def train(model):
    for batch in loader: step(model, batch)
# the end of it


async def later(): pass
x = 1; y = 2
text = f"""{x}
class Inside: pass
"""
model = Tagger()
'''
BITS = (
    *(
        "\n",
        " ",
        "    ",
        "\t",
        "\f",
        "\r\n",
        "x",
        "(",
        ")",
        "[",
        "]",
        '"""',
        "'",
        "\\",
        "\\\n",
        "#",
        ";",
    ),
    *(
        "else:\n",
        "elif y:\n    z\n",
        "    pass\n",
        "@d\n",
        "def f(): pass\n",
        "if x:\n",
        "if x: pass\n",
    ),
    *(
        "try:\n    a\n",
        "except E:\n    b\n",
        "match x:\n",
        "    case 1: pass\n",
        "class A:\n    pass\n",
    ),
)


def part(text: str) -> ir.FileIR | None:
    lowered = lower(text)
    return lowered if isinstance(lowered, ir.FileIR) else None


@settings(max_examples=300, deadline=None)
@given(
    start=st.integers(0, len(FILE)),
    length=st.sampled_from((0, 1, 2, 7, 40, 200)),
    bits=st.lists(st.sampled_from(BITS), max_size=4),
)
def test_what_is_lowered_in_part_is_what_it_is_as_a_whole(
    start: int, length: int, bits: list[str]
) -> None:
    text = FILE[:start] + "".join(bits) + FILE[start + length :]
    again = lower_again(text, FILE, file_of(FILE), part)
    assert again in (None, lower(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("self.lstm(x)[0]", "self.lstm(x)[1]", id="in a method"),
        pytest.param("# the end", "# and the end", id="in a comment"),
        pytest.param("y = 2", "y = 3", id="behind a semicolon"),
        pytest.param('"""A model."""', '"""Another model."""', id="in the first statement"),
        pytest.param("Tagger()\n", "Tagger()\nprint(model)", id="at the end, without a line end"),
        pytest.param("import torch\n", "", id="of a statement that goes"),
    ],
)
def test_only_what_the_edit_touches_is_lowered(old: str, new: str) -> None:
    parts: list[str] = []

    def lower_part(text: str) -> ir.FileIR | None:
        parts.append(text)
        return part(text)

    text = FILE.replace(old, new)
    assert lower_again(text, FILE, file_of(FILE), lower_part) == lower(text)
    assert len(parts) == 1
    assert len(parts[0]) < len(FILE) / 2


def test_what_stands_before_an_edit_is_not_even_copied() -> None:
    before = file_of(FILE)
    again = lower_again(FILE + "print()\n", FILE, before, part)
    assert again is not None
    assert again.body[3] is before.body[3]


def test_a_text_that_might_crash_the_parser_is_left_to_the_worker_processes() -> None:
    recollection = Recollection()
    source = source_from_bytes("a.py", FILE.encode())
    assert isinstance(source, Source)
    recollection.remember(source, file_of(FILE))
    tame = source_from_bytes("a.py", f"{FILE}x = 1\n".encode())
    assert isinstance(tame, Source)
    assert recollection.representation(tame) == file_of(tame.text)
    hostile = source_from_bytes("a.py", f"{FILE}x = {'(' * 5_000}{')' * 5_000}\n".encode())
    assert isinstance(hostile, Source)
    assert recollection.representation(hostile) is None


def test_what_one_process_has_written_another_recalls() -> None:
    source = source_from_bytes("a.py", FILE.encode())
    assert isinstance(source, Source)
    first, second = Recollection(), Recollection()
    assert first.remember(source, file_of(FILE))
    assert not first.remember(source, file_of(FILE))
    second.recall("a.py", first.written("a.py"))
    assert second.representation(source) == file_of(FILE)
    assert not second.remember(source, file_of(FILE))


@pytest.mark.parametrize("written", [b"", b"\xc0", b"\x93\xa1a\xa1b\xa1c"])
def test_what_cannot_be_read_is_not_recalled(written: bytes) -> None:
    recollection = Recollection()
    recollection.recall("a.py", written)
    assert "a.py" not in recollection
