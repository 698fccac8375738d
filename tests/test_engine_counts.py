"""What was not analysed is always told, and what is told is what was asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from trained import FAULT, TORCH, check, codes, lay

from rnnlint.reporting.closing import closing
from rnnlint.reporting.style import PLAIN

PYTHON_2 = f"{TORCH}{FAULT}print 'loss'\n"
UNREADABLE = f"{TORCH}{FAULT}".encode() + b"# \xff\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one sound file and one that cannot be parsed."""
    return lay(tmp_path, {"rnnlint.toml": "", "old.py": PYTHON_2, "new.py": TORCH + FAULT})


@pytest.mark.parametrize("selected", ['select = ["RNN1"]', "select = []", 'ignore = ["RNN5"]'])
def test_a_file_that_cannot_be_parsed_is_reported_whatever_is_selected(
    project: Path, selected: str
) -> None:
    outcome = check(project, inline_config=(selected,))
    assert codes(outcome) == ["RNN001"]
    assert (outcome.summary.analysed, outcome.summary.lowered, outcome.summary.skipped) == (1, 1, 0)


@pytest.mark.parametrize(
    "ignored",
    ['ignore = ["RNN001"]', 'ignore = ["RNN0"]', 'per-file-ignores = { "old.py" = ["ALL"] }'],
)
def test_one_that_is_ignored_is_told_and_not_counted_as_read(project: Path, ignored: str) -> None:
    for outcome in (check(project, inline_config=(ignored,)) for _ in range(2)):
        (notice,) = outcome.notices
        assert (notice.path, notice.fatal, notice.skips) == ("old.py", False, True)
        assert "cannot be parsed, so it was not analysed" in notice.message
        assert (outcome.summary.analysed, outcome.summary.skipped) == (1, 1)
    alone = check(project, "new.py", inline_config=(ignored,))
    assert (alone.summary.analysed, alone.summary.skipped) == (1, 0)
    assert "skipped" not in closing(alone, PLAIN)


def test_a_comment_that_silences_it_is_told_too(project: Path) -> None:
    lay(project, {"old.py": f"# rnnlint: file-ignore[RNN001]\n{PYTHON_2}"})
    outcome = check(project)
    assert codes(outcome) == ["RNN503"]
    assert [notice.path for notice in outcome.notices] == ["old.py"]


def test_files_that_cannot_be_read_are_not_counted_as_read(project: Path) -> None:
    (project / "bad.py").write_bytes(UNREADABLE)
    outcome = check(project)
    assert (outcome.summary.analysed, outcome.summary.lowered, outcome.summary.skipped) == (1, 1, 1)
    named = check(project, "bad.py", "new.py").summary
    assert (named.analysed, named.skipped) == (1, 1)


def test_files_that_nobody_asked_about_are_not_counted(project: Path) -> None:
    (project / "sub").mkdir()
    (project / "sub" / "bad.py").write_bytes(UNREADABLE)
    for asked, skipped in (("new.py", 0), ("sub", 1), (".", 1), ("sub/bad.py", 1)):
        outcome = check(project, asked)
        assert [notice.path for notice in outcome.notices] == ["sub/bad.py"]
        assert outcome.summary.skipped == skipped, asked


def test_where_nothing_was_read_nothing_is_said_to_be_sound(project: Path) -> None:
    said = closing(check(project, "gone.py"), PLAIN)
    assert said == "Read no Python file; skipped 1: gone.py (no such file or folder).\n"
    assert closing(check(project, "new.py"), PLAIN).startswith("Found 1 problem")
