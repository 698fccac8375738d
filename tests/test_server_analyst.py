"""What the language server reads anew, and what it does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from trained import FAULT, TORCH

from rnnlint.opening import Opened, Request, open_request
from rnnlint.server import analyst, hovering
from rnnlint.server.analyst import Analyst
from rnnlint.server.state import State
from rnnlint.statements import Comment

SILENT = "x = 1  # rnnlint: ignore[RNN201]\n"


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """The requests for which the disk was looked at."""
    asked: list[Request] = []

    def opened(request: Request) -> Opened:
        asked.append(request)
        return open_request(request)

    monkeypatch.setattr(analyst, "open_request", opened)
    return asked


@pytest.mark.parametrize(
    ("settings", "complaints"),
    [
        pytest.param("", 0, id="usable"),
        pytest.param("[tool.rnnlint", 1, id="no TOML"),
        pytest.param('[tool.rnnlint]\nbaseline = "known.json"', 1, id="no baseline"),
    ],
)
def test_the_disk_is_looked_at_once_until_something_changes(
    tmp_path: Path, scans: list[Request], settings: str, complaints: int
) -> None:
    (tmp_path / "pyproject.toml").write_text(settings)
    (tmp_path / "model.py").write_text(TORCH + FAULT)
    told: list[str] = []
    analysing = Analyst(told.append)
    state = State(folders=(str(tmp_path),))
    for _ in range(3):
        analysing.examine(state, lambda: None)
    assert len(scans) == 1
    analysing.examine(msgspec.structs.replace(state, scan=1), lambda: None)
    assert len(scans) == 2
    assert len(told) == complaints


def test_comments_are_read_only_where_one_silences_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []

    def comments(text: str) -> list[Comment]:
        texts.append(text)
        return []

    monkeypatch.setattr(hovering, "statement_comments", comments)
    for text in (f"y = 2\n{SILENT}", f"y = 2\r{SILENT}", f"{SILENT}y = 2"):
        assert hovering.page_at(text, text.index("y"), ()) is None
        assert texts == []
        assert hovering.page_at(text, text.index("ignore"), ()) is None
        assert texts == [text]
        texts.clear()
